"""TensorFlow functions that tf.keras recorded in functional models (TFOpLambda, SlicingOpLambda) → keras.ops nodes."""

from __future__ import annotations

from typing import Any

from ..errors import UnsupportedError, printable

NUMPY, NN, CORE = "keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.ops.core"

# TensorFlow's name → module and class of today's operation, and TensorFlow's names for its arguments in order.
FUNCTIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    **{
        f"{prefix}.{name}": (NUMPY, op, ("x", "y"))
        for prefix in ("math", "__operators__")
        for name, op in {
            "add": "Add", "subtract": "Subtract", "sub": "Subtract", "multiply": "Multiply", "mul": "Multiply",
            "truediv": "TrueDivide", "divide": "Divide", "pow": "Power", "maximum": "Maximum", "minimum": "Minimum",
            "equal": "Equal", "not_equal": "NotEqual", "eq": "Equal", "ne": "NotEqual",
            "greater": "Greater", "greater_equal": "GreaterEqual", "less": "Less", "less_equal": "LessEqual",
            "gt": "Greater", "ge": "GreaterEqual", "lt": "Less", "le": "LessEqual",
        }.items()
    },
    **{
        f"math.{name}": (NUMPY, op, ("x",))
        for name, op in {
            "negative": "Negative", "abs": "Absolute", "square": "Square", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
            "sin": "Sin", "cos": "Cos", "tanh": "Tanh", "sign": "Sign",
        }.items()
    },
    "__operators__.neg": (NUMPY, "Negative", ("x",)),
    "math.sigmoid": (NN, "Sigmoid", ("x",)),
    "nn.relu": (NN, "Relu", ("features",)),
    "nn.tanh": (NUMPY, "Tanh", ("x",)),
    "nn.sigmoid": (NN, "Sigmoid", ("x",)),
    "nn.softmax": (NN, "Softmax", ("logits", "axis")),
    "math.reduce_mean": (NUMPY, "Mean", ("input_tensor", "axis", "keepdims")),
    "math.reduce_sum": (NUMPY, "Sum", ("input_tensor", "axis", "keepdims")),
    "math.reduce_max": (NUMPY, "Max", ("input_tensor", "axis", "keepdims")),
    "math.reduce_min": (NUMPY, "Min", ("input_tensor", "axis", "keepdims")),
    "math.reduce_any": (NUMPY, "Any", ("input_tensor", "axis", "keepdims")),
    "math.reduce_all": (NUMPY, "All", ("input_tensor", "axis", "keepdims")),
    "concat": (NUMPY, "Concatenate", ("values", "axis")),
    "stack": (NUMPY, "Stack", ("values", "axis")),
    "expand_dims": (NUMPY, "ExpandDims", ("input", "axis")),
    "squeeze": (NUMPY, "Squeeze", ("input", "axis")),
    "reshape": (NUMPY, "Reshape", ("tensor", "shape")),
    "transpose": (NUMPY, "Transpose", ("a", "perm")),
    "linalg.matmul": (NUMPY, "Matmul", ("a", "b")),
    "reverse": (NUMPY, "Flip", ("tensor", "axis")),
    "cast": (CORE, "Cast", ("x", "dtype")),
    "__operators__.getitem": (NUMPY, "GetItem", ("x", "slice_spec")),
}  # fmt: skip


def keras3_module(class_name: str) -> str:
    """The module of an operation that an .h5 file of Keras 3 holds without it."""
    if class_name in ("Cast", "StopGradient"):
        return CORE
    return NN if class_name in NN_CLASSES else NUMPY


NN_CLASSES = frozenset(
    {
        "Relu", "Relu6", "Sigmoid", "Softmax", "LogSoftmax", "Softplus", "Softsign", "Silu", "Gelu", "Elu", "Selu",
        "LeakyRelu", "HardSigmoid", "HardSilu", "Celu", "LogSigmoid",
    }
)  # fmt: skip


def is_tf_operation(class_name: str) -> bool:
    return class_name in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceMethod")


def todays_operation(where: str, name: str, item: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """An operation in today's form.

    Raises:
        UnsupportedError: a function whose meaning is not known.
    """
    config = item.get("config")
    function = config.get("function") if type(config) is dict else None
    if item.get("class_name") not in ("TFOpLambda", "SlicingOpLambda") or function not in FUNCTIONS:
        raise UnsupportedError(
            f"{where}: the TensorFlow function '{printable(function)}' ({printable(item.get('class_name'))}) is not "
            "supported",
            "E_UNSUPPORTED_OPERATION",
        )
    module, class_name, parameters = FUNCTIONS[function]
    return {
        "class_name": class_name,
        "module": module,
        "name": name,
        "config": {"name": name},
        "inbound_nodes": [_todays_arguments(where, parameters, call) for call in calls],
    }


def _todays_arguments(where: str, parameters: tuple[str, ...], call: dict[str, Any]) -> dict[str, Any]:
    """TensorFlow's arguments in the order of the parameters; further ones must be absent."""
    given = dict(call["kwargs"])
    given.pop("name", None)
    args = list(call["args"])
    args += [given.pop(key, None) for key in parameters[len(args) :]]
    odd = sorted(key for key, value in given.items() if value not in (None, False))
    if odd:
        raise UnsupportedError(f"{where}: argument '{printable(odd[0])}' is not supported", "E_UNSUPPORTED_OPTION")
    while args and args[-1] is None:
        args.pop()
    if "slice_spec" in parameters and len(args) > 1:
        args[1] = _slices(where, args[1])
    return {"args": args, "kwargs": {}}


def _slices(where: str, spec: Any) -> Any:
    """A key of x[…] as tf.keras wrote it: slices as {"start", "stop", "step"}."""
    if type(spec) is list:
        return [_slices(where, part) for part in spec]
    if type(spec) is dict and set(spec) == {"start", "stop", "step"}:
        return {"class_name": "__slice__", "config": spec}
    if type(spec) is dict and spec.get("class_name") == "__tuple__":
        return _slices(where, spec.get("items"))
    if type(spec) is dict and spec.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    return spec
