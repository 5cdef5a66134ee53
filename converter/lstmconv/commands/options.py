"""What the commands share: the arguments and options that several of them take, and how a result is printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..files.standard_streams import print_result
from ..files.terminal import Cell, drawn, on_terminal, table
from ..files.text_table import text_table

# rich would take longer to import than most commands run.
SETTINGS: dict[str, Any] = {
    "add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}  # fmt: skip

Force = Annotated[bool, typer.Option("--force", help="Replace an existing output file.")]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="Take layers called with training=True as at inference, without dropout."),
]
Replace = Annotated[
    list[str] | None,
    typer.Option(
        "--replace",
        metavar="NAME=LAYER.json",
        help="In the place of a Lambda or a custom class, a layer of Keras or a small model that computes the same, as "
        "Keras's own JSON; its arrays are dealt by shape. Can be given more than once.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
# readable=False: whether a file can be read shows when it is read, with exit code 6.
BundleFile = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle, NAME.safetensors.", readable=False)]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A Keras file, NAME.keras.", readable=False)]
InputFile = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="A .npy, .npz (one array per input, by its name) or .csv file (see --rows-are).",
        readable=False,
    ),
]


class Weights(StrEnum):
    """What weights can be stored as, beside what they are."""

    FLOAT16 = "float16"
    INT8 = "int8"


class RowsAre(StrEnum):
    """What the rows of a .csv are."""

    STEPS = "steps"
    SEQUENCES = "sequences"


CsvRows = Annotated[
    RowsAre | None,
    typer.Option(
        "--rows-are",
        help="What a row of a .csv is: one of the time steps of the one sequence in the file, or a whole sequence (its "
        "time steps in order, the features of each side by side). Needed where it could be either.",
    ),
]

AnyFiles = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", help="Keras files of any age, or bundles.", readable=False, show_default=False),
]
OldFile = Annotated[Path, typer.Argument(metavar="FILE", help="A Keras file of any age.", readable=False)]
Architecture = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="JSON", help="What model.to_json() gave, for a file of weights alone.", readable=False
    ),
]


def print_report(
    report: dict[str, Any], text: str, as_json: bool, on_a_terminal: Callable[[dict[str, Any]], str] | None = None
) -> None:
    """A result: the report as one JSON object, or `text`; at a terminal what `on_a_terminal` makes of it."""
    if as_json:
        print_result(json.dumps(report, indent=2, allow_nan=False))
    else:
        print_result(on_a_terminal(report) if on_a_terminal and on_terminal() else text)


def print_table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """A table: ruled and with its styles at a terminal, else plain."""
    if on_terminal():
        print_result(drawn(table(head, rows)))
    else:
        plain = [[cell if isinstance(cell, str) else cell[0] for cell in row] for row in (head, *rows)]
        print_result("\n".join(text_table(plain)))
