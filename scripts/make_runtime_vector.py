#!/usr/bin/env python3
"""Makes tests/vectors/runtime: bundles and what Keras predicted, for tests that have nothing but the runtime.

    scripts/make_runtime_vector.py

Needs the extra `parity`. The bundles are written from models in memory, so their probes are Keras's own outputs.
"""

from __future__ import annotations

from pathlib import Path

import keras
import lstmconv
import numpy as np
from keras import layers

OUT = Path(__file__).parents[1] / "tests" / "vectors" / "runtime"


def seeded(model: keras.Model) -> keras.Model:
    """The model with weights drawn from NumPy, scaled so that no recurrence is chaotic."""
    random = np.random.default_rng(0)
    model.set_weights([random.standard_normal(w.shape) / np.sqrt(w.shape[0]) for w in model.get_weights()])
    return model


def wave() -> keras.Model:
    return keras.Sequential([layers.Input((5, 1)), layers.LSTM(20), layers.Dense(1), layers.Activation("linear")])


def masked() -> keras.Model:
    both = layers.Bidirectional(layers.LSTM(6, return_sequences=True))
    return keras.Sequential([layers.Input((None, 3)), layers.Masking(), both, layers.GRU(5), layers.Dense(2)])


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    gaps = random.standard_normal((12, 9, 3)).astype("float32")
    gaps[random.random((12, 9)) < 0.4] = 0
    for name, model, x in (
        ("wave", wave(), random.standard_normal((50, 5, 1)).astype("float32")),
        ("masked", masked(), gaps),
    ):
        seeded(model)
        lstmconv.export(model, OUT / f"{name}.safetensors", force=True)
        y = model.predict(x, verbose=0)
        np.savez(OUT / f"{name}.npz", x=x, y=y, made_by=np.array(f"keras {keras.__version__}"))


if __name__ == "__main__":
    main()
