"""Every error the converter raises on purpose.

    LstmconvError                 exit  what it says
    ├── UnsupportedError             3  a well-formed model that this version does not convert
    ├── InvalidFileError             4  the file is damaged, hostile, or not a Keras model
    ├── LimitError                   5  the file goes over a documented limit
    ├── FileAccessError              6  the operating system refused to read or write
    ├── MissingPackageError          2  an optional package is needed for this command
    └── UsageError                   2  the arguments do not fit together

Each carries `code`, a stable word such as ``E_UNSUPPORTED_LAYER`` that programs may match on, and `exit_code`. Where an
argument would help, `hint` names it: in `str(error)` as Python writes it, force=True; the commands say --force.
The errors of the runtime (bad bundle, bad input array) are `lstmconv_runtime.Error` and its children.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple


def printable(text: object, limit: int = 200) -> str:
    """Text from an untrusted file, made safe to print: ASCII escapes, at most `limit` characters."""
    shown = ascii(text)[1:-1] if isinstance(text, str) else ascii(text)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


class Hint(NamedTuple):
    """What a caller can do about an error with one argument.

    Attributes:
        text: with {} where the argument stands.
        argument: its name in Python; the option of the commands is called alike.
        value: what to give it; True is a flag, None leaves it open.
        python: what to give it in Python, where that is written otherwise.
    """

    text: str
    argument: str
    value: str | bool | None = True
    python: str | None = None

    def in_python(self) -> str:
        """As a caller of the library writes it: force=True, config="architecture.json"."""
        shown = self.python or (f'"{self.value}"' if isinstance(self.value, str) else str(self.value))
        return self.text.format(self.argument if self.value is None else f"{self.argument}={shown}")

    def in_shell(self) -> str:
        """As a user of the commands writes it: --force, --config architecture.json."""
        option = f"--{self.argument.replace('_', '-')}"
        return self.text.format(f"{option} {self.value}" if isinstance(self.value, str) else option)


class LstmconvError(Exception):
    """Base of all errors of the converter; `str(error)` is one line.

    Attributes:
        reason: what is wrong, without the hint.
        hint: the argument that would help, if one does.
    """

    exit_code: ClassVar[int] = 70
    default_code: ClassVar[str] = "E_BUG"

    def __init__(self, message: str, code: str | None = None, hint: Hint | None = None) -> None:
        super().__init__(message if hint is None else f"{message}; {hint.in_python()}")
        self.reason = message
        self.code = code or self.default_code
        self.hint = hint

    def in_shell(self) -> str:
        """The message in the words of the commands."""
        return self.reason if self.hint is None else f"{self.reason}; {self.hint.in_shell()}"


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
