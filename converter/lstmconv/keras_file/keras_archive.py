"""The `.keras` archive and the `.weights.h5` file of Keras 3: weights by the path of the object that owns them.

A container of layers is called `layers`; Keras 2.12 to 2.14 called it `_layer_checkpoint_dependencies`. Here it is
`layers` always.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmconv.errors import InvalidFileError, UnsupportedError, printable
from lstmconv.keras_file.hdf5 import Hdf5File
from lstmconv.keras_file.lookalikes import zip_looks_like
from lstmconv.keras_file.strict_json import MAX_JSON_BYTES, parse_json
from lstmconv.keras_file.strict_zip import StrictZip

_CONFIG, _METADATA, _WEIGHTS = b"config.json", b"metadata.json", b"model.weights.h5"
_OLD_LAYERS = "_layer_checkpoint_dependencies"
_MAX_WEIGHTS_BYTES = 4 * 2**30
_MAX_MEMBERS_SHOWN = 5


class ArchiveWeights:
    """Weights addressed by path: "layers/lstm/cell" owns the datasets `layers/lstm/cell/vars/0`, `…/1`, …"""

    def __init__(self, file: Hdf5File) -> None:
        self._file = file
        self._handed_out: set[str] = set()

    def groups(self, path: str) -> tuple[str, ...]:
        """The names of the groups in the group at `path` ("" is the root), in file order; () when there is none."""
        real = self._real(path)
        if real is None:
            return ()
        names = self._file.children(real)
        groups = [name for name in names if self._file.is_group(_join(real, name))]
        if "layers" not in names:
            groups = ["layers" if name == _OLD_LAYERS else name for name in groups]
        return tuple(groups)

    def has(self, path: str) -> bool:
        """Whether there is a group at `path`."""
        real = self._real(path)
        return real is not None and self._file.is_group(real)

    def arrays(self, path: str) -> list[np.ndarray]:
        """The arrays of the object at `path`, in number order; [] when it is absent or has none.

        Raises InvalidFileError when a number is missing or an array is not what it declares.
        """
        owner = self._variables(path)
        if owner is None:
            return []
        count = sum(1 for name in self._file.children(owner) if name.isascii() and name.isdigit())
        return [self._take(f"{owner}/{index}") for index in range(count)]

    def below(self, path: str) -> list[tuple[str, tuple[int, ...]]]:
        """Every array in the group at `path` and in those inside it: where `array_at` finds it, and its shape."""
        real = self._real(path)
        datasets = [] if real is None else [name for name in self._file.datasets() if name.startswith(f"{real}/")]
        return [(name, self._file.array(name).shape) for name in sorted(datasets, key=_counting)]

    def array_at(self, dataset: str) -> np.ndarray:
        """An array that `below` has listed."""
        return self._take(dataset)

    def numbered(self, path: str) -> dict[int, np.ndarray]:
        """The arrays of the object at `path` that are in this file, by number; a shard may hold some of them only."""
        owner = self._variables(path)
        names = () if owner is None else self._file.children(owner)
        numbers = [int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 10]
        return {number: self._take(f"{owner}/{number}") for number in sorted(numbers)}

    def _take(self, dataset: str) -> np.ndarray:
        array = self._file.array(dataset)
        self._handed_out.add(dataset)
        return array

    def dtype_name(self, path: str, index: int) -> str:
        """The stored type of array `index` of the object at `path`; "bfloat16" where `arrays` gives float32."""
        owner = self._variables(path)
        if owner is None or not self._file.is_dataset(f"{owner}/{index}"):
            raise InvalidFileError(f"'{printable(path, 100)}' has no array {index}", "E_H5_MISSING")
        return self._file.dtype_name(f"{owner}/{index}")

    def unread(self) -> tuple[str, ...]:
        """The paths of the arrays that `arrays` never handed out, the state of training left aside."""
        return tuple(
            "/".join("layers" if part == _OLD_LAYERS else part for part in path.split("/"))
            for path in self._file.datasets()
            if path not in self._handed_out
        )

    def name(self, path: str) -> str | None:
        """The name of the object at `path`, which Keras writes since 3.6; None where it does not say."""
        owner = self._variables(path)
        value = self._file.attributes(owner).get("name") if owner is not None else None
        return value if isinstance(value, str) else None

    def _variables(self, path: str) -> str | None:
        return self._real(_join(path, "vars"))

    def _real(self, path: str) -> str | None:
        """The path in the file of what is called `path` here; None when there is nothing."""
        real = ""
        for part in path.split("/") if path else ():
            below = _join(real, part)
            if part == "layers" and part not in self._file.children(real):
                below = _join(real, _OLD_LAYERS)
            if not self._file.is_group(below):
                return None
            real = below
        return real


def read_archive(data: memoryview, shown: str) -> tuple[dict[str, Any], str | None, ArchiveWeights, tuple[str, ...]]:
    """(config, Keras version, weights, warnings) of the `.keras` archive `data`."""
    archive = StrictZip(data, shown)
    names = archive.names()
    other = zip_looks_like(names)
    if _CONFIG not in names and other is not None:
        raise InvalidFileError(f"{shown}: looks like {other}", "E_NOT_A_MODEL")
    warnings = []
    config = model_config(parse_json(archive.read(_CONFIG, MAX_JSON_BYTES), f"{shown}: config.json"), shown)
    version = None
    if _METADATA in names:
        metadata = parse_json(archive.read(_METADATA, MAX_JSON_BYTES), f"{shown}: metadata.json")
        if not isinstance(metadata, dict):
            raise InvalidFileError(f"{shown}: metadata.json holds no object", "E_CONFIG_TYPE")
        version = version_text(metadata.get("keras_version"), shown)
    else:
        warnings.append("the archive has no metadata.json, which says the Keras version")
    if _WEIGHTS not in names and b"model.weights.npz" in names:
        raise UnsupportedError(
            f"{shown}: the weights are in model.weights.npz; save the model where h5py is installed", "E_NPZ_WEIGHTS"
        )
    if _WEIGHTS not in names and b"model.weights.json" in names:
        raise UnsupportedError(f"{shown}: the weights are in several files; save without shards", "E_SHARDED_WEIGHTS")
    weights = archive.read(_WEIGHTS, _MAX_WEIGHTS_BYTES)
    warnings += _unread_members(names)
    return config, version, ArchiveWeights(Hdf5File(weights, f"{shown}: model.weights.h5")), tuple(warnings)


def model_config(value: Any, shown: str) -> dict[str, Any]:
    """`value`, once it has the outer form of a model's config. Raises InvalidFileError (E_CONFIG_TYPE)."""
    if not isinstance(value, dict) or type(value.get("class_name")) is not str or "config" not in value:
        raise InvalidFileError(f"{shown}: the config is not one of a Keras model", "E_CONFIG_TYPE")
    return value


def version_text(value: Any, shown: str) -> str | None:
    """`value` as the Keras version a file states: a short text or nothing."""
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > 64:
        raise InvalidFileError(f"{shown}: its Keras version is not a short text", "E_CONFIG_TYPE")
    return value


def _unread_members(names: tuple[bytes, ...]) -> list[str]:
    others = [name for name in names if name not in (_CONFIG, _METADATA, _WEIGHTS)]
    warnings = [
        f"member '{printable(name.decode('latin-1'), 80)}' of the archive was not read"
        for name in others[:_MAX_MEMBERS_SHOWN]
    ]
    if len(others) > _MAX_MEMBERS_SHOWN:
        warnings.append(f"{len(others) - _MAX_MEMBERS_SHOWN} more members of the archive were not read")
    return warnings


def _counting(path: str) -> list[tuple[bool, int, str]]:
    """Sorts 2 before 10."""
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in path.split("/")]


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
