"""The `.keras` archive and the `.weights.h5` file of Keras 3: weights by the path of the object that owns them.

A container of layers is called `layers`; Keras 2.12 to 2.14 called it `_layer_checkpoint_dependencies`. Here it is
`layers` always.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidFileError, LimitError, UnsupportedError, printable
from .hdf5.file import MAX_DEPTH, Hdf5File
from .lookalikes import zip_looks_like
from .strict_json import MAX_JSON_BYTES, parse_json
from .strict_zip import StrictZip

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_OLD_LAYERS = "_layer_checkpoint_dependencies"
MAX_WEIGHTS_BYTES = 4 * 2**30
_MAX_SHOWN = 5

WINDOWS_PATHS = (
    "the paths in its HDF5 file are joined by backslashes, as tf.keras 2.13 to 2.15 wrote them on Windows; no Keras "
    "elsewhere, and none since, finds the weights"
)


class ArchiveWeights:
    """Weights addressed by path: "layers/lstm/cell" owns the datasets `layers/lstm/cell/vars/0`, `…/1`, …

    Attributes:
        windows_paths: the file has paths joined by "\\", as tf.keras 2.13 to 2.15 wrote them on Windows.
    """

    windows_paths: bool

    def __init__(self, file: Hdf5File) -> None:
        """Raises InvalidFileError (E_H5_ALIAS) where two objects have the same path, LimitError (E_LIMIT_DEPTH)."""
        self._file = file
        self._handed_out: set[str] = set()
        self.windows_paths = any("\\" in path for path in file.groups())
        self._own_groups = _todays_paths(file.groups(), file.groups())
        self._own_datasets = _todays_paths(file.datasets(), file.groups())
        self._groups: dict[str, list[str]] = {"": []}
        for path in self._own_groups:
            self._enter(path)

    def _enter(self, path: str) -> None:
        """Notes a group, and those above it, which a file with joined names does not hold as objects."""
        if path not in self._groups:
            above, _, name = path.rpartition("/")
            self._enter(above)
            self._groups[above].append(name)
            self._groups[path] = []

    def groups(self, path: str) -> tuple[str, ...]:
        """The names of the groups in the group at `path` ("" is the root), in file order; () when there is none."""
        return tuple(self._groups.get(path, ()))

    def has(self, path: str) -> bool:
        """Whether there is a group at `path`."""
        return path in self._groups

    def arrays(self, path: str) -> list[np.ndarray]:
        """The arrays of the object at `path`, in number order; [] when it is absent or has none.

        Raises InvalidFileError when a number is missing or an array is not what it declares.
        """
        owner = _join(path, "vars")
        count = sum(1 for name in self._held(owner) if name.isascii() and name.isdigit())
        return [self._take(f"{owner}/{index}") for index in range(count)]

    def below(self, path: str) -> list[tuple[str, tuple[int, ...]]]:
        """Every array in the group at `path` and in those inside it: where `array_at` finds it, and its shape."""
        inside = sorted((name for name in self._own_datasets if name.startswith(f"{path}/")), key=_counting)
        return [(name, self._file.array(self._own_datasets[name]).shape) for name in inside]

    def array_at(self, dataset: str) -> np.ndarray:
        """An array that `below` has listed."""
        return self._take(dataset)

    def numbered(self, path: str) -> dict[int, np.ndarray]:
        """The arrays of the object at `path` that are in this file, by number; a shard may hold some of them only."""
        owner = _join(path, "vars")
        numbers = [int(name) for name in self._held(owner) if name.isascii() and name.isdigit() and len(name) < 10]
        return {number: self._take(f"{owner}/{number}") for number in sorted(numbers)}

    def _held(self, group: str) -> tuple[str, ...]:
        """The names of all that lies in a group."""
        own = self._own_groups.get(group)
        return () if own is None else self._file.children(own)

    def _take(self, dataset: str) -> np.ndarray:
        array = self._file.array(self._own_datasets.get(dataset, dataset))
        self._handed_out.add(dataset)
        return array

    def dtype_name(self, path: str, index: int) -> str:
        """The stored type of array `index` of the object at `path`; "bfloat16" where `arrays` gives float32."""
        own = self._own_datasets.get(f"{_join(path, 'vars')}/{index}")
        if own is None:
            raise InvalidFileError(f"'{printable(path, 100)}' has no array {index}", "E_H5_MISSING")
        return self._file.dtype_name(own)

    def unread(self) -> tuple[str, ...]:
        """The paths of the arrays of the model that `arrays` never handed out, the state of training left aside."""
        return tuple(path for path in self._own_datasets if path not in self._handed_out and not _outside(path))

    def outside(self) -> tuple[str, ...]:
        """The paths of the arrays that lie where no part of a model has its own, and Keras does not look."""
        return tuple(path for path in self._own_datasets if _outside(path))

    def name(self, path: str) -> str | None:
        """The name of the object at `path`, which Keras writes since 3.6; None where it does not say."""
        own = self._own_groups.get(_join(path, "vars"))
        value = self._file.attributes(own).get("name") if own is not None else None
        return value if isinstance(value, str) else None


def _outside(path: str) -> bool:
    """Whether an array of an archive belongs neither to a layer nor to the model itself."""
    return path.partition("/")[0] not in ("layers", "vars")


def _todays_paths(paths: Iterable[str], groups: Iterable[str]) -> dict[str, str]:
    """Paths as Keras 3 writes them, by which those of the file are found.

    Args:
        groups: of the file; they say where the old name of `layers` stands for it.
    """
    known = {prefix for group in groups for prefix in accumulate(_names(group), "{}/{}".format)}
    made: dict[str, str] = {}
    for own in paths:
        names = _names(own)
        above = ["", *accumulate((f"{name}/" for name in names), str.__add__)]
        parts = [
            "layers" if name == _OLD_LAYERS and f"{group}layers" not in known else name
            for group, name in zip(above, names, strict=False)
        ]
        path = "/".join(parts)
        if path in made:
            raise InvalidFileError(f"'{printable(own, 100)}' is in the file twice", "E_H5_ALIAS")
        made[path] = own
    return made


def _names(path: str) -> list[str]:
    names = path.replace("\\", "/").split("/")
    if len(names) > MAX_DEPTH:
        raise LimitError(f"'{printable(path, 100)}': has a path of over {MAX_DEPTH} names", "E_LIMIT_DEPTH")
    return names


class Archive(NamedTuple):
    """A model in the form of Keras 3, from an archive or a folder."""

    config: dict[str, Any]
    keras_version: str | None
    weights: ArchiveWeights
    warnings: tuple[str, ...]


def read_archive(data: memoryview, shown: str) -> Archive:
    """The model in the `.keras` archive `data`."""
    archive = StrictZip(data, shown)
    names = archive.names()
    other = zip_looks_like(names)
    config_name, metadata_name, weights_name = (name.encode() for name in (CONFIG, METADATA, WEIGHTS))
    if config_name not in names and other is not None:
        raise InvalidFileError(f"{shown}: looks like {other}", "E_NOT_A_MODEL")
    config = archive.read(config_name, MAX_JSON_BYTES)
    metadata = archive.read(metadata_name, MAX_JSON_BYTES) if metadata_name in names else None
    refuse_other_weights({name.decode("latin-1") for name in names}, shown)
    made = archive_of(config, metadata, archive.read(weights_name, MAX_WEIGHTS_BYTES), shown)
    others = [name for name in names if name not in (config_name, metadata_name, weights_name)]
    return made._replace(warnings=(*made.warnings, *_unread_members(others)))


def archive_of(
    config: bytes | memoryview, metadata: bytes | memoryview | None, weights: bytes | memoryview, shown: str
) -> Archive:
    """The model of which `config` is the config.json, and so on; `metadata` is None where there is no such file."""
    warnings = []
    parsed = model_config(parse_json(config, f"{shown}: {CONFIG}"), shown)
    version = None
    if metadata is not None:
        about = parse_json(metadata, f"{shown}: {METADATA}")
        if not isinstance(about, dict):
            raise InvalidFileError(f"{shown}: {METADATA} holds no object", "E_CONFIG_TYPE")
        version = version_text(about.get("keras_version"), shown)
    else:
        warnings.append("there is no metadata.json, which says the Keras version")
    held = ArchiveWeights(Hdf5File(memoryview(weights), f"{shown}: {WEIGHTS}"))
    return Archive(parsed, version, held, (*warnings, *notes_on(held)))


def refuse_other_weights(names: Collection[str], shown: str) -> None:
    """Refuses an archive or a folder whose weights are in another form than one HDF5 file."""
    if WEIGHTS not in names and "model.weights.npz" in names:
        raise UnsupportedError(
            f"{shown}: the weights are in model.weights.npz; save the model where h5py is installed", "E_NPZ_WEIGHTS"
        )
    if WEIGHTS not in names and "model.weights.json" in names:
        raise UnsupportedError(f"{shown}: the weights are in several files; save without shards", "E_SHARDED_WEIGHTS")


def notes_on(weights: ArchiveWeights) -> tuple[str, ...]:
    """What the user should know about a file of weights."""
    windows = (WINDOWS_PATHS,) if weights.windows_paths else ()
    return (*windows, *outside_note(weights.outside()))


def outside_note(paths: Sequence[str]) -> tuple[str, ...]:
    """The warning about arrays that belong to no layer; () where there are none."""
    if not paths:
        return ()
    named = ", ".join(f"'{printable(path, 60)}'" for path in paths[:_MAX_SHOWN])
    more = f" and {len(paths) - _MAX_SHOWN} more" if len(paths) > _MAX_SHOWN else ""
    return (f"the file holds arrays outside the layers, which Keras does not read either: {named}{more}",)


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


def _unread_members(others: Sequence[bytes]) -> list[str]:
    warnings = [
        f"member '{printable(name.decode('latin-1'), 80)}' of the archive was not read" for name in others[:_MAX_SHOWN]
    ]
    if len(others) > _MAX_SHOWN:
        warnings.append(f"{len(others) - _MAX_SHOWN} more members of the archive were not read")
    return warnings


def _counting(path: str) -> list[tuple[bool, int, str]]:
    """Sorts 2 before 10."""
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in path.split("/")]


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
