"""Layers that the owner of a model puts in the place of those that cannot be read: a Lambda, a class of their own.

A Lambda holds bytecode, which is never run; what it computes, its owner knows. A replacement is a supported layer, or
a small functional model, in Keras's own JSON: `{"class_name": …, "config": {…}}`. It is understood as the Keras that
wrote the file would understand it, and gets the arrays that the file has for the layer it replaces, by their shapes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..errors import Hint, UsageError, printable

WRAPPED = ("layer", "backward_layer", "cell")  # keys of a wrapper's config that hold a layer


def with_replacements(config: Any, given: Mapping[str, Any], supported: Collection[str]) -> Any:
    """The config of a model, in today's form, with layers replaced.

    Args:
        given: by name, {"class_name": …, "config": …}, as JSON has it; a layer inside a model or a wrapper has
            the names around it before its own: `encoder.lambda`.
        supported: classes that can be converted as they are, and must be.

    Raises:
        UsageError: there is no such layer, it needs no replacement, or what is given is not a serialised layer.
    """
    if not given:
        return config
    given = {name: _as_json(name, layer) for name, layer in given.items()}
    changed, found = _model(config, "", given, supported), set(_names(config, ""))
    for name in sorted(set(given) - found):
        shown = ", ".join(sorted(printable(other) for other in found)[:20])
        raise UsageError(f"there is no layer '{printable(name)}' to replace; the model has {shown}")
    return changed


def _as_json(name: str, layer: Any) -> dict[str, Any]:
    """A serialised layer as a JSON file would hold it: Keras itself serialises with tuples."""
    try:
        made = json.loads(json.dumps(layer, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        made = None
    if type(made) is not dict or type(made.get("class_name")) is not str or type(made.get("config")) is not dict:
        raise UsageError(
            f"the replacement of layer '{printable(name)}' is not a layer of Keras in JSON: an object with class_name "
            "and config"
        )
    return made


def replacements(config: Any) -> dict[str, str]:
    """What was replaced in a config: by name, "Lambda by Activation"."""
    return {
        name: f"{item['replaces']} by {item['class_name']}" for name, item in _items(config, "") if "replaces" in item
    }


def _layers(item: Any) -> list[Any]:
    config = item.get("config") if type(item) is dict else None
    layers = config.get("layers") if type(config) is dict else None
    return layers if type(layers) is list else []


def _own_name(item: Any) -> str:
    config = item.get("config")
    name = item.get("name") or (config.get("name") if type(config) is dict else None)
    return str(name)


def _items(item: Any, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every layer below a model or wrapper, with its dotted name."""
    inside = _layers(item)
    if not inside and type(item.get("config")) is dict:
        inside = [item["config"][key] for key in WRAPPED if type(item["config"].get(key)) is dict]
    for layer in inside:
        if type(layer) is dict:
            name = f"{prefix}{_own_name(layer)}"
            yield name, layer
            yield from _items(layer, f"{name}.")


def _names(config: Any, prefix: str) -> Iterator[str]:
    return (name for name, _ in _items(config, prefix))


def _model(item: dict[str, Any], prefix: str, given: Mapping[str, Any], supported: Collection[str]) -> dict[str, Any]:
    """A model or wrapper with the layers below it replaced; the item itself where there are none to replace."""
    config = item.get("config")
    if type(config) is not dict:
        return item
    if type(config.get("layers")) is list:
        layers = [_layer(layer, prefix, given, supported) for layer in config["layers"]]
        return {**item, "config": {**config, "layers": layers}}
    wrapped = {key: _layer(config[key], prefix, given, supported) for key in WRAPPED if type(config.get(key)) is dict}
    return {**item, "config": {**config, **wrapped}} if wrapped else item


def _layer(item: Any, prefix: str, given: Mapping[str, Any], supported: Collection[str]) -> Any:
    if type(item) is not dict:
        return item
    name = f"{prefix}{_own_name(item)}"
    if name not in given:
        return _model(item, f"{name}.", given, supported)
    old, new = str(item.get("class_name")), given[name]
    if old in supported and item.get("registered_name") in (None, old):
        raise UsageError(f"layer '{printable(name)}' is of the class {printable(old)}, which is converted as it is")
    kept = {key: item[key] for key in ("name", "inbound_nodes") if key in item}
    config = {**new["config"], "name": _own_name(item)}
    return {"class_name": new["class_name"], "config": config, **kept, "replaces": old}


# --- what an error says of a layer that can be replaced ---------------------------------------------------------------


def way_out(name: str) -> Hint:
    """What the owner of a layer can do about it."""
    file = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in printable(name, 60))
    return Hint(
        "whoever knows can put a layer or model of Keras that computes the same in its place: {}",
        "replace",
        f"{printable(name, 60)}={file}.json",
        '{"' + printable(name, 60) + '": {"class_name": ..., "config": ...}}',
    )


def about_lambda(config: Mapping[str, Any]) -> str:
    """What a Lambda says of itself: the name of its function, its module and its arguments; nothing in it is run."""
    function, arguments = config.get("function"), config.get("arguments")
    name, module = function, config.get("module")
    if type(function) is dict:
        inner = function.get("config")
        name, module = (inner if function.get("class_name") == "function" else None), function.get("module")
    named = type(name) is str and name.isidentifier() and len(name) < 80
    parts = [f"its function is '{printable(name)}'" if named else "its function is a Python lambda, kept as bytecode"]
    if type(module) is str and module not in ("builtins", "__main__"):
        parts.append(f"of module '{printable(module, 80)}'")
    if type(arguments) is dict and arguments:
        parts.append(f"with the arguments {printable(json.dumps(arguments, default=str), 200)}")
    return " ".join(parts)
