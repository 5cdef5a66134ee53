"""Which NumPy dtype a value of the graph is computed in, and rounding to the dtypes NumPy cannot compute in well.

float16 and bfloat16 values are held as float32 and rounded after every node: at least as accurate as a framework that
computes in them, and NumPy has no bfloat16.
"""

from __future__ import annotations

import numpy as np

from ..format.graph import FLOATS, Array


def compute_dtype(dtype: str, precision: str | None) -> np.dtype[np.generic]:
    """NumPy dtype that a value is held in; `precision` "float64" lifts every float."""
    if dtype not in FLOATS:
        return np.dtype(dtype)
    return np.dtype("float64" if dtype == "float64" or precision == "float64" else "float32")


def rounder(dtype: str, precision: str | None) -> str | None:
    """The dtype a node's result has to be rounded to, if any."""
    return dtype if dtype in ("float16", "bfloat16") and precision is None else None


def round_to(x: Array, dtype: str) -> Array:
    """float32 x rounded to the nearest float16 or bfloat16, ties to even, still float32."""
    if dtype == "float16":
        with np.errstate(over="ignore", invalid="ignore"):
            return x.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + (((bits >> 16) & 1) + 0x7FFF).astype(np.uint32)) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(x), rounded.view(np.float32), x).reshape(x.shape)
