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
            metavar="float16",
            help="Store the weights as float16, half the size, and show how far that moves each output.",
        ),
    ] = None,
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
      lstmconv export old.h5 --replace double=rescaling.json
    """
    out = out or output_paths.bundle_path(model)
    output_paths.check_output(out, suffixes.BUNDLE, force, model, *([config] if config else []))
    with Working("converting"):
        made = export_bundle(
            model, out, config=config, force=force, allow_nonfinite=allow_nonfinite, deterministic=deterministic,
            weights=None if weights is None else weights.value, replace=read_replacements(replace or ()),
        )  # fmt: skip
    for warning in made.warnings:
        print_note("warning", warning)
    report = export_report(made, out)
    print_report(report, export_text(report), as_json)


def export_report(made: Conversion, out: Path) -> dict[str, Any]:
    """What `lstmconv export` says of a bundle it has written, as a dict.

    With float16 weights it has "drift": for each output the largest difference (null where it has no bound) from the
    model with its own weights, and that as a share of the output's largest magnitude.
    """
    parameters = summary(made.graph)["parameters"]
    drift = [{"output": d.output, "max_abs": _bounded(d.max_abs), "relative": _bounded(d.relative)} for d in made.drift]
    return {
        "bundle": str(out), "nodes": len(made.graph.nodes), "parameters": parameters,
        "source": made.source, "semantics": made.semantics, "warnings": list(made.warnings),
        **({"drift": drift} if drift else {}),
    }  # fmt: skip


def _bounded(number: float) -> float | None:
    """A number as JSON can hold it."""
    return number if isfinite(number) else None


def export_text(report: dict[str, Any]) -> str:
    """The dict of `export_report` as a line; with float16 weights, below it their drift as a table."""
    source = f"{report['source']['framework']} {report['source']['version']}"
    line = (
        f"wrote {printable(report['bundle'])}: {report['nodes']} nodes, {report['parameters']:,} parameters, "
        f"from {printable(source)}"
    )
    if "drift" not in report:
        return line
    rows = [("output", "largest difference", "relative")]
    for item in report["drift"]:
        shown = ["unbounded" if item[key] is None else f"{item[key]:.3g}" for key in ("max_abs", "relative")]
        rows.append((printable(item["output"], 60), shown[0], shown[1]))
    heading = "The weights are stored as float16. What that moves, on the probes, in float64:"
    return "\n".join([line, heading, *text_table(rows)])
