"""The order in which Keras 3 keeps the layers of a Functional model, on which the places of their weights depend.

`layers/lstm_1` is the second LSTM of `model.layers`, and that list is made anew when a model is loaded: by depth,
counted from the outputs, and within a depth as a walk from the outputs meets them (`graph.depths`).
"""

from __future__ import annotations

from typing import Any

from ..graph.depths import CallId, depths_of
from ..reading.form import flat_entries


def ordered(item: dict[str, Any]) -> dict[str, Any]:
    """A serialised model of Keras 3 with its layers, and those of the models inside, in Keras's order.

    Layers that no output depends on are left out, as Keras leaves them.
    """
    config = item["config"]
    layers = [_inside(layer) for layer in config["layers"]]
    if item["class_name"] == "Functional":
        by_name = {layer["name"]: layer for layer in layers}
        layers = [by_name[name] for name in layer_order({**config, "layers": layers})]
    return {**item, "config": {**config, "layers": layers}}


def _inside(layer: dict[str, Any]) -> dict[str, Any]:
    if "layers" in layer["config"]:
        return ordered(layer)
    inner = layer["config"].get("layer")
    if isinstance(inner, dict) and "layers" in inner.get("config", {}):
        return {**layer, "config": {**layer["config"], "layer": ordered(inner)}}
    return layer


def layer_order(config: dict[str, Any]) -> list[str]:
    """The names of the layers of a Functional config, as `model.operations` would list them."""
    reads = {
        (layer["name"], number): _references([call["args"], call["kwargs"]])
        for layer in config["layers"]
        for number, call in enumerate(layer["inbound_nodes"])
    }
    nested = {layer["name"] for layer in config["layers"] if layer["class_name"] == "Functional"}
    outputs = [(name, number - (name in nested)) for name, number, _ in flat_entries(config["output_layers"])]
    _, of_layer, met = depths_of(reads, outputs)
    for name, _, _ in flat_entries(config["input_layers"]):
        if name not in of_layer:  # an input that no output depends on
            of_layer[name], met[name] = 0, -1
    return sorted(of_layer, key=lambda name: (-of_layer[name], met[name]))


def _references(value: Any) -> list[CallId]:
    """What the arguments of a call refer to, in Keras's order: dicts by sorted key."""
    if isinstance(value, list):
        return [call for item in value for call in _references(item)]
    if not isinstance(value, dict):
        return []
    if value.get("class_name") == "__keras_tensor__":
        name, number, _ = value["config"]["keras_history"]
        return [(name, number)]
    return [call for key in sorted(value) for call in _references(value[key])]
