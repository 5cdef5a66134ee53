"""Kernel matrices stored as int8: a quarter of the size of float32, at the price of a drift that is measured.

Each matrix is one of a gate, and each of its columns, which belongs to one unit, has a scale of its own (a table of ids
one for each row):

    scale = max |w| / 127        q = round(w / scale)        w ≈ q * scale

The graph stays as it is, and is computed in its own dtype with q * scale. Biases and what else is no matrix keep their
dtype, and so do constants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from lstmconv_runtime.format.graph import SCALE, Array, Graph
from lstmconv_runtime.format.nodes import Embedding

MOST = 127  # of int8; -128 is not used, so that the range is symmetric


def int8_candidates(graph: Graph, embeddings: bool = False) -> dict[str, int]:
    """The tensors that can be stored as int8 and are smaller then, with the axis of their scales.

    A tensor with NaN or infinities cannot, nor one whose scales float32 does not hold.
    """
    found: dict[str, int] = {}
    for node in graph.nodes:
        if isinstance(node, Embedding) and not embeddings:
            continue
        for name, axis in node.scaled().items():
            key = f"{node.namespace()}/{name}"
            array = graph.arrays[key]
            if array.dtype.kind == "f" and _smaller(array, axis) and np.isfinite(_scales(array, axis)).all():
                found[key] = axis
    return found


def _smaller(array: Array, axis: int) -> bool:
    return bool(array.size + 4 * array.shape[axis] < array.nbytes)


def _scales(array: Array, axis: int) -> Array:
    """max |w| / 127 of each place of the axis, float32."""
    others = tuple(a for a in range(array.ndim) if a != axis % array.ndim)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.abs(array.astype(np.float64)).max(axis=others) / MOST, np.float32)


def with_int8_weights(graph: Graph, tensors: Iterable[str], axes: dict[str, int]) -> Graph:
    """The graph with these tensors, of `int8_candidates`, as int8 with their scales."""
    arrays = dict(graph.arrays)
    for key in tensors:
        arrays[key], arrays[f"{key}{SCALE}"] = _quantised(graph.arrays[key], axes[key])
    return replace(graph, arrays=arrays)


def _quantised(array: Array, axis: int) -> tuple[Array, Array]:
    scales = _scales(array, axis)
    along = [1] * array.ndim
    along[axis] = -1
    divisors = np.where(scales > 0, scales, 1).astype(np.float64).reshape(along)
    q = np.clip(np.rint(array / divisors), -MOST, MOST)
    return np.where(scales.reshape(along) > 0, q, 0).astype(np.int8), scales


def within(tensors: Iterable[str], cost: Callable[[list[str]], float], at_most: float) -> list[str]:
    """As many tensors as can be rounded at a cost of at most so much, those that cost little alone first.

    Args:
        cost: of rounding some of them together.
    """
    by_cost = sorted(tensors, key=lambda key: (cost([key]), key))
    # Costs nearly add up, so that more of them cost more: the largest beginning that is cheap enough is searched for by
    # halves, and what is given back has been measured as it is.
    fits, too_many = 0, len(by_cost) + 1
    while too_many - fits > 1:
        count = (fits + too_many) // 2
        if cost(by_cost[:count]) <= at_most:
            fits = count
        else:
            too_many = count
    return by_cost[:fits]
