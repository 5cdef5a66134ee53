"""What each node that is not recurrent computes: pure functions of arrays, one per node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from ..errors import InputError
from ..format import nodes as n
from ..format.graph import Array, Node
from .activations import function
from .convolution import convolve, convolve_transposed, pool
from .operations import OPERATIONS

Arrays = Mapping[str, Array]


def dense(node: n.Dense, p: Arrays, v: Arrays) -> Array:
    """act(x·W + b)."""
    x = v[node.x]
    z = x.dot(p["W"]) if x.ndim == 2 else x @ p["W"]  # for matrices `dot` starts faster
    if node.use_bias:
        z = z + (p["b"][None] if x.ndim == 2 else p["b"])  # so does adding arrays of the same shape, for one row
    return function(node.activation)(z)


def embedding(node: n.Embedding, p: Arrays, v: Arrays) -> Array:
    """E[x]."""
    ids = v[node.x]
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= node.input_size):
        raise InputError(
            f"node '{node.name}' (Embedding): ids must be 0 … {node.input_size - 1}, "
            f"got {int(ids.min())} … {int(ids.max())}"
        )
    return p["E"][ids]


def activate(node: n.Activate, p: Arrays, v: Arrays) -> Array:
    return function(node.activation)(v[node.x])


def prelu(node: n.PReLU, p: Arrays, v: Arrays) -> Array:
    """max(x, 0) + alpha * min(x, 0)."""
    x = v[node.x]
    return np.maximum(x, 0) + p["alpha"] * np.minimum(x, 0)


def _along(axis: int, rank: int, a: Array) -> Array:
    """A vector shaped to broadcast along one axis."""
    return a.reshape((-1,) + (1,) * (rank - 1 - axis))


def mean(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    """The mean over some axes; NaN where they hold nothing, which np.mean warns about whatever np.errstate says."""
    count = prod(x.shape[a] for a in axis)
    return np.asarray(np.sum(x, axis=axis, keepdims=keepdims) / count)


def batch_norm(node: n.BatchNorm, p: Arrays, v: Arrays) -> Array:
    """(x − mean) / √(variance + ε) * gamma + beta (Ioffe 2015)."""
    x = v[node.x]
    inverse = 1 / np.sqrt(p["variance"] + node.epsilon)
    scale = inverse * p["gamma"] if node.scale else inverse
    shift = -p["mean"] * scale
    if node.center:
        shift = shift + p["beta"]
    return x * _along(node.axis, x.ndim, scale) + _along(node.axis, x.ndim, shift)


def layer_norm(node: n.LayerNorm, p: Arrays, v: Arrays) -> Array:
    """(x − mean) / √(var + ε) * gamma + beta (Ba 2016)."""
    x = v[node.x]
    centred = x - mean(x, node.axes, keepdims=True)
    inverse = 1 / np.sqrt(mean(centred * centred, node.axes, keepdims=True) + node.epsilon)
    y = (x if node.rms else centred) * inverse
    shape = [1] * x.ndim
    for axis, size in zip(node.axes, node.shape, strict=True):
        shape[axis] = size
    if node.scale:
        y = y * p["gamma"].reshape(shape)
    return y + p["beta"].reshape(shape) if node.center else y


def group_norm(node: n.GroupNorm, p: Arrays, v: Arrays) -> Array:
    """Layer normalisation of each group of channels over all axes but the batch (Wu 2018)."""
    x = np.moveaxis(v[node.x], node.axis, -1)
    grouped = x.reshape(*x.shape[:-1], node.groups, node.size // node.groups)
    axes = (*range(1, x.ndim - 1), x.ndim)
    centred = grouped - mean(grouped, axes, keepdims=True)
    variance = mean(centred * centred, axes, keepdims=True)
    y = (centred / np.sqrt(variance + node.epsilon)).reshape(x.shape)
    if node.scale:
        y = y * p["gamma"]
    if node.center:
        y = y + p["beta"]
    return np.moveaxis(y, -1, node.axis)


def conv(node: n.Conv, p: Arrays, v: Arrays) -> Array:
    """act(x ⋆ W + b)."""
    y = convolve(v[node.x], p["W"], node.strides, node.padding, node.dilation, node.groups)
    return function(node.activation)(y + p["b"] if node.use_bias else y)


def conv_transpose(node: n.ConvTranspose, p: Arrays, v: Arrays) -> Array:
    """act(transposed x ⋆ W + b)."""
    y = convolve_transposed(v[node.x], p["W"], node.strides, node.dilation, node.crops())
    return function(node.activation)(y + p["b"] if node.use_bias else y)


def pooled(node: n.Pool, p: Arrays, v: Arrays) -> Array:
    return pool(v[node.x], node.op, node.size, node.strides, node.padding)


ELEMENTWISE: dict[str, Callable[..., Array]] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "power": np.power,
    "maximum": np.maximum, "minimum": np.minimum,
    "negative": np.negative, "absolute": np.absolute, "exp": np.exp, "log": np.log, "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x), "square": np.square, "sign": np.sign, "reciprocal": lambda x: 1 / x,
    "sin": np.sin, "cos": np.cos, "floor": np.floor,
    "equal": np.equal, "not_equal": np.not_equal, "greater": np.greater, "greater_equal": np.greater_equal,
    "less": np.less, "less_equal": np.less_equal,
    "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
    "logical_not": np.logical_not,
}  # fmt: skip


def elementwise(node: n.Elementwise, p: Arrays, v: Arrays) -> Array:
    return ELEMENTWISE[node.op](*(v[arg] for arg in node.args))


REDUCE: dict[str, Callable[..., Array]] = {
    "mean": mean, "sum": np.sum, "max": np.max, "min": np.min, "any": np.any, "all": np.all,
}  # fmt: skip


def reduce(node: n.Reduce, p: Arrays, v: Arrays) -> Array:
    x = v[node.x]
    if node.op in ("max", "min") and 0 in (x.shape[axis] for axis in node.axes):
        raise InputError(f"node '{node.name}' (Reduce): the {node.op} of nothing", "E_NO_STEPS")
    return np.asarray(REDUCE[node.op](x, axis=node.axes, keepdims=node.keepdims)).astype(x.dtype, copy=False)


def concatenate(node: n.Concatenate, p: Arrays, v: Arrays) -> Array:
    return np.concatenate([v[arg] for arg in node.args], axis=node.axis)


def mat_mul(node: n.MatMul, p: Arrays, v: Arrays) -> Array:
    b = v[node.b]
    return np.asarray(v[node.a] @ (np.swapaxes(b, -1, -2) if node.transpose_b else b))


def reshape(node: n.Reshape, p: Arrays, v: Arrays) -> Array:
    x = v[node.x]
    shape = [x.shape[axis] if size == 0 else size for axis, size in enumerate(node.shape)]
    if -1 in shape and x.size == 0:  # NumPy cannot infer a size from nothing
        kept = {axis for axis, size in enumerate(node.shape) if size == 0}
        rest = int(np.prod([size for axis, size in enumerate(x.shape) if axis not in kept]))
        shape[shape.index(-1)] = rest // int(np.prod([size for size in node.shape if size > 0]))
    try:
        return x.reshape(shape)
    except ValueError:
        raise InputError(f"node '{node.name}' (Reshape): {x.shape} does not fit {node.shape}") from None


def expand_dims(node: n.ExpandDims, p: Arrays, v: Arrays) -> Array:
    return np.expand_dims(v[node.x], node.axis)


def squeeze(node: n.Squeeze, p: Arrays, v: Arrays) -> Array:
    return np.squeeze(v[node.x], axis=node.axis)


def transpose(node: n.Transpose, p: Arrays, v: Arrays) -> Array:
    return v[node.x].transpose(node.axes)


def slice_(node: n.Slice, p: Arrays, v: Arrays) -> Array:
    return v[node.x][(slice(None),) * node.axis + (slice(node.start, node.stop, node.step),)]


def flip(node: n.Flip, p: Arrays, v: Arrays) -> Array:
    return np.flip(v[node.x], axis=node.axis)


def pad(node: n.Pad, p: Arrays, v: Arrays) -> Array:
    return np.pad(v[node.x], list(zip(node.amounts[::2], node.amounts[1::2], strict=True)))


def repeat(node: n.Repeat, p: Arrays, v: Arrays) -> Array:
    return np.repeat(v[node.x], node.count, axis=node.axis)


def where(node: n.Where, p: Arrays, v: Arrays) -> Array:
    return np.where(v[node.condition], v[node.a], v[node.b])


def fold_time(node: n.FoldTime, p: Arrays, v: Arrays) -> Array:
    x = v[node.x]
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def unfold_time(node: n.UnfoldTime, p: Arrays, v: Arrays) -> Array:
    x = v[node.x]
    return x.reshape(*v[node.like].shape[:2], *x.shape[1:])


def causal_mask(node: n.CausalMask, p: Arrays, v: Arrays) -> Array:
    rows, columns = v[node.x].shape[-2:]
    mask = np.arange(columns) <= np.arange(rows)[:, None]
    return mask.reshape((1,) * (v[node.x].ndim - 2) + (rows, columns))


LAYERS: dict[type[Node], Callable[..., Array]] = {
    n.Dense: dense,
    n.Embedding: embedding,
    n.Activate: activate,
    n.PReLU: prelu,
    n.BatchNorm: batch_norm,
    n.LayerNorm: layer_norm,
    n.GroupNorm: group_norm,
    n.Conv: conv,
    n.ConvTranspose: conv_transpose,
    n.Pool: pooled,
    n.Elementwise: elementwise,
    n.Reduce: reduce,
    n.Concatenate: concatenate,
    n.MatMul: mat_mul,
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
    **OPERATIONS,
}
