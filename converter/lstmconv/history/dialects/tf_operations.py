"""TensorFlow functions that tf.keras recorded in functional models (TFOpLambda, SlicingOpLambda) → keras.ops nodes."""

from __future__ import annotations

from typing import Any

from ...errors import InvalidFileError, UnsupportedError, printable
from .inbound_nodes import OPERATIONS, array, tensor
from .tf_arguments import CHANGED, odd_argument

NUMPY, NN, CORE = "keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.ops.core"
MATH, LINALG = "keras.src.ops.math", "keras.src.ops.linalg"

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
    "compat.v1.transpose": (NUMPY, "Transpose", ("a", "perm")),
    "linalg.matmul": (NUMPY, "Matmul", ("a", "b")),
    "reverse": (NUMPY, "Flip", ("tensor", "axis")),
    "cast": (CORE, "Cast", ("x", "dtype")),
    "__operators__.getitem": (NUMPY, "GetItem", ("x", "slice_spec")),
    **{
        f"math.{name}": (NUMPY, op, ("x", "y"))
        for name, op in {"logical_and": "LogicalAnd", "logical_or": "LogicalOr", "logical_xor": "LogicalXor"}.items()
    },
    **{
        f"math.{name}": (NUMPY, op, ("x",))
        for name, op in {
            "logical_not": "LogicalNot", "floor": "Floor", "reciprocal": "Reciprocal", "round": "Round",
        }.items()
    },
    "math.rsqrt": (MATH, "Rsqrt", ("x",)),
    "math.softplus": (NN, "Softplus", ("features",)),
    "nn.elu": (NN, "Elu", ("features",)),
    "nn.selu": (NN, "Selu", ("features",)),
    "nn.relu6": (NN, "Relu6", ("features",)),
    "nn.silu": (NN, "Silu", ("features", "beta")),
    "nn.leaky_relu": (NN, "LeakyRelu", ("features", "alpha")),
    "nn.gelu": (NN, "Gelu", ("features", "approximate")),
    "nn.log_softmax": (NN, "LogSoftmax", ("logits", "axis")),
    "math.reduce_std": (NUMPY, "Std", ("input_tensor", "axis", "keepdims")),
    "math.reduce_variance": (NUMPY, "Var", ("input_tensor", "axis", "keepdims")),
    "math.reduce_logsumexp": (MATH, "Logsumexp", ("input_tensor", "axis", "keepdims")),
    "math.l2_normalize": (NN, "Normalize", ("x", "axis", "epsilon")),
    "norm": (LINALG, "Norm", ("tensor", "ord", "axis", "keepdims")),
    "compat.v1.norm": (LINALG, "Norm", ("tensor", "ord", "axis", "keepdims")),
    "math.cumsum": (NUMPY, "Cumsum", ("x", "axis", "exclusive", "reverse")),
    "math.argmax": (NUMPY, "Argmax", ("input", "axis", "output_type")),
    "math.argmin": (NUMPY, "Argmin", ("input", "axis", "output_type")),
    "clip_by_value": (NUMPY, "Clip", ("t", "clip_value_min", "clip_value_max")),
    "where": (NUMPY, "Where", ("condition", "x", "y")),
    "tile": (NUMPY, "Tile", ("input", "multiples")),
    "repeat": (NUMPY, "Repeat", ("input", "repeats", "axis")),
    "identity": (CORE, "StopGradient", ("input",)),
    "stop_gradient": (CORE, "StopGradient", ("input",)),
    "zeros_like": (NUMPY, "ZerosLike", ("input", "dtype")),
    "ones_like": (NUMPY, "OnesLike", ("input", "dtype")),
    "pad": (NUMPY, "Pad", ("tensor", "paddings", "mode", "constant_values")),
    "compat.v1.pad": (NUMPY, "Pad", ("tensor", "paddings", "mode", "name", "constant_values")),
    "split": (NUMPY, "Split", ("value", "num_or_size_splits", "axis", "num")),
    "unstack": (CORE, "Unstack", ("value", "num", "axis")),
    "gather": (NUMPY, "Take", ("params", "indices", "validate_indices", "axis", "batch_dims")),
    "compat.v1.gather": (NUMPY, "Take", ("params", "indices", "validate_indices", "name", "axis", "batch_dims")),
}  # fmt: skip


def keras3_module(class_name: str) -> str:
    """The module of an operation that an .h5 file of Keras 3 holds without it."""
    if class_name in ("Cast", "StopGradient", "Unstack"):
        return CORE
    if class_name in ("Logsumexp", "Rsqrt"):
        return MATH
    if class_name == "Norm":
        return LINALG
    return NN if class_name in NN_CLASSES else NUMPY


NN_CLASSES = frozenset(
    {
        "Relu", "Relu6", "Sigmoid", "Softmax", "LogSoftmax", "Softplus", "Softsign", "Silu", "Gelu", "Elu", "Selu",
        "LeakyRelu", "HardSigmoid", "HardSilu", "Celu", "LogSigmoid", "Normalize", "RMSNorm",
    }
)  # fmt: skip


def is_tf_operation(class_name: str) -> bool:
    return class_name in OPERATIONS


def todays_operation(where: str, name: str, item: dict[str, Any], calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An operation in today's form: one, or several where one of TensorFlow does more than one of today's.

    Raises:
        UnsupportedError: a function whose meaning is not known.
    """
    config = item["config"]
    if item["class_name"] == "TensorFlowOpLayer":
        return [_node_operation(where, name, config, calls)]
    function = config.get("function")
    known = type(function) is str and function in FUNCTIONS
    if item["class_name"] not in ("TFOpLambda", "SlicingOpLambda") or not known:
        raise UnsupportedError(
            f"{where}: the TensorFlow function '{printable(function, 100)}' ({item['class_name']}) is not supported",
            "E_UNSUPPORTED_OPERATION",
        )
    module, class_name, parameters = FUNCTIONS[function]
    turned = []
    if function == "linalg.matmul" and calls and all(call["kwargs"].get("transpose_b") is True for call in calls):
        first = f"{name}_transposed"
        given = [(*call["args"], call["kwargs"].get("b"))[1] for call in calls]
        nodes = [{"args": [matrix, -2, -1], "kwargs": {}} for matrix in given]
        turned = [operation(NUMPY, "Swapaxes", first, nodes)]
        calls = [
            {
                "args": [call["args"][0], tensor(first, n, 0)],
                "kwargs": {**call["kwargs"], "b": None, "transpose_b": None},
            }
            for n, call in enumerate(calls)
        ]
    nodes = [_todays_arguments(where, parameters, call) for call in calls]
    if function in CHANGED:
        nodes = [CHANGED[function](where, dict(zip(parameters, node["args"], strict=False))) for node in nodes]
    if class_name in ("Argmax", "Argmin"):
        return _extreme(where, module, class_name, name, nodes)
    if class_name == "Cumsum" and any(node["kwargs"] for node in nodes):
        return _backwards(where, operation(module, class_name, name, nodes))
    return [*turned, operation(module, class_name, name, nodes)]


def operation(module: str, class_name: str, name: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "class_name": class_name, "module": module, "name": name, "config": {"name": name}, "inbound_nodes": calls,
    }  # fmt: skip


def _extreme(where: str, module: str, class_name: str, name: str, nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """argmax, argmin, and a cast: TensorFlow gives int64 unless it is told otherwise, Keras int32."""
    types = [(*node["args"], None, None)[2] or "int64" for node in nodes]
    if len(set(types)) > 1 or types[:1] not in ([], ["int32"], ["int64"]):
        raise odd_argument(where, "output_type", types[0])
    placed = [{**node, "args": node["args"][:2]} for node in nodes]
    if types[:1] != ["int64"]:
        return [operation(module, class_name, name, placed)]
    first = f"{name}_place"
    casts = [{"args": [tensor(first, n, 0), "int64"], "kwargs": {}} for n in range(len(nodes))]
    return [operation(module, class_name, first, placed), operation(CORE, "Cast", name, casts)]


def _backwards(where: str, made: dict[str, Any]) -> list[dict[str, Any]]:
    """A cumsum from the end: of what is turned round, turned back."""
    nodes, name = made["inbound_nodes"], made["name"]
    if not all(node["kwargs"] for node in nodes):
        raise odd_argument(where, "reverse", "of some of its calls")
    first, second = f"{name}_turned", f"{name}_sums"
    axes = [node["args"][1] for node in nodes]
    turns = [{"args": [node["args"][0], axis], "kwargs": {}} for node, axis in zip(nodes, axes, strict=True)]
    sums = [{"args": [tensor(first, n, 0), axis], "kwargs": {}} for n, axis in enumerate(axes)]
    backs = [{"args": [tensor(second, n, 0), axis], "kwargs": {}} for n, axis in enumerate(axes)]
    return [
        operation(NUMPY, "Flip", first, turns), operation(NUMPY, "Cumsum", second, sums),
        operation(NUMPY, "Flip", name, backs),
    ]  # fmt: skip


# Nodes of TensorFlow's own graph, which tf.keras before 2.4 kept: the op, and the arguments of today's operation.
NODE_OPS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    **{
        op: (NUMPY, today, ("x", "y"))
        for op, today in {
            "Add": "Add", "AddV2": "Add", "Sub": "Subtract", "Mul": "Multiply", "RealDiv": "TrueDivide", "Pow": "Power",
            "Maximum": "Maximum", "Minimum": "Minimum", "Equal": "Equal", "NotEqual": "NotEqual",
            "Greater": "Greater", "GreaterEqual": "GreaterEqual", "Less": "Less", "LessEqual": "LessEqual",
        }.items()
    },
    **{
        op: (NUMPY, today, ("x",))
        for op, today in {
            "Neg": "Negative", "Abs": "Absolute", "Square": "Square", "Exp": "Exp", "Log": "Log", "Sqrt": "Sqrt",
            "Sin": "Sin", "Cos": "Cos", "Tanh": "Tanh", "Sign": "Sign",
        }.items()
    },
    "Sigmoid": (NN, "Sigmoid", ("x",)),
    "Relu": (NN, "Relu", ("x",)),
    "Softmax": (NN, "Softmax", ("x",)),
    "Mean": (NUMPY, "Mean", ("x", "axis")),
    "Sum": (NUMPY, "Sum", ("x", "axis")),
    "Max": (NUMPY, "Max", ("x", "axis")),
    "Min": (NUMPY, "Min", ("x", "axis")),
    "Transpose": (NUMPY, "Transpose", ("x", "axes")),
    "Reshape": (NUMPY, "Reshape", ("x", "newshape")),
    "ExpandDims": (NUMPY, "ExpandDims", ("x", "axis")),
    "StridedSlice": (NUMPY, "GetItem", ("x", "begin", "end", "strides")),
}  # fmt: skip


def _node_operation(where: str, name: str, config: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """A TensorFlowOpLayer: `constants` are the inputs of its node that are not tensors, by their place.

    Raises:
        UnsupportedError: an op whose meaning is not known.
    """
    node, constants = config.get("node_def"), config.get("constants")
    op = node.get("op") if type(node) is dict else None
    if type(op) is not str or op not in NODE_OPS or type(node) is not dict or type(constants) is not dict:
        raise UnsupportedError(
            f"{where}: the TensorFlow op '{printable(op, 60)}' (TensorFlowOpLayer) is not supported",
            "E_UNSUPPORTED_OPERATION",
        )
    module, class_name, parameters = NODE_OPS[op]
    written = node.get("attr")
    attributes: dict[str, Any] = written if type(written) is dict else {}
    if _attribute(attributes, "keep_dims", "b") not in (None, False):
        raise UnsupportedError(f"{where}: keep_dims of the TensorFlow op '{op}' is not supported")
    made = []
    for call in calls:
        given = call["args"][0] if len(call["args"]) == 1 and type(call["args"][0]) is list else call["args"]
        tensors = iter(given)
        args = [constants[str(n)] if str(n) in constants else next(tensors, None) for n in range(len(parameters))]
        if op == "StridedSlice":
            args = [args[0], _strided(where, args[1:], attributes)]
        made.append({"args": args, "kwargs": {}})
    return operation(module, class_name, name, made)


def _strided(where: str, bounds: list[Any], attributes: dict[str, Any]) -> list[Any]:
    """The key of x[…] from the bounds of a StridedSlice and the bits of its masks."""
    masks = {key: _bits(where, attributes, f"{key}_mask") for key in ("begin", "end", "shrink_axis")}
    odd = [key for key in ("ellipsis", "new_axis") if _bits(where, attributes, f"{key}_mask")]
    if odd or not all(type(bound) is list for bound in bounds):
        raise UnsupportedError(f"{where}: a slice with an ellipsis, a new axis or bounds that are tensors")
    if len({len(bound) for bound in bounds}) != 1:
        raise InvalidFileError(f"{where}: a slice whose bounds are of different lengths", "E_GRAPH")
    key: list[Any] = []
    for axis, (begin, end, step) in enumerate(zip(*bounds, strict=True)):
        bit = 1 << axis
        if masks["shrink_axis"] & bit:
            key.append(begin)
            continue
        start, stop = (None if masks[name] & bit else value for name, value in (("begin", begin), ("end", end)))
        parts = {"start": start, "stop": stop, "step": None if step == 1 else step}
        key.append({"class_name": "__slice__", "config": parts})
    return key


def _attribute(attributes: dict[str, Any], key: str, kind: str) -> Any:
    """An attribute of a node of TensorFlow's graph, by the name of its type; None where there is none."""
    value = attributes.get(key)
    return value.get(kind) if type(value) is dict else value


def _bits(where: str, attributes: dict[str, Any], key: str) -> int:
    """A mask of bits, which JSON holds as a number or as a text of digits."""
    value = _attribute(attributes, key, "i")
    text = str(0 if value is None else value)
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InvalidFileError(f"{where}: {key} {printable(value, 60)} is not a number", "E_CONFIG_TYPE")
    return int(text)


def _todays_arguments(where: str, parameters: tuple[str, ...], call: dict[str, Any]) -> dict[str, Any]:
    """TensorFlow's arguments in the order of the parameters; further ones must be absent."""
    given = dict(call["kwargs"])
    given.pop("name", None)
    args = list(call["args"])
    args += [given.pop(key, None) for key in parameters[len(args) :]]
    args = [_operand(key, arg) for key, arg in zip(parameters, args, strict=False)] + args[len(parameters) :]
    odd = sorted(key for key, value in given.items() if value not in (None, False))
    if odd:
        raise UnsupportedError(f"{where}: argument '{printable(odd[0])}' is not supported", "E_UNSUPPORTED_OPTION")
    while args and args[-1] is None:
        args.pop()
    if parameters == ("tensor", "axis") and len(args) > 1 and type(args[1]) is list and len(args[1]) == 1:
        args[1] = args[1][0]
    if "slice_spec" in parameters and len(args) > 1:
        args[1] = _slices(where, args[1])
    return {"args": args, "kwargs": {}}


def _operand(parameter: str, value: Any) -> Any:
    """An argument of a TensorFlow function, arrays in today's form where it takes a tensor or a list of them."""
    if parameter in ("x", "y", "a", "b"):
        return array(value)
    return [array(item) for item in value] if parameter == "values" and type(value) is list else value


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
