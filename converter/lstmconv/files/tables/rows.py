"""A table as the arrays of a model. `table_inputs` imports this."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import Input

from ...errors import InvalidFileError, UsageError, printable
from ..csv_table import SEQUENCES, STEPS, Table, lay_out, what_rows_are
from ..held_rows import HeldRows, Rows, check_size
from .reading import OpenTable, open_stream, open_table

__all__ = ["numbers", "open_stream", "open_table", "table_rows"]


class ColumnRows:
    """The rows of one column, or of the columns of one input, taken in step with those of the others."""

    def __init__(self, feed: Feed, name: str, first: Array) -> None:
        self.shape: tuple[Any, ...] = (feed.table.rows, *first.shape[1:])
        self.dtype = first.dtype
        self._feed, self._name = feed, name

    def take(self, count: int) -> Array:
        """The next `count` rows; fewer at the end of a table that does not say how many it has.

        Raises:
            InvalidFileError: the table is damaged, or has not the rows it promises.
        """
        return self._feed.take(self._name, count)


class Feed:
    """The batches of a table as arrays by input; what one input has taken waits for the others."""

    def __init__(self, table: OpenTable, parts: Mapping[str, Callable[[Any], Array]], names: Sequence[str]) -> None:
        self.table, self._parts = table, parts
        self._batches = table.batches(names)
        self._waiting: dict[str, list[Array]] = {name: [] for name in parts}

    def more(self) -> bool:
        """Reads the next batch; False at the end."""
        batch = next(self._batches, None)
        for name, part in self._parts.items() if batch is not None else ():
            made = part(batch)
            waiting = self._waiting[name]
            if waiting and made.shape[1:] != waiting[0].shape[1:]:
                raise _ragged(self.table.shown, name)
            waiting.append(made)
        return batch is not None

    def first(self, name: str) -> Array | None:
        return self._waiting[name][0] if self._waiting[name] else None

    def take(self, name: str, count: int) -> Array:
        waiting = self._waiting[name]
        while sum(map(len, waiting)) < count and self.more():
            pass
        if self.table.rows is not None and sum(map(len, waiting)) < count:
            raise InvalidFileError(f"{self.table.shown}: has fewer rows than it says", "E_ARRAY_FILE")
        taken: list[Array] = []
        while waiting and count > 0:
            part = waiting.pop(0)
            taken.append(part[:count])
            if len(part) > count:
                waiting.insert(0, part[count:])
            count -= len(taken[-1])
        if not taken:
            return self.empty[name]
        self.empty[name] = taken[0][:0]
        return taken[0] if len(taken) == 1 else np.concatenate(taken)

    @property
    def empty(self) -> dict[str, Array]:
        """Arrays without rows, of the shapes and dtypes of the others."""
        return self._empty

    def begin(self, empty: Mapping[str, Array]) -> dict[str, Array]:
        """The first rows of every input, of which shapes and dtypes are known; `empty` for a table without rows."""
        self._empty = dict(empty)
        self.more()
        found = {name: self.first(name) for name in self._parts}
        self._empty |= {name: array[:0] for name, array in found.items() if array is not None}
        return self._empty


def table_rows(table: OpenTable, inputs: list[Input], rows_are: str | None) -> dict[str, Rows]:
    """The arrays of a table by the names of the inputs they are for; a row of the table is a row of the batch.

    An input is a column of its name that holds lists of numbers of one length (or of lists, for higher ranks), or
    single numbers. The column's name is free where the model has one input and the table one column of lists. Else all
    columns are single numbers, and stand for what the columns of a `.csv` do: see `csv_table`.

    Raises:
        InvalidFileError, UsageError, InputError: it holds no such arrays.
    """
    lists = [field.name for field in table.schema if _is_list(field.type)]
    if len(inputs) > 1:
        chosen = {node.name: node.name for node in inputs}
        table.need(list(chosen.values()))
    elif inputs[0].name in table.names and (lists or len(table.names) == 1):
        chosen = {inputs[0].name: inputs[0].name}
    elif len(lists) == 1:
        chosen = {inputs[0].name: lists[0]}
    elif lists:
        raise UsageError(
            f"{table.shown}: several columns hold lists, and none is called '{printable(inputs[0].name, 60)}', as the "
            "input is",
            "E_TABLE_COLUMNS",
        )
    else:
        return _flat_rows(table, inputs[0], rows_are)
    if rows_are is not None:
        raise UsageError(f"{table.shown}: --rows-are tells what a row of single numbers is; its columns hold lists")
    names = list(dict.fromkeys(chosen.values()))
    nodes = {node.name: node for node in inputs}
    feed = Feed(
        table, {name: _part(table.shown, column, nodes[name]) for name, column in chosen.items()}, names
    )  # fmt: skip
    empty = {
        name: np.empty((0, *_list_shape(table.schema.field(column).type, nodes[name])), nodes[name].dtype)
        for name, column in chosen.items()
    }
    return {name: ColumnRows(feed, name, first) for name, first in feed.begin(empty).items()}


def _part(shown: str, column: str, node: Input) -> Callable[[Any], Array]:
    def part(batch: Any) -> Array:
        made = numbers(batch.column(batch.schema.get_field_index(column)), f"{shown}: column '{printable(column, 60)}'")
        return made.reshape(len(made), *(1,) * (len(node.shape) - 1)) if made.ndim == 1 else made

    return part


def _flat_rows(table: OpenTable, node: Input, rows_are: str | None) -> dict[str, Rows]:
    """A table of single numbers, taken as a `.csv` with a heading would be."""
    if table.rows is None:
        held = list(table.batches())
        rows = sum(batch.num_rows for batch in held)
        table = OpenTable(table.shown, table.schema, rows, lambda names: iter(held))
    shape = np.broadcast_to(np.float64(0), (table.rows or 0, len(table.names)))
    kind = rows_are or what_rows_are(Table(shape, True), node, table.shown)

    def part(batch: Any) -> Array:
        columns = [
            numbers(column, f"{table.shown}: column '{printable(name, 60)}'")
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        return np.stack(columns, axis=1) if columns else np.empty((batch.num_rows, 0))

    if kind == STEPS:
        check_size(math.prod(shape.shape) * 8, f"{table.shown}: its numbers take")
        found = [part(batch) for batch in table.batches()]
        whole = np.concatenate(found) if found else np.empty(shape.shape)
        return {node.name: HeldRows(lay_out(whole, node, STEPS))}
    feed = Feed(table, {node.name: lambda batch: lay_out(part(batch), node, SEQUENCES)}, table.names)
    first = feed.begin({node.name: lay_out(np.empty(shape.shape)[:0], node, SEQUENCES)})
    return {node.name: ColumnRows(feed, node.name, first[node.name])}


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _list_shape(kind: Any, node: Input) -> tuple[int, ...]:
    """The shape of one row of a column, as far as its type tells; what it does not is what the input wants, or 1."""
    shape: list[int] = []
    while _is_list(kind):
        wanted = node.shape[len(shape) + 1] if len(shape) + 1 < len(node.shape) else None
        shape.append(kind.list_size if pa.types.is_fixed_size_list(kind) else wanted or 1)
        kind = kind.value_type
    return tuple(shape) or (1,) * (len(node.shape) - 1)


def numbers(column: Any, where: str) -> Array:
    """A column of numbers, or of lists of one length, as an array (rows, …).

    Raises:
        InvalidFileError: a value is missing, is no number, or lists have different lengths.
    """
    kind = column.type
    if column.null_count:
        raise InvalidFileError(f"{where}: a value is missing (null)", "E_TABLE_NULL")
    if pa.types.is_fixed_size_list(kind):
        inner = numbers(column.flatten(), where)
        return inner.reshape(len(column), kind.list_size, *inner.shape[1:])
    if _is_list(kind):
        lengths = np.diff(np.asarray(column.offsets))
        if len(lengths) and lengths.min() != lengths.max():
            raise _ragged(*where.split(": column ", 1))
        inner = numbers(column.flatten(), where)
        return inner.reshape(len(column), int(lengths[0]) if len(lengths) else 0, *inner.shape[1:])
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise InvalidFileError(f"{where}: holds {printable(str(kind), 60)}, not numbers", "E_ARRAY_DTYPE")
    made: Array = column.to_numpy(zero_copy_only=False)
    return made


def _ragged(shown: str, name: str) -> InvalidFileError:
    return InvalidFileError(f"{shown}: column {printable(name, 80)}: lists have different lengths", "E_TABLE_RAGGED")
