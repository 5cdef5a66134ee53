"""`lstmconv onnx`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import printable
from ..files.standard_streams import print_note, print_result
from .progress import Working

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(
    epilog="Exit codes: 0 done, 2 usage or a missing package, 3 unsupported, 4 invalid, 5 over a limit, "
    "6 input or output."
)
def onnx(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL_OR_BUNDLE", help="A Keras file of any age, or a bundle.", readable=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="OUT", help="The file; by default MODEL with the suffix .onnx."),
    ] = None,
    states: Annotated[
        bool,
        typer.Option(
            "--states", help="Make the recurrent states inputs and outputs, to run the model some steps at a time."
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="JSON", help="What model.to_json() gave, for a file of weights alone.", readable=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output file.")] = False,
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="Take layers called with training=True as at inference, without dropout."),
    ] = False,
    replace: Annotated[
        list[str] | None,
        typer.Option(
            "--replace",
            metavar="NAME=LAYER.json",
            help="As for export: a layer in the place of one that cannot be read.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Write a model as ONNX with fused operators.

    LSTM, GRU and SimpleRNN become the operators of these names, masks included. Needs the onnx package, neither
    TensorFlow nor Keras; where onnxruntime is installed, the file is run on the bundle's probes before it is published.

    \b
    Example:
      lstmconv onnx sine.keras -o sine.onnx
      lstmconv onnx sine.safetensors -o step.onnx --states
    """
    from ..files import output_paths, suffixes
    from ..onnx import exporting
    from ..reading import read_replacements

    out = out or output_paths.onnx_path(model)
    output_paths.check_output(out, suffixes.ONNX, force, model, *([config] if config else []))
    with Working("writing"):
        made = exporting.export_onnx(
            model, out, states=states, force=force, config=config, deterministic=deterministic,
            replace=read_replacements(replace or ()),
        )  # fmt: skip
    for warning in made.warnings:
        print_note("warning", warning)
    print_result(json.dumps(report(made, out), indent=2) if as_json else text(made, out))


def report(made: Any, out: Path) -> dict[str, Any]:
    """What was written, for JSON."""
    return {
        "onnx": str(out), "opset": made.opset, "inputs": made.inputs, "outputs": made.outputs,
        "operators": made.operators, "checked": made.checked, "warnings": made.warnings,
    }  # fmt: skip


def text(made: Any, out: Path) -> str:
    """The same for people."""
    operators = ", ".join(f"{count} {name}" for name, count in made.operators.items())
    return "\n".join(
        [
            f"{printable(str(out))}: ONNX, opset {made.opset}",
            f"  inputs     {', '.join(map(printable, made.inputs))}",
            f"  outputs    {', '.join(map(printable, made.outputs))}",
            f"  operators  {operators}",
            *(f"  checked    {what}" for what in made.checked),
        ]
    )
