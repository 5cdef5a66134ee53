"""Where a bundle's bytes come from: a path or a file object."""

from __future__ import annotations

import os
from typing import Any

from ..errors import BundleError, FileError, InputError, NoFileError


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file.

    Raises:
        FileError: the system cannot read it.
        InputError: no file can have such a path.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise NoFileError(f"there is no file '{shown(path)}'", cause=error) from None
    except IsADirectoryError as error:
        raise FileError(f"'{shown(path)}' is a folder, and a bundle is a file", cause=error) from None
    except OSError as error:
        raise FileError(f"cannot read '{shown(path)}': {error.strerror or error}", cause=error) from None
    except (ValueError, TypeError) as error:  # a zero character, a lone surrogate, a PathLike that gives no text
        raise InputError(f"'{shown(path)}' is not a path: {error}", "E_ARGUMENT") from None


def read_object(source: Any) -> bytes:
    """The bytes that are left in a binary file object.

    Raises:
        FileError: reading it failed.
        BundleError: it gave text.
        InputError: it is no file object.
    """
    read = getattr(source, "read", None)
    if not callable(read):
        raise InputError(
            f"a bundle is loaded from a path, its bytes or a binary file object, not {type(source).__name__}",
            "E_ARGUMENT",
        )
    try:
        data = read()
    except OSError as error:
        raise FileError(f"cannot read the file object: {error.strerror or error}", cause=error) from None
    except ValueError as error:  # it is closed, or holds text that does not decode
        raise FileError(f"cannot read the file object: {error}") from None
    if not isinstance(data, bytes):
        raise BundleError("the file object gave text: open it in binary mode")
    return data


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a message, at most 400 characters of it."""
    try:
        return str(os.fspath(path))[:400]
    except TypeError:
        return repr(path)[:400]
