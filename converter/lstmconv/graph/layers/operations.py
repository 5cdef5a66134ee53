"""The functions of keras.ops that a functional graph may hold: what Python arithmetic on Keras tensors leaves behind.

An operation makes a new tensor, which has no mask; where Keras gives back the very tensor it was given, the mask stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import FLOATS, INTS, Activation, Value
from lstmconv_runtime.format.nodes import (
    OF_FLOATS,
    Activate,
    Cast,
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
    Where,
)

from ..building import Layer, StoredArray, Tensor
from ..call import Call, Handler
from .activations import PLAIN, activation_of, with_axis_in
from .compose import as_added, quotient_dtype


def result(layer: Layer, value: Value) -> Tensor:
    """The output of an operation: it has no mask."""
    return Tensor(value)


def argument(layer: Layer, call: Call, position: int, name: str, default: Any = None) -> Any:
    """An argument of the operation, wherever it was given: in the call or in the constructor."""
    given = call.option(position, name)
    stored = layer.config.raw(name, default) if name in layer.config else default
    return stored if given is None else given


def tensor_argument(layer: Layer, call: Call, position: int, name: str) -> Tensor:
    given = call.option(position, name)
    if isinstance(given, StoredArray):
        return Tensor(layer.build.stored_array(layer.where, layer.name, given, given.dtype))
    if not isinstance(given, Tensor):
        raise layer.unsupported(f"its argument {name} is not a tensor of the graph")
    return given


def joined(layer: Layer, items: Any) -> list[Tensor | StoredArray]:
    """The items that an operation joins: at least one, a tensor of the graph among them."""
    known = type(items) is list and all(isinstance(item, Tensor | StoredArray) for item in items)
    if not known or not any(isinstance(item, Tensor) for item in items):
        raise layer.unsupported("it joins something other than tensors of the graph and arrays")
    made: list[Tensor | StoredArray] = items
    return made


def rank_of_item(layer: Layer, item: Tensor | StoredArray) -> int:
    """The rank of a tensor or an array."""
    return len(layer.build.shape(item)) if isinstance(item, Tensor) else np.ndim(item.value)


# --- dtypes -----------------------------------------------------------------------------------------------------------


def common_dtype(layer: Layer, items: Sequence[Any]) -> str:
    """The dtype Keras computes in: numbers written in Python follow the tensors, whole numbers follow floats.

    So do arrays before Keras 3, which TensorFlow makes of the dtype of the tensor they meet.
    """
    dtypes = [layer.build.dtype(item) for item in items if isinstance(item, Tensor)]
    arrays = [item for item in items if isinstance(item, StoredArray)]
    numbers = [item for item in items if not isinstance(item, Tensor | StoredArray)]
    if layer.build.semantics.modern:
        dtypes += [item.dtype for item in arrays]
    else:
        numbers += [0.0 if item.dtype in FLOATS else 0 for item in arrays if item.dtype != "bool"]
    floats = [dtype for dtype in dtypes if dtype in FLOATS]
    if floats:
        return max(floats, key=FLOATS.index) if set(floats) != {"float16", "bfloat16"} else "float32"
    if any(type(number) is float for number in numbers):
        return "float32"
    whole = {dtype for dtype in dtypes if dtype in INTS}
    if whole:
        return joined_whole(whole)
    return "int32" if any(type(number) is int for number in numbers) else "bool"


def joined_whole(dtypes: set[str]) -> str:
    """The dtype that Keras joins whole numbers in: the smallest that holds them all."""
    signed = [int(dtype.removeprefix("int")) for dtype in dtypes if dtype.startswith("int")]
    unsigned = [int(dtype.removeprefix("uint")) for dtype in dtypes if dtype.startswith("uint")]
    if not signed:
        return f"uint{max(unsigned)}"
    return f"int{max([*signed, *(2 * bits for bits in unsigned)])}"


def operand(layer: Layer, item: Any, dtype: str) -> Value:
    """A tensor, number or array as a value of the given dtype."""
    if isinstance(item, Tensor):
        return layer.build.cast(layer.where, item.value, dtype)
    if isinstance(item, StoredArray):
        return layer.build.stored_array(layer.where, layer.name, item, dtype)
    try:
        array = np.array(item, dtype="float64" if dtype in FLOATS else dtype)
    except (TypeError, ValueError, OverflowError):
        raise layer.unsupported("an argument that is not a number or an array of numbers") from None
    return layer.build.constant(layer.where, f"{layer.name}.constant", array, dtype)


# --- place by place ---------------------------------------------------------------------------------------------------


def binary(op: str, names: tuple[str, str] = ("x1", "x2")) -> Handler:
    def handler(layer: Layer, call: Call) -> Tensor:
        items = [call.option(position, name) for position, name in enumerate(names)]
        if any(item is None for item in items):
            raise layer.unsupported("an argument is missing")
        dtype = common_dtype(layer, items)
        if dtype == "bool" and op not in ("divide", "equal", "not_equal"):
            raise layer.unsupported("arithmetic on bool", "E_UNSUPPORTED_DTYPE")
        if op in OF_FLOATS and dtype not in FLOATS:
            dtype = "float32" if layer.build.semantics.modern else quotient_dtype(dtype)
        a, b = (operand(layer, item, dtype) for item in items)
        values = (a, as_added(layer, a, b) if op == "add" else b)
        return result(layer, layer.add(Elementwise(name=layer.name_for(), op=op, args=values)))

    return handler


def logical(op: str) -> Handler:
    def handler(layer: Layer, call: Call) -> Tensor:
        names = ("x",) if op == "logical_not" else ("x1", "x2")
        items = [call.option(position, name) for position, name in enumerate(names)]
        values = tuple(operand(layer, item, "bool") for item in items)
        return result(layer, layer.add(Elementwise(name=layer.name_for(), op=op, args=values)))

    return handler


def unary(op: str, bool_as: str | None = None) -> Handler:
    """An operation that gives the dtype of x, or float32 where it takes floats alone; bool counts as `bool_as`."""

    def handler(layer: Layer, call: Call) -> Tensor:
        x = tensor_argument(layer, call, 0, "x")
        dtype = layer.build.dtype(x)
        if op == "absolute" and dtype.startswith(("bool", "uint")):
            return x  # the same tensor in Keras too, with its mask
        if op in OF_FLOATS and op != "reciprocal" and dtype not in FLOATS:
            dtype = "float32"
        if dtype == "bool":
            dtype = bool_as or dtype
        if op == "negative" and dtype.startswith("uint"):
            raise layer.unsupported(f"{op} of {dtype}", "E_UNSUPPORTED_DTYPE")
        value = layer.build.cast(layer.where, x.value, dtype)
        return result(layer, layer.add(Elementwise(name=layer.name_for(), op=op, args=(value,))))

    return handler


# The arguments of the functions whose activation has other constants than they have arguments, in their order.
ARGUMENTS: dict[str, tuple[str, ...]] = {"relu": (), "relu6": (), "leaky_relu": ("negative_slope",)}


def activation(name: str) -> Handler:
    def handler(layer: Layer, call: Call) -> Tensor:
        x = tensor_argument(layer, call, 0, "x")
        made = activation_of(layer.where, name, name, layer.build)
        constants = dict(made.constants)
        for place, key in enumerate(ARGUMENTS.get(name, tuple(constants)), start=1):
            constants[key] = argument(layer, call, place, key, constants[key])
        if name == "gelu":
            approximate = argument(layer, call, 1, "approximate", True)
            made = Activation("gelu_tanh" if approximate else "gelu")
        else:
            if not all(value is None or type(value) in (int, float) for value in constants.values()):
                raise layer.unsupported("a constant that is not a number")
            made = Activation(made.name, tuple((k, None if v is None else float(v)) for k, v in constants.items()))
        made = with_axis_in(f"{layer.where}:", made, rank_of(layer, x))
        dtype = layer.build.dtype(x)
        if dtype in INTS and name in ("relu", "relu6"):
            return result(layer, _clipped(layer, x, 0, 6 if name == "relu6" else None))
        if dtype not in FLOATS and name != "tanh" and not (dtype in INTS and name == "leaky_relu"):
            raise layer.unsupported(f"{name} of {dtype}", "E_UNSUPPORTED_DTYPE")
        value = layer.build.cast(layer.where, x.value, dtype if dtype in FLOATS else "float32")
        return result(layer, layer.add(Activate(name=layer.name_for(), x=value, activation=made)))

    return handler


def clip(layer: Layer, call: Call) -> Tensor:
    """min(max(x, x_min), x_max)."""
    x = tensor_argument(layer, call, 0, "x")
    low, high = argument(layer, call, 1, "x_min"), argument(layer, call, 2, "x_max")
    return result(layer, _clipped(layer, x, low, high))


def _clipped(layer: Layer, x: Tensor, low: Any, high: Any) -> Value:
    """min(max(x, low), high); high None is none."""
    dtype = common_dtype(layer, [x, low] if high is None else [x, low, high])
    args = operand(layer, x, dtype), operand(layer, low, dtype)
    value = layer.add(Elementwise(name=layer.name_for("" if high is None else "above"), op="maximum", args=args))
    if high is None:
        return value
    return layer.add(Elementwise(name=layer.name_for(), op="minimum", args=(value, operand(layer, high, dtype))))


def where(layer: Layer, call: Call) -> Tensor:
    condition = tensor_argument(layer, call, 0, "condition")
    items = [call.option(1, "x1"), call.option(2, "x2")]
    if any(item is None for item in items):
        raise layer.unsupported("where with a condition alone")
    dtype = common_dtype(layer, items)
    a, b = (operand(layer, item, dtype) for item in items)
    node = Where(name=layer.name_for(), condition=operand(layer, condition, "bool"), a=a, b=b)
    return result(layer, layer.add(node))


def cast(layer: Layer, call: Call) -> Tensor:
    x = tensor_argument(layer, call, 0, "x")
    dtype = argument(layer, call, 1, "dtype")
    if type(dtype) is not str or dtype not in (*FLOATS, *INTS, "bool"):
        raise layer.unsupported(f"dtype {dtype}", "E_UNSUPPORTED_DTYPE")
    if dtype == layer.build.dtype(x):
        return x  # the same tensor in Keras too, with its mask
    return result(layer, layer.add(Cast(name=layer.name_for(), x=x.value, dtype=dtype)))


# --- shapes -----------------------------------------------------------------------------------------------------------


def rank_of(layer: Layer, x: Tensor) -> int:
    return len(layer.build.shape(x))


def inner_axis(layer: Layer, axis: Any, rank: int) -> int:
    """An axis counted from the front, which must not be the batch."""
    if type(axis) is not int or not -rank <= axis < rank or axis % rank == 0:
        raise layer.unsupported(f"axis {axis} of an array of rank {rank}: only axes after the batch are")
    return axis % rank


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
    ("numpy", "Add"): binary("add"),
    ("numpy", "Subtract"): binary("subtract"),
    ("numpy", "Multiply"): binary("multiply"),
    ("numpy", "Divide"): binary("divide"),
    ("numpy", "TrueDivide"): binary("divide"),
    ("numpy", "Power"): binary("power"),
    ("numpy", "Maximum"): binary("maximum"),
    ("numpy", "Minimum"): binary("minimum"),
    ("numpy", "Equal"): binary("equal"),
    ("numpy", "NotEqual"): binary("not_equal"),
    ("numpy", "Greater"): binary("greater"),
    ("numpy", "GreaterEqual"): binary("greater_equal"),
    ("numpy", "Less"): binary("less"),
    ("numpy", "LessEqual"): binary("less_equal"),
    ("numpy", "LogicalAnd"): logical("logical_and"),
    ("numpy", "LogicalOr"): logical("logical_or"),
    ("numpy", "LogicalXor"): logical("logical_xor"),
    ("numpy", "LogicalNot"): logical("logical_not"),
    ("numpy", "Negative"): unary("negative"),
    ("numpy", "Absolute"): unary("absolute"),
    ("numpy", "Square"): unary("square", bool_as="int32"),
    ("numpy", "Sign"): unary("sign"),
    ("numpy", "Exp"): unary("exp"),
    ("numpy", "Log"): unary("log"),
    ("numpy", "Sqrt"): unary("sqrt"),
    ("numpy", "Reciprocal"): unary("reciprocal"),
    ("numpy", "Sin"): unary("sin"),
    ("numpy", "Cos"): unary("cos"),
    ("numpy", "Floor"): unary("floor"),
    ("numpy", "Tanh"): activation("tanh"),
    ("numpy", "Clip"): clip,
    ("numpy", "Where"): where,
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
    ("core", "Cast"): cast,
    ("core", "StopGradient"): stop_gradient,
    ("core", "ConvertToTensor"): convert_to_tensor,
    **{
        ("nn", "".join(part.capitalize() for part in name.split("_"))): activation(name)
        for name in (*PLAIN, "hard_sigmoid")
        if name not in ("linear", "tanh", "exponential", "swish", "hard_swish", "glu", "squareplus", "mish")
    },
}
