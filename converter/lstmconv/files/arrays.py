"""Arrays in files: `.npy`, `.npz` and `.csv` (see `csv_table`), in and out.

Values are written so that reading them gives the same numbers. Nothing is unpickled, and no size that a file claims is
believed before the bytes are there.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import Input

from ..errors import InvalidFileError, LimitError, UsageError, printable
from .csv_table import read_csv
from .read_bytes import read_bytes
from .suffixes import ARRAYS, SCORED, TABLES, check_suffix
from .text_table import shape_text

MAX_ARRAY_BYTES = 4 * 2**30  # of all arrays of one file, as for the files themselves


# --- in ---------------------------------------------------------------------------------------------------------------


def read_inputs(path: Path, inputs: list[Input], rows_are: str | None = None) -> Array | dict[str, Array]:
    """The arrays of a file, as a model with these inputs takes them.

    An `.npz` holds one array per input, by the input's name; the name is free where the model has one input. The other
    kinds of file hold the array of a single input. Whether the arrays fit the model is for the model to check.

    Args:
        rows_are: of a `.csv`, "steps" or "sequences"; see `csv_table`.

    Raises:
        FileAccessError, LimitError: the file cannot be read.
        InvalidFileError: it is damaged, or not of the kind its suffix says.
        UsageError: its kind does not suit the model; or what the rows of a CSV are has to be said.
        InputError: the columns of a CSV do not make up whole time steps.
    """
    suffix = check_kind(path, inputs, rows_are)
    data = read_bytes(path)
    shown = printable(path.name, 80)
    if suffix == ".npy":
        return parse_npy(data, shown)
    if suffix == ".csv":
        return read_csv(data, shown, inputs[0], rows_are)
    arrays = parse_npz(data, shown)
    if len(inputs) == len(arrays) == 1:
        return next(iter(arrays.values()))
    return arrays


def check_kind(path: Path, inputs: list[Input], rows_are: str | None, kinds: tuple[str, ...] = ARRAYS) -> str:
    """The suffix of a file of inputs, one of `kinds`.

    Raises:
        UsageError: this kind of file does not suit the model, or has no rows to be told of.
    """
    suffix = check_suffix(path, kinds)
    if len(inputs) != 1 and suffix not in (".npz", *TABLES):
        names = ", ".join(printable(node.name, 40) for node in inputs)
        raise UsageError(f"the model takes {len(inputs)} inputs: give them in one .npz, under the names {names}")
    if rows_are is not None and suffix not in (".csv", *TABLES):
        raise UsageError(f"--rows-are tells what the rows of a .csv are; a {suffix} has the shape of its array")
    return suffix


class Header(NamedTuple):
    """What a `.npy` file says of its array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]


def read_header(file: IO[bytes], size: int | None, shown: str) -> Header:
    """The header of a `.npy` file of `size` bytes, read from its start up to the first byte of the array.

    Args:
        size: None for a stream, whose end tells.

    Raises:
        InvalidFileError: not such a file; or it holds Python objects, or too few or too many bytes.
    """
    start = file.read(10)
    if start[6:8] == b"\2\0":
        start += file.read(2)
    # NumPy refuses headers of more than 10,000 bytes, but only once it has read them.
    start += file.read(min(int.from_bytes(start[8:], "little"), 2**16))
    buffer = io.BytesIO(start)
    try:
        version = np.lib.format.read_magic(buffer)
        if version == (1, 0):
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(buffer)
        elif version == (2, 0):
            shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(buffer)
        else:
            raise ValueError(f"its format {version[0]}.{version[1]} is not 1.0 or 2.0")
    except Exception as error:  # the header is a Python literal: its parser raises much more than ValueError
        raise InvalidFileError(f"{shown}: not a .npy array: {first_line(error)}", "E_ARRAY_FILE") from None
    if dtype.kind not in "biuf":
        raise InvalidFileError(f"{shown}: holds {printable(str(dtype), 60)}, not numbers", "E_ARRAY_DTYPE")
    if any(size < 0 for size in shape):
        raise InvalidFileError(f"{shown}: not a .npy array: its shape is {shape_text(shape)}", "E_ARRAY_FILE")
    needed = math.prod(shape) * dtype.itemsize
    there = needed if size is None else size - len(start)
    if needed != there:
        raise InvalidFileError(
            f"{shown}: {dtype} {shape_text(shape)} takes {needed} bytes, the file has {there}", "E_ARRAY_FILE"
        )
    return Header(shape, fortran_order, dtype)


def parse_npy(data: bytes | memoryview, shown: str) -> Array:
    """The array of a `.npy` file; read-only, as it lies on the file's bytes.

    Raises:
        InvalidFileError: not such a file; or it holds Python objects, or too few or too many bytes.
    """
    file = io.BytesIO(data)
    shape, fortran_order, dtype = read_header(file, len(data), shown)
    count = math.prod(shape)
    flat: Array = np.frombuffer(data, dtype, count, file.tell()) if count else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran_order else "C")


NOT_AN_NPZ = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError)


def parse_npz(data: bytes, shown: str) -> dict[str, Array]:
    """The arrays of an `.npz` file by name.

    Raises:
        InvalidFileError: not such a file, or one of its arrays is none.
        LimitError: its arrays would take more than MAX_ARRAY_BYTES.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = npz_members(archive, shown)
            if sum(member.file_size for member, _ in members.values()) > MAX_ARRAY_BYTES:
                raise LimitError(f"{shown}: its arrays take more than {MAX_ARRAY_BYTES} bytes", "E_LIMIT_SIZE")
            return {name: parse_npy(archive.read(member), where) for name, (member, where) in members.items()}
    except NOT_AN_NPZ as error:
        raise InvalidFileError(f"{shown}: not an .npz archive: {first_line(error)}", "E_ARRAY_FILE") from None


def npz_members(archive: zipfile.ZipFile, shown: str) -> dict[str, tuple[zipfile.ZipInfo, str]]:
    """The members of an `.npz` archive by the names of their arrays, each with how a message names it.

    Raises:
        InvalidFileError: one is no array, is there twice, or is compressed in an odd way.
    """
    members: dict[str, tuple[zipfile.ZipInfo, str]] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        where = f"{shown}, array '{printable(name, 80)}'"
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidFileError(f"{where}: is compressed in a way NumPy does not", "E_ARRAY_FILE")
        if name == member.filename or name in members:
            raise InvalidFileError(f"{where}: is no .npy member, or is there twice", "E_ARRAY_FILE")
        members[name] = member, where
    return members


def first_line(error: Exception) -> str:
    """The first line of a library's message, printable."""
    lines = str(error).splitlines()
    return printable(lines[0] if lines else type(error).__name__)


# --- out --------------------------------------------------------------------------------------------------------------


def check_number(count: int, path: Path) -> None:
    """Raises UsageError where a file of this kind cannot hold `count` arrays."""
    suffix = check_suffix(path, SCORED)
    if count != 1 and suffix not in (".npz", *TABLES):
        raise UsageError(f"the model has {count} outputs, which a {suffix} cannot hold: let the output be an .npz")


def write_npz(arrays: Mapping[str, Array], file: BinaryIO) -> None:
    """An `.npz` archive like that of `np.savez`, whose keywords exclude some names. Equal arrays give equal bytes.

    Raises:
        InvalidFileError: a name that would lead out of the folder when someone unpacks the archive.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(npz_member(name), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)


def npz_member(name: str) -> zipfile.ZipInfo:
    """The member for an array of this name, without a time, so that equal arrays give equal archives.

    Raises:
        InvalidFileError: a name that would lead out of the folder when someone unpacks the archive.
    """
    if "\\" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise InvalidFileError(f"'{printable(name)}' cannot be the name of an array in an .npz", "E_NPZ_NAME")
    return zipfile.ZipInfo(f"{name}.npy")
