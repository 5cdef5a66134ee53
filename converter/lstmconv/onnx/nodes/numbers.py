"""The nodes that compute numbers place by place, or along an axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format import operation_nodes as o
from lstmconv_runtime.format.graph import Node

from ...errors import UnsupportedError
from ..graph_writer import GraphWriter
from ..writer import Tensor, is_float

# Integers are computed in a wider type and cut back, which is modulo 2ⁿ: operators, or onnxruntime's, lack the narrow.
WIDE = {**dict.fromkeys(("int8", "int16", "uint8", "uint16", "bool"), "int32"), "uint32": "int64"}
NARROW = tuple(WIDE)


def through(
    w: GraphWriter,
    dtype: str,
    narrow: tuple[str, ...],
    x: Tensor,
    compute: Callable[..., Tensor],
    *others: Tensor | None,
) -> Tensor:
    """compute(x, …), in a wider type and cut back where the dtype is one of `narrow`."""
    given = (x, *others) if others else (x, None)
    if dtype not in narrow:
        return compute(*given)
    return w.cast(compute(*(None if one is None else w.cast(one, WIDE[dtype]) for one in given)), dtype)


BINARIES = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "maximum": "Max", "minimum": "Min",
    "power": "Pow",
}  # fmt: skip
UNARIES = {
    "negative": "Neg", "absolute": "Abs", "sign": "Sign", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin",
    "cos": "Cos", "floor": "Floor", "reciprocal": "Reciprocal",
}  # fmt: skip
COMPARISONS = {
    "equal": "Equal", "greater": "Greater", "greater_equal": "GreaterOrEqual", "less": "Less",
    "less_equal": "LessOrEqual",
}  # fmt: skip
LOGICALS = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not"}


def elementwise(w: GraphWriter, node: n.Elementwise) -> Tensor:
    dtype = w.dtype(node.args[0])
    x, *others = (w.tensors[arg] for arg in node.args)
    if node.op in LOGICALS:
        return w(LOGICALS[node.op], x, *others)
    if node.op in COMPARISONS or node.op == "not_equal":
        return _compared(w, node.op, dtype, x, others[0])
    if node.op == "power" and not is_float(dtype):
        return through(w, dtype, NARROW, x, lambda a, _: _whole_power(w, node, a), others[0])
    if node.op in BINARIES:
        return through(w, dtype, NARROW, x, lambda a, b: w(BINARIES[node.op], a, b), others[0])
    return through(w, dtype, NARROW, x, lambda a, _: _unary(w, node.op, a))


def _unary(w: GraphWriter, op: str, x: Tensor) -> Tensor:
    if op == "square":
        return w("Mul", x, x)
    if op == "rsqrt":
        return w("Reciprocal", w("Sqrt", x))
    return w(UNARIES[op], x)


def _compared(w: GraphWriter, op: str, dtype: str, a: Tensor, b: Tensor) -> Tensor:
    if dtype in WIDE:
        a, b = w.cast(a, WIDE[dtype]), w.cast(b, WIDE[dtype])
    return w("Not", w("Equal", a, b)) if op == "not_equal" else w(COMPARISONS[op], a, b)


def _whole_power(w: GraphWriter, node: n.Elementwise, x: Tensor) -> Tensor:
    """xⁿ of whole numbers modulo 2ᵐ by squaring, n a Constant: `Pow` computes it in floating point, which rounds.

    Raises:
        UnsupportedError: the exponent is not a Constant of one number of at least 0.
    """
    made = next(one for one in w.graph.nodes if one.name == node.args[1])
    power = w.graph.node_arrays(made)["value"] if isinstance(made, n.Constant) else np.zeros(0)
    if power.size != 1 or int(power.reshape(())) < 0:
        raise UnsupportedError(
            f"node '{node.name}' (Elementwise): ONNX has no power of whole numbers but by a constant of at least 0",
            "E_UNSUPPORTED_ONNX",
        )
    dtype = WIDE.get(w.dtype(node.args[0]), w.dtype(node.args[0]))
    one = w.array(np.ones(power.shape, dtype))
    result = w("Add", w("Mul", x, w("Sub", one, one)), one)  # in the shape of both
    left, square = int(power.reshape(())), x
    while left:
        if left & 1:
            result = w("Mul", result, square)
        left >>= 1
        square = w("Mul", square, square) if left else square
    return result


REDUCTIONS = {"mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin"}


def reduce(w: GraphWriter, node: n.Reduce) -> Tensor:
    dtype, x, keep = w.dtype(node.x), w.tensors[node.x], int(node.keepdims)
    axes = list(node.axes)
    if not axes:
        return x
    if node.op in ("any", "all"):  # the largest and the smallest of 0 and 1
        return through(
            w,
            dtype,
            NARROW,
            x,
            lambda a, _: w("ReduceMax" if node.op == "any" else "ReduceMin", a, axes=axes, keepdims=keep),
        )
    if node.op == "sum":
        return through(w, dtype, NARROW, x, lambda a, _: w("ReduceSum", a, w.ints(*axes), keepdims=keep))
    return through(w, dtype, NARROW, x, lambda a, _: w(REDUCTIONS[node.op], a, axes=axes, keepdims=keep))


def mat_mul(w: GraphWriter, node: n.MatMul) -> Tensor:
    b, rank = w.tensors[node.b], w.rank(node.b)
    if node.transpose_b:
        b = w.transpose(b, [*range(rank - 2), rank - 1, rank - 2])
    return w("MatMul", w.tensors[node.a], b)


def cast(w: GraphWriter, node: n.Cast) -> Tensor:
    """Out of the range of a whole number ONNX leaves the result open, where the runtime refuses."""
    target = {"float16": "float32", "bfloat16": "float32"}.get(node.dtype, node.dtype)
    return w.tensors[node.x] if w.dtype(node.x) == target else w.cast(w.tensors[node.x], target)


def round_(w: GraphWriter, node: o.Round) -> Tensor:
    return w("Round", w.tensors[node.x])


def cum_sum(w: GraphWriter, node: o.CumSum) -> Tensor:
    axis = w.array(np.asarray(node.axis, np.int64))
    return through(w, w.dtype(node.x), NARROW, w.tensors[node.x], lambda x, _: w("CumSum", x, axis))


def arg_reduce(w: GraphWriter, node: o.ArgReduce) -> Tensor:
    """The first of the largest or smallest; the first NaN, if there is one."""
    x, dtype, op = w.tensors[node.x], w.dtype(node.x), "ArgMax" if node.op == "max" else "ArgMin"
    if dtype in ("int16", "uint16"):
        x = w.cast(x, "int32")
    elif dtype == "uint32":
        x = w.cast(x, "int64")
    place = w(op, x, axis=node.axis, keepdims=0)
    if is_float(dtype):
        nan = w.cast(w("IsNaN", x), "int32")
        first = w("ArgMax", nan, axis=node.axis, keepdims=0)
        found = w.cast(w("ReduceMax", nan, axes=[node.axis], keepdims=0), "bool")
        place = w("Where", found, first, place)
    return w.cast(place, "int32")


def einsum(w: GraphWriter, node: o.Einsum) -> Tensor:
    return w("Einsum", *(w.tensors[arg] for arg in node.args), equation=node.equation)


NUMBERS: dict[type[Node], Callable[..., Tensor]] = {
    n.Elementwise: elementwise,
    n.Reduce: reduce,
    n.MatMul: mat_mul,
    n.Cast: cast,
    o.Round: round_,
    o.CumSum: cum_sum,
    o.ArgReduce: arg_reduce,
    o.Einsum: einsum,
}
