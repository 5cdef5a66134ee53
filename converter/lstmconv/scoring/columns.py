"""Which columns of a table are for which input, and how its rows become sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from lstmconv_runtime import Model
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import Input
from lstmconv_runtime.inputs import as_dtype
from lstmconv_runtime.model import inputs_of

from ..errors import UnsupportedError, UsageError, printable
from ..files.text_table import shape_text


@dataclass(frozen=True)
class Columns:
    """How the rows of a table become sequences.

    Attributes:
        inputs: by the name of the input ("" for the only one), the columns of its features.
        window: rows of a sequence; None makes a sequence of each whole group.
        stride: rows between the beginnings of two windows of a group.
        group_by: the columns whose values tell groups apart; without any the whole table is one group.
        time: the column that the rows of a group have to be in the order of.
        keep: the columns that predictions are joined to; None is all.
        prefix: put before the names of outputs.
        skip_short: leave out groups of fewer rows than a window, which else are padded where the model masks.
        sort: hold the table in memory, and put the rows of each group together, in the order of time.
    """

    inputs: tuple[tuple[str, tuple[str, ...]], ...]
    window: int | None = None
    stride: int = 1
    group_by: tuple[str, ...] = ()
    time: str | None = None
    keep: tuple[str, ...] | None = None
    prefix: str = ""
    skip_short: bool = False
    sort: bool = False

    def features(self) -> list[str]:
        return list(dict.fromkeys(column for _, columns in self.inputs for column in columns))

    def needed(self) -> list[str]:
        """The columns that have to be there."""
        time = [] if self.time is None else [self.time]
        return list(dict.fromkeys([*self.features(), *self.group_by, *time, *(self.keep or ())]))


class Part(NamedTuple):
    """What an input gets.

    Attributes:
        columns: of the table.
        is_sequence: a window of rows; else the last row of it.
        rest: the shape of one row.
        steps: how many rows it has to be; None is any number.
    """

    name: str
    columns: tuple[str, ...]
    is_sequence: bool
    rest: tuple[int, ...]
    steps: int | None
    dtype: np.dtype[np.generic]

    def values(self, numbers: Mapping[str, Array]) -> Array:
        """(rows, columns) in the dtype of the input.

        Raises:
            InputError: the dtype cannot hold a number.
        """
        made = [as_dtype(f"column '{printable(name, 60)}'", numbers[name], self.dtype) for name in self.columns]
        return np.stack(made, axis=1)

    def shaped(self, windows: Array) -> Array:
        """(windows, steps, columns) → what the input takes."""
        lead = windows.shape[:2] if self.is_sequence else windows.shape[:1]
        return (windows if self.is_sequence else windows[:, -1]).reshape(*lead, *self.rest)


def parts_of(model: Model, columns: Columns) -> list[Part]:
    """What each input of the model gets.

    Raises:
        UsageError: the columns are not those of the inputs, or the window is not of the length that the model takes.
        UnsupportedError: the model computes rows together, or an input cannot be filled from rows.
    """
    inputs = inputs_of(model)
    if not model.splits:
        raise UnsupportedError("the model computes all its rows together: windows of a table cannot be given to it")
    given = dict(columns.inputs)
    if len(inputs) == 1 and list(given) == [""]:
        given = {inputs[0].name: given[""]}
    if set(given) != {node.name for node in inputs}:
        names = ", ".join(f"{printable(node.name, 40)}=..." for node in inputs)
        raise UsageError(f"the columns are not those of the model's inputs: give {names}", "E_COLUMNS")
    for number in (columns.window, columns.stride):
        if number is not None and number < 1:
            raise UsageError(f"a window and a stride have at least 1 row, got {number}", "E_COLUMNS")
    parts = [_part(node, given[node.name], columns.window, model) for node in inputs]
    fixed = {part.steps for part in parts if part.is_sequence} - {None}
    if columns.window is not None and fixed - {columns.window}:
        raise UsageError(f"the model takes sequences of {_least(fixed)} rows, not of {columns.window}", "E_COLUMNS")
    if columns.window is None and not any(part.is_sequence for part in parts):
        raise UsageError("no input of the model takes a sequence: let the window be 1 row", "E_COLUMNS")
    return parts


def _least(sizes: set[int | None]) -> int:
    return min(size for size in sizes if size is not None)


def _part(node: Input, columns: Sequence[str], window: int | None, model: Model) -> Part:
    """(batch, time, …) takes windows. (batch, n) takes n columns of the last row, but as many steps of one column."""
    shape, count, dtype = node.shape[1:], len(columns), model.program.dtype(node.name)
    shown = f"input '{printable(node.name, 60)}', {shape_text(node.shape)}"
    if len(set(columns)) < count:
        raise UsageError(f"{shown}: a column is named twice", "E_COLUMNS")
    if len(shape) == 1 and not (count == 1 and shape[0] in (None, window) and shape[0] != 1):
        if shape[0] not in (None, count):
            raise UsageError(f"{shown}: takes {shape[0]} columns, or a window of {shape[0]} rows of one", "E_COLUMNS")
        return Part(node.name, tuple(columns), False, (count,), None, dtype)
    if not shape:
        raise UnsupportedError(f"{shown}: cannot be filled from the rows of a table")
    rest = shape[1:]
    known = [size for size in rest if size is not None]
    if len(rest) - len(known) > 1 or (len(known) == len(rest) and math.prod(known) != count):
        wanted = math.prod(known)
        raise UsageError(f"{shown}: takes {wanted} column{'s' if wanted > 1 else ''}, got {count}", "E_COLUMNS")
    full = tuple(count // math.prod(known) if size is None else size for size in rest)
    if math.prod(full) != count:
        raise UsageError(f"{shown}: cannot be filled from {count} columns", "E_COLUMNS")
    return Part(node.name, tuple(columns), True, full, shape[0], dtype)
