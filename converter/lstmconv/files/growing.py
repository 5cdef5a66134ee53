"""Arrays that are written as their rows are computed, so that all of them are never in memory."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, cast

import numpy as np
from lstmconv_runtime.format.graph import Array

from ..errors import UsageError, printable
from .arrays import check_number, npz_member
from .atomic import publish
from .csv_table import SEQUENCES, csv_text
from .standard_streams import BytesOnStandardOutput, print_result, print_text
from .suffixes import SCORED, TABLES, check_suffix
from .tables import table_writing


class Growing(Protocol):
    """Where predictions go, batch by batch."""

    def add(self, arrays: Mapping[str, Array], count: int, rows: Any = None) -> None:
        """The outputs for the next `count` rows of the input, and of a table what is passed on beside them."""

    def finish(self) -> None:
        """After the last batch."""


@contextmanager
def growing_file(
    path: Path,
    names: Sequence[str],
    rows: int | None,
    force: bool,
    rows_are: str | None = None,
    joined: str | None = None,
) -> Iterator[Growing]:
    """A file for the outputs for `rows` rows, of the kind its suffix says; published when the block ends.

    Args:
        rows: None where only the end tells.
        rows_are: what a row of a CSV is; by default a sequence.
        joined: to columns of a table, which a CSV then has a heading for: what stands before the names of the outputs.

    Raises:
        UsageError: several outputs, and not an `.npz` or a table.
        MissingPackageError: a table, and pyarrow is not installed.
        InvalidFileError: a name that an `.npz` cannot have.
        FileAccessError: see `atomic_file.publish`.
    """
    suffix = check_suffix(path, SCORED)
    if joined is None:
        check_number(len(names), path)
    for name in names if suffix == ".npz" else ():
        npz_member(name)
    writing = table_writing() if joined is not None or suffix in TABLES else None
    with publish(path, force) as file, ExitStack() as opened:
        made: Growing
        if writing is not None:
            table = writing.TableFile(file, suffix, joined or "")
            opened.callback(table.abandon)
            made = table
        elif suffix == ".npz":
            made = NpzFile(file, path.parent, names, rows, opened)
        elif suffix == ".npy":
            made = NpyFile(file, rows)
        else:
            made = CsvFile(file, rows_are or SEQUENCES)
        yield made
        made.finish()


@contextmanager
def standard_output(
    names: Sequence[str],
    rows_are: str | None = None,
    kind: str = "csv",
    rows: int | None = None,
    joined: str | None = None,
) -> Iterator[Growing]:
    """CSV on standard output, at once for a single output; several stand one after the other, each under its name.

    Args:
        kind: "csv", or for another program "npy" (of `rows` rows) or "arrow", a stream.
        joined: to columns of a table, see `growing_file`.

    Raises:
        UsageError: an array of several outputs, or of as many rows as only the end will tell; or numbers in bytes are
            to be written on a terminal.
        MissingPackageError: a table, and pyarrow is not installed.
    """
    made: Growing
    if kind == "csv" and joined is None:
        with ExitStack() as opened:
            lines = rows_are or SEQUENCES
            made = CsvOnStandardOutput(lines) if len(names) == 1 else SeveralOnStandardOutput(names, opened, lines)
            yield made
            made.finish()
        return
    file = BytesOnStandardOutput(kind != "csv")
    if kind == "npy":
        if len(names) != 1 or rows is None:
            known = f"has {len(names)} outputs" if rows is not None else "reads a stream of unknown length"
            raise UsageError(f"a .npy on standard output holds one array of a known length, and this run {known}")
        made = NpyFile(cast(BinaryIO, file), rows)
        yield made
        made.finish()
        return
    table = table_writing().TableFile(file, "stream" if kind == "arrow" else ".csv", joined or "")
    try:
        yield table
        table.finish()
    finally:
        table.abandon()


class NpyFile:
    """The bytes that `np.save` would write.

    Args:
        rows: of the input; None where only the end tells, and the file can be written in at its start.
    """

    def __init__(self, file: IO[bytes], rows: int | None) -> None:
        self._file, self._rows = file, rows
        self._start: int | None = None
        self._array: Array | None = None
        self._written = 0

    def add(self, arrays: Mapping[str, Array], count: int, rows: Any = None) -> None:
        (array,) = arrays.values()
        if array.ndim == 0:
            np.lib.format.write_array(self._file, array, allow_pickle=False)
            return
        if self._array is None:
            self._array = array[:0]
            length = len(array)
            if self._rows is None:
                self._start = self._file.tell()
            elif count not in (0, self._rows):
                length = len(array) * self._rows // count
            self._header(length)
        self._written += len(array)
        # Not `tofile`: where the disk is full, it says so without a reason.
        self._file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def _header(self, length: int) -> None:
        assert self._array is not None
        descr = np.lib.format.dtype_to_descr(self._array.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (length, *self._array.shape[1:])}
        np.lib.format.write_array_header_1_0(self._file, header)  # as long for any number of rows

    def finish(self) -> None:
        if self._start is not None:
            self._file.seek(self._start)
            self._header(self._written)
            self._file.seek(0, os.SEEK_END)


class NpzFile:
    """The bytes that `arrays.write_npz` would write.

    A member must be complete before the next begins, and nothing in it can be changed: several outputs, or one of
    unknown length, first grow in files of their own, which have no names and vanish with the process, whatever ends it.
    """

    def __init__(self, file: BinaryIO, folder: Path, names: Sequence[str], rows: int | None, opened: ExitStack) -> None:
        self._archive = opened.enter_context(zipfile.ZipFile(file, "w", zipfile.ZIP_STORED))
        self._apart: dict[str, IO[bytes]] = {}
        if len(names) == 1 and rows is not None:
            member = opened.enter_context(self._archive.open(npz_member(names[0]), "w", force_zip64=True))
            self._grown = {names[0]: NpyFile(member, rows)}
        else:
            for name in names:
                self._apart[name] = opened.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 (it does)
            self._grown = {name: NpyFile(apart, rows) for name, apart in self._apart.items()}

    def add(self, arrays: Mapping[str, Array], count: int, rows: Any = None) -> None:
        for name, array in arrays.items():
            self._grown[name].add({name: array}, count)

    def close(self) -> None:
        """Finishes it, and ends the archive, whose directory stands at its end."""
        self.finish()
        self._archive.close()

    def finish(self) -> None:
        for name, apart in self._apart.items():
            self._grown[name].finish()
            apart.seek(0)
            with self._archive.open(npz_member(name), "w", force_zip64=True) as member:
                shutil.copyfileobj(apart, member, 2**20)
            apart.close()  # which gives its room on the disk back


class CsvFile:
    def __init__(self, file: BinaryIO, rows_are: str) -> None:
        self._file, self._rows_are = file, rows_are

    def add(self, arrays: Mapping[str, Array], count: int, rows: Any = None) -> None:
        (array,) = arrays.values()
        self._file.write(csv_text(array, self._rows_are).encode())

    def finish(self) -> None:
        pass


class CsvOnStandardOutput:
    def __init__(self, rows_are: str) -> None:
        self._rows_are = rows_are

    def add(self, arrays: Mapping[str, Array], count: int, rows: Any = None) -> None:
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

    def add(self, arrays: Mapping[str, Array], count: int, rows: Any = None) -> None:
        for name, array in arrays.items():
            self._apart[name].write(csv_text(array, self._rows_are))

    def finish(self) -> None:
        for name, apart in self._apart.items():
            print_result(f"# {printable(name)}")
            apart.seek(0)
            while text := apart.read(2**20):
                print_text(text)
