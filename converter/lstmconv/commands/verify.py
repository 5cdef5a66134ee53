"""`lstmconv verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..bundles.load import load_bundle
from ..bundles.probe_report import probe_report, probe_report_text
from ..errors import printable
from ..files.standard_streams import print_result
from ..files.terminal import BAD, GOOD, Cell
from .failures import Outcome, examine_several
from .options import SETTINGS, Json, print_report, print_table
from .progress import Working

app = typer.Typer(**SETTINGS)


@app.command(
    epilog="Exit codes: 0 the probes hold, 1 they do not, 2 usage, 3 a newer bundle, 4 invalid, 5 over a limit, "
    "6 input or output. Of several files, the largest."
)
def verify(
    bundles: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE", help="Bundles, NAME.safetensors.", readable=False, show_default=False),
    ],
    as_json: Json = False,
) -> None:
    """Check a bundle by its own probes.

    These are inputs with the outputs that were computed for them when the bundle was made. Of several files: each, and
    at the end a table with a line for each.

    \b
    Example:
      lstmconv verify sine.safetensors
      lstmconv verify models/*.safetensors
    """
    if len(bundles) == 1:
        report = _look(bundles[0])
        _show(report, as_json)
        exit_code = int(not report["ok"])
    else:
        outcomes, exit_code = examine_several(bundles, _look, _show, lambda report: bool(report["ok"]), as_json)
        if not as_json:
            print_result("")
            print_table(("bundle", "probes", "hold"), [_line(one) for one in outcomes])
    if exit_code:
        raise typer.Exit(exit_code)


def _look(bundle: Path) -> dict[str, Any]:
    with Working("verifying"):
        return {"bundle": str(bundle), **probe_report(load_bundle(bundle))}


def _show(report: dict[str, Any], as_json: bool = False) -> None:
    print_report(report, probe_report_text(report, printable(report["bundle"])), as_json)


def _line(outcome: Outcome) -> tuple[Cell, ...]:
    name, report = printable(outcome.file.name, 60), outcome.report
    if report is None:
        return name, "-", (outcome.failure.error_code if outcome.failure else "", BAD)
    return name, f"{len(report['probes'])}", ("yes", GOOD) if report["ok"] else ("NO", BAD)
