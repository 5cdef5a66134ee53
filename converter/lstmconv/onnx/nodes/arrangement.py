"""The nodes that move numbers and compute none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format import operation_nodes as o
from lstmconv_runtime.format.graph import Node, Value
from lstmconv_runtime.layers.precision import round_to, rounder

from ..graph_writer import GraphWriter
from ..writer import Size, Tensor
from .numbers import through


def constant(w: GraphWriter, node: n.Constant) -> Tensor:
    value, half = w.graph.node_arrays(node)["value"], rounder(node.dtype, None)
    if half is None:
        return w.array(value.astype(node.dtype), "value")
    return w.cast(w.array(round_to(value.astype(np.float32), half), "value", half), "float32")


def concatenate(w: GraphWriter, node: n.Concatenate) -> Tensor:
    return w("Concat", *(w.tensors[arg] for arg in node.args), axis=node.axis)


def reshape(w: GraphWriter, node: n.Reshape) -> Tensor:
    return w.reshape(w.tensors[node.x], node.shape)


def expand_dims(w: GraphWriter, node: n.ExpandDims) -> Tensor:
    return w.unsqueeze(w.tensors[node.x], node.axis)


def squeeze(w: GraphWriter, node: n.Squeeze) -> Tensor:
    return w.squeeze(w.tensors[node.x], node.axis)


def transpose(w: GraphWriter, node: n.Transpose) -> Tensor:
    return w.transpose(w.tensors[node.x], node.axes)


def slice_(w: GraphWriter, node: n.Slice) -> Tensor:
    return w.cut(w.tensors[node.x], node.axis, node.start, node.stop, node.step)


def flip(w: GraphWriter, node: n.Flip) -> Tensor:
    """Of a sequence that stands against the time, what it was flipped from."""
    if node.axis == 1 and node.x in w.aligned:
        return w.aligned[node.x]
    return w.flip(w.tensors[node.x], node.axis)


def pad(w: GraphWriter, node: n.Pad) -> Tensor:
    amounts = w.ints(*node.amounts[::2], *node.amounts[1::2])
    return through(w, w.dtype(node.x), ("int16", "uint16"), w.tensors[node.x], lambda x, _: w("Pad", x, amounts))


def repeat(w: GraphWriter, node: n.Repeat) -> Tensor:
    """(…, n, …) → (…, n, count, …) → (…, n·count, …)."""
    rank, axis = w.rank(node.x), node.axis
    tiled = w(
        "Tile",
        w.unsqueeze(w.tensors[node.x], axis + 1),
        w.ints(*[1] * (axis + 1), node.count, *[1] * (rank - axis - 1)),
    )
    size = w.size_of(node.x, axis)
    longer = size * node.count if isinstance(size, int) else w("Mul", size, w.ints(node.count))
    return w.reshape(tiled, [*[0] * axis, longer, *(w.size_of(node.x, a) for a in range(axis + 1, rank))])


def take(w: GraphWriter, node: o.Take) -> Tensor:
    return w("Gather", w.tensors[node.x], w.ints(*node.indices), axis=node.axis)


def where(w: GraphWriter, node: n.Where) -> Tensor:
    condition, a, b = w.tensors[node.condition], w.tensors[node.a], w.tensors[node.b]
    narrow = ("int16", "uint16", "bool", "int8", "uint32")
    return through(w, w.dtype(node.a), narrow, a, lambda x, y: w("Where", condition, x, y), b)


def fold_time(w: GraphWriter, node: n.FoldTime) -> Tensor:
    """(B, T, …) → (B·T, …)."""
    rows = _product(w, w.size_of(node.x, 0), w.size_of(node.x, 1))
    return w.reshape(w.tensors[node.x], [rows, *_sizes(w, node.x, 2)])


def unfold_time(w: GraphWriter, node: n.UnfoldTime) -> Tensor:
    """(B·T, …) → (B, T, …)."""
    sizes = [w.size_of(node.like, 0), w.size_of(node.like, 1), *_sizes(w, node.x, 1)]
    return w.reshape(w.tensors[node.x], sizes)


def _sizes(w: GraphWriter, value: Value, start: int) -> list[Size]:
    return [w.size_of(value, axis) for axis in range(start, w.rank(value))]


def _product(w: GraphWriter, a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    return w("Mul", *(w.ints(size) if isinstance(size, int) else size for size in (a, b)))


def causal_mask(w: GraphWriter, node: n.CausalMask) -> Tensor:
    rows, columns = w.shape_of(node.x)[-2:]
    ones = (1,) * (w.rank(node.x) - 2)
    if rows is not None and columns is not None:
        mask = np.arange(columns) <= np.arange(rows)[:, None]
        return w.array(mask.reshape(*ones, rows, columns), "mask")

    def counted(axis: int) -> Tensor:
        zero, one = (w.array(np.asarray(k, np.int64)) for k in (0, 1))
        size = w.pick(w("Shape", w.tensors[node.x]), 0, axis % w.rank(node.x))
        return w("Range", zero, size, one)

    return w.unsqueeze(w("LessOrEqual", counted(-1), w.unsqueeze(counted(-2), 1)), *range(len(ones)))


ARRANGEMENTS: dict[type[Node], Callable[..., Tensor]] = {
    n.Constant: constant,
    n.Concatenate: concatenate,
    n.Reshape: reshape,
    n.ExpandDims: expand_dims,
    n.Squeeze: squeeze,
    n.Transpose: transpose,
    n.Slice: slice_,
    n.Flip: flip,
    n.Pad: pad,
    n.Repeat: repeat,
    n.Where: where,
    n.FoldTime: fold_time,
    n.UnfoldTime: unfold_time,
    n.CausalMask: causal_mask,
    o.Take: take,
}
