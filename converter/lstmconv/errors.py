"""Every error the converter raises on purpose.

    LstmconvError                 exit  what it says
    ├── UnsupportedError             3  a well-formed model that this version does not convert
    ├── InvalidFileError             4  the file is damaged, hostile, or not a Keras model
    ├── LimitError                   5  the file goes over a documented limit
    ├── FileAccessError              6  the operating system refused to read or write
    ├── MissingPackageError          2  an optional package is needed for this command
    └── UsageError                   2  the arguments do not fit together

Each carries `code`, a stable word such as ``E_UNSUPPORTED_LAYER`` that programs may match on, and `exit_code`.
The errors of the runtime (bad bundle, bad input array) are `lstmconv_runtime.Error` and its children.
"""

from __future__ import annotations

from typing import ClassVar


def printable(text: object, limit: int = 200) -> str:
    """Text from an untrusted file, made safe to print: ASCII escapes, at most `limit` characters."""
    shown = ascii(text)[1:-1] if isinstance(text, str) else ascii(text)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


class LstmconvError(Exception):
    """Base of all errors of the converter; `str(error)` is one line."""

    exit_code: ClassVar[int] = 70
    default_code: ClassVar[str] = "E_BUG"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code


class UnsupportedError(LstmconvError):
    """The model is well formed, but has a layer, option or dtype that is not supported."""

    exit_code = 3
    default_code = "E_UNSUPPORTED"


class InvalidFileError(LstmconvError):
    """The file is damaged, hostile, or not what its name says."""

    exit_code = 4
    default_code = "E_NOT_A_MODEL"


class LimitError(LstmconvError):
    """The file goes over a documented limit of size, depth or number."""

    exit_code = 5
    default_code = "E_LIMIT"


class FileAccessError(LstmconvError):
    """The operating system refused to read or write a file."""

    exit_code = 6
    default_code = "E_IO"


class MissingPackageError(LstmconvError):
    """An optional package is not installed; the message says what to install."""

    exit_code = 2
    default_code = "E_MISSING_PACKAGE"


class UsageError(LstmconvError):
    """The arguments do not fit together."""

    exit_code = 2
    default_code = "E_USAGE"
