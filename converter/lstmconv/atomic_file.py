"""Publishing a file all at once: after success it is complete and on disk, after any failure nothing has changed."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import FileAccessError, InvalidFileError


@contextmanager
def publish(path: str | os.PathLike[str], force: bool) -> Iterator[BinaryIO]:
    """A binary file to write to, which takes the place of `path` when the block ends without an exception.

    It is written beside the target under a name of its own, flushed to the disk, and renamed. Where the target is a
    symbolic link, the link is replaced.

    Raises:
        FileAccessError: the target exists and `force` is false, or the system refused.
    """
    target = Path(path)
    if not force and os.path.lexists(target):
        raise FileAccessError(f"'{target}' exists; --force replaces it", "E_EXISTS")
    if is_special(target):
        raise FileAccessError(f"'{target}' is not a regular file, and is not replaced", "E_NOT_REGULAR")
    temporary = target.parent / f".{target.name[:100]}.{secrets.token_hex(4)}.tmp"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o666), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if force:
            os.replace(temporary, target)
        else:
            _rename_to_new(temporary, target)
        _sync_directory(target.parent)
    except FileExistsError:
        raise FileAccessError(f"'{target}' exists; --force replaces it", "E_EXISTS") from None
    except OSError as error:
        raise FileAccessError(f"cannot write '{target}': {error.strerror or error}", "E_IO") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


SYSTEM_FOLDERS = ("/dev/", "/proc/", "/sys/")


def is_special(path: Path) -> bool:
    """True for devices, pipes, folders, links to them, and whatever stands in a folder of the system.

    /dev/stdout is a link that may well lead to a regular file, and yet the whole machine loses it when it is replaced.
    """
    folder = f"{os.path.realpath(path.parent)}/"
    if folder.startswith(SYSTEM_FOLDERS) and not folder.startswith("/dev/shm/"):
        return True
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False  # absent, or a dangling link, which is replaced


def _rename_to_new(temporary: Path, target: Path) -> None:
    """Renames, and fails where the target has come to exist meanwhile, which `rename` alone would not."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError from None
        os.rename(temporary, target)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish_bytes(data: bytes, path: str | os.PathLike[str], force: bool) -> None:
    """Publishes `data` as `path`, reading it back and comparing before it takes its place.

    Raises:
        FileAccessError: see `publish`.
    """
    with publish(path, force) as file:
        file.write(data)
        file.flush()
        file.seek(0)
        if file.read() != data:
            raise InvalidFileError(f"'{path}' does not read back as it was written", "E_IO")
