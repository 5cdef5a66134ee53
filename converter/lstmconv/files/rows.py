"""Arrays in files, taken a few rows at a time, so that a file may be larger than the memory.

The rows are read, not mapped: when another program cuts a mapped file short, the system ends this one with SIGBUS; a
read comes back short, and is an error like any other. Neither is any byte looked at twice.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import Input
from lstmconv_runtime.inputs import by_name

from ..errors import InvalidFileError, printable
from .arrays import Header, check_kind, npz_members, read_header, read_inputs
from .held_rows import HeldRows, Readable, Rows, Source, check_size
from .read_bytes import open_regular
from .suffixes import SCORED, TABLES
from .tables import table_inputs

AT_ONCE = 2**20  # bytes: members of archives are read into a buffer of this size, and copied


class FileRows:
    """The rows of an array whose bytes come next in a stream of a file."""

    def __init__(self, source: Readable, stream: IO[bytes], header: Header, shown: str) -> None:
        self.shape: tuple[Any, ...] = header.shape
        self.dtype: np.dtype[Any] = header.dtype
        self._source, self._stream, self._shown = source, stream, shown
        self._left = header.shape[0]

    def take(self, count: int) -> Array:
        """The next `count` rows.

        Raises:
            FileAccessError: the file cannot be read, or is not what it was.
            InvalidFileError: a damaged archive.
            LimitError: they take more than `arrays.MAX_ARRAY_BYTES`.
        """
        shape = (count, *self.shape[1:])
        check_size(math.prod(shape) * self.dtype.itemsize, f"{self._shown}: {count} rows take")
        rows = np.empty(shape, self.dtype)
        memory = rows.reshape(-1).view(np.uint8).data
        with self._source.reading(self._shown):
            while memory:
                read = self._stream.readinto(memory[:AT_ONCE])  # type: ignore[attr-defined]  # typeshed has it on no common class
                if not read:
                    raise EOFError("it is too short")
                memory = memory[read:]
            self._left -= count
            if self._left == 0:
                more = self._stream.read(1)  # at the end of a member its check sum is compared
                self._source.check()
                if more:
                    raise InvalidFileError(f"{self._shown}: more bytes follow its array", "E_ARRAY_FILE")
        return rows


@contextmanager
def open_inputs(path: Path, inputs: list[Input], rows_are: str | None = None) -> Iterator[dict[str, Rows]]:
    """The arrays of a file by the names of the inputs they are for; see `arrays.read_inputs`.

    A `.csv`, and an array in Fortran order, whose rows lie scattered over the file, are held in memory. Tables in
    Parquet and Arrow files are read too: see `tables.rows.table_rows`.

    Raises:
        MissingPackageError: a table, and pyarrow is not installed.
        FileAccessError: the file cannot be read.
        LimitError: what has to be held in memory, or what a compressed member claims, is over the limit.
        InvalidFileError, UsageError, InputError: see `arrays.read_inputs`.
    """
    suffix, shown = check_kind(path, inputs, rows_are, SCORED), printable(path.name, 80)
    names = tuple(node.name for node in inputs)
    if suffix in TABLES:
        reading = table_inputs()
        with reading.open_table(path) as table:
            yield by_name(names, reading.table_rows(table, inputs, rows_are))
        return
    if suffix == ".csv":
        yield by_name(names, {names[0]: HeldRows(np.asarray(read_inputs(path, inputs, rows_are)))})
        return
    descriptor, before = open_regular(path)
    with open(descriptor, "rb") as file, ExitStack() as opened:
        source = Source(file, before, shown)
        if suffix == ".npy":
            given = {names[0]: rows_of(source, file, source.size, shown)}
        else:
            given = open_members(source, opened)
            if len(names) == len(given) == 1:
                given = dict(zip(names, given.values(), strict=True))
        yield by_name(names, given)


def open_members(source: Source, opened: ExitStack) -> dict[str, Rows]:
    """The arrays of an `.npz` archive by name; `opened` closes them."""
    given: dict[str, Rows] = {}
    with source.reading(source.shown):
        archive = opened.enter_context(zipfile.ZipFile(source.file))
        members = npz_members(archive, source.shown)
        claimed = sum(m.file_size for m, _ in members.values() if m.compress_type != zipfile.ZIP_STORED)
        check_size(claimed, f"{source.shown}: its compressed arrays take")
        for name, (member, shown) in members.items():
            stream = opened.enter_context(archive.open(member))
            given[name] = rows_of(source, stream, member.file_size, shown)
    return given


def rows_of(source: Readable, stream: IO[bytes], size: int | None, shown: str) -> Rows:
    """The rows of a `.npy` file of `size` bytes, from its start; None for a stream, whose end tells."""
    with source.reading(shown):
        header = read_header(stream, size, shown)
    if header.shape and not header.fortran_order:
        return FileRows(source, stream, header, shown)
    flat = header._replace(shape=(math.prod(header.shape),))
    return HeldRows(FileRows(source, stream, flat, shown).take(*flat.shape).reshape(header.shape, order="F"))
