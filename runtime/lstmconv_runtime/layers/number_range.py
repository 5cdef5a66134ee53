"""Which numbers of an array another dtype cannot hold: casting them would wrap, cut or be undefined."""

from __future__ import annotations

import numpy as np

from ..format.graph import Array


def out_of_range(x: Array, dtype: np.dtype[np.generic]) -> object | None:
    """The first number of x that is outside of an integer dtype, also once it is cut towards zero; None for none.

    NaN and the infinities are outside. What a processor makes of them differs from one to the next.
    """
    if not x.size:
        return None
    info = np.iinfo(dtype)  # type: ignore[type-var]
    with np.errstate(invalid="ignore"):
        whole = np.trunc(x) if x.dtype.kind == "f" else x
        lowest, highest = whole.min().item(), whole.max().item()  # numbers of Python, which compare without rounding
    if info.min <= lowest and highest <= info.max:
        return None
    if whole.dtype.kind == "f" and whole.dtype.itemsize < 8:
        whole = whole.astype(np.float64)  # float16 would round the ends of the range
    return _first(x, ~((whole >= info.min) & (whole < int(info.max) + 1)))


def not_whole(x: Array) -> object | None:
    """The first finite number of x that has a fraction."""
    with np.errstate(invalid="ignore"):
        return _first(x, np.isfinite(x) & (np.trunc(x) != x)) if x.dtype.kind == "f" else None


def not_truth(x: Array) -> object | None:
    """The first number of x that is neither 0 nor 1."""
    return _first(x, (x != 0) & (x != 1))


def overflown(x: Array, made: Array) -> object | None:
    """The first finite number of x that is infinite in `made`, which is x in another floating point dtype."""
    return None if np.isfinite(made).all() else _first(x, np.isinf(made) & np.isfinite(x))


def _first(x: Array, wrong: Array) -> object | None:
    if not wrong.any():
        return None
    number: object = x.reshape(-1)[int(wrong.reshape(-1).argmax())].item()
    return number
