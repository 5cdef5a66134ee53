"""The small steps that layers without a node of their own are written in."""

from __future__ import annotations

import numpy as np
from lstmconv_runtime.format.graph import FLOATS, Array, Value
from lstmconv_runtime.format.nodes import Elementwise, ExpandDims, MatMul, Reduce, Reshape, Where

from ..building import Layer


def elementwise(layer: Layer, part: str, op: str, *args: Value) -> Value:
    """op(*args) place by place."""
    return layer.add(Elementwise(name=layer.name_for(part), op=op, args=args))


def scalar(layer: Layer, part: str, number: float, dtype: str) -> Value:
    """A constant without axes."""
    return layer.build.constant(layer.where, f"{layer.name}.{part}", number, dtype)


def reduced(layer: Layer, part: str, op: str, x: Value, axes: tuple[int, ...], keepdims: bool) -> Value:
    """sum, mean, max, … over axes."""
    return layer.add(Reduce(name=layer.name_for(part), x=x, op=op, axes=axes, keepdims=keepdims))


def of_unit_length(layer: Layer, part: str, x: Value, axes: tuple[int, ...], limit: float) -> Value:
    """x · min(1 / √Σ x², limit)."""
    total = reduced(layer, "total", "sum", elementwise(layer, "square", "square", x), axes, keepdims=True)
    inverse, dtype = elementwise(layer, "rsqrt", "rsqrt", total), layer.build.dtype(x)
    if dtype != "float16" or limit <= float(np.finfo(np.float16).max):  # else it is infinite there, and no limit
        inverse = elementwise(layer, "inverse", "minimum", inverse, scalar(layer, "limit", limit, dtype))
    return elementwise(layer, part, "multiply", x, inverse)


def expanded(layer: Layer, part: str, x: Value, *axes: int) -> Value:
    """x with new axes of size 1, put in one after the other."""
    for axis in axes:
        x = layer.add(ExpandDims(name=layer.name_for(part), x=x, axis=axis))
    return x


def where(layer: Layer, part: str, condition: Value, a: Value, b: Value) -> Value:
    """a where the condition holds, else b."""
    return layer.add(Where(name=layer.name_for(part), condition=condition, a=a, b=b))


def product(layer: Layer, part: str, a: Value, b: Value, transpose_b: bool = False) -> Value:
    """a @ b."""
    return layer.add(MatMul(name=layer.name_for(part), a=a, b=b, transpose_b=transpose_b))


def as_added(layer: Layer, a: Value, b: Value) -> Value:
    """b as `ops.add(a, b)` of Keras on TensorFlow adds it to a.

    Since Keras 3.7 an array in which one axis alone is larger than 1, and of the size of a's last axis or else of its
    axis 1, is added to a along that axis, wherever its own axis stands (`tf.nn.bias_add`).

    Raises:
        UnsupportedError: which axis that is depends on a size that is not known.
    """
    build = layer.build
    shape, size_of = build.shape(b), build.shape(a)
    rank, large = len(size_of), [place for place, size in enumerate(shape) if size != 1]
    if b not in build.fixed or not build.semantics.adds_as_bias or len(large) != 1 or rank < 2:
        return b
    size, own = shape[large[0]], rank - len(shape) + large[0]  # own: where broadcasting puts its axis
    for axis in (rank - 1, 1):
        if size_of[axis] is None and axis != own:
            raise layer.unsupported(f"an array of shape {shape} added to one of shape {size_of}")
        if size_of[axis] in (None, size):
            if axis == own and len(shape) <= rank:
                return b
            aligned = (size or 0, *(1,) * (rank - 1 - axis))
            return layer.add(Reshape(name=layer.name_for("bias"), x=b, shape=aligned))
    return b


def conjunction(layer: Layer, part: str, masks: list[Value]) -> Value | None:
    """Where all the masks hold; None for no mask."""
    joined: Value | None = None
    for mask in masks:
        joined = mask if joined is None else elementwise(layer, part, "logical_and", joined, mask)
    return joined


def weight(layer: Layer, name: str, array: Array) -> Value:
    """An array of the layer as a Constant, one for all its calls."""
    if name not in layer.namespace:
        layer.namespace[name] = layer.build.constant(layer.where, f"{layer.name}.{name}", array, layer.dtype)
    return layer.namespace[name]


def quotient_dtype(dtype: str) -> str:
    """What TensorFlow's x / y gives for x and y of a dtype: where Keras divides without keras.ops, and in tf.keras."""
    if dtype in FLOATS:
        return dtype
    return "float32" if dtype.endswith(("8", "16")) else "float64"
