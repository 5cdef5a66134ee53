"""Tables of rows in files, as batches of sequences with the rows that their predictions are joined to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lstmconv_runtime import Model

from ..errors import UsageError, printable
from ..files import standard_input
from ..files.held_rows import check_size
from ..files.suffixes import TABLES, check_suffix
from ..files.tables import table_cells
from .columns import Columns
from .cutting import Cutting, Kept, batches
from .prediction import Batch
from .sources import Given

KINDS = (*TABLES, ".csv")


@contextmanager
def open_table_batches(
    model: Model, given: Given, columns: Columns, batch_size: int | None
) -> Iterator[tuple[None, Iterator[Batch]]]:
    """The batches of a table. How many there will be shows at the end.

    Raises:
        MissingPackageError: pyarrow is not installed.
        LstmconvError, InputError: the file cannot be read, or does not fit the model.
    """
    cutting = Cutting(model, columns, batch_size)
    cells = table_cells()
    if len(given.files) != 1 or given.files[0][0]:
        raise UsageError("a table holds the columns of all inputs: name it as INPUT")
    with _open(given, cells) as table:
        table.need(columns.needed())
        names = None if columns.keep is None else columns.needed()
        parts = _parts(table, names, cells, cutting, columns.sort)
        shown = columns.keep

        def kept(record: Any) -> Any:
            return record if shown is None else record.select(list(shown))

        joined = Kept(cells.taken, cells.together)
        yield None, batches(cutting, ((rows, kept(rows.record)) for rows in parts), cells.taken, joined)


@contextmanager
def _open(given: Given, cells: Any) -> Iterator[Any]:
    if not given.is_stream:
        check_suffix(given.path, KINDS)
        with cells.open_table(Path(given.path)) as table:
            yield table
        return
    first, file = standard_input.open_stream()
    shown = standard_input.SHOWN
    if first.startswith(standard_input.NPY):
        raise UsageError(f"{shown}: is an array, not a table with columns")
    yield (cells.open_stream if first.startswith(standard_input.ARROW_STREAM) else cells.csv_stream)(file, shown)


def _parts(table: Any, names: list[str] | None, cells: Any, cutting: Cutting, sort: bool) -> Iterator[Any]:
    """The rows of a table; all at once where they have to be put in order. There is one part at least."""
    if sort:
        held, size = [], 0
        for record in table.batches(names):
            size += record.nbytes
            check_size(size, f"{printable(table.shown)}: is to be put in order in memory, and takes")
            held.append(record)
        whole = cells.together(held) if held else cells.nothing(table.schema, names)
        yield cells.Cells(cells.taken(whole, cutting.in_order(cells.Cells(whole, table.shown, 1))), table.shown, 1)
        return
    row = 1
    for record in table.batches(names):
        yield cells.Cells(record, table.shown, row)
        row += record.num_rows
    if row == 1:
        yield cells.Cells(cells.nothing(table.schema, names), table.shown, 1)
