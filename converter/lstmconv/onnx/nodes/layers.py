"""The nodes of layers: dense, tables, normalisation, activations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import Node

from ..graph_writer import GraphWriter
from ..writer import Tensor
from .activations import Formula


def dense(w: GraphWriter, node: n.Dense) -> Tensor:
    """act(x·W + b)."""
    p = w.parameters(node)
    z = w("MatMul", w.tensors[node.x], w.weight(p["W"], "W", node))
    return w.act(w("Add", z, w.weight(p["b"], "b", node)) if node.use_bias else z, node.activation, node)


def embedding(w: GraphWriter, node: n.Embedding) -> Tensor:
    """E[x]. Gather counts negative ids from the end; they are put beyond the table, where every engine refuses them."""
    ids, dtype = w.tensors[node.x], w.dtype(node.x)
    if dtype not in ("int32", "int64"):
        ids, dtype = w.cast(ids, "int64"), "int64"
    if not w.dtype(node.x).startswith("u"):
        f = Formula(w, dtype)
        ids = f("Where", f("Less", ids, 0), node.input_size, ids)
    return w("Gather", w.weight(w.parameters(node)["E"], "E", node), ids, axis=0)


def activate(w: GraphWriter, node: n.Activate) -> Tensor:
    return w.act(w.tensors[node.x], node.activation, node)


def prelu(w: GraphWriter, node: n.PReLU) -> Tensor:
    """max(x, 0) + alpha * min(x, 0)."""
    f, x = Formula(w, w.dtype(node.x)), w.tensors[node.x]
    alpha = w.weight(w.parameters(node)["alpha"], "alpha", node)
    return f("Add", f("Max", x, 0.0), f("Mul", alpha, f("Min", x, 0.0)))


def batch_norm(w: GraphWriter, node: n.BatchNorm) -> Tensor:
    """x * scale + shift, scale = gamma / √(variance + ε), shift = beta − mean * scale (Ioffe 2015)."""
    p = {name: array.astype(np.float64) for name, array in w.parameters(node).items()}
    scale = p.get("gamma", 1.0) / np.sqrt(p["variance"] + node.epsilon)
    shift = p.get("beta", 0.0) - p["mean"] * scale
    dtype, rank = w.dtype(node.x), w.rank(node.x)
    along = (-1,) + (1,) * (rank - 1 - node.axis)
    scaled = w("Mul", w.tensors[node.x], w.array(scale.astype(dtype).reshape(along), "scale"))
    return w("Add", scaled, w.array(shift.astype(dtype).reshape(along), "shift"))


def _centred(w: GraphWriter, x: Tensor, axes: list[int], epsilon: float, dtype: str) -> tuple[Tensor, Tensor]:
    """x − mean(x), and √(var(x) + ε)."""
    centred = w("Sub", x, w.mean(x, axes))
    variance = w.mean(w("Mul", centred, centred), axes)
    return centred, w("Sqrt", w("Add", variance, w.number(epsilon, dtype)))


def layer_norm(w: GraphWriter, node: n.LayerNorm) -> Tensor:
    """(x − mean) / √(var + ε) * gamma + beta (Ba 2016)."""
    x, p, dtype = w.tensors[node.x], w.parameters(node), w.dtype(node.x)
    centred, deviation = _centred(w, x, list(node.axes), node.epsilon, dtype)
    y = w("Div", x if node.rms else centred, deviation)
    shape = [1] * w.rank(node.x)
    for axis, size in zip(node.axes, node.shape, strict=True):
        shape[axis] = size
    if node.scale:
        y = w("Mul", y, w.weight(p["gamma"].reshape(shape), "gamma", node))
    return w("Add", y, w.weight(p["beta"].reshape(shape), "beta", node)) if node.center else y


def group_norm(w: GraphWriter, node: n.GroupNorm) -> Tensor:
    """Layer normalisation of each group of channels over all axes but the batch (Wu 2018)."""
    p, rank = w.parameters(node), w.rank(node.x)
    order = [axis for axis in range(rank) if axis != node.axis] + [node.axis]
    x = w.transpose(w.tensors[node.x], order)
    x = w.reshape(x, [*[0] * (rank - 1), node.groups, node.size // node.groups])
    axes = [*range(1, rank - 1), rank]
    centred, deviation = _centred(w, x, axes, node.epsilon, w.dtype(node.x))
    y = w.reshape(w("Div", centred, deviation), [*[0] * (rank - 1), node.size])
    if node.scale:
        y = w("Mul", y, w.weight(p["gamma"], "gamma", node))
    if node.center:
        y = w("Add", y, w.weight(p["beta"], "beta", node))
    return w.transpose(y, [order.index(axis) for axis in range(rank)])


LAYERS: dict[type[Node], Callable[..., Tensor]] = {
    n.Dense: dense,
    n.Embedding: embedding,
    n.Activate: activate,
    n.PReLU: prelu,
    n.BatchNorm: batch_norm,
    n.LayerNorm: layer_norm,
    n.GroupNorm: group_norm,
}
