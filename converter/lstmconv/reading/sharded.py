"""Weights of Keras 3 in several files: `x.weights.json` says which of `x_00000.weights.h5`, … holds what.

The names in the file never become paths. Keras numbers the shards from 0, so they are looked for under the names they
must have, beside the JSON file, and the names it lists must be those.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidFileError, LimitError, printable
from ..files.read_bytes import read_bytes
from .hdf5.file import Hdf5File
from .keras_archive import ArchiveWeights

MAX_SHARDS = 1000
SUFFIX = ".weights.json"


class ShardedWeights(ArchiveWeights):
    """The weights of all shards, by path; the arrays of one object may lie in several."""

    def __init__(self, shards: list[ArchiveWeights]) -> None:
        self._shards = shards
        self.windows_paths = any(shard.windows_paths for shard in shards)

    def groups(self, path: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for shard in self._shards for name in shard.groups(path)))

    def has(self, path: str) -> bool:
        return any(shard.has(path) for shard in self._shards)

    def arrays(self, path: str) -> list[np.ndarray]:
        found: dict[int, np.ndarray] = {}
        for shard in self._shards:
            for index, array in shard.numbered(path).items():
                if index in found:
                    raise InvalidFileError(
                        f"'{printable(path, 100)}' has array {index} in two shards", "E_H5_DUPLICATE"
                    )
                found[index] = array
        if sorted(found) != list(range(len(found))):
            raise InvalidFileError(f"'{printable(path, 100)}' lacks an array: a shard is incomplete", "E_H5_MISSING")
        return [found[index] for index in sorted(found)]

    def dtype_name(self, path: str, index: int) -> str:
        holder = next((shard for shard in self._shards if index in shard.numbered(path)), self._shards[0])
        return holder.dtype_name(path, index)

    def unread(self) -> tuple[str, ...]:
        return tuple(path for shard in self._shards for path in shard.unread())

    def outside(self) -> tuple[str, ...]:
        return tuple(path for shard in self._shards for path in shard.outside())

    def name(self, path: str) -> str | None:
        return next((name for shard in self._shards if (name := shard.name(path)) is not None), None)


def read_shards(path: str | os.PathLike[str], index: Any, shown: str) -> tuple[ShardedWeights, str, int]:
    """The weights that the parsed index `index` of the file at `path` describes, their joint digest and size.

    Raises InvalidFileError, FileAccessError, LimitError.
    """
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise InvalidFileError(f"{shown}: is no index of sharded weights: it has no weight_map", "E_CONFIG_TYPE")
    listed: set[str] = set()
    for names in weight_map.values():
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InvalidFileError(f"{shown}: its weight_map does not list names of files", "E_CONFIG_TYPE")
        listed.update(names)
    if len(listed) > MAX_SHARDS:
        raise LimitError(f"{shown}: {len(listed)} shards, the limit is {MAX_SHARDS}", "E_LIMIT_SHARDS")
    target = Path(os.fsdecode(path))
    stem = target.name[: -len(SUFFIX)] if target.name.endswith(SUFFIX) else target.stem
    expected = [f"{stem}_{number:05d}.weights.h5" for number in range(len(listed))]
    if listed != set(expected):
        odd = sorted(listed - set(expected))[0]
        raise InvalidFileError(f"{shown}: lists the shard '{printable(odd, 80)}', which is not its own", "E_SHARD_NAME")
    digest, size, shards = hashlib.sha256(), 0, []
    for name in expected:
        data = read_bytes(target.parent / name)
        digest.update(hashlib.sha256(data).digest())
        size += len(data)
        shards.append(ArchiveWeights(Hdf5File(memoryview(data), printable(name, 80))))
    return ShardedWeights(shards), digest.hexdigest(), size
