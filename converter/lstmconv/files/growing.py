"""Arrays that are written as their rows are computed, so that all of them are never in memory."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Protocol

import numpy as np
from lstmconv_runtime.format.graph import Array

from ..errors import printable
from .arrays import check_number, npz_member
from .atomic import publish
from .csv_table import SEQUENCES, csv_text
from .standard_streams import print_result, print_text
from .suffixes import ARRAYS, check_suffix


class Growing(Protocol):
    """Where predictions go, batch by batch."""

    def add(self, arrays: Mapping[str, Array], count: int) -> None:
        """The outputs for the next `count` rows of the input."""

    def finish(self) -> None:
        """After the last batch."""


@contextmanager
def growing_file(
    path: Path, names: Sequence[str], rows: int, force: bool, rows_are: str | None = None
) -> Iterator[Growing]:
    """A file for the outputs for `rows` rows, of the kind its suffix says; published when the block ends.

    Args:
        rows_are: what a row of a CSV is; by default a sequence.

    Raises:
        UsageError: several outputs, and not an `.npz`.
        InvalidFileError: a name that an `.npz` cannot have.
        FileAccessError: see `atomic_file.publish`.
    """
    suffix = check_suffix(path, ARRAYS)
    check_number(len(names), path)
    for name in names if suffix == ".npz" else ():
        npz_member(name)
    with publish(path, force) as file, ExitStack() as opened:
        made: Growing
        if suffix == ".npz":
            made = NpzFile(file, path.parent, names, rows, opened)
        elif suffix == ".npy":
            made = NpyFile(file, rows)
        else:
            made = CsvFile(file, rows_are or SEQUENCES)
        yield made
        made.finish()


@contextmanager
def standard_output(names: Sequence[str], rows_are: str | None = None) -> Iterator[Growing]:
    """CSV on standard output, at once for a single output; several stand one after the other, each under its name."""
    with ExitStack() as opened:
        rows = rows_are or SEQUENCES
        made: Growing = CsvOnStandardOutput(rows) if len(names) == 1 else SeveralOnStandardOutput(names, opened, rows)
        yield made
        made.finish()


class NpyFile:
    """The bytes that `np.save` would write."""

    def __init__(self, file: IO[bytes], rows: int) -> None:
        self._file, self._rows = file, rows
        self._started = False

    def add(self, arrays: Mapping[str, Array], count: int) -> None:
        (array,) = arrays.values()
        if not self._started:
            self._started = True
            shape = array.shape
            if count not in (0, self._rows):
                shape = (len(array) * self._rows // count, *shape[1:])
            descr = np.lib.format.dtype_to_descr(array.dtype)
            header = {"descr": descr, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(self._file, header)
        # Not `tofile`: where the disk is full, it says so without a reason.
        self._file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def finish(self) -> None:
        pass


class NpzFile:
    """The bytes that `arrays.write_npz` would write.

    A member must be complete before the next begins: several outputs first grow in files of their own, which have no
    names and vanish with the process, whatever ends it.
    """

    def __init__(self, file: BinaryIO, folder: Path, names: Sequence[str], rows: int, opened: ExitStack) -> None:
        self._archive = opened.enter_context(zipfile.ZipFile(file, "w", zipfile.ZIP_STORED))
        self._apart: dict[str, IO[bytes]] = {}
        if len(names) == 1:
            member = opened.enter_context(self._archive.open(npz_member(names[0]), "w", force_zip64=True))
            self._grown = {names[0]: NpyFile(member, rows)}
        else:
            for name in names:
                self._apart[name] = opened.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 (it does)
            self._grown = {name: NpyFile(apart, rows) for name, apart in self._apart.items()}

    def add(self, arrays: Mapping[str, Array], count: int) -> None:
        for name, array in arrays.items():
            self._grown[name].add({name: array}, count)

    def finish(self) -> None:
        for name, apart in self._apart.items():
            apart.seek(0)
            with self._archive.open(npz_member(name), "w", force_zip64=True) as member:
                shutil.copyfileobj(apart, member, 2**20)
            apart.close()  # which gives its room on the disk back


class CsvFile:
    def __init__(self, file: BinaryIO, rows_are: str) -> None:
        self._file, self._rows_are = file, rows_are

    def add(self, arrays: Mapping[str, Array], count: int) -> None:
        (array,) = arrays.values()
        self._file.write(csv_text(array, self._rows_are).encode())

    def finish(self) -> None:
        pass


class CsvOnStandardOutput:
    def __init__(self, rows_are: str) -> None:
        self._rows_are = rows_are

    def add(self, arrays: Mapping[str, Array], count: int) -> None:
        (array,) = arrays.values()
        print_result(csv_text(array, self._rows_are))

    def finish(self) -> None:
        pass


class SeveralOnStandardOutput:
    """The rows of each output wait in a file of their own for those of the output before."""

    def __init__(self, names: Sequence[str], opened: ExitStack, rows_are: str) -> None:
        self._rows_are = rows_are
        self._apart: dict[str, IO[str]] = {}
        for name in names:
            self._apart[name] = opened.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115 (it does)

    def add(self, arrays: Mapping[str, Array], count: int) -> None:
        for name, array in arrays.items():
            self._apart[name].write(csv_text(array, self._rows_are))

    def finish(self) -> None:
        for name, apart in self._apart.items():
            print_result(f"# {printable(name)}")
            apart.seek(0)
            while text := apart.read(2**20):
                print_text(text)
