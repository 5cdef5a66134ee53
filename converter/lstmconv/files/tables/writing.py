"""Tables written as their rows are computed. `tables.table_writing` imports this."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from lstmconv_runtime.format.graph import Array

from ...errors import UsageError, printable
from ..flat_columns import by_row, flat_columns

STREAM, CSV = "stream", ".csv"


class TableFile:
    """A table with a column for each output, beside the columns that are passed on.

    An output of one number for each row is a plain column; any other one a column of lists of fixed sizes, in a CSV
    columns NAME.0, NAME.1 and so on, NAME.0.0 for lists of lists.

    Args:
        kind: a suffix of `suffixes.TABLES`, CSV, or STREAM for an Arrow stream.
        prefix: put before the names of the outputs.
    """

    def __init__(self, file: IO[bytes], kind: str, prefix: str = "") -> None:
        self._sink, self._kind, self._prefix = pa.PythonFile(file, mode="w"), kind, prefix
        self._writer: Any = None

    def add(self, arrays: Mapping[str, Array], count: int, rows: Any = None) -> None:
        """The outputs for the next `count` rows, and the record batch of what is passed on with them.

        Raises:
            UsageError: a column that is passed on has the name of an output.
        """
        columns: dict[str, Any] = {} if rows is None else dict(zip(rows.schema.names, rows.columns, strict=True))
        flat = self._kind == CSV
        for name, array in arrays.items():
            for called, column in (_flat_columns if flat else _list_column)(
                self._prefix + name, by_row(array, count)
            ).items():
                if called in columns:
                    raise UsageError(
                        f"the table has a column '{printable(called, 60)}', as an output is called: --prefix tells "
                        "them apart",
                        "E_TABLE_COLUMNS",
                    )
                columns[called] = column
        batch = pa.record_batch(list(columns.values()), names=list(columns))
        if self._writer is None:
            self._writer = self._open(batch.schema)
        self._writer.write_batch(batch)

    def _open(self, schema: Any) -> Any:
        if self._kind == ".parquet":
            return pq.ParquetWriter(self._sink, schema)
        if self._kind == CSV:
            return pacsv.CSVWriter(self._sink, schema)
        if self._kind == STREAM:
            return pa.ipc.new_stream(self._sink, schema)
        return pa.ipc.new_file(self._sink, schema)

    def abandon(self) -> None:
        """After a failure: what pyarrow would write when it is collected finds the file closed, and it complains."""
        if self._writer is not None:
            with suppress(Exception):
                self._writer.close()
            if hasattr(self._writer, "is_open"):
                self._writer.is_open = False
            self._writer = None

    def finish(self) -> None:
        """After the last batch."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._sink.flush()


def _list_column(name: str, array: Array) -> dict[str, Any]:
    """(rows,) and (rows, 1) → numbers; (rows, a, b) → lists of `a` lists of `b` numbers."""
    sizes = array.shape[1:] if array.shape[1:] not in ((), (1,)) else ()
    column = pa.array(np.ascontiguousarray(array).reshape(-1))
    for size in reversed(sizes):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return {name: column}


def _flat_columns(name: str, array: Array) -> dict[str, Any]:
    # CSV knows no halves; float32 holds them exactly.
    held = array.astype(np.float32) if array.dtype == np.float16 else array
    return {called: pa.array(np.ascontiguousarray(column)) for called, column in flat_columns(name, held).items()}
