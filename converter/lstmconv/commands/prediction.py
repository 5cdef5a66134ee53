"""Predictions batch by batch, each a flat dict of arrays by name, as an `.npz` holds them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from lstmconv_runtime import InputError, Model
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.model import inputs_of

from ..files.rows import Rows

__all__ = ["check_rows", "inputs_of", "named_outputs", "predictions", "rows_at_once"]

BATCH_BYTES = 64 * 2**20
MOST_ROWS = 4096  # more at once are no faster


def named_outputs(model: Model, x: Any, threads: int | None = None) -> dict[str, Array]:
    """The outputs of a model for x, by name.

    Raises:
        InputError: an array does not fit.
    """
    made = model.predict(x, threads=threads)
    if isinstance(made, dict):
        return made
    return dict(zip(model.output_names, made if isinstance(made, list) else [made], strict=True))


def check_rows(model: Model, given: Mapping[str, Rows]) -> int:
    """The number of rows of arrays that are not read yet.

    Raises:
        InputError: a shape or dtype does not fit the model, or they have different numbers of rows.
    """
    for name, rows in given.items():
        model.checks[name].expect(rows.shape, rows.dtype)
    counts = sorted({rows.shape[0] for rows in given.values()})
    if len(counts) > 1:
        raise InputError(f"the inputs have different numbers of rows: {counts}")
    return counts[0]


def predictions(
    model: Model, given: Mapping[str, Rows], rows: int, at_once: int, threads: int | None
) -> Iterator[tuple[int, dict[str, Array]]]:
    """The outputs of the rows in order, `at_once` of them at a time, each time with how many rows they are for.

    There is one batch at least, for an input without rows has outputs without rows.

    Raises:
        InputError: a number does not fit.
    """
    for start in range(0, max(rows, 1), max(at_once, 1)):
        count = min(at_once, rows - start)
        yield count, named_outputs(model, {name: array.take(count) for name, array in given.items()}, threads)


def rows_at_once(model: Model, given: Mapping[str, Rows], rows: int) -> int:
    """How many rows to compute at once where the user does not say: BATCH_BYTES / (bytes of one row in every value of
    the graph), at least 1 and at most MOST_ROWS. An axis that the graph leaves open counts as the longest open axis of
    the inputs.

    So all values of a batch take at most BATCH_BYTES, unless those of a single row take more. A model whose rows
    cannot be computed in parts gets all at once.
    """
    types = model.program.types
    if not model.splits:
        return rows
    sizes = (pair for name, array in given.items() for pair in zip(types[name].shape[1:], array.shape[1:], strict=True))
    longest = max((size for wanted, size in sizes if wanted is None), default=1)
    row = sum(
        math.prod(longest if size is None else size for size in shape[1:]) * model.program.dtype(name).itemsize
        for name, (shape, _) in types.items()
    )
    return max(1, min(MOST_ROWS, BATCH_BYTES // max(1, row)))
