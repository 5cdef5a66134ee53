"""A line on the terminal that says how far a long computation is, or that it is still going on."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from ..files.standard_streams import print_diagnostics

PATIENCE = 2.0  # seconds before the line appears: most work is done by then
INTERVAL = 0.1  # seconds between two drawings
BAR = 20  # characters


class Working:
    """What is being done, and for how long, on standard error while the block runs; nothing of it stays.

    For work that cannot say how far it is. Like `Progress` it shows nothing for PATIENCE seconds, nor where standard
    error is no terminal. It has a descriptor of its own, for libraries are kept quiet by taking standard error away.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Working:
        if sys.stderr is not None and sys.stderr.isatty():
            self._terminal = os.dup(sys.stderr.fileno())
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
            os.close(self._terminal)

    def _show(self) -> None:
        started, wait, drawn = time.monotonic(), PATIENCE, False
        while not self._done.wait(wait):
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r{f'{self._what}  {clock_time(time.monotonic() - started)}'[:width]}\x1b[K")
            wait, drawn = 1.0, True
        if drawn:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        with suppress(OSError):
            os.write(self._terminal, text.encode())


class Progress:
    """Rows done, rate and time left, on standard error while the block runs; nothing of it stays.

    Args:
        total: the rows there are; None where only the end tells.
        wanted: false keeps it silent; so does a standard error that is no terminal.
        unit: what is counted.
    """

    def __init__(
        self,
        total: int | None,
        wanted: bool = True,
        clock: Callable[[], float] = time.monotonic,
        unit: str = "rows",
    ) -> None:
        self._total, self._clock, self._unit = total, clock, unit
        self._shows = wanted and sys.stderr is not None and sys.stderr.isatty()
        self._started = clock()
        self._next = self._started + PATIENCE
        self._drawn = False

    def update(self, done: int) -> None:
        """So many rows are done."""
        now = self._clock()
        if self._shows and now >= self._next and (self._total is None or done < self._total):
            self._next = now + INTERVAL
            self._drawn = True
            width = shutil.get_terminal_size().columns - 1
            line = progress_line(done, self._total, now - self._started, self._unit)
            print_diagnostics(f"\r{line[:width]}\x1b[K")  # the escape clears the rest of the line

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._drawn:
            print_diagnostics("\r\x1b[K")


def progress_line(done: int, total: int | None, seconds: float, unit: str = "rows") -> str:
    """[#####---------------]  25 %  1,000 of 4,000 rows  500 rows/s  0:06 left; 1,000 rows  500 rows/s"""
    rate = done / seconds
    if total is None:
        return f"{done:,} {unit}  {rate:,.{0 if rate >= 10 else 1}f} {unit}/s"
    share = done / total
    full = int(share * BAR)
    left = f"  {clock_time((total - done) / rate)} left" if done else ""
    return (
        f"[{'#' * full}{'-' * (BAR - full)}] {share:4.0%}  {done:,} of {total:,} {unit}  "
        f"{rate:,.{0 if rate >= 10 else 1}f} {unit}/s{left}"
    )


def clock_time(seconds: float) -> str:
    """0:06, 12:34, 1:02:03"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
