"""A bundle's file, loaded by the rules the converter reads every file by."""

from __future__ import annotations

import os
from pathlib import Path

import lstmconv_runtime
from lstmconv_runtime import BundleError, Model

from ..errors import InvalidFileError, printable
from ..files.read_bytes import read_bytes
from ..reading import KerasFile, keras_file_of, read_keras_file
from ..reading.folder import is_model_folder
from ..reading.hdf5.file import SIGNATURE


def is_keras_file(data: bytes) -> bool:
    """True for the first bytes of an archive or of HDF5, which no bundle starts with."""
    return data.startswith((b"PK\3\4", SIGNATURE))


def is_bundle(data: bytes) -> bool:
    """True for what was written as a bundle, damaged or not: its metadata stand first, under our name."""
    return data[8:9] == b"{" and b'"lstmconv"' in data[:4096]


def load_bundle(path: Path) -> Model:
    """The model of a bundle, read once from a regular file.

    Raises:
        FileAccessError, LimitError: the file cannot be read.
        InvalidFileError: it is a Keras file.
        BundleError: it is damaged, or no bundle; the message starts with the file's name.
    """
    data = read_bytes(path)
    shown = printable(path.name, 80)
    if is_keras_file(data):
        raise InvalidFileError(
            f"{shown}: is a Keras file, not a bundle; lstmconv export makes its bundle", "E_NOT_A_BUNDLE"
        )
    try:
        return lstmconv_runtime.load(data)
    except BundleError as error:
        raise type(error)(f"{shown}: {error}", error.code) from None


def read_model(path: str | os.PathLike[str]) -> KerasFile | bytes:
    """A Keras file or folder, or the bytes of a bundle, damaged or not; read once.

    Raises:
        LstmconvError: the file cannot be read, or is neither.
    """
    if is_model_folder(path):
        return read_keras_file(path)
    data = read_bytes(path)
    return data if is_bundle(data) else keras_file_of(path, data)
