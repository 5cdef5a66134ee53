"""Every error the runtime raises on purpose.

    Error
    ├── BundleError          the bytes are not a valid bundle (code says which rule of FORMAT.md they break)
    │   └── VersionError     the bundle is of a format this runtime does not know
    ├── InputError           an input array does not fit the model (also a ValueError)
    └── StreamError          the model cannot be run step by step; names the layer that needs the future

Each carries `code`, a stable word such as ``E_BUNDLE_DIGEST`` that programs may match on.
"""

from __future__ import annotations

from typing import ClassVar


class Error(Exception):
    """Base of all errors of the runtime; `str(error)` is one line."""

    default_code: ClassVar[str] = "E_RUNTIME"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code


class BundleError(Error):
    """The bytes are not a valid bundle."""

    default_code = "E_BUNDLE_FORMAT"


class VersionError(BundleError):
    """The bundle needs a newer runtime."""

    default_code = "E_BUNDLE_VERSION"


class InputError(Error, ValueError):
    """An input array does not fit the model."""

    default_code = "E_INPUT"


class StreamError(Error):
    """The model cannot be run step by step."""

    default_code = "E_STREAM"
