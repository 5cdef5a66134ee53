"""Functions of keras.ops that sum an array up: std, var, norm, normalize, logsumexp, cumsum, argmax; and round."""

from __future__ import annotations

from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import FLOATS, INTS, Value
from lstmconv_runtime.format.nodes import Cast, ExpandDims, Squeeze
from lstmconv_runtime.format.operation_nodes import ArgReduce, CumSum, Round

from ..building import Layer, Tensor
from ..call import Call, Handler
from ..composition.compose import elementwise, of_unit_length, reduced, scalar, where
from ..layers.normalization import KERAS_EPSILON, root_mean_square_normalized
from .arguments import argument, inner_axis, operand, rank_of, result, tensor_argument
from .elementwise import unary


def _axes(layer: Layer, x: Tensor, axis: Any) -> tuple[int, ...]:
    """An axis or a list of axes, counted from the front."""
    rank = rank_of(layer, x)
    return tuple(sorted({inner_axis(layer, a, rank) for a in (axis if type(axis) is list else [axis])}))


def _flag(layer: Layer, call: Call, position: int, name: str) -> bool:
    value = argument(layer, call, position, name, False)
    if type(value) is not bool:
        raise layer.unsupported(f"{name} {value}")
    return value


def _float(layer: Layer, x: Tensor) -> str:
    """The dtype of x, float32 for whole numbers and bool."""
    dtype = layer.build.dtype(x)
    return dtype if dtype in FLOATS else "float32"


def _only_floats(layer: Layer, x: Tensor) -> str:
    dtype = layer.build.dtype(x)
    if dtype not in FLOATS:
        raise layer.unsupported(f"an array of {dtype}")
    return dtype


def deviation(root: bool) -> Handler:
    """std, var: the mean squared distance from the mean, and its root."""

    def handler(layer: Layer, call: Call) -> Tensor:
        x = tensor_argument(layer, call, 0, "x")
        axes = _axes(layer, x, argument(layer, call, 1, "axis"))
        keepdims, dtype = _flag(layer, call, 2, "keepdims"), _float(layer, x)
        wide = dtype if dtype == "float64" or root else "float32"  # as Keras computes the variance of halves
        value = layer.build.cast(layer.where, x.value, wide)
        mean = reduced(layer, "mean", "mean", value, axes, keepdims=True)
        square = elementwise(layer, "squares", "square", elementwise(layer, "distances", "subtract", value, mean))
        variance = reduced(layer, "variance" if root else "", "mean", square, axes, keepdims)
        made = elementwise(layer, "", "sqrt", variance) if root else variance
        return result(layer, layer.build.cast(layer.where, made, dtype))

    return handler


def norm(layer: Layer, call: Call) -> Tensor:
    """The p-norm over one axis, the Frobenius norm over two."""
    x = tensor_argument(layer, call, 0, "x")
    order = argument(layer, call, 1, "ord")
    axis = argument(layer, call, 2, "axis")
    axes, keepdims = _axes(layer, x, axis), _flag(layer, call, 3, "keepdims")
    if (order == "fro" and len(axes) != 2) or len(axes) > 2 or (len(axes) == 2 and order not in (None, "fro")):
        raise layer.unsupported(f"ord {order} over {len(axes)} axes")
    value = layer.build.cast(layer.where, x.value, _float(layer, x))
    return result(layer, _norm(layer, value, order, axes, keepdims, ""))


def _norm(layer: Layer, x: Value, order: Any, axes: tuple[int, ...], keepdims: bool, part: str) -> Value:
    dtype = layer.build.dtype(x)
    if order in (None, 2, "fro"):
        square = elementwise(layer, "squares", "multiply", x, x)
        return elementwise(layer, part, "sqrt", reduced(layer, "sum", "sum", square, axes, keepdims))
    if type(order) not in (int, float) or not np.isfinite(order):
        raise layer.unsupported(f"ord {order}")
    if order == 0:
        other = elementwise(layer, "other", "not_equal", x, scalar(layer, "zero", 0, dtype))
        return reduced(layer, part, "sum", layer.build.cast(layer.where, other, dtype), axes, keepdims)
    absolute = elementwise(layer, "absolute", "absolute", x)
    if order == 1:
        return reduced(layer, part, "sum", absolute, axes, keepdims)
    power = scalar(layer, "order", order, dtype)
    powers = elementwise(layer, "powers", "power", absolute, power)
    total = reduced(layer, "sum", "sum", powers, axes, keepdims)
    root = elementwise(layer, "root", "divide", scalar(layer, "one", 1, dtype), power)  # exact to any precision
    return elementwise(layer, part, "power", total, root)


def normalize(layer: Layer, call: Call) -> Tensor:
    """x / max(norm(x), ε); of order 2, x · min(1 / √Σ x², 1 / ε)."""
    x = tensor_argument(layer, call, 0, "x")
    axes = _axes(layer, x, argument(layer, call, 1, "axis", -1))
    order, epsilon = argument(layer, call, 2, "order", 2), argument(layer, call, 3, "epsilon")
    epsilon = KERAS_EPSILON if epsilon is None else epsilon
    if type(order) is not int or order < 1 or type(epsilon) not in (int, float) or epsilon <= 0:
        raise layer.unsupported(f"order {order}, epsilon {epsilon}")
    dtype = _only_floats(layer, x)
    if order == 2:
        return result(layer, of_unit_length(layer, "", x.value, axes, 1 / epsilon))
    if len(axes) != 1:
        raise layer.unsupported(f"order {order} over {len(axes)} axes")
    length = _norm(layer, x.value, order, axes, True, "norm")
    least = elementwise(layer, "length", "maximum", length, scalar(layer, "epsilon", epsilon, dtype))
    return result(layer, elementwise(layer, "", "divide", x.value, least))


def log_sum_exp(layer: Layer, call: Call) -> Tensor:
    """log Σ eˣ, shifted by the maximum where that is finite."""
    x = tensor_argument(layer, call, 0, "x")
    axes = _axes(layer, x, argument(layer, call, 1, "axis"))
    keepdims, dtype = _flag(layer, call, 2, "keepdims"), _only_floats(layer, x)
    zero = scalar(layer, "zero", 0, dtype)
    largest = reduced(layer, "largest", "max", x.value, axes, keepdims=True)
    itself = elementwise(layer, "itself", "subtract", largest, largest)
    finite = elementwise(layer, "finite", "equal", itself, zero)
    shift = where(layer, "shift", finite, largest, zero)
    powers = elementwise(layer, "powers", "exp", elementwise(layer, "shifted", "subtract", x.value, shift))
    log = elementwise(layer, "log", "log", reduced(layer, "sum", "sum", powers, axes, keepdims=True))
    made = elementwise(layer, "" if keepdims else "kept", "add", log, shift)
    return result(layer, made if keepdims else without(layer, made, axes))


def without(layer: Layer, value: Value, axes: tuple[int, ...]) -> Value:
    """A value without axes of size 1."""
    for axis in sorted(axes, reverse=True):
        value = layer.add(Squeeze(name=layer.name_for(), x=value, axis=axis))
    return value


def cumsum(layer: Layer, call: Call) -> Tensor:
    x = tensor_argument(layer, call, 0, "x")
    axis = inner_axis(layer, argument(layer, call, 1, "axis"), rank_of(layer, x))
    dtype = argument(layer, call, 2, "dtype")
    dtype = layer.build.dtype(x) if dtype is None else dtype
    if type(dtype) is not str or dtype not in (*FLOATS, *INTS, "bool"):
        raise layer.unsupported(f"dtype {dtype}", "E_UNSUPPORTED_DTYPE")
    value = layer.build.cast(layer.where, x.value, "int32" if dtype == "bool" else dtype)
    return result(layer, layer.add(CumSum(name=layer.name_for(), x=value, axis=axis)))


def extreme(op: str) -> Handler:
    """argmax, argmin: the first place of the largest or smallest, as int32. Keras 3 takes −0 for less than 0."""

    def handler(layer: Layer, call: Call) -> Tensor:
        x = tensor_argument(layer, call, 0, "x")
        axis = inner_axis(layer, argument(layer, call, 1, "axis"), rank_of(layer, x))
        keepdims, dtype = _flag(layer, call, 2, "keepdims"), layer.build.dtype(x)
        if dtype == "bool":
            raise layer.unsupported("an array of bool")
        value = x.value
        if dtype in FLOATS and layer.build.semantics.modern:
            dtype = "float64" if dtype == "float64" else "float32"
            value = _with_zeros_apart(layer, layer.build.cast(layer.where, value, dtype), dtype)
        made = layer.add(ArgReduce(name=layer.name_for("place" if keepdims else ""), x=value, op=op, axis=axis))
        if keepdims:
            made = layer.add(ExpandDims(name=layer.name_for(), x=made, axis=axis))
        return result(layer, made)

    return handler


def _with_zeros_apart(layer: Layer, x: Value, dtype: str) -> Value:
    """x with the smallest normal number below 0 in the place of −0."""
    zero = scalar(layer, "zero", 0, dtype)
    is_zero = elementwise(layer, "is_zero", "equal", x, zero)
    below = elementwise(layer, "below", "less", elementwise(layer, "inverse", "reciprocal", x), zero)
    negative = elementwise(layer, "negative_zero", "logical_and", is_zero, below)
    return where(layer, "apart", negative, scalar(layer, "tiny", -float(np.finfo(dtype).tiny), dtype), x)


def round_(layer: Layer, call: Call) -> Tensor:
    """To the nearest number of so many decimals, halves to the even one."""
    x = tensor_argument(layer, call, 0, "x")
    decimals, dtype = argument(layer, call, 1, "decimals", 0), _only_floats(layer, x)
    if type(decimals) is not int or not -30 <= decimals <= 30:
        raise layer.unsupported(f"decimals {decimals}")
    if decimals == 0:
        return result(layer, layer.add(Round(name=layer.name_for(), x=x.value)))
    factor = scalar(layer, "factor", 10.0**decimals, dtype)
    scaled = elementwise(layer, "scaled", "multiply", x.value, factor)
    rounded = layer.add(Round(name=layer.name_for("rounded"), x=scaled))
    return result(layer, elementwise(layer, "", "divide", rounded, factor))


def rms_norm(layer: Layer, call: Call) -> Tensor:
    """x / √(mean(x²) + ε) · scale."""
    x = tensor_argument(layer, call, 0, "x")
    axes = _axes(layer, x, argument(layer, call, 2, "axis", -1))
    epsilon = argument(layer, call, 3, "epsilon")
    epsilon = KERAS_EPSILON if epsilon is None else epsilon
    if type(epsilon) not in (int, float):
        raise layer.unsupported(f"epsilon {epsilon}")
    dtype = _only_floats(layer, x)
    wide = "float64" if dtype == "float64" else "float32"
    given = call.option(1, "scale")
    scale = None if given is None else operand(layer, given, wide)
    made = root_mean_square_normalized(layer, layer.build.cast(layer.where, x.value, wide), axes, epsilon, scale)
    if layer.build.shape(made) != layer.build.shape(x):
        raise layer.unsupported("its scale has more axes than its input")
    if dtype != wide:
        made = layer.add(Cast(name=layer.name_for(), x=made, dtype=dtype))
    return result(layer, made)


OPERATIONS: dict[tuple[str, str], Handler] = {
    ("numpy", "Std"): deviation(root=True),
    ("numpy", "Var"): deviation(root=False),
    ("numpy", "Cumsum"): cumsum,
    ("numpy", "Argmax"): extreme("max"),
    ("numpy", "Argmin"): extreme("min"),
    ("numpy", "Round"): round_,
    ("linalg", "Norm"): norm,
    ("math", "Logsumexp"): log_sum_exp,
    ("math", "Rsqrt"): unary("rsqrt"),
    ("nn", "Normalize"): normalize,
    ("nn", "RMSNorm"): rms_norm,
}
