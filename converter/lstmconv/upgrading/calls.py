"""Calls as Keras 3 writes them: of operations, with what they are made with, and of layers that are given arrays."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime.format.graph import FLOATS

from ..errors import UnsupportedError, printable
from ..graph.keras_classes import CLASSES
from ..reading.form import MODELS

# Arguments of operations that Keras 3 takes when they are made, by class: the rest of a call are tensors.
OPERATION_OPTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Mean", "Sum", "Max", "Min", "Any", "All"), ("axis", "keepdims")),
    **dict.fromkeys(("Concatenate", "Stack", "ExpandDims", "Squeeze", "Flip", "Softmax", "LogSoftmax"), ("axis",)),
    "Reshape": ("newshape",),
    "Transpose": ("axes",),
    "Swapaxes": ("axis1", "axis2"),
    "Cast": ("dtype",),
    **dict.fromkeys(("Std", "Var", "Argmax", "Argmin", "Logsumexp"), ("axis", "keepdims")),
    "Cumsum": ("axis", "dtype"),
    "Norm": ("ord", "axis", "keepdims"),
    "Normalize": ("axis", "order", "epsilon"),
    "Round": ("decimals",),
    "Clip": ("x_min", "x_max"),
    "Tile": ("repeats",),
    "Repeat": ("repeats", "axis"),
    "Pad": ("pad_width", "mode"),
    "Split": ("indices_or_sections", "axis"),
    "Unstack": ("num", "axis"),
    "Take": ("axis",),
    "LeakyRelu": ("negative_slope",),
    "Gelu": ("approximate",),
}


# How many arguments of a call come before those, where it is more than one.
OPERATION_INPUTS = {"Take": 2}


def layer_name(item: dict[str, Any]) -> str:
    config = item.get("config")
    return str(item.get("name") or (config.get("name") if type(config) is dict else None))


def legal(name: str) -> str:
    """A name as Keras 3 takes it."""
    return name.replace("/", "_")


def operation_of(item: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """An operation: what it is made with goes into its config, as Keras 3 has it."""
    name, class_name = layer_name(item), item["class_name"]
    config = {**item["config"], "name": legal(name)}
    options, inputs = OPERATION_OPTIONS.get(class_name, ()), OPERATION_INPUTS.get(class_name, 1)
    plain = class_name in ("GetItem", "Take")
    made = []
    for call in calls:
        args = call["args"]
        if options and len(args) > inputs:
            config |= {key: value for key, value in zip(options, args[inputs:], strict=False) if value is not None}
            args = args[:inputs]
        config |= {key: value for key, value in call["kwargs"].items() if key in options}
        kwargs = {key: value for key, value in call["kwargs"].items() if key not in options}
        if not plain:
            args = [_constant(arg, _float_dtype(args)) for arg in args]
        made.append({"args": args, "kwargs": kwargs})
    return {
        "module": item["module"], "class_name": class_name, "config": config, "registered_name": class_name,
        "name": legal(name), "inbound_nodes": made,
    }  # fmt: skip


def arrays_in_place(item: dict[str, Any], args: list[Any]) -> list[Any]:
    """The arguments of a layer or model, the arrays among them where Keras 3 takes them.

    Its merge layers and models must have a tensor of the graph first, and models take arrays as tensors alone.

    Raises:
        UnsupportedError: an array comes first, and its order counts.
    """
    class_name, inputs = item["class_name"], args[0] if len(args) == 1 else None
    if class_name in MODELS:
        args = [_as_tensors(arg) for arg in args]
        first = next(iter(_leaves(args)), None)
    elif CLASSES[class_name].order and type(inputs) is list and inputs:
        first = inputs[0]
    else:
        return args
    if not _is_array(first):
        return args
    if class_name not in MODELS and CLASSES[class_name].order == "any" and type(inputs) is list:
        return [sorted(inputs, key=_is_array)]
    raise UnsupportedError(
        f"layer '{printable(layer_name(item))}' ({printable(class_name)}): Keras 3 takes no array as its first input",
        "E_NO_EQUIVALENT",
    )


def _is_array(value: Any) -> bool:
    return type(value) is dict and value.get("class_name") in ("__numpy__", "__tensor__")


def _leaves(value: Any) -> list[Any]:
    return [leaf for item in value for leaf in _leaves(item)] if type(value) is list else [value]


def _as_tensors(value: Any) -> Any:
    if type(value) is list:
        return [_as_tensors(item) for item in value]
    return {**value, "class_name": "__tensor__"} if _is_array(value) else value


def _float_dtype(args: Any) -> str | None:
    """The floating point dtype of the tensors among the arguments of an operation; None where there is not just one."""
    if type(args) is list:
        found = {dtype for arg in args if (dtype := _float_dtype(arg)) is not None}
        return found.pop() if len(found) == 1 else None
    if type(args) is dict and args.get("class_name") == "__keras_tensor__":
        dtype = args["config"]["dtype"]
        return str(dtype) if dtype in FLOATS else None
    return None


def _constant(value: Any, dtype: str | None) -> Any:
    """Numbers as the array that Keras 3 takes in their place, in the dtype of the tensors they meet, as before it."""
    if type(value) is dict and value.get("class_name") == "__numpy__" and dtype is not None:
        config = value["config"]
        return {**value, "config": {**config, "dtype": dtype}} if config["dtype"] in FLOATS else value
    if type(value) is list and value and all(type(number) in (int, float, list) for number in value):
        return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}
    if type(value) is list:
        return [_constant(item, dtype) for item in value]
    return value
