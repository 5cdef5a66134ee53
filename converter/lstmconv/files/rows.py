"""Arrays in files, taken a few rows at a time, so that a file may be larger than the memory.

The rows are read, not mapped: when another program cuts a mapped file short, the system ends this one with SIGBUS; a
read comes back short, and is an error like any other. Neither is any byte looked at twice.
"""

from __future__ import annotations

import errno
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import Input
from lstmconv_runtime.inputs import by_name

from ..errors import FileAccessError, InvalidFileError, LimitError, printable
from . import arrays
from .arrays import NOT_AN_NPZ, Header, check_kind, first_line, npz_members, read_header, read_inputs
from .read_bytes import changed, changed_while_read, open_regular

AT_ONCE = 2**20  # bytes: members of archives are read into a buffer of this size, and copied


class HeldRows:
    """The rows of an array in memory."""

    def __init__(self, array: Array) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._array = array
        self._taken = 0

    def take(self, count: int) -> Array:
        """The next `count` rows; the whole array where it has no rows."""
        if not self.shape:
            return self._array
        taken, self._taken = self._taken, self._taken + count
        return self._array[taken : self._taken]


class Source:
    """An open file that is not to change while it is read."""

    def __init__(self, file: IO[bytes], before: os.stat_result, shown: str) -> None:
        self.file, self.shown = file, shown
        self.size = before.st_size
        self._before = before

    def check(self) -> None:
        """Raises FileAccessError where the file is not what it was when it was opened."""
        if changed(self._before, os.fstat(self.file.fileno())):
            raise changed_while_read(self.shown)

    @contextmanager
    def reading(self, shown: str) -> Iterator[None]:
        """What may go wrong while `shown`, the file or one of its members, is read, as errors of ours."""
        try:
            yield
        except NOT_AN_NPZ as error:
            self.check()
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: a seek to before 0
                raise FileAccessError(f"{shown}: cannot be read: {error.strerror}", "E_IO") from None
            raise InvalidFileError(f"{shown}: not an .npz archive: {first_line(error)}", "E_ARRAY_FILE") from None


class FileRows:
    """The rows of an array whose bytes come next in a stream of a file."""

    def __init__(self, source: Source, stream: IO[bytes], header: Header, shown: str) -> None:
        self.shape, self.dtype = header.shape, header.dtype
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
                self._stream.read(1)  # at the end of a member its check sum is compared
                self._source.check()
        return rows


Rows: TypeAlias = HeldRows | FileRows


@contextmanager
def open_inputs(path: Path, inputs: list[Input], rows_are: str | None = None) -> Iterator[dict[str, Rows]]:
    """The arrays of a file by the names of the inputs they are for; see `arrays.read_inputs`.

    A `.csv`, and an array in Fortran order, whose rows lie scattered over the file, are held in memory.

    Raises:
        FileAccessError: the file cannot be read.
        LimitError: what has to be held in memory, or what a compressed member claims, is over the limit.
        InvalidFileError, UsageError, InputError: see `arrays.read_inputs`.
    """
    suffix, shown = check_kind(path, inputs, rows_are), printable(path.name, 80)
    names = tuple(node.name for node in inputs)
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


def rows_of(source: Source, stream: IO[bytes], size: int, shown: str) -> Rows:
    """The rows of a `.npy` file of `size` bytes, from its start."""
    with source.reading(shown):
        header = read_header(stream, size, shown)
    if header.shape and not header.fortran_order:
        return FileRows(source, stream, header, shown)
    flat = header._replace(shape=(math.prod(header.shape),))
    return HeldRows(FileRows(source, stream, flat, shown).take(*flat.shape).reshape(header.shape, order="F"))


def check_size(size: int, what: str) -> None:
    """Raises LimitError where so many bytes are more than are held at once."""
    if size > arrays.MAX_ARRAY_BYTES:
        raise LimitError(f"{what} {size} bytes; the limit is {arrays.MAX_ARRAY_BYTES}", "E_LIMIT_SIZE")
