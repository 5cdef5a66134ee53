"""Functions of keras.ops that reduce, join, cut and turn arrays.

An operation makes a new tensor, which has no mask; where Keras gives back the very tensor it was given, the mask stays.
"""

from __future__ import annotations

from lstmconv_runtime.format.graph import FLOATS, Value
from lstmconv_runtime.format.nodes import (
    Concatenate,
    Elementwise,
    ExpandDims,
    Flip,
    MatMul,
    Reduce,
    Repeat,
    Reshape,
    Slice,
    Squeeze,
    Transpose,
)

from ..building import Layer, Tensor
from ..call import Call, Handler
from .arguments import (
    argument,
    common_dtype,
    inner_axis,
    joined,
    operand,
    rank_of,
    rank_of_item,
    result,
    tensor_argument,
)

# --- dtypes -----------------------------------------------------------------------------------------------------------


# --- place by place ---------------------------------------------------------------------------------------------------


# --- shapes -----------------------------------------------------------------------------------------------------------


def reduction(op: str) -> Handler:
    def handler(layer: Layer, call: Call) -> Tensor:
        x = tensor_argument(layer, call, 0, "x")
        rank = rank_of(layer, x)
        axis = argument(layer, call, 1, "axis")
        keepdims = argument(layer, call, 2, "keepdims", False)
        if argument(layer, call, 3, "initial") is not None:
            raise layer.unsupported("initial")
        listed = axis if type(axis) is list else [axis]
        axes = tuple(sorted({inner_axis(layer, a, rank) for a in listed}))
        used, dtype = _reduced_as(layer, op, layer.build.dtype(x))
        value = layer.build.cast(layer.where, x.value, dtype)
        node = Reduce(name=layer.name_for(), x=value, op=used, axes=axes, keepdims=bool(keepdims))
        return result(layer, layer.add(node))

    return handler


def _reduced_as(layer: Layer, op: str, dtype: str) -> tuple[str, str]:
    """The operation and the dtype that Keras reduces an array of some dtype by.

    Raises:
        UnsupportedError: TensorFlow's own mean of integers, which is one.
    """
    if op in ("any", "all"):
        return op, "bool"
    if not layer.build.semantics.modern and dtype not in FLOATS:
        if op == "mean":
            raise layer.unsupported(f"TensorFlow's mean of {dtype}", "E_UNSUPPORTED_DTYPE")
        return op, dtype
    if op in ("max", "min"):
        return ("any" if op == "max" else "all") if dtype == "bool" else op, dtype
    if op == "mean":
        return op, dtype if dtype in FLOATS else "float32"
    return op, {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}.get(
        dtype, dtype
    )


def concatenate(layer: Layer, call: Call) -> Tensor:
    items = joined(layer, call.option(0, "xs"))
    axis = inner_axis(layer, argument(layer, call, 1, "axis", 0), rank_of_item(layer, items[0]))
    dtype = common_dtype(layer, items)
    args = tuple(operand(layer, item, dtype) for item in items)
    return result(layer, layer.add(Concatenate(name=layer.name_for(), args=args, axis=axis)))


def stack(layer: Layer, call: Call) -> Tensor:
    items = joined(layer, call.option(0, "x"))
    rank = rank_of_item(layer, items[0]) + 1
    axis = inner_axis(layer, argument(layer, call, 1, "axis", 0), rank)
    dtype = common_dtype(layer, items)
    values = [operand(layer, item, dtype) for item in items]
    args = tuple(layer.add(ExpandDims(name=layer.name_for("expanded"), x=value, axis=axis)) for value in values)
    return result(layer, layer.add(Concatenate(name=layer.name_for(), args=args, axis=axis)))


def expand_dims(layer: Layer, call: Call) -> Tensor:
    x = tensor_argument(layer, call, 0, "x")
    axis = inner_axis(layer, argument(layer, call, 1, "axis"), rank_of(layer, x) + 1)
    return result(layer, layer.add(ExpandDims(name=layer.name_for(), x=x.value, axis=axis)))


def squeeze(layer: Layer, call: Call) -> Tensor:
    x = tensor_argument(layer, call, 0, "x")
    axis = inner_axis(layer, argument(layer, call, 1, "axis"), rank_of(layer, x))
    return result(layer, layer.add(Squeeze(name=layer.name_for(), x=x.value, axis=axis)))


def reshape(layer: Layer, call: Call) -> Tensor:
    """A new shape whose first size is the batch: −1, or the size written for it."""
    x = tensor_argument(layer, call, 0, "x")
    shape = argument(layer, call, 1, "newshape")
    if type(shape) is not list or not all(n is None or (type(n) is int and n >= -1) for n in shape) or not shape:
        raise layer.unsupported("a shape that is not a list of sizes")
    if shape[0] not in (-1, None) or any(n in (-1, None) for n in shape[1:]):
        known = layer.build.shape(x)
        if shape[0] != known[0] or shape.count(-1) > 1 or None in shape:
            raise layer.unsupported("a shape that changes the batch")
    return result(layer, layer.add(Reshape(name=layer.name_for(), x=x.value, shape=(0, *shape[1:]))))


def transpose(layer: Layer, call: Call) -> Tensor:
    x = tensor_argument(layer, call, 0, "x")
    axes = argument(layer, call, 1, "axes")
    if type(axes) is not list or not all(type(a) is int for a in axes):
        raise layer.unsupported("it turns all axes around, the batch included")
    rank = rank_of(layer, x)
    order = tuple(a % rank for a in axes)
    if sorted(order) != list(range(rank)) or order[0] != 0:
        raise layer.unsupported(f"axes {axes}: the batch must stay first")
    return result(layer, layer.add(Transpose(name=layer.name_for(), x=x.value, axes=order)))


def swapaxes(layer: Layer, call: Call) -> Tensor:
    x = tensor_argument(layer, call, 0, "x")
    rank = rank_of(layer, x)
    a, b = (inner_axis(layer, argument(layer, call, 1 + i, name), rank) for i, name in enumerate(("axis1", "axis2")))
    if a == b and x.mask is not None:
        raise layer.unsupported("an axis swapped with itself: whether the mask stays depends on the release of Keras")
    order = list(range(rank))
    order[a], order[b] = order[b], order[a]
    return result(layer, layer.add(Transpose(name=layer.name_for(), x=x.value, axes=tuple(order))))


def flip(layer: Layer, call: Call) -> Tensor:
    x = tensor_argument(layer, call, 0, "x")
    axis = inner_axis(layer, argument(layer, call, 1, "axis"), rank_of(layer, x))
    return result(layer, layer.add(Flip(name=layer.name_for(), x=x.value, axis=axis)))


def repeat(layer: Layer, call: Call) -> Tensor:
    x = tensor_argument(layer, call, 0, "x")
    count, axis = argument(layer, call, 1, "repeats"), argument(layer, call, 2, "axis")
    if type(count) is not int or count < 1:
        raise layer.unsupported(f"repeats {count}")
    axis = inner_axis(layer, axis, rank_of(layer, x))
    return result(layer, layer.add(Repeat(name=layer.name_for(), x=x.value, axis=axis, count=count)))


def matmul(layer: Layer, call: Call) -> Tensor:
    items = [call.option(0, "x1"), call.option(1, "x2")]
    dtype = common_dtype(layer, items)
    if dtype not in FLOATS:
        raise layer.unsupported(f"a product of {dtype}")
    a, b = (operand(layer, item, dtype) for item in items)
    if any(len(layer.build.shape(value)) < 2 for value in (a, b)):
        raise layer.unsupported("a product of vectors")
    return result(layer, layer.add(MatMul(name=layer.name_for(), a=a, b=b, transpose_b=False)))


def get_item(layer: Layer, call: Call) -> Tensor:
    """x[key] for slices, whole numbers, None and … after the batch, which must be taken whole."""
    x = tensor_argument(layer, call, 0, "x")
    key = call.option(1, "key")
    key = list(key) if type(key) is list else [key]
    value, rank = x.value, rank_of(layer, x)
    taken = sum(item is not None and item is not ... for item in key)
    if ... in key:
        place = key.index(...)
        key[place : place + 1] = [slice(None)] * (rank - taken)
    if not key or key[0] != slice(None):
        raise layer.unsupported("a key that does not take the whole batch")
    axis, steps = 1, []
    for item in key[1:]:
        if item is None:
            steps.append(("expand", axis, 0))
            axis += 1
        elif type(item) is int:
            steps += [("take", axis, item), ("squeeze", axis, 0)]
        elif isinstance(item, slice):
            if item != slice(None):
                steps.append(("slice", axis, item))  # type: ignore[arg-type]
            axis += 1
        else:
            raise layer.unsupported("a key of something other than slices and whole numbers")
    for index, (what, at, item) in enumerate(steps):
        name = layer.name_for("" if index == len(steps) - 1 else what)
        if what == "expand":
            value = layer.add(ExpandDims(name=name, x=value, axis=at))
        elif what == "squeeze":
            value = layer.add(Squeeze(name=name, x=value, axis=at))
        elif what == "take":
            size = layer.build.shape(value)[at]
            if size is not None and not -size <= item < size:
                raise layer.unsupported(f"index {item} of an axis of {size}")
            stop = None if item == -1 else item + 1
            value = layer.add(Slice(name=name, x=value, axis=at, start=item, stop=stop, step=1))
        else:
            value = _slice(layer, name, value, at, item)  # type: ignore[arg-type]
    return result(layer, value)


def _slice(layer: Layer, name: str, value: Value, axis: int, key: slice) -> Value:
    step = 1 if key.step is None else key.step
    if step == -1 and key.start is None and key.stop is None:
        return layer.add(Flip(name=name, x=value, axis=axis))
    if step < 1:
        raise layer.unsupported(f"a slice with step {step}")
    return layer.add(Slice(name=name, x=value, axis=axis, start=key.start or 0, stop=key.stop, step=step))


def filled(value: int) -> Handler:
    """zeros_like, ones_like: an array of the shape of x, whatever x holds."""

    def handler(layer: Layer, call: Call) -> Tensor:
        x = tensor_argument(layer, call, 0, "x")
        dtype = argument(layer, call, 1, "dtype") or layer.build.dtype(x)
        compared = Elementwise(name=layer.name_for("compared"), op="not_equal", args=(x.value, x.value))
        never = (
            layer.add(compared),
            layer.add(Elementwise(name=layer.name_for("same"), op="equal", args=(x.value,) * 2)),
        )
        op = "logical_or" if value else "logical_and"
        truth = layer.add(Elementwise(name=layer.name_for("truth"), op=op, args=never))
        return result(layer, layer.build.cast(layer.where, truth, str(dtype)))

    return handler


def stop_gradient(layer: Layer, call: Call) -> Tensor:
    return result(layer, tensor_argument(layer, call, 0, "x").value)


def convert_to_tensor(layer: Layer, call: Call) -> Tensor:
    """The same tensor, with its mask; attention layers leave it on the way of their mask."""
    x = tensor_argument(layer, call, 0, "x")
    layer.config.only("sparse", None, False)
    layer.config.only("ragged", None, False)
    layer.config.only("dtype", None, layer.build.dtype(x))
    return x


OPERATIONS: dict[tuple[str, str], Handler] = {
    # (module of keras.src.ops, class)
    ("numpy", "Mean"): reduction("mean"),
    ("numpy", "Sum"): reduction("sum"),
    ("numpy", "Max"): reduction("max"),
    ("numpy", "Min"): reduction("min"),
    ("numpy", "Any"): reduction("any"),
    ("numpy", "All"): reduction("all"),
    ("numpy", "Concatenate"): concatenate,
    ("numpy", "Stack"): stack,
    ("numpy", "ExpandDims"): expand_dims,
    ("numpy", "Squeeze"): squeeze,
    ("numpy", "Reshape"): reshape,
    ("numpy", "Transpose"): transpose,
    ("numpy", "Swapaxes"): swapaxes,
    ("numpy", "Flip"): flip,
    ("numpy", "Repeat"): repeat,
    ("numpy", "Matmul"): matmul,
    ("numpy", "GetItem"): get_item,
    ("numpy", "ZerosLike"): filled(0),
    ("numpy", "OnesLike"): filled(1),
    ("core", "StopGradient"): stop_gradient,
    ("core", "ConvertToTensor"): convert_to_tensor,
}
