"""Calls of functional models before Keras 3: [[["layer", node, tensor, {arguments}], …], …] → {"args", "kwargs"}."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidFileError, printable

RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "CuDNNLSTM", "CuDNNGRU")


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
            return value[2]
        return [arguments(item, names) for item in value]
    if type(value) is dict:
        return {key: arguments(item, names) for key, item in value.items()}
    return value


def todays_call(where: str, class_name: str, node: Any, names: set[str]) -> dict[str, Any]:
    """One call in today's form.

    A recurrent layer that was given its initial state has it among its inputs, after the sequence.

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
            inputs.append(item[2])
        elif is_reference(item, names):
            inputs.append(tensor(*item[:3]))
        else:
            raise InvalidFileError(f"{where}: calls on '{printable(item[0])}', which is no layer", "E_GRAPH")
    if class_name in RECURRENT and len(inputs) > 1:
        kwargs["initial_state"] = inputs[1:]
        inputs = inputs[:1]
    return {"args": inputs if len(inputs) == 1 else [inputs], "kwargs": kwargs}
