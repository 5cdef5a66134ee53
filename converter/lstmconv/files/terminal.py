"""Results with colours and ruled tables, for people at a terminal; rich draws them, and is imported only then.

Everything is text to rich, and no markup: it may hold names from untrusted files. NO_COLOR leaves the colours out.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

Cell: TypeAlias = "str | tuple[str, str]"  # text, or text and its style, such as "bold green"

GOOD, BAD, WARN, SOFT, TITLE = "green", "bold red", "yellow", "dim", "bold"


def on_terminal() -> bool:
    """Whether results are read at a terminal that shows more than plain ASCII."""
    if sys.stdout is None or not sys.stdout.isatty() or os.environ.get("TERM", "") in ("dumb", ""):
        return False
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def drawn(*pieces: Any) -> str:
    """Lines (a Cell, or a list of them side by side), and what `table` and `facts` make, as the terminal shows them."""
    from rich.console import Console

    width = shutil.get_terminal_size().columns
    console = Console(file=io.StringIO(), force_terminal=True, width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        for piece in pieces:
            console.print(_text(piece) if isinstance(piece, str | tuple | list) else piece)
    return captured.get()


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]], numbers: Sequence[int] = ()) -> Any:
    """A table for `drawn`; `numbers` are the columns that are aligned to the right."""
    from rich.box import ROUNDED
    from rich.table import Table

    made = Table(box=ROUNDED, border_style=SOFT, header_style=TITLE)
    for column, title in enumerate(head):
        made.add_column(_text(title), justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(_text, row))
    return made


def facts(rows: Sequence[tuple[str, str]]) -> Any:
    """Names and what they are, side by side, for `drawn`."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    for name, value in rows:
        made.add_row(_text((name, SOFT)), _text(value))
    return made


def _text(piece: Any) -> Any:
    from rich.text import Text

    if isinstance(piece, list):
        return Text.assemble(*piece)
    return Text(*piece) if isinstance(piece, tuple) else Text(piece)
