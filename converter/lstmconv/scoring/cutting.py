"""The rows of a table as batches of sequences: the same for files and for frames in memory.

A reader gives the rows in parts, each as what `Rows` says; what predictions are joined to stays the reader's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from lstmconv_runtime import Model
from lstmconv_runtime.format.graph import Array

from ..errors import Hint, InvalidFileError, UnsupportedError
from ..files.held_rows import check_size
from . import prediction
from .columns import Columns, Part, parts_of
from .padding import pad_values
from .prediction import Batch
from .windows import Cut, Cutter, Groups, Order, WholeGroups, Windows, gathered


class Rows(Protocol):
    """Some rows of a table."""

    count: int

    def numbers(self, name: str) -> Array:
        """A column of numbers (rows,).

        Raises:
            InvalidFileError: a value is missing, or is none.
        """

    def keys(self, name: str) -> list[object]:
        """The values of a column that tell groups apart; raises like `numbers`."""

    def times(self, name: str) -> Array:
        """A column of points in time as numbers (rows,); raises like `numbers`."""


class Sequences(NamedTuple):
    """Sequences to compute together, and the numbers of the rows they end at."""

    inputs: dict[str, Array]
    numbers: Array


class _Shape:
    def __init__(self, part: Part, steps: int) -> None:
        self.shape = (None, *((steps,) if part.is_sequence else ()), *part.rest)


class Cutting:
    """Sequences for a model, cut from rows that are added a part at a time.

    Raises:
        UsageError, UnsupportedError: see `columns.parts_of`.
    """

    def __init__(self, model: Model, columns: Columns, batch_size: int | None) -> None:
        self._model, self._columns, self._batch_size = model, columns, batch_size
        self.parts = parts_of(model, columns)
        self._groups = Groups()
        self._order = None if columns.time is None else Order(self._groups, columns.time)
        self._cutter: Cutter = (
            WholeGroups(self._groups) if columns.window is None else Windows(columns.window, columns.stride)
        )
        self._fixed = next((part.steps for part in self.parts if part.is_sequence and part.steps), None)
        self._pads: dict[str, float] | None = None
        self._whole: int | None = None  # rows of the first group

    def add(self, rows: Rows) -> Iterator[Sequences]:
        """The sequences that end in these rows.

        Raises:
            UsageError: the rows are in no order that sequences can be cut from.
            InputError, InvalidFileError: a value is not what an input takes.
            UnsupportedError: a sequence needs padding, and the model does not mask.
            LimitError: what has to be held of earlier rows is over the limit.
        """
        codes = self._groups.codes(self._keys(rows))
        if self._order is not None and self._columns.time is not None:
            self._order.check(codes, rows.times(self._columns.time))
        cut = self._cutter.add(codes, self._values(rows))
        check_size(self._cutter.held(), "what is held of the groups takes")
        yield from self._sequences(cut)

    def finish(self) -> Iterator[Sequences]:
        """The groups that did not fill a window; raises like `add`."""
        if not self._columns.skip_short or self._columns.window is None:
            yield from self._sequences(self._cutter.finish())

    def needed(self) -> Array:
        """The numbers of the rows that may yet be asked for."""
        return self._cutter.needed()

    def none(self) -> Sequences:
        """No sequences, for a table that has none."""
        steps = self._columns.window or self._fixed or 1
        inputs = {
            part.name: part.shaped(np.empty((0, steps, len(part.columns)), part.dtype)) for part in self.parts
        }  # fmt: skip
        return Sequences(inputs, np.empty(0, np.int64))

    def in_order(self, rows: Rows) -> Array:
        """The places of all rows, those of each group together, in the order of time where there is one."""
        codes = self._groups.codes(self._keys(rows))
        self._groups = Groups()
        time = self._columns.time
        times = np.zeros(rows.count) if time is None else rows.times(time)
        return np.lexsort((times, codes))

    def _keys(self, rows: Rows) -> list[object]:
        names = self._columns.group_by
        if not names:
            return [()] * rows.count
        if len(names) == 1:
            return rows.keys(names[0])
        return list(zip(*(rows.keys(name) for name in names), strict=True))

    def _values(self, rows: Rows) -> dict[str, Array]:
        numbers = {name: rows.numbers(name) for name in self._columns.features()}
        return {part.name: part.values(numbers) for part in self.parts}

    def _sequences(self, cut: Cut) -> Iterator[Sequences]:
        if not len(cut.ends):
            return
        steps = self._columns.window or self._fixed or int(cut.lengths.max())
        self._check_lengths(cut, steps)
        shapes = {part.name: _Shape(part, steps) for part in self.parts}
        at_once = self._batch_size or prediction.rows_at_once(self._model, shapes, 1)
        for start in range(0, len(cut.ends), at_once):
            chosen = slice(start, start + at_once)
            longest = self._columns.window or self._fixed or int(cut.lengths[chosen].max())
            pads = self._pads or {}
            yield Sequences(
                {p.name: p.shaped(self._gathered(cut, p, chosen, longest, pads)) for p in self.parts},
                cut.numbers[chosen],
            )

    def _gathered(self, cut: Cut, part: Part, chosen: slice, steps: int, pads: dict[str, float]) -> Array:
        if not part.is_sequence:  # the last row alone
            return cut.values[part.name][cut.ends[chosen]][:, None]
        return gathered(cut, part.name, chosen, steps, pads.get(part.name))

    def _check_lengths(self, cut: Cut, steps: int) -> None:
        """Raises UnsupportedError where a group is longer than the model takes, or shorter and cannot be padded."""
        whole = self._columns.window is None
        if whole and self._fixed is None and self._whole is None:
            self._whole = int(cut.lengths[0])
        wanted = steps if not whole or self._fixed is not None else self._whole
        odd = np.flatnonzero(cut.lengths != wanted)
        if not len(odd):
            return
        length = int(cut.lengths[odd[0]])
        if whole and self._fixed is not None and cut.lengths.max() > steps:
            longest = int(np.argmax(cut.lengths))
            raise UnsupportedError(
                f"the group that ends in row {int(cut.numbers[longest]) + 1} has {int(cut.lengths[longest])} rows, and "
                f"the model takes {steps}: cut windows of {steps} rows from it",
                "E_TABLE_RAGGED",
            )
        if self._pads is None:
            try:
                self._pads = pad_values(self._model, self.parts, self._columns.window)
            except UnsupportedError as error:
                group = f"the group that ends in row {int(cut.numbers[odd[0]]) + 1} has {length} rows"
                hint = None if whole else Hint("{} leaves such groups out", "skip_short")
                raise UnsupportedError(f"{group}, not {wanted}, and {error.reason}", "E_TABLE_RAGGED", hint) from None


def batches(
    cutting: Cutting, parts: Iterator[tuple[Rows, Any]], taken: Callable[[Any, Array], Any], joined: Kept
) -> Iterator[Batch]:
    """The batches of a table, each with the rows that its predictions are joined to. There is one at least.

    Args:
        parts: the rows, and what is to be joined of each.
        taken: some rows of what is joined, by their places.
    """
    some, last = False, None
    for rows, record in parts:
        joined.add(record, rows.count)
        last = record
        for sequences in cutting.add(rows):
            some = True
            yield Batch(sequences.inputs, len(sequences.numbers), joined.take(sequences.numbers))
        joined.retain(cutting.needed())
    for sequences in cutting.finish():
        some = True
        yield Batch(sequences.inputs, len(sequences.numbers), joined.take(sequences.numbers))
    if not some and last is not None:
        none = cutting.none()
        yield Batch(none.inputs, 0, taken(last, none.numbers))


class Kept:
    """The rows that predictions may be joined to: those of the last part, and what is still needed of earlier ones.

    Args:
        taken: some rows of what is joined, by their places.
        together: two parts of it as one.
    """

    def __init__(self, taken: Callable[[Any, Array], Any], together: Callable[[Sequence[Any]], Any]) -> None:
        self._taken, self._together = taken, together
        self._rows: Any = None
        self._numbers = np.empty(0, np.int64)
        self._count = 0

    def add(self, record: Any, count: int) -> None:
        numbers = np.arange(self._count, self._count + count)
        self._rows = record if not len(self._numbers) else self._together([self._rows, record])
        self._numbers = np.concatenate([self._numbers, numbers])
        self._count += count

    def take(self, numbers: Array) -> Any:
        return self._taken(self._rows, np.searchsorted(self._numbers, numbers))

    def retain(self, numbers: Array) -> None:
        """Lets go of all other rows."""
        self._rows = self._taken(self._rows, np.searchsorted(self._numbers, numbers))
        self._numbers = numbers


def missing(name: str, where: str) -> InvalidFileError:
    return InvalidFileError(f"{where}column '{name}': a value is missing", "E_TABLE_NULL")
