"""`lstmconv doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..doctor.examine import examine, report_text
from ..files.standard_streams import print_result
from ..graph.keras_classes import HANDLERS
from .options import SETTINGS, AnyFile, Architecture, Json, print_report
from .progress import Working

app = typer.Typer(**SETTINGS)


def _print_layers(wanted: bool) -> None:
    if wanted:
        print_result("\n".join(sorted(HANDLERS)))
        raise typer.Exit


@app.command(
    epilog="Exit codes: 0 the file can be converted, or is a bundle whose probes hold; 1 it cannot, or they do not; "
    "2, 3, 4, 5, 6 as for export."
)
def doctor(
    file: AnyFile,
    config: Architecture = None,
    as_json: Json = False,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", callback=_print_layers, is_eager=True, help="Print the layers that are converted, and exit."
        ),
    ] = False,
) -> None:
    """Tell what a Keras file is, and what can be done with it.

    What wrote it and what is inside; whether it can be converted and what stands in the way; what today's Keras would
    do with it, and whether `lstmconv upgrade` brings it back. Keras is not needed. Of a bundle: whether it is whole.

    \b
    Example:
      lstmconv doctor old.h5
      lstmconv doctor weights-of-2017.h5 --config architecture.json
    """
    with Working("examining"):
        found = examine(file, config)
    print_report(found, report_text(found), as_json)
    if not found["verified" if found["kind"] == "bundle" else "convertible"]:
        raise typer.Exit(1)
