"""What can be said about the path of an output before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import FileAccessError, UsageError, printable
from .atomic import REPLACE, is_special, remove_leftovers
from .suffixes import BUNDLE, check_suffix

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")


def bundle_path(model: Path) -> Path:
    """Where the bundle of a model goes by default: beside it, under its name with the suffix `.safetensors`."""
    stem = model.stem if model.suffix.lower() in KERAS_SUFFIXES else _name(model)
    return model.parent / f"{stem}.safetensors"


def onnx_path(model: Path) -> Path:
    """Where the ONNX file of a model or bundle goes by default: beside it, under its name with the suffix `.onnx`."""
    stem = model.stem if model.suffix.lower() in (*KERAS_SUFFIXES, *BUNDLE) else _name(model)
    return model.parent / f"{stem}.onnx"


def report_path(model: Path) -> Path:
    """Where the report on a model or bundle goes by default: beside it, under its name with `.report.html`."""
    stem = model.stem if model.suffix.lower() in (*KERAS_SUFFIXES, *BUNDLE) else _name(model)
    return model.parent / f"{stem}.report.html"


def archive_path(old: Path) -> Path:
    """Where the archive of an old file goes by default: beside it, under its name with the suffix `.keras`."""
    stem = old.name.removesuffix(".h5").removesuffix(".weights") if old.suffix.lower() in KERAS_SUFFIXES else _name(old)
    return old.parent / f"{stem.removesuffix('.hdf5').removesuffix('.keras')}.keras"


def _name(path: Path) -> str:
    """The last name of a path.

    Raises:
        UsageError: it has none, as "." and "..", which stand for a folder whose name is elsewhere.
    """
    if path.name in ("", ".."):
        raise UsageError(f"'{printable(str(path))}' gives the output no name: give it with -o")
    return path.name


def check_output(path: Path, suffixes: tuple[str, ...], force: bool, *inputs: Path) -> None:
    """Refuses a path that could not, or should not, be written.

    `atomic_file.publish` decides once more when it writes; here the user hears of it before a long computation.
    Temporary files that killed runs have left beside it are removed.

    Args:
        suffixes: of which its name must have one, see `suffixes`.
        inputs: files and model folders of the same command, which its output must not replace.

    Raises:
        UsageError: another suffix, or the path is one of the inputs.
        FileAccessError: it exists and `force` is false; or it is a device, a pipe or a folder, which a file that
            takes its place would destroy.
    """
    check_suffix(path, suffixes)
    remove_leftovers(path)
    shown = printable(str(path))
    if path in inputs or any(_same_file(path, given) for given in inputs):
        raise UsageError(f"'{shown}' is named twice: an output would replace another file of this command")
    if not os.path.lexists(path):
        return
    if is_special(path):
        raise FileAccessError(f"'{shown}' is not a regular file, and is not replaced", "E_NOT_REGULAR")
    if not force:
        raise FileAccessError(f"'{shown}' exists", "E_EXISTS", REPLACE)


def _same_file(a: Path, b: Path) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False
