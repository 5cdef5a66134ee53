"""Calls of functional models before Keras 3: [[["layer", node, tensor, {arguments}], …], …] → {"args", "kwargs"}.

tf.keras wrote an array as nested lists of its numbers, ["_CONSTANT_VALUE", -1, numbers] among the inputs and the
numbers alone among the arguments; it could not read most of them back itself. Where a list of numbers stands for an
array, and where it is a list of arrays, follows from the rank that an argument has. The dtype is lost: tf.keras made
float32 of numbers with a fraction and int32 of whole ones.
"""

from __future__ import annotations

from typing import Any

from ...errors import InvalidFileError, printable

MASKS = ("attention_mask", "query_mask", "value_mask", "key_mask")
TENSORS = ("query", "value", "key")
OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceMethod")
STATE_RANK = {"ConvLSTM1D": 3, "ConvLSTM2D": 4, "ConvLSTM3D": 5}  # of an initial state; 2 elsewhere
RECURRENT = (
    "LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "CuDNNLSTM",
    "CuDNNGRU",
)  # fmt: skip


def tensor(name: str, node: int, index: int) -> dict[str, Any]:
    """A reference in today's form."""
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, node, index]}}


def is_reference(value: Any, names: set[str]) -> bool:
    return (
        type(value) is list
        and len(value) in (3, 4)
        and type(value[0]) is str
        and type(value[1]) is type(value[2]) is int
        and value[0] in names
    )


def arguments(value: Any, names: set[str]) -> Any:
    """An argument with the references in it in today's form."""
    if is_reference(value, names):
        return tensor(*value[:3])
    if type(value) is list:
        if len(value) == 3 and value[0] == "_CONSTANT_VALUE":
            return array(value[2])
        return [arguments(item, names) for item in value]
    if type(value) is dict:
        return {key: arguments(item, names) for key, item in value.items()}
    return value


def numbers(value: Any) -> list[Any] | None:
    """The numbers in nested lists of equal depth; None where there is anything else, or no list."""
    if type(value) is not list:
        return None
    found: list[Any] = []
    for item in value:
        if type(item) is list:
            inner = numbers(item)
            if inner is None:
                return None
            found += inner
        elif type(item) in (bool, int, float):
            found.append(item)
        else:
            return None
    return found


def depth(value: Any) -> int:
    return 1 + (depth(value[0]) if value else 0) if type(value) is list else 0


def array(value: Any) -> Any:
    """Nested lists of numbers as an array in today's form; anything else as it is."""
    found = numbers(value)
    if found is None:
        return value
    kinds = {type(number) for number in found}
    dtype = "bool" if kinds == {bool} else "int32" if kinds == {int} else "float32"
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": dtype}}


def arrays(value: Any, rank: int | None = None) -> Any:
    """The arrays in an argument in today's form: lists of numbers, of this rank where it is known."""
    if type(value) is list:
        if numbers(value) is not None and rank in (None, depth(value)):
            return array(value)
        return [arrays(item, rank) for item in value]
    return value


def arrays_of_layer(class_name: str, config: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a layer's call with the arrays among them in today's form."""
    made = dict(kwargs)
    for key, value in kwargs.items():
        if key == "initial_state":
            inner = config.get("layer") if class_name == "Bidirectional" and type(config) is dict else None
            known = inner.get("class_name") if type(inner) is dict else class_name
            made[key] = arrays(value, STATE_RANK.get(str(known), 2))
        elif key == "mask":
            made[key] = arrays(value, None if class_name == "Softmax" else 2)
        elif key in MASKS or key in TENSORS:
            made[key] = arrays(value)
    return made


def todays_call(where: str, class_name: str, config: Any, node: Any, names: set[str]) -> dict[str, Any]:
    """One call in today's form.

    A recurrent layer that was given its initial state has it among its inputs, after the sequence.

    Args:
        config: of the layer that is called.

    Raises:
        InvalidFileError: not a call.
    """
    if type(node) is dict:  # already today's
        return node
    if is_reference(node, names) or (type(node) is list and node[:1] == ["_CONSTANT_VALUE"]):
        # tf.keras writes a single input without the list around it
        node = [node]
    if type(node) is not list or not node:
        raise InvalidFileError(f"{where}: a call is not a list of inputs: {printable(node)}", "E_GRAPH")
    inputs: list[Any] = []
    kwargs: dict[str, Any] = {}
    for item in node:
        if type(item) is not list or len(item) < 3:
            raise InvalidFileError(f"{where}: a call has a malformed input: {printable(item)}", "E_GRAPH")
        if len(item) > 3 and type(item[3]) is dict:
            kwargs.update(arguments(item[3], names))
        if item[0] == "_CONSTANT_VALUE":
            inputs.append(array(item[2]))
        elif is_reference(item, names):
            inputs.append(tensor(*item[:3]))
        else:
            raise InvalidFileError(f"{where}: calls on '{printable(item[0])}', which is no layer", "E_GRAPH")
    if class_name not in OPERATIONS:
        kwargs = arrays_of_layer(class_name, config, kwargs)
    if class_name in RECURRENT and len(inputs) > 1:
        kwargs["initial_state"] = inputs[1:]
        inputs = inputs[:1]
    return {"args": inputs if len(inputs) == 1 else [inputs], "kwargs": kwargs}
