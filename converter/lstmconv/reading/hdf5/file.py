"""One HDF5 file as a tree of named groups and arrays: the choke point between the parser and everything else.

The tree is walked once, without recursion, when the file is opened: every object may have one name only and every
piece of the file may belong to one object only, so cycles, aliases and overlapping data are all found there. Arrays
are decoded when asked for. Every exception that leaves this module is a LstmconvError (`metered_bytes.parsing`).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from ...errors import InvalidFileError, LimitError, UnsupportedError, printable
from .metered_bytes import MeteredBytes, parsing
from .objects import (
    DATASPACE,
    GROUP_INFO,
    LAYOUT,
    LINK,
    LINK_INFO,
    SYMBOL_TABLE,
    UNDEFINED,
    Attributes,
    Message,
    Objects,
)
from .storage import Storage, dtype_name, read_array, storage_of

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_OBJECTS = 100_000
MAX_DEPTH = 64
_GROUP_KINDS = frozenset({SYMBOL_TABLE, LINK, LINK_INFO, GROUP_INFO})

# State of training, at the root: never needed, often twice as large as the model, so not even walked. Archives of
# Keras before 3 hold the running means of metrics; those written on Windows join the names of groups by "\\".
SKIPPED = frozenset({"optimizer", "optimizer_weights", "metrics"})

# The attributes that Keras writes and that mean something here.
_ATTRIBUTES = frozenset(
    {"model_config", "keras_version", "backend", "layer_names", "weight_names", "name", "nb_layers"}
)


@dataclass(frozen=True)
class _Dataset:
    messages: list[Message]
    storage: Storage | UnsupportedError  # of storage that is not read; other programs keep notes in such


class Hdf5File:
    """A checked HDF5 file in memory. Paths are names joined by "/"; the root is ""."""

    def __init__(self, data: memoryview, shown: str) -> None:
        """Raises InvalidFileError (E_H5_…, E_TRUNCATED), UnsupportedError, LimitError."""
        self._shown = shown
        self._source = MeteredBytes(data)
        self._objects = Objects(self._source)
        self._groups: dict[str, tuple[str, ...]] = {}
        self._group_messages: dict[str, list[Message]] = {}
        self._datasets: dict[str, _Dataset] = {}
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._decoded: set[str] = set()
        self._spare = 16 * 2**20 + 8 * len(data)
        with parsing(shown):
            self._walk(self._check_superblock())

    def is_group(self, path: str) -> bool:
        return path in self._groups

    def is_dataset(self, path: str) -> bool:
        return path in self._datasets

    def children(self, path: str) -> tuple[str, ...]:
        """The names in the group at `path`, in the order of the file; () when there is no such group."""
        return self._groups.get(path, ())

    def groups(self) -> tuple[str, ...]:
        """The paths of all groups outside the state of training, each after the group that holds it."""
        return tuple(self._groups)

    def datasets(self) -> tuple[str, ...]:
        """The paths of all datasets outside the state of training."""
        return tuple(self._datasets)

    def attributes(self, path: str) -> Attributes:
        """The attributes that Keras writes, as texts, of the group or dataset at `path` (`Objects.attributes`)."""
        dataset = self._datasets.get(path)
        messages = dataset.messages if dataset else self._group_messages.get(path, [])
        with parsing(self._where(path)):
            return self._objects.attributes(messages, _ATTRIBUTES)

    def dtype_name(self, path: str) -> str:
        """The name of the type stored at `path`: "float32", …, or "bfloat16", whose array is a float32 one."""
        with parsing(self._where(path)):
            return dtype_name(self._datasets[path].messages, self._where(path))[0]

    def array(self, path: str) -> np.ndarray:
        """The array at `path`, a new one at each call. Raises InvalidFileError, UnsupportedError, LimitError."""
        where = self._where(path)
        dataset = self._datasets.get(path)
        if dataset is None:
            raise InvalidFileError(f"{where}: is not in the file", "E_H5_MISSING")
        storage = dataset.storage
        if isinstance(storage, UnsupportedError):
            raise storage
        first = path not in self._decoded
        claims: list[tuple[int, int]] = []
        with parsing(where):
            result = read_array(
                dataset.messages,
                storage,
                self._source,
                lambda start, end: claims.append((start, end)),
                self._spare if first else 2**63,
                where,
            )
            if first:
                for start, end in claims:
                    self._claim(start, end, where)
                self._spare -= result.nbytes if claims else 0
                self._decoded.add(path)
        return result

    def _check_superblock(self) -> int:
        """The address of the root group, once the file is what one whole plain HDF5 file is."""
        data = self._source.data
        if data[: len(SIGNATURE)] != SIGNATURE or len(data) < 9:
            raise InvalidFileError(f"{self._shown}: is not an HDF5 file", "E_NOT_A_MODEL")
        if len(data) < 96:
            raise InvalidFileError(f"{self._shown}: is cut short", "E_TRUNCATED")
        version = data[8]
        if version == 0:
            sizes = bytes(data[13:15])
            base, _, end, driver = struct.unpack_from("<4Q", data, 24)
            root = struct.unpack_from("<2Q", data, 56)[1]
        elif version in (2, 3):
            sizes = bytes(data[9:11])
            base, extension, end, root = struct.unpack_from("<4Q", data, 12)
            driver = extension  # only special drivers and shared messages need one
        elif version == 1:
            raise UnsupportedError(
                f"{self._shown}: has HDF5 superblock version 1; re-save it with Keras", "E_H5_SUPERBLOCK"
            )
        else:
            raise InvalidFileError(f"{self._shown}: has HDF5 superblock version {version}", "E_H5_SUPERBLOCK")
        if sizes != b"\x08\x08" or base != 0 or driver != UNDEFINED:
            raise InvalidFileError(f"{self._shown}: is not a plain 64-bit HDF5 file", "E_H5_SUPERBLOCK")
        if end > len(data):
            raise InvalidFileError(f"{self._shown}: is cut short: has {len(data)} of {end} bytes", "E_TRUNCATED")
        if end < len(data):
            raise InvalidFileError(f"{self._shown}: {len(data) - end} bytes follow the HDF5 file", "E_H5_SUPERBLOCK")
        return int(root)

    def _walk(self, root: int) -> None:
        names: dict[int, str] = {}
        claims: list[tuple[int, int, str]] = []
        waiting = [("", root)]
        while waiting:
            path, address = waiting.pop()
            where = self._where(path)
            if address in names:
                raise InvalidFileError(
                    f"{where}: is the same object as '{printable(names[address], 80)}'", "E_H5_ALIAS"
                )
            names[address] = path
            if len(names) > MAX_OBJECTS:
                raise LimitError(f"{self._shown}: holds more than {MAX_OBJECTS} HDF5 objects", "E_LIMIT_OBJECTS")
            if path.count("/") >= MAX_DEPTH:
                raise LimitError(f"{self._shown}: has groups nested over {MAX_DEPTH} deep", "E_LIMIT_DEPTH")
            messages = self._objects.messages(address)
            kinds = {message.kind for message in messages}
            claims.append((address, address + 1, path))
            if DATASPACE in kinds and LAYOUT in kinds and not kinds & _GROUP_KINDS:
                storage: Storage | UnsupportedError
                try:
                    storage = storage_of(messages, where)
                except UnsupportedError as error:
                    storage = error
                self._datasets[path] = _Dataset(messages, storage)
                if isinstance(storage, Storage) and storage.start != UNDEFINED and storage.size:
                    claims.append((storage.start, storage.start + storage.size, path))
            elif kinds & _GROUP_KINDS and DATASPACE not in kinds:
                links = self._objects.links(messages, where)
                self._groups[path] = tuple(links)
                self._group_messages[path] = messages
                below = [(f"{path}/{name}" if path else name, at) for name, at in links.items()]
                waiting += [(name, at) for name, at in reversed(below) if name.partition("\\")[0] not in SKIPPED]
            else:
                raise InvalidFileError(f"{where}: is neither a group nor an array", "E_H5_INVALID")
        if "" not in self._groups:
            raise InvalidFileError(f"{self._shown}: its root is not a group", "E_H5_INVALID")
        for start, end, path in sorted(claims):
            self._claim(start, end, self._where(path))

    def _claim(self, start: int, end: int, where: str) -> None:
        """Take [start, end) of the file for one object; refused when it is outside or partly taken."""
        if end > len(self._source.data):
            raise InvalidFileError(f"{where}: lies outside the file", "E_H5_SIZE")
        at = bisect_right(self._starts, start)
        if (at and self._ends[at - 1] > start) or (at < len(self._starts) and self._starts[at] < end):
            raise InvalidFileError(f"{where}: shares its bytes with another object", "E_H5_OVERLAP")
        self._starts.insert(at, start)
        self._ends.insert(at, end)

    def _where(self, path: str) -> str:
        return f"{self._shown}: '{printable(path or '/', 100)}'"
