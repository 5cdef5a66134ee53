"""Writes a `.keras` archive of Keras 3: config.json, metadata.json and model.weights.h5 in a zip. Needs h5py."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from lstmconv_runtime.format.graph import Array

from ..errors import MissingPackageError
from ..reading.layer_weights import snake_case

INSTALL = "pip install 'lstmconv[upgrade]'"
KERAS_VERSION = "3.15.1"  # whose form the archive has, and whose semantics it was checked under
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment a zip can hold: equal models give equal archives


Path = tuple[str, ...]
"""Attributes and layer names from the model to an object: ("layers", "bi", "forward_layer", "cell")."""


def require_h5py() -> Any:
    """h5py, the only package here that writes HDF5.

    Raises:
        MissingPackageError: says what to install.
    """
    try:
        import h5py
    except ImportError:
        raise MissingPackageError(f"needs h5py to write HDF5, which is not installed: {INSTALL}") from None
    return h5py


def archive_bytes(config: dict[str, Any], arrays: Mapping[Path, Sequence[Array]]) -> bytes:
    """The archive of a model.

    Args:
        config: the model in the form of Keras 3.
        arrays: of each object, in the order in which Keras numbers its variables.

    Raises:
        MissingPackageError: h5py is not installed.
    """
    metadata = {"keras_version": KERAS_VERSION}
    members = {
        "metadata.json": json.dumps(metadata).encode(),
        "config.json": json.dumps(config).encode(),
        "model.weights.h5": _weights_bytes(config, arrays),
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zip_file:
        for name, data in members.items():
            zip_file.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return archive.getvalue()


def _weights_bytes(config: dict[str, Any], arrays: Mapping[Path, Sequence[Array]]) -> bytes:
    h5py = require_h5py()
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        file.create_group("vars")
        for path, held in arrays.items():
            place, name = _stored_path(config, path)
            group = file.create_group(f"{place}/vars")
            group.attrs["name"] = name
            for index, array in enumerate(held):
                group.create_dataset(str(index), data=array, track_times=False)
    return data.getvalue()


def _stored_path(model: dict[str, Any], path: Path) -> tuple[str, str]:
    """Where Keras 3 keeps an object: layers by class, numbered in the order of the model; and the object's name."""
    parts: list[str] = []
    item = model
    steps = iter(path)
    for attribute in steps:
        parts.append(attribute)
        if attribute in ("layers", "cells"):
            members = [layer for layer in item["config"][attribute] if not _is_operation(layer)]
            wanted = next(steps)
            index = (
                int(wanted) if attribute == "cells" else [layer["config"]["name"] for layer in members].index(wanted)
            )
            item = members[index]
            same = sum(1 for layer in members[:index] if layer["class_name"] == item["class_name"])
            parts.append(snake_case(item["class_name"]) + (f"_{same}" if same else ""))
        else:
            item = _child(item, attribute)
    return "/".join(parts), str(item["config"].get("name", parts[-1]))


def _child(item: dict[str, Any], attribute: str) -> dict[str, Any]:
    """The object in an attribute of a layer; the cell of an LSTM layer is not in its config."""
    key = "layer" if attribute == "forward_layer" else attribute
    found = item["config"].get(key)
    if isinstance(found, dict):
        return found
    return {"class_name": f"{item['class_name']}Cell", "config": {"name": f"{snake_case(item['class_name'])}_cell"}}


def _is_operation(item: dict[str, Any]) -> bool:
    return str(item.get("module")).startswith("keras.src.ops")
