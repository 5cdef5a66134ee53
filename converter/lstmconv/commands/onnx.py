"""`lstmconv onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import printable
from ..files import output_paths, suffixes
from ..files.standard_streams import print_note
from ..onnx.exporting import OnnxExport, export_onnx
from ..reading import read_replacements
from .options import SETTINGS, Architecture, Deterministic, Force, Json, Replace, print_report
from .progress import Working

app = typer.Typer(**SETTINGS)


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
    config: Architecture = None,
    force: Force = False,
    deterministic: Deterministic = False,
    replace: Replace = None,
    as_json: Json = False,
) -> None:
    """Write a model as ONNX with fused operators.

    LSTM, GRU and SimpleRNN become the operators of these names, masks included. Needs the onnx package, neither
    TensorFlow nor Keras; where onnxruntime is installed, the file is run on the bundle's probes before it is published.

    \b
    Example:
      lstmconv onnx sine.keras -o sine.onnx
      lstmconv onnx sine.safetensors -o step.onnx --states
    """
    out = out or output_paths.onnx_path(model)
    output_paths.check_output(out, suffixes.ONNX, force, model, *([config] if config else []))
    with Working("writing"):
        made = export_onnx(
            model, out, states=states, force=force, config=config, deterministic=deterministic,
            replace=read_replacements(replace or ()),
        )  # fmt: skip
    for warning in made.warnings:
        print_note("warning", warning)
    print_report(report(made, out), text(made, out), as_json)


def report(made: OnnxExport, out: Path) -> dict[str, Any]:
    """What was written, for JSON."""
    return {
        "onnx": str(out), "opset": made.opset, "inputs": made.inputs, "outputs": made.outputs,
        "operators": made.operators, "checked": made.checked, "warnings": made.warnings,
    }  # fmt: skip


def text(made: OnnxExport, out: Path) -> str:
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
