"""What can be said about the path of an output before any work is done."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .errors import FileAccessError, UsageError, printable

SYSTEM_FOLDERS = ("/dev/", "/proc/", "/sys/")
KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")


def bundle_path(model: Path) -> Path:
    """Where the bundle of a model goes by default: beside it, under its name with the suffix `.safetensors`."""
    stem = model.stem if model.suffix.lower() in KERAS_SUFFIXES else model.name
    return model.parent / f"{stem}.safetensors"


def check_output(path: Path, force: bool, *inputs: Path) -> None:
    """Refuses a path that could not, or should not, be written.

    `atomic_file.publish` decides once more when it writes; here the user hears of it before a long computation.

    Args:
        inputs: files of the same command, which its output must not replace.

    Raises:
        UsageError: the path is one of the inputs.
        FileAccessError: it exists and `force` is false; or it is a device, a pipe or a folder, which a file that
            takes its place would destroy.
    """
    shown = printable(str(path))
    if path in inputs or any(_same_file(path, given) for given in inputs):
        raise UsageError(f"'{shown}' is named twice: an output would replace another file of this command")
    if not os.path.lexists(path):
        return
    if _is_special(path):
        raise FileAccessError(f"'{shown}' is not a regular file, and is not replaced", "E_NOT_REGULAR")
    if not force:
        raise FileAccessError(f"'{shown}' exists; --force replaces it", "E_EXISTS")


def _is_special(path: Path) -> bool:
    """True for devices, pipes, folders, links to them, and whatever stands in a folder of the system.

    /dev/stdout is a link that may well lead to a regular file, and yet the whole machine loses it when it is replaced.
    """
    folder = f"{os.path.realpath(path.parent)}/"
    if folder.startswith(SYSTEM_FOLDERS) and not folder.startswith("/dev/shm/"):
        return True
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False  # a dangling link, which is replaced


def _same_file(a: Path, b: Path) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False
