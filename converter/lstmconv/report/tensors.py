"""The numbers of a tensor in a histogram and a few figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lstmconv_runtime.format.graph import Array

BINS = 41  # odd, so that a distribution around 0 has a bar in its middle


@dataclass(frozen=True)
class Tensor:
    """One array of a graph.

    Attributes:
        least, most, mean, deviation: of its finite numbers; 0 where there are none.
        zeros: how many are 0. `odd`: how many are NaN or infinite.
        counts: of BINS equal parts of least … most; all in the middle one where these are the same.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    least: float
    most: float
    mean: float
    deviation: float
    zeros: int
    odd: int
    counts: tuple[int, ...]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


def tensor(name: str, array: Array) -> Tensor:
    """The figures of an array, computed in float64."""
    values = array.astype(np.float64).reshape(-1)
    finite = values[np.isfinite(values)]
    zeros, odd = int((finite == 0).sum()), values.size - finite.size
    if not finite.size:
        return Tensor(name, array.shape, array.dtype.name, 0.0, 0.0, 0.0, 0.0, zeros, odd, (0,) * BINS)
    least, most = float(finite.min()), float(finite.max())
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation, width = float(finite.mean()), float(finite.std()), most - least
    if width == 0 or not np.isfinite(width) or least + width / BINS == least:
        counts = [0] * BINS
        counts[BINS // 2] = finite.size
    else:
        counts = np.histogram(finite, BINS, (least, most))[0].tolist()
    return Tensor(name, array.shape, array.dtype.name, least, most, mean, deviation, zeros, odd, tuple(counts))
