"""Times the runtime of one revision. Started by scripts/compare_speed, with that revision's sources on the path:

    python -P revision.py FOLDER        which has demo.safetensors and large.safetensors, exported by the revision

The first line it prints says what is measured: {"sources": its files, "engine": …, "calls": names}. Then it answers
every line of input, the name of a call, with a burst: the seconds of each counted call. Nothing of today's sources is
imported here: they would shadow the other revision's.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import timeit
from collections.abc import Callable
from pathlib import Path

import lstmconv_runtime as lr
import numpy as np

BURST = 0.03  # seconds of counted calls, 2 calls at least and 500 at most


def calls_of(folder: Path) -> dict[str, Callable[[], object]]:
    """What is timed, by name. Predictions: batch × time steps × features."""
    demo, large = (lr.load(folder / f"{name}.safetensors") for name in ("demo", "large"))
    random = np.random.default_rng(0)
    shapes = ((390, 5, 1), (1, 100, 64), (32, 100, 64))
    waves, one, many = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
    stream, step = large.stream(), one[:, 0]
    return {
        "load, LSTM(512)": lambda: lr.load(folder / "large.safetensors"),
        "predict 390×5×1, LSTM(100)": lambda: demo.predict(waves),
        "predict 1×100×64, LSTM(512)": lambda: large.predict(one),
        "predict 32×100×64, LSTM(512)": lambda: large.predict(many),
        "stream step, LSTM(512)": lambda: stream.step(step),
    }


def burst(call: Callable[[], object]) -> list[float]:
    """Seconds of each counted call; the first is not counted, garbage is not collected meanwhile."""
    (first,) = timeit.repeat(call, number=1, repeat=1)
    return timeit.repeat(call, number=1, repeat=max(2, min(500, int(BURST / first))))


def main(folder: Path) -> None:
    calls = calls_of(folder)
    sources = [spec.origin for name in ("lstmconv", "lstmconv_runtime") if (spec := importlib.util.find_spec(name))]
    chosen = getattr(lr, "engine", None)  # before there was a kernel, the name of a module or of nothing
    engine = chosen().name if callable(chosen) else "numpy"
    print(json.dumps({"sources": sources, "engine": engine, "calls": list(calls)}), flush=True)
    for line in sys.stdin:
        print(json.dumps(burst(calls[line.rstrip("\n")])), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
