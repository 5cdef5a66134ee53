"""Arrays of one row that an old model merges with its tensors, as Keras 3 must be given them.

Its merge layers take the size of an array's batch for the model's: `Add()([x, array])` of x (None, 6, 3) and an array
(1, 6, 3) is said to be (1, 6, 3), and layers after it that look at shapes refuse the model. Operations broadcast, so
the array becomes one, with as many rows as a tensor it is merged with.
"""

from __future__ import annotations

from typing import Any

from ..errors import UnsupportedError, printable

PLACEWISE = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")


def with_rows(
    name: str, class_name: str, calls: list[dict[str, Any]], taken: set[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The operations that give the arrays of a layer's calls their rows, and the calls that read them.

    Args:
        calls: as Keras 3 writes them.
        taken: names of layers, which no operation may have.

    Raises:
        UnsupportedError: no tensor has as many axes as the array, or as another tensor that it meets.
    """
    operations: list[dict[str, Any]] = []
    if class_name not in PLACEWISE:
        return operations, calls
    made = []
    for call in calls:
        inputs = call["args"][0] if len(call["args"]) == 1 and type(call["args"][0]) is list else []
        tensors = [value["config"] for value in inputs if value.get("class_name") == "__keras_tensor__"]
        if any(config["shape"][0] != 1 for config in tensors):
            inputs = list(inputs)
            for place, value in enumerate(inputs):
                if _is_row(value):
                    operation = _repeated(name, class_name, value, tensors, taken)
                    operations.append(operation)
                    taken = {*taken, operation["name"]}
                    inputs[place] = _output(operation)
            call = {**call, "args": [inputs]}
        made.append(call)
    return operations, made


def _is_row(value: dict[str, Any]) -> bool:
    return value.get("class_name") in ("__numpy__", "__tensor__") and len(_shape(value)) > 0 and _shape(value)[0] == 1


def _shape(array: dict[str, Any]) -> list[int]:
    shape, value = [], array["config"]["value"]
    while type(value) is list:
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _repeated(
    name: str, class_name: str, array: dict[str, Any], tensors: list[dict[str, Any]], taken: set[str]
) -> dict[str, Any]:
    """where(True, array, x): the array, with as many rows as x."""
    shape, value = _shape(array), array["config"]["value"]
    rank = max(len(shape), *(len(config["shape"]) for config in tensors))
    x = next((config for config in tensors if len(config["shape"]) == rank and config["shape"][0] != 1), None)
    if x is None:
        raise UnsupportedError(
            f"layer '{printable(name)}' ({class_name}): Keras 3 takes the one row of an array of shape {tuple(shape)} "
            "for the size of the batch, where no tensor that it meets has as many axes",
            "E_NO_EQUIVALENT",
        )
    for _ in range(rank - len(shape)):  # as merges do: axes of size 1 after the batch
        value = [value]
    true: Any = True
    for _ in range(rank):
        true = [true]
    own, number = f"{name}_array", 0
    while own in taken:
        number += 1
        own = f"{name}_array_{number}"
    args = [
        {"class_name": "__numpy__", "config": {"value": true, "dtype": "bool"}},
        {"class_name": "__numpy__", "config": {**array["config"], "value": value}},
        {"class_name": "__keras_tensor__", "config": x},
    ]
    return {
        "module": "keras.src.ops.numpy", "class_name": "Where", "config": {"name": own}, "registered_name": "Where",
        "name": own, "inbound_nodes": [{"args": args, "kwargs": {}}],
    }  # fmt: skip


def _output(operation: dict[str, Any]) -> dict[str, Any]:
    _, array, x = operation["inbound_nodes"][0]["args"]
    sizes = [b if a == 1 else a for a, b in zip(_shape(array), x["config"]["shape"], strict=True)]
    config = {"shape": sizes, "dtype": x["config"]["dtype"], "keras_history": [operation["name"], 0, 0]}
    return {"class_name": "__keras_tensor__", "config": config}
