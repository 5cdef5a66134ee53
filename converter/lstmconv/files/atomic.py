"""Publishing files all at once: after success they are complete and on disk, after any failure nothing has changed.

A file is written beside its target under a name of its own, flushed to the disk, and renamed. While it is written it is
locked; one that a killed run has left behind is not, and whoever publishes the same target next removes it.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import FileAccessError, Hint, InvalidFileError
from . import system

REPLACE = Hint("{} replaces it", "force")


@contextmanager
def publish(path: str | os.PathLike[str], force: bool) -> Iterator[BinaryIO]:
    """A binary file to write to, which takes the place of `path` when the block ends without an exception.

    Where the target is a symbolic link, the link is replaced.

    Raises:
        FileAccessError: the target exists and `force` is false, or the system refused.
    """
    with publish_all((path,), force) as (file,):
        yield file


@contextmanager
def publish_all(paths: Sequence[str | os.PathLike[str]], force: bool) -> Iterator[list[BinaryIO]]:
    """Several such files: all of them are on the disk before the first takes its place.

    Raises:
        FileAccessError: see `publish`.
    """
    targets = [Path(path) for path in paths]
    for target in targets:
        remove_leftovers(target)
        _refuse_target(target, force)
    pending: list[_Pending] = []
    try:
        for target in targets:
            pending.append(_Pending(target))
            with _writing(target):
                pending[-1].open()
        with _writing(*targets):
            yield [one.file for one in pending]
        for one in pending:
            with _writing(one.target):
                one.flush()
        for one in pending:
            with _writing(one.target):
                one.take_place(force)
    finally:
        for one in pending:
            one.close()
    for folder in dict.fromkeys(target.parent for target in targets):
        try:
            system.sync_folder(folder)
        except OSError as error:
            names = " and ".join(f"'{target}'" for target in targets if target.parent == folder)
            raise FileAccessError(
                f"{names}: written and in place, but the system could not flush the folder to the disk "
                f"({error.strerror or error}): a loss of power may still undo it",
                "E_IO",
            ) from None


class _Pending:
    """A file under a name of its own, on its way to its target."""

    temporary: Path
    file: BinaryIO

    def __init__(self, target: Path) -> None:
        self.target = target
        self._undo = ExitStack()

    def open(self) -> None:
        while True:
            self.temporary = self.target.parent / f"{_beginning(self.target)}{secrets.token_hex(4)}.tmp"
            self._undo.callback(_remove, self.temporary)
            self.file = open(system.create(self.temporary), "w+b")  # noqa: SIM115 (`close` closes it)
            self._undo.callback(self.file.close)
            system.lock(self.file.fileno(), wait=True)  # another run may be looking whether it is a leftover
            if _is_open_as(self.temporary, self.file.fileno()):
                return
            self._undo.close()  # another run took it for a leftover before it was locked

    def flush(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        if not system.locks_files():
            self.file.close()

    def take_place(self, force: bool) -> None:
        if force:
            os.replace(self.temporary, self.target)
        else:
            _rename_to_new(self.temporary, self.target)

    def close(self) -> None:
        """Removes the file under its own name, where it still is. What it holds is on the disk, or given up."""
        with suppress(OSError):
            self._undo.close()


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def remove_leftovers(target: Path) -> None:
    """Removes the temporary files of runs that were killed on their way to `target`: those that nobody has locked."""
    ours = re.compile(re.escape(_beginning(target)) + "[0-9a-f]{8}[.]tmp")
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if ours.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_unlocked(Path(entry.path))


def _remove_unlocked(path: Path) -> None:
    descriptor = system.open_to_read(path, follow=False)
    try:
        if system.lock(descriptor) and _is_open_as(path, descriptor):
            path.unlink()
    finally:
        os.close(descriptor)


def _beginning(target: Path) -> str:
    """How the names of the temporary files of a target begin: short, for names have at most 255 bytes."""
    return f".{target.name[:40]}."


def _is_open_as(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def _writing(*targets: Path) -> Iterator[None]:
    """What the system refuses while these are written, as errors of ours."""
    names = " and ".join(f"'{target}'" for target in targets)
    try:
        yield
    except FileExistsError:
        raise FileAccessError(f"{names} exists", "E_EXISTS", REPLACE) from None
    except OSError as error:
        raise FileAccessError(f"cannot write {names}: {error.strerror or error}", "E_IO") from None


def _refuse_target(target: Path, force: bool) -> None:
    if not force and os.path.lexists(target):
        raise FileAccessError(f"'{target}' exists", "E_EXISTS", REPLACE)
    if is_special(target):
        raise FileAccessError(f"'{target}' is not a regular file, and is not replaced", "E_NOT_REGULAR")


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
