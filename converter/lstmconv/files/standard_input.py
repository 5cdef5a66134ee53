"""Arrays from standard input: what they are is told by their first bytes."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from lstmconv_runtime.format.nodes import Input
from lstmconv_runtime.inputs import by_name

from ..errors import FileAccessError, InvalidFileError, LimitError, UsageError
from . import read_bytes
from .arrays import NOT_AN_NPZ, first_line
from .csv_table import read_csv
from .held_rows import HeldRows, Rows
from .rows import rows_of
from .tables import table_inputs

SHOWN = "standard input"
NPY, ARROW_STREAM = b"\x93NUMPY", b"\xff\xff\xff\xff"
SEEKING = {b"PK\3\4": "an .npz archive", b"ARROW1": "an Arrow file (an Arrow stream can be)", b"PAR1": "a Parquet file"}


class Stream:
    """A stream in the place of a `held_rows.Source`: nobody can tell whether it changes."""

    size, shown = None, SHOWN

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def check(self) -> None:
        """A stream is what it is."""

    @contextmanager
    def reading(self, shown: str) -> Iterator[None]:
        """What may go wrong while it is read, as errors of ours."""
        try:
            yield
        except NOT_AN_NPZ as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise FileAccessError(f"{shown}: cannot be read: {error.strerror}", "E_IO") from None
            raise InvalidFileError(f"{shown}: not a .npy array: {first_line(error)}", "E_ARRAY_FILE") from None


class _Again(io.RawIOBase):
    """A stream with its first bytes put back."""

    def __init__(self, first: bytes, rest: IO[bytes]) -> None:
        self._first, self._rest = first, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._first[: len(buffer)] or self._rest.read(len(buffer))
        self._first = self._first[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def open_stream() -> tuple[bytes, IO[bytes]]:
    """The first bytes of standard input, and all of it.

    Raises:
        FileAccessError: it is closed.
        UsageError: it is of a kind that cannot be read from a stream.
    """
    if sys.stdin is None:
        raise FileAccessError(f"{SHOWN}: cannot be read: it is closed", "E_IO")
    first = sys.stdin.buffer.read(6)
    for start, kind in SEEKING.items():
        if first.startswith(start):
            raise UsageError(f"{SHOWN}: {kind} cannot be read from a stream: name the file", "E_STREAM")
    return first, io.BufferedReader(_Again(first, sys.stdin.buffer), 2**20)


def standard_inputs(inputs: list[Input], rows_are: str | None = None) -> dict[str, Rows]:
    """What comes in, by the names of the inputs: a `.npy` array, an Arrow stream, or CSV, which is held in memory.

    Raises:
        FileAccessError, InvalidFileError, LimitError, UsageError, InputError: see `rows.open_inputs`.
    """
    first, file = open_stream()
    names = tuple(node.name for node in inputs)
    if first.startswith(ARROW_STREAM):
        reading = table_inputs()
        return by_name(names, reading.table_rows(reading.open_stream(file, SHOWN), inputs, rows_are))
    if len(names) != 1:
        raise UsageError(f"the model takes {len(names)} inputs: {SHOWN} can give them as an Arrow stream alone")
    if not first.startswith(NPY):
        data = file.read(read_bytes.MAX_FILE_BYTES + 1)
        if len(data) > read_bytes.MAX_FILE_BYTES:
            raise LimitError(f"{SHOWN}: has more than {read_bytes.MAX_FILE_BYTES} bytes", "E_LIMIT_SIZE")
        return by_name(names, {names[0]: HeldRows(np.asarray(read_csv(data, SHOWN, inputs[0], rows_are)))})
    if rows_are is not None:
        raise UsageError("--rows-are tells what the rows of a .csv are; a .npy has the shape of its array")
    return by_name(names, {names[0]: rows_of(Stream(file), file, None, SHOWN)})
