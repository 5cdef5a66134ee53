"""What the commands print: results on standard output, everything else on standard error.

A stream may be closed, full, or a pipe whose reader has left; none of these may end in a traceback, and lost results
may not end in success.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import FileAccessError, UsageError

READER_LEFT = 141  # 128 + SIGPIPE, as a shell shows a program that this signal has ended
MAX_LINE = 2000


def one_line(text: str) -> str:
    """Text on one line of printable ASCII, all else as escapes: it may hold names from untrusted files."""
    text = text.replace("…", "...")
    line = "".join(c if c.isascii() and c.isprintable() else ascii(c)[1:-1] for c in text)
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 3]}..."


def print_result(text: str) -> None:
    """Writes lines to standard output; see `print_text`."""
    print_text(text if text.endswith("\n") else f"{text}\n")


def print_text(text: str) -> None:
    """Writes to standard output.

    Raises:
        FileAccessError: it is closed or full.
        SystemExit: its reader has left, as `head` does.
    """
    if sys.stdout is None:
        raise FileAccessError("cannot write to standard output: it is closed", "E_IO")
    _write(text)


class BytesOnStandardOutput:
    """Standard output as a file for bytes.

    Args:
        refuse_terminal: these bytes are nothing to look at.

    Raises:
        FileAccessError: it is closed.
        UsageError: it is a terminal, and should not be.
    """

    closed = False

    def __init__(self, refuse_terminal: bool) -> None:
        if sys.stdout is None:
            raise FileAccessError("cannot write to standard output: it is closed", "E_IO")
        if refuse_terminal and sys.stdout.isatty():
            raise UsageError("standard output is a terminal: send these bytes to a program or a file", "E_STREAM")

    def write(self, data: bytes | memoryview) -> int:
        """Raises like `print_text`."""
        with _writing():
            return sys.stdout.buffer.write(data)

    def flush(self) -> None:
        with _writing():
            sys.stdout.buffer.flush()

    def close(self) -> None:
        """Standard output stays open."""

    def writable(self) -> bool:
        return True


def flush_results() -> None:
    """Writes out what others, such as help texts, left in the buffer; raises like `print_result`."""
    if sys.stdout is not None:
        _write("")


def _write(text: str) -> None:
    with _writing():
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def _writing() -> Iterator[None]:
    """What may go wrong while standard output is written to."""
    try:
        yield
    except BrokenPipeError:
        _discard(1)
        raise SystemExit(READER_LEFT) from None
    except OSError as error:
        _discard(1)
        raise FileAccessError(f"cannot write to standard output: {error.strerror or error}", "E_IO") from None


def print_note(kind: str, text: str) -> None:
    """Writes `lstmconv: KIND: TEXT` to standard error, in one line."""
    print_diagnostics(f"lstmconv: {kind}: {one_line(text)}\n")


def print_diagnostics(text: str) -> None:
    """Writes to standard error; where that fails, there is nobody left to tell."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _discard(2)


def _discard(descriptor: int) -> None:
    """Sends the rest of a broken stream nowhere: Python flushes it once more when it exits, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
