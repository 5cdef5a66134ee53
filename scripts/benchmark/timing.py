"""Times taken side by side.

In every round each engine has one burst: a pause, calls that are not counted, calls that are. The order changes from
round to round. The pause matters: the threads of OpenBLAS, onnxruntime and OpenMP spin for up to some 30 ms after their
last piece of work, and would take a core from the engine that follows.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from lstmconv_runtime.format.graph import Array


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes:
        pause: seconds before a burst.
        burst: seconds of counted calls in it, at least `least` calls and at most `most`.
        repeats: processes started for each start-up figure.
        matrix: rows of the square matrices of the roofline.
    """

    rounds: int = 21
    pause: float = 0.05
    burst: float = 0.03
    least: int = 2
    most: int = 2000
    stream_burst: float = 0.5
    stream_steps: int = 400
    repeats: int = 11
    matrix: int = 2048


FULL = Settings()
QUICK = Settings(rounds=5, pause=0.03, burst=0.005, stream_burst=0.05, stream_steps=200, repeats=2, matrix=1024)


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one engine: `rounds` has the counted calls of each round."""

    rounds: tuple[Array, ...]

    @property
    def medians(self) -> Array:
        """The median of each round."""
        return np.array([np.median(times) for times in self.rounds])

    @property
    def median(self) -> float:
        return float(np.median(self.medians))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Of the rounds' medians."""
        low, high = np.percentile(self.medians, [25, 75])
        return float(low), float(high)

    @property
    def calls(self) -> int:
        return sum(map(len, self.rounds))

    def percentile(self, q: float) -> float:
        """Over every single call."""
        return float(np.percentile(np.concatenate(self.rounds), q))

    def ratio_to(self, other: Timing) -> float:
        """The median over the rounds of this time by the other's in the same round, so that drift cancels."""
        return float(np.median(self.medians / other.medians))


def interleaved(
    calls: Mapping[str, Callable[[], object]], *, rounds: int, pause: float, burst: float, least: int, most: int
) -> dict[str, Timing]:
    """Times every call in every round; see the head of this module."""
    order, shuffler = list(calls), random.Random(0)
    measured: dict[str, list[Array]] = {name: [] for name in calls}
    for _ in range(rounds):
        shuffler.shuffle(order)
        for name in order:
            time.sleep(pause)
            measured[name].append(_burst(calls[name], burst, least, most))
    return {name: Timing(tuple(times)) for name, times in measured.items()}


def _burst(call: Callable[[], object], seconds: float, least: int, most: int) -> Array:
    """Seconds of each counted call."""
    clock = time.perf_counter_ns
    times: list[int] = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        call()
        deadline = clock() + int(seconds * 1e9)
        while len(times) < least or (clock() < deadline and len(times) < most):
            start = clock()
            call()
            times.append(clock() - start)
    finally:
        if collecting:
            gc.enable()
    return np.array(times) / 1e9


def matmul_rate(rows: int, seconds: float = 0.5) -> float:
    """The roofline: operations per second of the fastest of some float32 products of square matrices in NumPy."""
    a = np.random.default_rng(0).standard_normal((rows, rows)).astype(np.float32)
    out = np.empty_like(a)
    times = _burst(lambda: np.matmul(a, a.T, out=out), seconds, 3, 1000)
    return float(2 * rows**3 / times.min())
