"""Reads the files Keras writes, as data: the only code of the converter that touches an untrusted file.

    read_bytes.py      path → bytes, once
    strict_zip.py      the members of a `.keras` archive
    strict_json.py     configs
    metered_bytes.py   what the HDF5 parser (pyfive) reads from, and the net under its exceptions
    hdf5_objects.py    HDF5 headers, links, attributes
    hdf5_storage.py    HDF5 datasets → arrays
    hdf5.py            an HDF5 file as a checked tree
    keras_archive.py   `.keras` and `.weights.h5` of Keras 3
    folder.py          the folder that Keras 3 writes with `zipped=False`
    sharded.py         `.weights.json` and its shards
    legacy_h5.py       `.h5` of Keras 1, 2 and 3

Nothing in a file is executed, imported, or used as a path. A file is what its first bytes say, whatever its name.
Any bytes at all end in a `KerasFile` or in a `lstmconv.errors.LstmconvError`, in time and memory bounded by the size.
Whether the weights are those that the config implies is for the caller to check (`ArchiveWeights.unread`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import Hint, InvalidFileError, LimitError, UsageError, printable
from ..files.read_bytes import read_bytes
from .folder import is_model_folder, read_folder, shown_name
from .hdf5.file import SIGNATURE, Hdf5File
from .keras_archive import ArchiveWeights, model_config, notes_on, outside_note, read_archive
from .legacy_h5 import LegacyWeights, is_legacy, read_legacy
from .lookalikes import JSON_TEXT, looks_like
from .sharded import SUFFIX, read_shards
from .strict_json import MAX_JSON_BYTES, parse_json

__all__ = [
    "ArchiveWeights",
    "KerasFile",
    "LegacyWeights",
    "keras_file_of",
    "parse_keras_file",
    "read_architecture",
    "read_keras_file",
    "read_replacements",
]


@dataclass(frozen=True)
class KerasFile:
    """A model file, read: its config as it stands in the file, and access to its weights."""

    container: str
    """"keras-zip" (`.keras`), "keras-folder" (the same, not zipped), "legacy-h5" (`.h5` with a config), "weights-h5"
    (`.weights.h5` of Keras 3) or "legacy-weights-h5" (`.h5` of save_weights)."""
    sha256: str
    """Hex digest of the file's bytes; where there are several files, of their digests."""
    size: int
    config: dict[str, Any] | list[Any] | None
    """{"class_name": …, "config": …, …}; None for a file of weights alone."""
    keras_version: str | None
    """As the file says; None when it says nothing, as the first files of Keras 1 do."""
    backend: str | None
    """As legacy files say; None for the others."""
    weights: ArchiveWeights | LegacyWeights
    warnings: tuple[str, ...]


def read_keras_file(path: str | os.PathLike[str]) -> KerasFile:
    """Read the model or weights file, or the folder of a model, at `path`.

    Raises FileAccessError, InvalidFileError, UnsupportedError, LimitError, and nothing else.
    """
    if is_model_folder(path):
        (config, version, archive, warnings), digest, size = read_folder(path, shown_name(path))
        return KerasFile("keras-folder", digest, size, config, version, None, archive, warnings)
    return keras_file_of(path, read_bytes(path))


def keras_file_of(path: str | os.PathLike[str], data: bytes) -> KerasFile:
    """The same for a file at `path` that has been read; only the shards that it lists are read beside it."""
    name = os.fsdecode(os.path.basename(path))
    if name.endswith(SUFFIX) and data.lstrip()[:1] == b"{":
        if len(data) > MAX_JSON_BYTES:
            raise LimitError(f"{printable(name, 80)}: {len(data)} bytes of JSON", "E_LIMIT_MEMBER")
        weights, digest, size = read_shards(path, parse_json(data, printable(name, 80)), printable(name, 80))
        return KerasFile("weights-h5", digest, size, None, None, None, weights, notes_on(weights))
    return parse_keras_file(data, name)


def parse_keras_file(data: bytes, shown_name: str) -> KerasFile:
    """The same for the bytes of a file; `shown_name` is what messages call it."""
    shown = printable(shown_name, 80)
    view = memoryview(data)
    if data.startswith(SIGNATURE):
        container, config, version, backend, weights, warnings = _from_hdf5(view, shown)
    elif data.startswith(b"PK\3\4"):
        config, version, weights, warnings = read_archive(view, shown)
        container, backend = "keras-zip", None
    else:
        raise _not_a_model(view, shown)
    digest = hashlib.sha256(view).hexdigest()
    return KerasFile(container, digest, len(view), config, version, backend, weights, warnings)


def read_architecture(path: str | os.PathLike[str]) -> dict[str, Any] | list[Any]:
    """The architecture that `model.to_json()` wrote to the file at `path`.

    Raises FileAccessError, InvalidFileError, LimitError.
    """
    shown = printable(os.fsdecode(os.path.basename(path)), 80)
    return model_config(parse_json(read_bytes(path, MAX_JSON_BYTES), shown), shown)


def read_replacements(given: Iterable[str]) -> dict[str, Any]:
    """Serialised layers by the name of the layer each takes the place of, from texts `NAME=FILE`.

    Raises UsageError, FileAccessError, InvalidFileError, LimitError.
    """
    made: dict[str, Any] = {}
    for text in given:
        name, equals, path = text.rpartition("=")
        if not equals or not name or not path:
            raise UsageError(
                f"'{printable(text, 80)}' is not NAME=LAYER.json, a layer and the file with its replacement"
            )
        if name in made:
            raise UsageError(f"layer '{printable(name, 60)}' is replaced twice")
        made[name] = parse_json(read_bytes(path, MAX_JSON_BYTES), printable(os.path.basename(path), 80))
    return made


def _from_hdf5(
    view: memoryview, shown: str
) -> tuple[str, dict[str, Any] | None, str | None, str | None, ArchiveWeights | LegacyWeights, tuple[str, ...]]:
    file = Hdf5File(view, shown)
    if is_legacy(file):
        legacy = read_legacy(file, shown)
        return (*legacy, outside_note(legacy[-1].outside()))
    weights = ArchiveWeights(file)
    if not (weights.has("layers") or weights.has("vars")):
        raise InvalidFileError(f"{shown}: is an HDF5 file without a Keras model or its weights", "E_NOT_A_MODEL")
    return "weights-h5", None, None, None, weights, notes_on(weights)


def _not_a_model(view: memoryview, shown: str) -> InvalidFileError:
    if bytes(view[-22:-18]) == b"PK\5\6" and len(view) > 22:
        return InvalidFileError(f"{shown}: there are bytes before the zip archive", "E_ZIP_PREFIX")
    what = looks_like(view)
    hint = Hint("beside a file of weights {} takes it", "config", None) if what == JSON_TEXT else None
    return InvalidFileError(f"{shown}: is not a Keras model; it looks like {what}", "E_NOT_A_MODEL", hint)
