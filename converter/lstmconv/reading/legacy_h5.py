"""The `.h5` file of Keras 1, 2 and 3: weights by layer name, in the order that an attribute gives.

    /                     attributes model_config, keras_version, backend     (model.save)
    /model_weights        attributes layer_names, keras_version, backend      (of save_weights: these are at the root)
    /model_weights/lstm   attribute weight_names = lstm/lstm_cell/kernel:0, …: paths of datasets below

A list over 64 KB is cut into attributes layer_names0, layer_names1, …
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidFileError, UnsupportedError, printable
from .hdf5.file import Hdf5File
from .hdf5.objects import Attributes
from .keras_archive import model_config, version_text
from .strict_json import parse_json

_MODELS_OWN = "top_level_model_weights"  # variables of the model itself, beside those of its layers


class LegacyWeights:
    """Weights addressed by the name of the layer at the top of the model; nested layers are part of theirs."""

    layer_names: tuple[str, ...]

    def __init__(self, file: Hdf5File, root: str, shown: str) -> None:
        """Raises InvalidFileError (E_H5_MISSING, E_H5_ALIAS, E_H5_ATTRIBUTE) where names and groups do not fit."""
        self._file = file
        self._root = root
        self._shown = shown
        self._owners: dict[str, str] = {}
        names = _text_list(file.attributes(root), "layer_names", shown)
        if names is None:
            raise InvalidFileError(f"{shown}: has no list of layers", "E_H5_MISSING")
        if len(set(names)) != len(names):
            raise InvalidFileError(f"{shown}: two layers have the same name", "E_H5_ALIAS")
        self.layer_names = names
        self._weight_names: dict[str, tuple[str, ...]] = {}
        for name in names:
            self._weight_names[name] = self._checked_weights(name)

    def arrays(self, layer_name: str) -> list[np.ndarray]:
        """The arrays of a layer in the order of its `weight_names`; a layer that is not in the file has none."""
        return [self._file.array(self._path(layer_name, weight)) for weight in self.weight_names(layer_name)]

    def weight_names(self, layer_name: str) -> tuple[str, ...]:
        """The names of the arrays of a layer, as the file says; () for a layer that is not in the file."""
        return self._weight_names.get(layer_name, ())

    def dtype_name(self, layer_name: str, index: int) -> str:
        """The stored type of array `index` of a layer; "bfloat16" where `arrays` gives float32."""
        return self._file.dtype_name(self._path(layer_name, self.weight_names(layer_name)[index]))

    def unread(self) -> tuple[str, ...]:
        """The paths of arrays in the group of a layer, or of the model's own, that no list of weights names."""
        return tuple(path for path in self._unnamed() if self._is_inside(path))

    def outside(self) -> tuple[str, ...]:
        """The paths of arrays outside the groups of all layers, where Keras does not look."""
        return tuple(path for path in self._unnamed() if not self._is_inside(path))

    def _unnamed(self) -> tuple[str, ...]:
        return tuple(path for path in self._file.datasets() if path not in self._owners)

    def _is_inside(self, path: str) -> bool:
        root = f"{self._root}/" if self._root else ""
        return any(path.startswith(f"{root}{name}/") for name in (*self.layer_names, _MODELS_OWN))

    def _checked_weights(self, layer: str) -> tuple[str, ...]:
        group = f"{self._root}/{layer}" if self._root else layer
        shown = printable(layer, 80)
        if not self._file.is_group(group):
            raise InvalidFileError(f"{self._shown}: layer '{shown}' has no group", "E_H5_MISSING")
        weights = _text_list(self._file.attributes(group), "weight_names", self._shown)
        if weights is None:
            raise InvalidFileError(f"{self._shown}: layer '{shown}' has no list of weights", "E_H5_MISSING")
        for weight in weights:
            path = self._path(layer, weight)
            if not self._file.is_dataset(path):
                raise InvalidFileError(
                    f"{self._shown}: weight '{printable(weight, 80)}' of layer '{shown}' is not there", "E_H5_MISSING"
                )
            if path in self._owners:
                raise InvalidFileError(f"{self._shown}: weight '{printable(weight, 80)}' is listed twice", "E_H5_ALIAS")
            self._owners[path] = layer
        return weights

    def _path(self, layer: str, weight: str) -> str:
        # Only ever a key of the table of datasets, so ".." and "/" lead nowhere else.
        return f"{self._root}/{layer}/{weight}" if self._root else f"{layer}/{weight}"


def read_legacy(file: Hdf5File, shown: str) -> tuple[str, dict[str, Any] | None, str | None, str | None, LegacyWeights]:
    """(container, config, Keras version, backend, weights) of a legacy `.h5`, with or without a config."""
    top = file.attributes("")
    root = "model_weights" if file.is_group("model_weights") else ""
    inner = file.attributes(root)
    if "nb_layers" in top or "nb_layers" in inner:
        raise UnsupportedError(f"{shown}: was written by a Keras older than 1.0", "E_KERAS_TOO_OLD")
    config = None
    if "model_config" in top:
        text = _text(top, "model_config", shown)
        config = model_config(parse_json((text or "").encode(), f"{shown}: model_config"), shown)
    version = _text(top, "keras_version", shown) or _text(inner, "keras_version", shown)
    backend = _text(top, "backend", shown) or _text(inner, "backend", shown)
    if backend is not None and len(backend) > 64:
        raise InvalidFileError(f"{shown}: its backend is not a short text", "E_CONFIG_TYPE")
    container = "legacy-weights-h5" if config is None else "legacy-h5"
    return container, config, version_text(version, shown), backend, LegacyWeights(file, root, shown)


def is_legacy(file: Hdf5File) -> bool:
    """Whether `file` has the marks of a legacy `.h5`, rather than those of a Keras 3 `.weights.h5`."""
    marks = {name.rstrip("0123456789") for name in file.attributes("")}
    return bool(marks & {"model_config", "layer_names", "nb_layers"}) or file.is_group("model_weights")


def _text(attributes: Attributes, name: str, shown: str) -> str | None:
    if name not in attributes:
        return None
    value = attributes[name]
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise InvalidFileError(f"{shown}: attribute {name} is not a text", "E_H5_ATTRIBUTE")
    return value


def _text_list(attributes: Attributes, name: str, shown: str) -> tuple[str, ...] | None:
    """The list of texts `name`, put together from its numbered pieces; None when there is neither."""
    pieces = {key: value for key, value in attributes.items() if key.rstrip("0123456789") == name}
    if not pieces:
        return None
    keys = [name] if name in pieces else [f"{name}{index}" for index in range(len(pieces))]
    if set(keys) != set(pieces):
        raise InvalidFileError(f"{shown}: a piece of the list {name} is missing", "E_H5_ATTRIBUTE")
    result: list[str] = []
    for key in keys:
        value = pieces[key]
        if not isinstance(value, tuple):
            raise InvalidFileError(f"{shown}: attribute {key} is not a list", "E_H5_ATTRIBUTE")
        result += value
    return tuple(result)
