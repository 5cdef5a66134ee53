"""What reading rows stands on: rows in memory, the file that others come from, and how much is held at once."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any, Protocol

import numpy as np
from lstmconv_runtime.format.graph import Array

from ..errors import FileAccessError, InvalidFileError, LimitError
from . import arrays
from .arrays import NOT_AN_NPZ, first_line
from .read_bytes import changed, changed_while_read


class Rows(Protocol):
    """The rows of an array that is taken a few rows at a time.

    Attributes:
        shape: its first size is None where only the end tells how many rows there are.
    """

    shape: tuple[Any, ...]
    dtype: np.dtype[Any]

    def take(self, count: int) -> Array:
        """The next `count` rows; fewer where only the end tells how many there are."""


class Readable(Protocol):
    """Where bytes come from: `Source`, or a stream."""

    def check(self) -> None:
        """Raises FileAccessError where it is not what it was when it was opened."""

    def reading(self, shown: str) -> AbstractContextManager[None]:
        """What may go wrong while `shown`, all or a part of it, is read, as errors of ours."""


class HeldRows:
    """The rows of an array in memory."""

    def __init__(self, array: Array) -> None:
        self.shape: tuple[Any, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self._array = array
        self._taken = 0

    def take(self, count: int) -> Array:
        """The next `count` rows; the whole array where it has no rows."""
        if not self.shape:
            return self._array
        taken, self._taken = self._taken, self._taken + count
        return self._array[taken : self._taken]


class Source:
    """An open file that is not to change while it is read."""

    def __init__(self, file: IO[bytes], before: os.stat_result, shown: str) -> None:
        self.file, self.shown = file, shown
        self.size = before.st_size
        self._before = before

    def check(self) -> None:
        """Raises FileAccessError where the file is not what it was when it was opened."""
        if changed(self._before, os.fstat(self.file.fileno())):
            raise changed_while_read(self.shown)

    @contextmanager
    def reading(self, shown: str) -> Iterator[None]:
        """What may go wrong while `shown`, the file or one of its members, is read, as errors of ours."""
        try:
            yield
        except NOT_AN_NPZ as error:
            self.check()
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: a seek to before 0
                raise FileAccessError(f"{shown}: cannot be read: {error.strerror}", "E_IO") from None
            raise InvalidFileError(f"{shown}: not an .npz archive: {first_line(error)}", "E_ARRAY_FILE") from None


def check_size(size: int, what: str) -> None:
    """Raises LimitError where so many bytes are more than are held at once."""
    if size > arrays.MAX_ARRAY_BYTES:
        raise LimitError(f"{what} {size} bytes; the limit is {arrays.MAX_ARRAY_BYTES}", "E_LIMIT_SIZE")
