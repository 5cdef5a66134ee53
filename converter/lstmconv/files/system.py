"""What POSIX has and Windows has not: asked for here alone, and done without where it is missing."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NOT_FOR_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)  # file systems that cannot flush a folder


def flags(*names: str) -> int:
    """Those of the flags of `os.open` that this system has."""
    return sum(getattr(os, name, 0) for name in names)


def open_to_read(path: str | os.PathLike[str], follow: bool = True, folder: int | None = None) -> int:
    """A descriptor of what is there; a FIFO does not make it wait for a writer.

    Args:
        folder: the descriptor of an open folder that `path` is a name in.
    """
    wanted = ("O_CLOEXEC", "O_NONBLOCK", "O_BINARY", *(() if follow else ("O_NOFOLLOW",)))
    return os.open(path, os.O_RDONLY | flags(*wanted), dir_fd=folder)


def open_folder(path: str | os.PathLike[str]) -> int:
    """A descriptor of a folder."""
    return os.open(path, os.O_RDONLY | flags("O_CLOEXEC", "O_DIRECTORY"))


def create(path: str | os.PathLike[str]) -> int:
    """A descriptor of a new file, to write and to read.

    Raises:
        FileExistsError: there is one, or a link, of this name.
    """
    more = flags("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | more, 0o666)


def locks_files() -> bool:
    """Whether `lock` can ever succeed here. Where it cannot, on Windows, open files cannot be renamed either."""
    return fcntl is not None


def lock(descriptor: int, wait: bool = False) -> bool:
    """Locks a file until its descriptor is closed, by the end of the process at the latest; False where another has it,
    or there are no locks on this system or file system.

    Args:
        wait: until the other lets go of it.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Flushes the names in a folder to the disk, where the system and the file system can.

    Raises:
        OSError: they can, and it failed.
    """
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | flags("O_DIRECTORY", "O_CLOEXEC"))
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_FOR_FOLDERS:
            raise
    finally:
        with suppress(OSError):
            os.close(descriptor)
