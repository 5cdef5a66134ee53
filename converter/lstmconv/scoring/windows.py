"""Cutting sequences from rows that come a few at a time, of several groups in any order: NumPy alone.

A window is `window` rows of one group that follow each other; the next begins `stride` rows later. What a window still
needs of earlier rows, the last `window` − 1 of each group, is carried from one call to the next, so that memory hangs
on the number of groups and not on that of rows.

Rows are numbered from 0 through the whole table. Every cut says which row each of its windows ends at.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
from lstmconv_runtime.format.graph import Array

from ..errors import Hint, UsageError, printable

Values = Mapping[str, Array]


class Cut(NamedTuple):
    """Some windows.

    Attributes:
        values: by input, the rows they are made of, (rows, columns).
        ends: of each window, the place of its last row in `values`; the others stand right before it.
        lengths: how many rows each has.
        numbers: of each, the number of its last row in the table.
    """

    values: Values
    ends: Array
    lengths: Array
    numbers: Array


class Groups:
    """Groups by their keys, numbered in the order in which they appear."""

    def __init__(self) -> None:
        self._codes: dict[object, int] = {}
        self.keys: list[object] = []

    def codes(self, keys: list[object]) -> Array:
        """The number of the group of each row."""
        known = self._codes
        made = np.fromiter((known.setdefault(key, len(known)) for key in keys), np.int64, len(keys))
        self.keys.extend(islice(known, len(self.keys), None))
        return made

    def shown(self, code: int) -> str:
        key = self.keys[code]
        if key == ():
            return "the table"
        parts = key if isinstance(key, tuple) else (key,)
        return f"group {', '.join(printable(part, 60) for part in parts)}"


class Cutter(Protocol):
    """What rows are added to, in their order."""

    def add(self, codes: Array, values: Values) -> Cut:
        """The windows that end in these rows.

        Args:
            codes: of each row, the number of its group.
            values: by input, (rows, columns).
        """

    def finish(self) -> Cut:
        """The groups that did not fill a window, when all rows are there."""

    def needed(self) -> Array:
        """The numbers of those rows that are the last of their group so far, and may yet end a window."""

    def held(self) -> int:
        """Bytes that are carried."""


class Windows:
    """Windows of one length; groups with fewer rows come at the end, each whole."""

    def __init__(self, window: int, stride: int) -> None:
        self._window, self._stride = window, stride
        self._carried_codes = np.empty(0, np.int64)
        self._carried: dict[str, Array] = {}
        self._totals = np.empty(0, np.int64)  # by group, the rows seen
        self._last = np.empty(0, np.int64)  # by group, the number of its last row
        self._rows = 0

    def add(self, codes: Array, values: Values) -> Cut:
        count, before = len(codes), len(self._carried_codes)
        groups = max(len(self._totals), int(codes.max(initial=-1)) + 1)
        self._totals = _grown(self._totals, groups)
        self._last = _grown(self._last, groups)
        all_codes = np.concatenate([self._carried_codes, codes])
        by_group = np.argsort(all_codes, kind="stable")  # carried rows stand before new ones of their group
        ordered = {
            name: (np.concatenate([self._carried[name], array]) if before else array)[by_group]
            for name, array in values.items()
        }
        runs = all_codes[by_group]
        sizes = np.bincount(all_codes, minlength=groups)
        starts = np.cumsum(sizes) - sizes
        places = np.arange(len(runs)) - starts[runs]  # in the run of its group
        carried = np.bincount(self._carried_codes, minlength=groups)
        index = places + (self._totals - carried)[runs]  # in its group, from 0
        new = by_group >= before
        beyond = index - (self._window - 1)
        ends = np.flatnonzero(new & (beyond >= 0) & (beyond % self._stride == 0))
        ends = ends[np.argsort(by_group[ends], kind="stable")]  # in the order of the table
        numbers = by_group[ends] - before + self._rows

        self._totals = self._totals + np.bincount(codes, minlength=groups)
        self._last[codes] = np.arange(self._rows, self._rows + count)  # of equal codes the last one counts
        self._rows += count
        kept = np.flatnonzero(sizes[runs] - places < self._window)
        self._carried_codes = runs[kept]
        self._carried = {name: array[kept] for name, array in ordered.items()}
        return Cut(ordered, ends, np.full(len(ends), self._window), numbers)

    def finish(self) -> Cut:
        short = np.flatnonzero((self._totals < self._window) & (self._totals > 0))
        sizes = np.bincount(self._carried_codes, minlength=len(self._totals))
        ends = np.cumsum(sizes)[short] - 1  # what is carried stands group by group
        order = np.argsort(self._last[short], kind="stable")
        short, ends = short[order], ends[order]
        return Cut(self._carried, ends, self._totals[short], self._last[short])

    def needed(self) -> Array:
        return np.sort(self._last[(self._totals < self._window) & (self._totals > 0)])

    def held(self) -> int:
        return sum(array.nbytes for array in self._carried.values())


class WholeGroups:
    """Each group as one sequence, whose rows have to stand together."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._open: dict[str, list[Array]] = {}
        self._open_code = -1
        self._open_rows = 0
        self._ended = np.zeros(0, bool)
        self._rows = 0

    def add(self, codes: Array, values: Values) -> Cut:
        """Raises UsageError where rows of a group come after those of another."""
        count = len(codes)
        if count == 0:
            return _nothing(values)
        self._ended = _grown(self._ended, max(len(self._ended), int(codes.max()) + 1))
        starts = np.flatnonzero(np.diff(codes, prepend=self._open_code))  # where another group begins
        if not len(starts):
            for name, array in values.items():
                self._open[name].append(array)
            self._open_rows += count
            self._rows += count
            return _nothing(values)
        if self._open_code >= 0:
            self._ended[self._open_code] = True
        begun = codes[starts]
        again = np.flatnonzero(self._ended[begun])
        first = np.unique(begun, return_index=True)[1]
        twice = np.setdiff1d(np.arange(len(begun)), first)
        for odd in (*again, *twice):
            raise UsageError(
                f"{self._groups.shown(int(begun[odd]))}: its rows do not stand together (row "
                f"{self._rows + int(starts[odd]) + 1})",
                "E_TABLE_ORDER",
                Hint("{} puts them in order, in memory", "sort"),
            )
        joined = {name: np.concatenate([*self._open.get(name, ()), array]) for name, array in values.items()}
        offset = self._open_rows
        ends = starts + offset - 1  # of the groups before each start
        begins = np.concatenate([[0], starts + offset])
        if self._open_code < 0:  # the first row of all begins a group, and ends none
            ends, begins = ends[1:], begins[1:]
        lengths = ends - begins[: len(ends)] + 1
        numbers = ends - offset + self._rows
        self._ended[begun[:-1]] = True
        last = int(begins[-1])
        self._open = {name: [array[last:]] for name, array in joined.items()}
        self._open_rows = offset + count - last
        self._open_code = int(codes[-1])
        self._rows += count
        return Cut(joined, ends, lengths, numbers)

    def finish(self) -> Cut:
        values = {name: np.concatenate(arrays) for name, arrays in self._open.items()}
        if not self._open_rows:
            return _nothing(values)
        last = np.array([self._open_rows])
        return Cut(values, last - 1, last, np.array([self._rows - 1]))

    def needed(self) -> Array:
        return np.array([self._rows - 1] if self._rows else [], np.int64)

    def held(self) -> int:
        return sum(array.nbytes for arrays in self._open.values() for array in arrays)


class Order:
    """Whether the rows of each group are in the order of time."""

    def __init__(self, groups: Groups, time: str) -> None:
        self._groups, self._time = groups, time
        self._last: Array | None = None
        self._seen = np.zeros(0, bool)
        self._rows = 0

    def check(self, codes: Array, times: Array) -> None:
        """Raises UsageError where a row is earlier than one of its group before it."""
        by_group = np.argsort(codes, kind="stable")
        runs, sorted_times = codes[by_group], times[by_group]
        size = max(len(self._seen), int(codes.max(initial=-1)) + 1)
        self._seen = _grown(self._seen, size)
        self._last = _grown(np.zeros(0, times.dtype) if self._last is None else self._last, size)
        first = np.diff(runs, prepend=-1) != 0
        before = np.concatenate([sorted_times[:1], sorted_times[:-1]])
        before = np.where(first, self._last[runs], before)
        odd = np.flatnonzero((sorted_times < before) & (~first | self._seen[runs]))
        if len(odd):
            place = by_group[odd].min()
            raise UsageError(
                f"{self._groups.shown(int(codes[place]))}: its rows are not in the order of "
                f"'{printable(self._time, 60)}' (row {self._rows + int(place) + 1})",
                "E_TABLE_ORDER",
                Hint("{} puts them in order, in memory", "sort"),
            )
        self._last[runs] = sorted_times  # the last of each run stays
        self._seen[runs] = True
        self._rows += len(codes)


def gathered(cut: Cut, name: str, chosen: slice, steps: int, pad: float | None) -> Array:
    """The sequences of some windows for an input, (windows, steps, columns); those that are shorter begin with rows of
    `pad`."""
    ends, lengths = cut.ends[chosen, None], cut.lengths[chosen, None]
    back = np.arange(-steps + 1, 1)
    filled = -back < lengths
    made: Array = cut.values[name][np.where(filled, ends + back, ends)]
    if not filled.all():
        assert pad is not None
        made[~filled] = pad
    return made


def _nothing(values: Values) -> Cut:
    none = np.empty(0, np.int64)
    return Cut(values, none, none, none)


def _grown(array: Array, size: int) -> Array:
    return np.concatenate([array, np.zeros(max(0, size - len(array)), array.dtype)])
