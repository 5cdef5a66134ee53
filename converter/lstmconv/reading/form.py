"""The form of a serialised model, checked once, so that the code behind the door can rely on it.

A config is a tree of objects, each with a class_name and a config; models hold layers, some layers hold others, and the
layers of a Functional model list their calls. `as_written` checks what is common to all ages, as it stands in a file;
`todays` checks the form of Keras 3, in which calls are written out, once older configs are translated (`dialects`).

What a *value* may be is for the readers of options to check (`config.Config`), and whether a class is supported for
those who know the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NotRequired, TypedDict, cast

from ..errors import InvalidFileError, LimitError, printable

MAX_LAYERS = 1000
MAX_NESTING = 20
MAX_NAME = 1000
MODELS = ("Sequential", "Functional", "Model")
EVER_MODELS = (*MODELS, "Container")  # of Keras 1 as well
HOLDERS = {
    "Bidirectional": "layer", "TimeDistributed": "layer", "SpectralNormalization": "layer", "RNN": "cell",
    "StackedRNNCells": "cells",
}  # fmt: skip
HELD = ("layer", "backward_layer", "cell", "cells")  # what other classes may hold under these keys is an object too
SHAPES = ("batch_shape", "batch_input_shape")


class Call(TypedDict):
    """One call of a layer in today's form; tensors are objects of the class `__keras_tensor__`."""

    args: list[Any]
    kwargs: dict[str, Any]


class Serialised(TypedDict):
    """A layer, model or operation of a config in today's form."""

    class_name: str
    config: dict[str, Any]
    name: NotRequired[str | None]
    module: NotRequired[str | None]
    registered_name: NotRequired[str | None]
    inbound_nodes: NotRequired[list[Call]]
    replaces: NotRequired[str]  # the class that stands in the file, where the owner has put another in its place


class ModelConfig(TypedDict):
    """The config of a Sequential or Functional model in today's form; the entries are triples, nested or not."""

    layers: list[Serialised]
    name: NotRequired[str | None]
    input_layers: NotRequired[list[Any] | dict[str, Any]]
    output_layers: NotRequired[list[Any] | dict[str, Any]]
    build_input_shape: NotRequired[list[int | None] | None]


def as_written(item: Any) -> Any:
    """The config of a model as a file of any age has it.

    Raises:
        InvalidFileError: it is not of the form of such a config.
        LimitError: more layers than any model has.
    """
    _check_object("the model", item, today=False)
    if item["class_name"] in EVER_MODELS:
        _check_model("the model", item, today=False, depth=0)
    return item


def todays(item: Any) -> Serialised:
    """The config of a model in the form of Keras 3.

    Raises:
        InvalidFileError: it is not of that form.
        LimitError: more layers than any model has.
    """
    _check_object("the model", item, today=True)
    if item["class_name"] in EVER_MODELS:
        _check_model("the model", item, today=True, depth=0)
    return cast(Serialised, item)


def name_of(item: Any) -> str:
    """The name of a serialised object; "" where it has none."""
    config = item["config"]
    name = item.get("name") or (config.get("name") if type(config) is dict else None)
    return name or ""


def is_reference(value: Any) -> bool:
    """Whether a value is a [layer, call, tensor, …] entry."""
    return (
        type(value) is list
        and len(value) >= 3
        and type(value[0]) is str
        and type(value[1]) is type(value[2]) is int
        and value[1] >= 0
        and value[2] >= 0
    )


def map_entries(change: Callable[[list[Any]], Any], structure: Any) -> Any:
    """input_layers or output_layers with every entry changed: one, or lists and dicts of them, nested at will."""
    if is_reference(structure):
        return change(structure)
    if type(structure) is dict:
        return {key: map_entries(change, item) for key, item in structure.items()}
    return [map_entries(change, item) for item in structure]


def flat_entries(structure: Any) -> list[Any]:
    """The entries of input_layers or output_layers in Keras's order, dicts by sorted key."""
    if is_reference(structure):
        return [structure]
    items = [structure[key] for key in sorted(structure)] if type(structure) is dict else structure
    return [entry for item in items for entry in flat_entries(item)]


def _wrong(where: str, what: str) -> InvalidFileError:
    return InvalidFileError(f"{where}: {what}", "E_CONFIG_TYPE")


def _check_object(where: str, item: Any, today: bool) -> None:
    """The outer form of one object."""
    if type(item) is not dict:
        raise _wrong(where, f"{printable(item, 60)} is not a serialised object")
    if type(item.get("class_name")) is not str or not item["class_name"]:
        raise _wrong(where, "an object has no class_name")
    where = f"{where}, class '{printable(item['class_name'], 60)}'"
    config = item.get("config")
    # Before Keras 2.2.3 the config of a Sequential model was its list of layers.
    if type(config) is not dict and (today or type(config) is not list or item["class_name"] != "Sequential"):
        raise _wrong(where, "its config is not an object")
    names = (item.get("name"), config.get("name") if type(config) is dict else None)
    for text in (*names, item.get("module"), item.get("registered_name")):
        if text is not None and type(text) is not str:
            raise _wrong(where, f"{printable(text, 60)} is not a name")
        if text is not None and len(text) > MAX_NAME:
            raise _wrong(where, f"a name of {len(text)} characters")
    if type(config) is dict:
        for key in SHAPES:
            if config.get(key) is not None:
                _check_shape(where, key, config[key])
        if item["class_name"] == "InputLayer" and all(config.get(key) is None for key in SHAPES):
            raise _wrong(where, "it has no shape")


def _check_shape(where: str, key: str, shape: Any) -> None:
    sizes = type(shape) is list and all(n is None or (type(n) is int and 0 <= n < 2**31) for n in shape)
    if not sizes or not shape:
        raise _wrong(where, f"{key} {printable(shape, 60)} is not a list of sizes, the batch's first")


def _check_model(where: str, item: Any, today: bool, depth: int) -> None:
    """The layers of a model, and what they hold."""
    if depth > MAX_NESTING:
        raise LimitError(f"{where}: models nested deeper than {MAX_NESTING}", "E_LIMIT_DEPTH")
    config = item["config"]
    layers = config.get("layers") if type(config) is dict else config
    if type(layers) is not list:
        raise _wrong(where, "its config has no list of layers")
    if len(layers) > MAX_LAYERS:
        raise LimitError(f"{where}: {len(layers)} layers, the limit is {MAX_LAYERS}", "E_LIMIT_LAYERS")
    names: set[str] = set()
    for layer in layers:
        _check_object(where, layer, today)
        name = name_of(layer)
        if today and not name:
            raise _wrong(where, f"a layer of class '{printable(layer['class_name'], 60)}' has no name")
        if name in names and name:
            raise InvalidFileError(f"{where}: two layers have the name '{printable(name, 60)}'", "E_GRAPH")
        names.add(name)
        own = f"layer '{printable(name, 60)}' ({printable(layer['class_name'], 60)})"
        _check_calls(own, layer.get("inbound_nodes", []), today)
        _check_inside(own, layer, today, depth)
    if item["class_name"] != "Sequential":
        _check_entries(where, config)
    shape = config.get("build_input_shape") if type(config) is dict else None
    if item["class_name"] == "Sequential" and shape is not None:
        _check_shape(where, "build_input_shape", shape)


def _check_inside(where: str, layer: Any, today: bool, depth: int) -> None:
    """A model used as a layer, or the layers that a wrapper holds."""
    if layer["class_name"] in EVER_MODELS:
        _check_model(where, layer, today, depth + 1)
        return
    config = layer["config"]
    if type(config) is not dict:
        return
    must = HOLDERS.get(layer["class_name"])
    for key in HELD:
        held = config.get(key)
        if held is None and key != must:
            continue
        if key == "cells" and (type(held) is not list or not held):
            raise _wrong(where, "cells is not a list of cells")
        for inner in held if key == "cells" and type(held) is list else [held]:
            _check_object(f"{where}, {key}", inner, today)
            _check_inside(f"{where}, {key}", inner, today, depth + 1)


def _check_calls(where: str, nodes: Any, today: bool) -> None:
    if type(nodes) is not list:
        raise _wrong(where, "inbound_nodes is not a list")
    for node in nodes:
        written_out = type(node) is dict and type(node.get("args")) is list and type(node.get("kwargs")) is dict
        if not written_out and (today or type(node) is not list):
            raise InvalidFileError(f"{where}: a call is malformed: {printable(node, 60)}", "E_GRAPH")
        for tensor in _tensors(node) if written_out else ():
            config = tensor.get("config")
            if type(config) is not dict or not is_reference(config.get("keras_history")):
                raise InvalidFileError(f"{where}: a call has a malformed tensor: {printable(tensor, 60)}", "E_GRAPH")


def _tensors(value: Any) -> Iterator[dict[str, Any]]:
    """Every serialised tensor in the arguments of a call."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is list:
            waiting += item
        elif type(item) is dict:
            if item.get("class_name") == "__keras_tensor__":
                yield item
            else:
                waiting += item.values()


def _check_entries(where: str, config: Any) -> None:
    """input_layers and output_layers of a Functional model."""
    for key in ("input_layers", "output_layers"):
        if type(config.get(key)) not in (list, dict):
            raise _wrong(where, f"its config has no {key}")
        found = list(_entries(where, key, config[key]))
        if not found:
            raise InvalidFileError(f"{where}: {key} is empty", "E_GRAPH")
        names = [name for name, _, _ in found]
        if key == "input_layers" and len(set(names)) != len(names):
            raise InvalidFileError(f"{where}: an input is listed twice", "E_GRAPH")


def _entries(where: str, key: str, value: Any) -> Iterator[tuple[str, int, int]]:
    """The triples in a nested structure of entries."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if is_reference(item):
            yield item[0], item[1], item[2]
        elif type(item) is list and not any(type(part) in (str, int) for part in item):
            waiting += item
        elif type(item) is dict:
            waiting += item.values()
        else:
            raise InvalidFileError(
                f"{where}: {printable(item, 60)} in {key} is not a layer, a call and a tensor", "E_GRAPH"
            )
