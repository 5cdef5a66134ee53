"""How far two arrays of numbers lie apart: the one measure that every judgement of this project starts from."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np

from .format.graph import Array


class Difference(NamedTuple):
    """How far an array lies from the one that was expected.

    Attributes:
        largest: |made − expected|, its largest; infinite where the arrays do not correspond.
        rms: its root mean square.
        scale: the largest finite magnitude of what was expected.
        scale_rms: the root mean square of its finite numbers.
        misfit: why the arrays do not correspond: another shape, or a NaN or an infinity on one side alone; "" where
            they do.
    """

    largest: float
    rms: float
    scale: float
    scale_rms: float
    misfit: str = ""

    @property
    def relative(self) -> float:
        """`largest` as a share of `scale`; nothing apart from nothing is 0."""
        return share(self.largest, self.scale)


def share(part: float, whole: float) -> float:
    """part / whole, 0 / 0 being 0 and anything else / 0 infinite."""
    return part / whole if whole else (inf if part else 0.0)


def difference(made: Array, expected: Array) -> Difference:
    """How far `made` lies from `expected`; numbers of any dtype."""
    a, b = np.asarray(made), np.asarray(expected)
    whole = a.dtype.kind in "biu" and b.dtype.kind in "biu" and a.shape == b.shape and not np.array_equal(a, b)
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(b)
    numbers = b[finite]
    scale, scale_rms = float(np.abs(numbers).max(initial=0.0)), _root_mean_square(numbers)
    misfit = _misfit(a, b, finite)
    if misfit:
        return Difference(inf, inf, scale, scale_rms, misfit)
    apart = a[finite] - numbers
    # Whole numbers beyond 2^53 may differ by less than float64 shows.
    largest = max(float(np.abs(apart).max(initial=0.0)), 1.0 if whole else 0.0)
    return Difference(largest, _root_mean_square(apart), scale, scale_rms)


def _misfit(a: Array, b: Array, finite: Array) -> str:
    if a.shape != b.shape:
        return f"the shape is {a.shape}, expected {b.shape}"
    odd = np.where(finite, ~np.isfinite(a), ~((a == b) | (np.isnan(a) & np.isnan(b))))
    count = int(odd.sum())
    if not count:
        return ""
    place = tuple(int(i) for i in np.argwhere(odd)[0])
    return f"{count} of {a.size} numbers, the first at {list(place)}: {a[place]:.6g}, expected {b[place]:.6g}"


def _root_mean_square(numbers: Array) -> float:
    """Without overflow where the squares would not fit."""
    largest = float(np.abs(numbers).max(initial=0.0))
    return largest * float(np.sqrt(np.mean((numbers / largest) ** 2))) if largest else 0.0
