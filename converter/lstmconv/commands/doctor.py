"""`lstmconv doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..doctor.examine import VERSION, examine, report_text
from ..doctor.on_terminal import STYLES, terminal_page
from ..errors import UsageError, printable
from ..files.standard_streams import print_result
from ..files.terminal import BAD, GOOD, WARN, Cell
from ..graph.keras_classes import HANDLERS
from .failures import Outcome, examine_several
from .options import SETTINGS, AnyFiles, Architecture, Json, print_report, print_table
from .progress import Working

app = typer.Typer(**SETTINGS)


def _print_layers(wanted: bool) -> None:
    if wanted:
        print_result("\n".join(sorted(HANDLERS)))
        raise typer.Exit


def holds(found: dict[str, Any]) -> bool:
    """Whether a file can be converted; of a bundle, whether its probes hold."""
    return bool(found["verified" if found["kind"] == "bundle" else "convertible"])


def line_of(outcome: Outcome) -> tuple[Cell, ...]:
    """A file in the table of several."""
    name = printable(outcome.file.name, 60)
    found = outcome.report
    if found is None:
        return name, (outcome.failure.error_code if outcome.failure else "", BAD), "-", "-", "-"
    able: Cell = ("yes", GOOD) if holds(found) else ("NO", BAD)
    if found["kind"] == "bundle":
        return name, f"bundle, format {found['format']}", ("probes hold", GOOD) if holds(found) else able, "-", "-"
    today, upgrade = found["today"]["verdict"], found["upgrade"]
    back: Cell = ("no", BAD)
    if upgrade["possible"]:
        back = ("with --deterministic", WARN) if upgrade["deterministic"] else ("yes", GOOD)
    return name, printable(found["written_by"], 60), able, (today, STYLES[today]), back


HEAD = ("file", "written by", "converts", f"Keras {VERSION}", "upgrades")


@app.command(
    epilog="Exit codes: 0 the file can be converted, or is a bundle whose probes hold; 1 it cannot, or they do not; "
    "2, 3, 4, 5, 6 as for export. Of several files, the largest."
)
def doctor(
    files: AnyFiles,
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
    Of several files: a page for each, and at the end a table with a line for each.

    \b
    Example:
      lstmconv doctor old.h5
      lstmconv doctor weights-of-2017.h5 --config architecture.json
      lstmconv doctor models/*.h5
    """
    if len(files) == 1:
        with Working("examining"):
            found = examine(files[0], config)
        print_report(found, report_text(found), as_json, terminal_page)
        exit_code = int(not holds(found))
    else:
        if config is not None:
            raise UsageError("--config is the architecture of one file, and several are given")
        exit_code = _several(files, as_json)
    if exit_code:
        raise typer.Exit(exit_code)


def _several(files: list[Path], as_json: bool) -> int:
    def look(file: Path) -> dict[str, Any]:
        with Working(f"examining {printable(file.name, 40)}"):
            return examine(file)

    def show(found: dict[str, Any]) -> None:
        print_report(found, f"{report_text(found)}\n\n", False, lambda _: f"{terminal_page(found)}\n")

    outcomes, exit_code = examine_several(files, look, show, holds, as_json)
    if not as_json:
        print_table(HEAD, [line_of(one) for one in outcomes])
    return exit_code
