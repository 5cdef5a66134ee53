"""Every error the runtime raises on purpose.

    Error
    ├── BundleError          the bytes are not a valid bundle (code says which rule of FORMAT.md they break)
    │   └── VersionError     the bundle is of a format this runtime does not know
    ├── InputError           an array or another argument does not fit the model (also a ValueError)
    ├── EngineError          the engine that is asked for is not there; says what to do
    ├── StreamError          the model cannot be run step by step; names the layer that needs the future
    └── FileError            the file cannot be read (also an OSError)
        └── NoFileError      there is no such file (also a FileNotFoundError)

Whatever fails in a call of the runtime raises one of them, but for running out of memory. Each carries `code`, a stable
word such as ``E_BUNDLE_DIGEST`` that programs may match on.
"""

from __future__ import annotations

from typing import ClassVar


def one_line(text: str, limit: int = 800) -> str:
    """Text as one printable line of bounded length, whatever the names and values in it are."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:limit])


class Error(Exception):
    """Base of all errors of the runtime; `str(error)` is one line."""

    default_code: ClassVar[str] = "E_RUNTIME"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(one_line(message))
        self.code = code or self.default_code


class BundleError(Error):
    """The bytes are not a valid bundle."""

    default_code = "E_BUNDLE_FORMAT"


class VersionError(BundleError):
    """The bundle needs a newer runtime."""

    default_code = "E_BUNDLE_VERSION"


class InputError(Error, ValueError):
    """An array or another argument does not fit the model; `E_ARGUMENT` where it is not an array."""

    default_code = "E_INPUT"


class EngineError(Error):
    """The engine that is asked for is not there."""

    default_code = "E_ENGINE"


class StreamError(Error):
    """The model cannot be run step by step."""

    default_code = "E_STREAM"


class FileError(Error, OSError):
    """The file cannot be read; `filename` and `errno` are those of the system's error."""

    default_code = "E_FILE"

    def __init__(self, message: str, code: str | None = None, cause: OSError | None = None) -> None:
        super().__init__(message, code)
        if cause is not None:
            self.errno, self.strerror, self.filename = cause.errno, cause.strerror, cause.filename

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        cause = None if self.errno is None else OSError(self.errno, self.strerror, self.filename)
        return type(self), (str(self), self.code, cause)


class NoFileError(FileError, FileNotFoundError):
    """There is no such file."""
