"""How many threads the kernel may use in this thread of Python."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# What the environment may keep NumPy's matrix products to, and with them the kernel; scripts/bench names them.
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


def of_environment() -> int:
    """The fewest that it keeps anything to; 0 where it says nothing."""
    said = [os.environ.get(name, "") for name in BLAS_THREADS]
    return min((int(number) for number in said if number.isdecimal() and int(number)), default=0)


class _Threads(threading.local):
    """`most` is 0 for as many as there are processors."""

    most = of_environment()


kernel_threads = _Threads()


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """Keeps the kernel to so many threads in what this thread of Python calls."""
    before, kernel_threads.most = kernel_threads.most, count
    try:
        yield
    finally:
        kernel_threads.most = before
