"""The suffixes of the files that are written: a name says what is in its file, or is refused."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import UsageError, printable

BUNDLE = (".safetensors",)
ARCHIVE = (".keras",)
ARRAYS = (".npy", ".npz", ".csv")
TABLES = (".parquet", ".arrow", ".feather")
SCORED = (*ARRAYS, *TABLES)  # what `lstmconv run` reads and writes
TRACE = (".npz",)
ONNX = (".onnx",)
REPORT = (".html",)


def check_suffix(path: str | os.PathLike[str], suffixes: tuple[str, ...]) -> str:
    """The suffix of a path, in lower case.

    Raises:
        UsageError: it is not one of `suffixes`. That of an archive must be in lower case: Keras opens no other.
    """
    suffix = Path(path).suffix
    if (suffix if suffixes == ARCHIVE else suffix.lower()) not in suffixes:
        shown = printable(os.fspath(path))
        raise UsageError(f"'{shown}': the name must end in {' or '.join(suffixes)}", "E_SUFFIX")
    return suffix.lower()
