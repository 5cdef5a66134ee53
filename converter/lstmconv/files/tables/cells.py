"""The cells of a record batch as numbers, points in time, and keys. Needs pyarrow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lstmconv_runtime.format.graph import Array

from ...errors import InvalidFileError, printable
from .joining import nothing, taken, together
from .reading import csv_stream, open_stream, open_table
from .rows import numbers

__all__ = ["Cells", "csv_stream", "nothing", "open_stream", "open_table", "taken", "together"]

NUMBER = r"^[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*$"  # as `csv_table` has it


class Cells:
    """Some rows of a table.

    Args:
        first: the number of the first, counted from 1, for messages.
    """

    def __init__(self, record: Any, shown: str, first: int) -> None:
        self.count: int = record.num_rows
        self.record = record
        self._shown, self._first = shown, first

    def _column(self, name: str) -> tuple[Any, str]:
        return self.record.column(self.record.schema.get_field_index(name)), (
            f"{self._shown}: column '{printable(name, 60)}'"
        )

    def numbers(self, name: str) -> Array:
        """(rows,); text is taken where it is a number in digits, as in a CSV.

        Raises:
            InvalidFileError: a value is missing, or is no number.
        """
        column, where = self._column(name)
        if not _is_text(column.type):
            made: Array = numbers(column, where)
            if made.ndim > 1:
                raise InvalidFileError(f"{where}: holds lists; a row of a table has single numbers", "E_ARRAY_DTYPE")
            return made
        odd = pc.invert(pc.match_substring_regex(column, NUMBER))
        if pc.any(odd).as_py():
            place = pc.index(odd, True).as_py()
            raise InvalidFileError(
                f"{where}: '{printable(column[place].as_py(), 40)}' in row {self._first + place} is not a number",
                "E_ARRAY_FILE",
            )
        trimmed = pc.utf8_trim(pc.utf8_ltrim(column, " \t+"), " \t")
        made = np.asarray(trimmed.cast(pa.float64()).to_numpy(zero_copy_only=False))
        if not np.isfinite(made).all():
            raise InvalidFileError(f"{where}: has a number that is too large for float64", "E_ARRAY_FILE")
        return made

    def keys(self, name: str) -> list[object]:
        """The values that tell groups apart.

        Raises:
            InvalidFileError: one is missing.
        """
        column, where = self._column(name)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        made: list[object] = column.to_pylist()
        if column.null_count or (_is_text(column.type) and "" in made) or any(key != key for key in made):
            raise InvalidFileError(f"{where}: a value is missing", "E_TABLE_NULL")
        if made and made[0].__hash__ is None:
            raise InvalidFileError(f"{where}: holds {printable(str(column.type), 60)}, by which nothing can be grouped")
        return made

    def times(self, name: str) -> Array:
        """Numbers that grow as time does.

        Raises:
            InvalidFileError: a value is missing, or is no point in time.
        """
        column, where = self._column(name)
        if pa.types.is_temporal(column.type) and not column.null_count:
            if column.type.bit_width == 32:
                column = column.cast(pa.int32())
            return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False))
        if _is_text(column.type):
            return self._times_of_text(column, name, where)
        return self.numbers(name)

    def _times_of_text(self, column: Any, name: str, where: str) -> Array:
        if not pc.all(pc.match_substring_regex(column, NUMBER)).as_py():
            for kind in (pa.timestamp("ns"), pa.timestamp("ns", "UTC")):
                try:
                    return np.asarray(column.cast(kind).cast(pa.int64()).to_numpy(zero_copy_only=False))
                except pa.ArrowInvalid:
                    continue
            raise InvalidFileError(
                f"{where}: needs numbers, or times like 2026-11-28 19:30:00, all with a zone or all without",
                "E_ARRAY_FILE",
            )
        return self.numbers(name)


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
