"""Functions of keras.ops that work place by place."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime.format.elementwise import OF_FLOATS
from lstmconv_runtime.format.graph import FLOATS, INTS, Activation, Value
from lstmconv_runtime.format.nodes import Activate, Cast, Elementwise, Where

from ..building import Layer, Tensor
from ..call import Call, Handler
from ..composition.compose import as_added, quotient_dtype
from ..layers.activations import PLAIN, activation_of, with_axis_in
from .arguments import argument, common_dtype, operand, rank_of, result, tensor_argument


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
    ("core", "Cast"): cast,
    **{
        ("nn", "".join(part.capitalize() for part in name.split("_"))): activation(name)
        for name in (*PLAIN, "hard_sigmoid")
        if name not in ("linear", "tanh", "exponential", "swish", "hard_swish", "glu", "squareplus", "mish")
    },
}
