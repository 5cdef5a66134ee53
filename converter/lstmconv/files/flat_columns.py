"""Outputs as the columns of a table."""

from __future__ import annotations

import math

import numpy as np
from lstmconv_runtime.format.graph import Array


def by_row(array: Array, count: int) -> Array:
    """An output with one row for each row of the input: those of folded time steps are put together again."""
    return array if len(array) == count or count == 0 else array.reshape(count, -1, *array.shape[1:])


def flat_columns(name: str, array: Array) -> dict[str, Array]:
    """(rows,) and (rows, 1) → NAME; (rows, a, b) → NAME.0.0 and so on."""
    one = math.prod(array.shape[1:]) == 1
    return {
        name if one else ".".join([name, *map(str, place)]): array[(slice(None), *place)]
        for place in np.ndindex(array.shape[1:])
    }
