"""The file object the HDF5 parser reads from: bytes in memory that can be read only so often.

A crafted file can make any HDF5 parser read the same bytes again and again (a B-tree node whose 65535 children are
one node, a header continued by itself), in time and memory that have nothing to do with the file's size. Metadata of
real files is read about twice; whoever reads far more is being led in circles.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import InvalidFileError, LimitError, LstmconvError

_READ_COST = 64  # what the smallest read counts: many tiny reads take time too
MAX_HEADER_BYTES = 4 * 2**20


class MeteredBytes:
    """`seek`, `tell` and `read` on a memoryview, until the allowance is used up: then LimitError (E_LIMIT_PARSE)."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self._position = 0
        self._allowance = 32 * 2**20 + min(2 * len(data), 64 * 2**20)

    def seek(self, offset: int, whence: int = 0) -> int:
        position = offset + (0, self._position, len(self.data))[whence]
        if position < 0:
            raise ValueError("negative seek position")
        self._position = position
        return position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = len(self.data) if size < 0 else min(self._position + size, len(self.data))
        taken = max(0, end - self._position)
        self._allowance -= max(taken, _READ_COST)
        if self._allowance < 0:
            raise LimitError("the HDF5 structure takes far more reading than the file is large", "E_LIMIT_PARSE")
        result = bytes(self.data[self._position : self._position + taken])
        self._position += taken
        return result

    @contextmanager
    def at_most(self, size: int) -> Iterator[None]:
        """Within this block, reading more than `size` bytes is over the limit."""
        kept = max(0, self._allowance - size)
        self._allowance -= kept
        try:
            yield
        finally:
            self._allowance += kept


@contextmanager
def parsing(where: str) -> Iterator[None]:
    """Turn every exception of the HDF5 parser into InvalidFileError (E_H5_INVALID); `where` says what was being read.

    The parser was written for files of good faith: on damaged ones it raises AssertionError, struct.error, IndexError,
    KeyError, OverflowError and more, and asks for memory that no machine has.
    """
    try:
        yield
    except LstmconvError:
        raise
    except Exception as error:
        raise InvalidFileError(
            f"{where}: the HDF5 structure is damaged ({type(error).__name__})", "E_H5_INVALID"
        ) from error
