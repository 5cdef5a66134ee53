"""A Sequential model as a Functional chain, whose calls can be given masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..history.dialects.inbound_nodes import tensor as reference_to


def functional_form(item: Mapping[str, Any]) -> dict[str, Any]:
    """A model in today's form with every Sequential in it as a Functional chain, whose calls can be given masks."""
    config = item["config"]
    layers = [functional_form(layer) if "layers" in layer.get("config", {}) else layer for layer in config["layers"]]
    layers = [_inner_form(layer) for layer in layers]
    made = {**item, "config": {**config, "layers": layers}}
    if item["class_name"] != "Sequential" or not layers or layers[0]["class_name"] != "InputLayer":
        return made
    names = [str(layer.get("name") or layer["config"].get("name")) for layer in layers]
    chained = [{**layers[0], "name": names[0], "inbound_nodes": []}]
    for before, name, layer in zip(names, names[1:], layers[1:], strict=False):
        call = {"args": [reference_to(before, 0, 0)], "kwargs": {}}
        chained.append({**layer, "name": name, "inbound_nodes": [call]})
    ends = {"input_layers": [[names[0], 0, 0]], "output_layers": [[names[-1], 0, 0]]}
    return {**made, "class_name": "Functional", "config": {**config, "layers": chained, **ends}}


def _inner_form(layer: dict[str, Any]) -> dict[str, Any]:
    inner = layer.get("config", {}).get("layer")
    if type(inner) is dict and "layers" in inner.get("config", {}):
        return {**layer, "config": {**layer["config"], "layer": functional_form(inner)}}
    return layer


def functional_models(
    item: dict[str, Any], prefix: str = "", path: tuple[str, ...] = ()
) -> list[tuple[dict[str, Any], str, tuple[str, ...]]]:
    """Every Functional model in an archive: its config, the prefix of its layers' names, the path of its arrays."""
    found = [(item["config"], prefix, path)] if item["class_name"] == "Functional" else []
    for layer in item["config"]["layers"]:
        name = layer["config"]["name"]
        if "layers" in layer["config"]:
            found += functional_models(layer, f"{prefix}{name}.", (*path, "layers", name))
    return found
