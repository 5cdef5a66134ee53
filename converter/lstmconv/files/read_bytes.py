"""One look at the file system: a regular file, read once, whole, into memory (rule R1).

Everything else in this package works on the bytes returned here, so nothing that happens to the file afterwards can
make two checks see two different files, and a FIFO, a device or a directory never gets read at all.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import FileAccessError, InvalidFileError, LimitError, printable
from .system import open_to_read

MAX_FILE_BYTES = 4 * 2**30


def read_bytes(path: str | os.PathLike[str], limit: int = MAX_FILE_BYTES, folder: int | None = None) -> bytes:
    """The bytes of the regular file at `path`.

    Args:
        folder: a descriptor of the folder that holds the file; `path` is then its name, and no symbolic link.

    Raises FileAccessError (not a regular file, unreadable, changed while being read), LimitError (over `limit` bytes,
    found before reading), InvalidFileError (a SavedModel folder, which people pass as a model).
    """
    shown = printable(os.fspath(path))
    descriptor, before = open_regular(path, folder)
    try:
        if before.st_size > limit:
            raise LimitError(f"{shown}: has {before.st_size} bytes; the limit is {limit}", "E_LIMIT_SIZE")
        data = _read_up_to(descriptor, before.st_size + 1)
        after = os.fstat(descriptor)
    except OSError as error:
        raise FileAccessError(f"{shown}: cannot be read: {_reason(error)}", "E_IO") from error
    finally:
        os.close(descriptor)
    if len(data) != before.st_size or changed(before, after):
        raise changed_while_read(shown)
    return data


def open_regular(path: str | os.PathLike[str], folder: int | None = None) -> tuple[int, os.stat_result]:
    """A descriptor of the regular file at `path`, which the caller closes, and what it is at that moment.

    Args:
        folder: as for `read_bytes`.

    Raises FileAccessError (not a regular file, unreadable), InvalidFileError (a SavedModel folder).
    """
    shown = printable(os.fspath(path))
    try:
        descriptor = open_to_read(path, follow=folder is None, folder=folder)
    except OSError as error:
        if folder is not None and error.errno == errno.ELOOP:
            raise FileAccessError(
                f"{shown}: is a symbolic link, which is not followed here", "E_NOT_REGULAR"
            ) from error
        if error.errno == errno.ENXIO:
            raise FileAccessError(f"{shown}: is not a regular file", "E_NOT_REGULAR") from error
        raise FileAccessError(f"{shown}: cannot be opened: {_reason(error)}", "E_IO") from error
    except ValueError as error:
        raise FileAccessError(f"{shown}: is not a path: {printable(str(error))}", "E_IO") from error
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode) and folder is None:
            _refuse_folder(path, shown)
        if not stat.S_ISREG(status.st_mode):
            raise FileAccessError(f"{shown}: is not a regular file", "E_NOT_REGULAR")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def changed(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether a file was written to, as far as its size and time show."""
    return (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)


def changed_while_read(shown: str) -> FileAccessError:
    """The error for a file that is not what it was when it was opened."""
    return FileAccessError(f"{shown}: changed while it was being read", "E_CHANGED")


def _read_up_to(descriptor: int, limit: int) -> bytes:
    """At most `limit` bytes. One read call returns the whole file up to 2 GiB, so no second copy is made of those."""
    parts: list[bytes] = []
    while limit > 0 and (part := os.read(descriptor, min(limit, 2**30 * 2 - 4096))):
        parts.append(part)
        limit -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _refuse_folder(path: str | os.PathLike[str], shown: str) -> None:
    if os.path.exists(os.path.join(path, "saved_model.pb")):
        raise InvalidFileError(
            f"{shown}: is a TensorFlow SavedModel folder; save the model as .keras or .h5", "E_NOT_A_MODEL"
        )
    raise FileAccessError(f"{shown}: is a folder without a Keras model (it has no config.json)", "E_NOT_REGULAR")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
