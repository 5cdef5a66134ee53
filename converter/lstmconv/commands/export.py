"""`lstmconv export`."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from ..bundles.summary import summary
from ..errors import printable
from ..exporting import Conversion
from ..exporting import export as export_bundle
from ..files import output_paths, suffixes
from ..files.standard_streams import print_note
from ..files.text_table import text_table
from ..reading import read_replacements
from .options import SETTINGS, Deterministic, Force, Json, ModelFile, Replace, Weights, print_report
from .progress import Working

app = typer.Typer(**SETTINGS)


@app.command(epilog="Exit codes: 0 done, 2 usage, 3 unsupported, 4 invalid, 5 over a limit, 6 input or output.")
def export(
    model: ModelFile,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="OUT", help="The bundle; by default MODEL with the suffix .safetensors."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="ARCHITECTURE",
            help="For files of weights alone: the architecture, which model.to_json() writes.",
            readable=False,
        ),
    ] = None,
    force: Force = False,
    allow_nonfinite: Annotated[
        bool, typer.Option("--allow-nonfinite", help="Accept NaN and infinity among the weights.")
    ] = False,
    deterministic: Deterministic = False,
    weights: Annotated[
        Weights | None,
        typer.Option(
            "--weights",
            metavar="float16|int8",
            help="Store the weights as float16, half the size, or the kernel matrices as int8, a quarter, and show how "
            "far that moves each output.",
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="INPUT",
            help="With --weights: a .npy, .npz or .csv of your own data, to see how far the outputs move on it too.",
            readable=False,
        ),
    ] = None,
    at_most: Annotated[
        float | None,
        typer.Option(
            "--at-most",
            metavar="SHARE",
            help="With int8: how far an output may move, as a share of its largest magnitude, over the data of "
            "--calibrate or else over the probes. Matrices whose rounding costs more stay as they are.",
        ),
    ] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="With int8: the tables of Embedding layers too, row by row.")
    ] = False,
    replace: Replace = None,
    as_json: Json = False,
) -> None:
    """Write the bundle of a Keras model.

    The file is read as data: neither Keras nor TensorFlow is needed, and nothing in it is executed.

    \b
    Example:
      lstmconv export sine.keras -o sine.safetensors
      lstmconv export weights-of-2017.h5 --config architecture.json
      lstmconv export sine.keras -o small.safetensors --weights float16
      lstmconv export sine.keras -o small.safetensors --weights int8 --at-most 1e-3 --calibrate windows.npy
      lstmconv export old.h5 --replace double=rescaling.json
    """
    out = out or output_paths.bundle_path(model)
    given = [path for path in (config, calibrate) if path is not None]
    output_paths.check_output(out, suffixes.BUNDLE, force, model, *given)
    with Working("converting"):
        made = export_bundle(
            model, out, config=config, force=force, allow_nonfinite=allow_nonfinite, deterministic=deterministic,
            weights=None if weights is None else weights.value, embeddings=embeddings, at_most=at_most,
            calibrate=calibrate, replace=read_replacements(replace or ()),
        )  # fmt: skip
    for warning in made.warnings:
        print_note("warning", warning)
    report = export_report(made, out)
    print_report(report, export_text(report), as_json)


def export_report(made: Conversion, out: Path) -> dict[str, Any]:
    """What `lstmconv export` says of a bundle it has written, as a dict.

    Where weights are stored smaller it has "drift": for each output the largest difference from the model with its own
    weights (null where it has no bound), their root mean square, and the largest as a share of the output's largest
    magnitude, over the probes and over the calibration data; and "kept", the matrices that are not int8.
    """
    parameters = summary(made.graph)["parameters"]
    drift = [
        {"output": d.output, "over": d.over, "max_abs": _bounded(d.max_abs), "rms": _bounded(d.rms),
         "relative": _bounded(d.relative)}
        for d in made.drift
    ]  # fmt: skip
    return {
        "bundle": str(out), "nodes": len(made.graph.nodes), "parameters": parameters,
        "source": made.source, "semantics": made.semantics, "warnings": list(made.warnings),
        **({"drift": drift, "kept": list(made.kept)} if drift else {}),
    }  # fmt: skip


def _bounded(number: float) -> float | None:
    """A number as JSON can hold it."""
    return number if isfinite(number) else None


def export_text(report: dict[str, Any]) -> str:
    """The dict of `export_report` as a line; with weights stored smaller, below it their drift as a table."""
    source = f"{report['source']['framework']} {report['source']['version']}"
    line = (
        f"wrote {printable(report['bundle'])}: {report['nodes']} nodes, {report['parameters']:,} parameters, "
        f"from {printable(source)}"
    )
    if "drift" not in report:
        return line
    rows = [("output", "over the", "largest difference", "rms", "relative")]
    for item in report["drift"]:
        shown = ["unbounded" if item[key] is None else f"{item[key]:.3g}" for key in ("max_abs", "rms", "relative")]
        rows.append((printable(item["output"], 60), item["over"], *shown))
    heading = f"The weights are stored as {report['source']['weights']}. What that moves, in float64:"
    lines = [line, heading, *text_table(rows)]
    if report["kept"]:
        lines.append(f"Not int8: {printable(', '.join(report['kept']), 2000)}")
    return "\n".join(lines)
