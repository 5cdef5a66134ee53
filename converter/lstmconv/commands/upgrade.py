"""`lstmconv upgrade`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..files import output_paths, suffixes
from ..files.standard_streams import print_note
from ..reading import read_replacements
from ..upgrading.file import upgrade as upgrade_file
from ..upgrading.file import upgrade_report, upgrade_text
from .options import SETTINGS, Architecture, Deterministic, Force, Json, OldFile, Replace, print_report
from .progress import Working

app = typer.Typer(**SETTINGS)


@app.command(
    epilog="Exit codes: 0 done, 2 usage or a missing package, 3 no modern equivalent, 4 invalid, 5 over a limit, "
    "6 input or output."
)
def upgrade(
    old: OldFile,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="NEW", help="The archive; by default FILE with the suffix .keras."),
    ] = None,
    config: Architecture = None,
    force: Force = False,
    deterministic: Deterministic = False,
    replace: Replace = None,
    as_json: Json = False,
) -> None:
    """Write an old Keras file as one that today's Keras opens.

    The same model as a .keras archive, with the same layer names, computing what it computed under the Keras that wrote
    it. Needs h5py; neither Keras nor TensorFlow.

    \b
    Example:
      lstmconv upgrade old.h5 -o new.keras
    """
    out = out or output_paths.archive_path(old)
    output_paths.check_output(out, suffixes.ARCHIVE, force, old, *([config] if config else []))
    with Working("upgrading"):
        made = upgrade_file(
            old, out, config=config, force=force, deterministic=deterministic,
            replace=read_replacements(replace or ()),
        )  # fmt: skip
    for warning in made.warnings:
        print_note("warning", warning)
    report = upgrade_report(made, out)
    print_report(report, upgrade_text(report), as_json)
