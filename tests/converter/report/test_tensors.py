"""The figures of a tensor."""

from __future__ import annotations

import numpy as np
import pytest
from lstmconv.report.tensors import BINS, tensor


def test_figures() -> None:
    array = np.random.default_rng(0).normal(1, 2, (30, 40)).astype("float32")
    array[0] = 0
    found = tensor("a", array)
    assert (found.shape, found.size, found.dtype, found.zeros, found.odd) == ((30, 40), 1200, "float32", 40, 0)
    assert found.mean == pytest.approx(array.astype(float).mean())
    assert found.deviation == pytest.approx(array.astype(float).std())
    assert (found.least, found.most) == (array.min(), array.max())
    edges = np.linspace(found.least, found.most, BINS + 1)
    assert sum(found.counts) == 1200
    assert found.counts[0] == ((array >= edges[0]) & (array < edges[1])).sum()


@pytest.mark.parametrize(
    ("array", "counted"),
    [
        (np.full(5, 3.0), 5),
        (np.array([1e308, -1e308]), 2),
        (np.array([1.0, np.nextafter(1.0, 2)]), 2),
        (np.array([np.nan, np.inf, 2.0]), 1),
        (np.array([np.nan]), 0),
        (np.zeros((0, 3)), 0),
        (np.array([True, False]), 2),
        (np.arange(7, dtype="int8"), 7),
    ],
)
def test_odd_arrays(array: np.ndarray, counted: int) -> None:
    found = tensor("a", array)
    assert sum(found.counts) == counted
    assert found.odd == array.size - counted
