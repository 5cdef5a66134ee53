"""Predictions batch by batch, each a flat dict of arrays by name, as an `.npz` holds them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lstmconv_runtime import InputError, Model
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.model import inputs_of

from ..errors import UsageError
from ..files.held_rows import Rows
from ..files.text_table import shape_text

__all__ = [
    "Batch", "Shapes", "array_batches", "check_rows", "inputs_of", "predictions", "rows_at_once",
    "same_shapes",
]  # fmt: skip

Shapes: TypeAlias = Mapping[str, tuple[tuple[Any, ...], Any]]

BATCH_BYTES = 64 * 2**20
MOST_ROWS = 4096  # more at once are no faster


@dataclass(frozen=True)
class Batch:
    """Rows to compute together.

    Attributes:
        inputs: by name, each (count, …).
        rows: of a table, what is passed on beside the predictions: a record batch of `count` rows.
    """

    inputs: dict[str, Array]
    count: int
    rows: Any = None


def check_rows(model: Model, given: Mapping[str, Rows]) -> int | None:
    """The number of rows of arrays that are not read yet; None where only the end of a stream tells.

    Raises:
        InputError: a shape or dtype does not fit the model, or they have different numbers of rows.
    """
    for name, rows in given.items():
        model.checks[name].expect(rows.shape, rows.dtype)
    counts = {rows.shape[0] for rows in given.values()}
    if len(counts) > 1:
        raise InputError(f"the inputs have different numbers of rows: {sorted(counts)}")
    count: int | None = counts.pop()
    return count


def array_batches(given: Mapping[str, Rows], rows: int | None, at_once: int) -> Iterator[Batch]:
    """The rows in order, `at_once` of them at a time.

    There is one batch at least, for an input without rows has outputs without rows.
    """
    done = 0
    while rows is None or done < max(rows, 1):
        wanted = at_once if rows is None else min(at_once, rows - done)
        inputs = {name: array.take(wanted) for name, array in given.items()}
        count = len(next(iter(inputs.values()))) if rows is None else wanted
        if count or done == 0:
            yield Batch(inputs, count)
        del inputs
        if rows is None and count < wanted:
            return
        done += max(wanted, 1)


def predictions(
    model: Model, batches: Iterator[Batch], threads: int | None
) -> Iterator[tuple[Batch, dict[str, Array]]]:
    """The outputs of each batch.

    Raises:
        InputError: a number does not fit.
    """
    for batch in batches:
        yield batch, model.predict_by_name(batch.inputs, threads=threads)
        del batch


def same_shapes(shapes: Shapes, arrays: Mapping[str, Array], count: int) -> Shapes:
    """The shapes and dtypes of the outputs of all batches so far, the first of which has none yet.

    Raises:
        InputError: these outputs, for `count` rows, are others.
    """
    found = {name: (array.shape[1:], array.dtype) for name, array in arrays.items()}
    for name in found if shapes and count else ():
        if found[name] != shapes[name]:
            one, other = (f"{dtype} {shape_text((None, *shape))}" for shape, dtype in (shapes[name], found[name]))
            raise InputError(
                f"output '{name}': {one} for some rows and {other} for others, which one output cannot hold; several "
                "files can be written into a folder"
            )
    return shapes or found


def rows_at_once(model: Model, given: Mapping[str, Any], rows: int | None) -> int:
    """How many rows to compute at once where the user does not say: BATCH_BYTES / (bytes of one row in every value of
    the graph), at least 1 and at most MOST_ROWS. An axis that the graph leaves open counts as the longest open axis of
    the inputs.

    So all values of a batch take at most BATCH_BYTES, unless those of a single row take more. A model whose rows
    cannot be computed in parts gets all at once.

    Args:
        given: by input name, what has the shape of the input.

    Raises:
        UsageError: it needs all rows at once, and how many there are shows only at the end.
    """
    types = model.program.types
    if not model.splits:
        if rows is None:
            raise UsageError("the model computes all rows together, which takes a file, not a stream", "E_STREAM")
        return rows
    sizes = (pair for name, array in given.items() for pair in zip(types[name].shape[1:], array.shape[1:], strict=True))
    longest = max((size for wanted, size in sizes if wanted is None), default=1)
    row = sum(
        math.prod(longest if size is None else size for size in shape[1:]) * model.program.dtype(name).itemsize
        for name, (shape, _) in types.items()
    )
    return max(1, min(MOST_ROWS, BATCH_BYTES // max(1, row)))
