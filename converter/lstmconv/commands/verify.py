"""`lstmconv verify`."""

from __future__ import annotations

import typer

from ..bundles.load import load_bundle
from ..bundles.probe_report import probe_report, probe_report_text
from ..errors import printable
from .options import SETTINGS, BundleFile, Json, print_report
from .progress import Working

app = typer.Typer(**SETTINGS)


@app.command(
    epilog="Exit codes: 0 the probes hold, 1 they do not, 2 usage, 3 a newer bundle, 4 invalid, 5 over a limit, "
    "6 input or output."
)
def verify(bundle: BundleFile, as_json: Json = False) -> None:
    """Check a bundle by its own probes.

    These are inputs with the outputs that were computed for them when the bundle was made.

    \b
    Example:
      lstmconv verify sine.safetensors
    """
    with Working("verifying"):
        report = {"bundle": str(bundle), **probe_report(load_bundle(bundle))}
    print_report(report, probe_report_text(report, printable(str(bundle))), as_json)
    if not report["ok"]:
        raise typer.Exit(1)
