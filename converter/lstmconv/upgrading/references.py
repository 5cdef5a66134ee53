"""References to tensors in the calls of an archive, and operations that make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..graph.keras_classes import CLASSES


def operation_on(
    module: str, class_name: str, name: str, options: dict[str, Any], calls: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "module": module, "class_name": class_name, "config": {"name": name, **options},
        "registered_name": class_name, "name": name, "inbound_nodes": calls,
    }  # fmt: skip


def masks_of(item: Mapping[str, Any]) -> str:
    """What a layer of Keras 3 does with the masks of its inputs: `KerasClass.masks`."""
    row = CLASSES.get(item["class_name"])
    return row.masks if row else ""


def is_tensor(value: Any) -> bool:
    return type(value) is dict and value.get("class_name") == "__keras_tensor__"


def parts(value: Any) -> list[Any]:
    """The references and arrays in the arguments of a call."""
    return [part for item in value for part in parts(item)] if type(value) is list else [value]


def references(value: Any) -> list[dict[str, Any]]:
    """The references in the arguments of a call."""
    return [part for part in parts(value) if is_tensor(part)]


def first_reference(call: dict[str, Any]) -> dict[str, Any] | None:
    """The first argument of a call, where it is a reference."""
    first = next(iter(parts(call["args"])), None)
    return first if is_tensor(first) else None


def moved_to(ref: dict[str, Any], to: tuple[Any, ...], shape: list[Any] | None = None) -> dict[str, Any]:
    """The same kind of tensor from another place."""
    config = {**ref["config"], "keras_history": list(to)}
    return {**ref, "config": config | ({"shape": shape} if shape else {})}
