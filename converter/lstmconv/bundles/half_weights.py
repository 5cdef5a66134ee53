"""Weights stored as float16: half the size of float32, at the price of a drift that is measured.

The graph stays as it is, and so does what it computes in: each weight is rounded once, to the nearest float16, and
widened when the bundle is loaded. Constants of the graph are settings, not weights; a mask's value, say, must be exact,
so they keep their dtype.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from lstmconv_runtime.format.graph import Array, Graph
from lstmconv_runtime.format.nodes import Constant

from ..errors import Hint, UnsupportedError, printable

MOST = float(np.finfo(np.float16).max)


def with_half_weights(graph: Graph) -> Graph:
    """The graph with its floating-point weights as float16.

    Raises:
        UnsupportedError: a weight is too large for float16; names it.
    """
    constants = {f"{node.namespace()}/value" for node in graph.nodes if isinstance(node, Constant)}
    arrays = {
        name: array if name in constants or array.dtype.kind != "f" else _halved(name, array)
        for name, array in graph.arrays.items()
    }
    return replace(graph, arrays=arrays)


def _halved(name: str, array: Array) -> Array:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        half = array.astype(np.float16)
    overflows = np.isinf(half) & np.isfinite(array)
    if overflows.any():
        raise UnsupportedError(
            f"the weight '{printable(name)}' holds {float(array[overflows][0]):.6g}, and float16 ends at {MOST:.0f}",
            "E_WEIGHT_OVERFLOW",
            Hint("export without {}", "weights", "float16"),
        )
    return half
