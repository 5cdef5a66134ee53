"""Traces batch by batch, each a flat dict of arrays by name, as an `.npz` holds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from lstmconv_runtime import Gates, Model
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.splitting import SAME, rows_of_values

from ..errors import UsageError, printable
from ..files.held_rows import Rows
from .prediction import BATCH_BYTES, MOST_ROWS


class Traced(NamedTuple):
    """The trace of some rows.

    Attributes:
        first: the number of the first of them in the input, counted from 0.
        rows: how many they are.
        values: as `Model.trace` gives them.
    """

    first: int
    rows: int
    values: dict[str, Any]


def row_range(text: str | None, rows: int | None) -> range:
    """START:STOP, either of which may be left out, or the number of one row, as numbers of rows.

    Args:
        rows: that the input has; None where only the end tells.

    Raises:
        UsageError: it is none of these, or there are no such rows.
    """
    last = 2**63 - 1 if rows is None else rows
    if text is None:
        return range(last)
    found = re.fullmatch(r"([0-9]{0,18})(:?)([0-9]{0,18})", text)
    if found is None or not (found[1] or found[2]):
        raise UsageError(f"'{printable(text, 40)}' are no rows: needs START:STOP, as 100:200, or the number of one row")
    start = int(found[1] or 0)
    stop = int(found[3] or last) if found[2] else start + 1
    if not start < stop <= last:
        raise UsageError(f"there are no rows '{printable(text, 40)}': the input has {rows}, counted from 0")
    return range(start, stop)


def traced_arrays(trace: Mapping[str, Any]) -> dict[str, Array]:
    """`node/gate` for the gates, states and output of recurrent nodes, `node` for the output of the others."""
    arrays: dict[str, Array] = {}
    for node, held in trace.items():
        if isinstance(held, Gates):
            arrays.update({f"{node}/{gate}": array for gate, array in held.items()})
        else:
            arrays[node] = held
    return arrays


def one_row(trace: Mapping[str, Any], place: int) -> dict[str, Any]:
    """The gates of one row of a trace, as a trace of that row."""
    return {
        node: Gates({gate: array[place : place + 1] for gate, array in held.items()})
        for node, held in trace.items() if isinstance(held, Gates)
    }  # fmt: skip


def traces(model: Model, given: Mapping[str, Rows], rows: range) -> Iterator[Traced]:
    """The trace of these rows of the inputs, some at a time, so that it takes at most BATCH_BYTES, or one row.

    What is the same for all rows comes with the first batch alone. A model whose rows cannot be computed in parts
    traces all of them at once. There is one batch at least.

    Raises:
        InputError: a number does not fit.
        UsageError: there are fewer rows than that.
    """
    at_once = _rows_at_once(model, given) if model.splits else max(len(rows), 1)
    constant = {
        name for name, follow in rows_of_values(model.nodes, model.program.types).items() if follow == SAME
    } if model.splits else set()  # fmt: skip
    skipped = 0
    while skipped < rows.start:
        skipped += _length(_take(given, min(at_once, rows.start - skipped)))
    done = rows.start
    while done < rows.stop or done == rows.start:
        wanted = min(at_once, rows.stop - done)
        taken = _take(given, wanted)
        count = _length(taken)
        if count or done == rows.start:
            values = model.trace(taken)
            kept = values if done == rows.start else {n: held for n, held in values.items() if n not in constant}
            yield Traced(done, count, kept)
            del values, kept
        del taken
        done += count
        if count < wanted or not wanted:
            return


def _take(given: Mapping[str, Rows], count: int) -> dict[str, Array]:
    taken = {name: array.take(count) for name, array in given.items()}
    if count and not _length(taken) and any(array.shape[0] is None for array in given.values()):
        raise UsageError("the input has fewer rows")
    return taken


def _length(arrays: Mapping[str, Array]) -> int:
    return len(next(iter(arrays.values())))


def _rows_at_once(model: Model, given: Mapping[str, Rows]) -> int:
    """As many as BATCH_BYTES hold, going by the trace of one row of zeros; computing it takes as much again."""
    zeros = {name: np.zeros((1, *rows.shape[1:]), model.program.dtype(name)) for name, rows in given.items()}
    size = sum(array.nbytes for array in traced_arrays(model.trace(zeros)).values())
    return max(1, min(MOST_ROWS, BATCH_BYTES // max(1, 2 * size)))
