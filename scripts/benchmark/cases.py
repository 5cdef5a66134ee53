"""What is measured: models of one to two recurrent layers and a Dense(1), with seeded weights, and their inputs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from lstmconv.parity.engines import import_quietly
from lstmconv_runtime.format.graph import Array

MASKED_VALUE = -1.0
STREAM_FEATURES = 8
KINDS = ("LSTM", "stacked", "bidirectional", "GRU", "masked", "SimpleRNN", "masked GRU", "masked SimpleRNN", "stream")
GATES = {"GRU": 3, "masked GRU": 3, "SimpleRNN": 1, "masked SimpleRNN": 1}  # of the other kinds 4


@dataclass(frozen=True)
class Case:
    """One model on one shape of input.

    Attributes:
        kind: LSTM, stacked (two LSTMs), bidirectional, GRU, masked (LSTM), SimpleRNN, masked GRU, masked SimpleRNN,
            stream (LSTM, one step per call).
        steps: time steps per call.
    """

    kind: str
    batch: int
    steps: int
    features: int
    units: int

    @property
    def name(self) -> str:
        if self.kind == "stream":
            return f"stream {self.units}"
        shape = f"{self.batch}x{self.steps}x{self.features}x{self.units}"
        return shape if self.kind == "LSTM" else f"{self.kind} {shape}"

    @property
    def flops(self) -> int:
        """Operations of the matrix products of one call, a multiplication and an addition counting 2.

        A recurrent layer of g gates with n inputs has 2 g u (n + u) per row and step, a Dense(1) 2 n per row.
        Activations are left out; masked steps count.
        """
        gates, n, u = GATES.get(self.kind, 4), self.features, self.units
        layer = 2 * gates * u * (n + u)
        if self.kind == "stacked":
            layer += 2 * gates * u * (u + u)
        if self.kind == "bidirectional":
            layer *= 2
        dense = 2 * u * (2 if self.kind == "bidirectional" else 1)
        return self.batch * (self.steps * layer + dense)


CASES = (
    Case("LSTM", 1, 1, 1, 100),
    Case("LSTM", 1, 5, 1, 100),
    Case("LSTM", 390, 5, 1, 100),
    Case("LSTM", 1, 100, 8, 32),
    Case("LSTM", 7, 33, 5, 48),
    Case("LSTM", 1, 100, 8, 128),
    Case("LSTM", 1, 100, 64, 512),
    Case("LSTM", 32, 100, 32, 128),
    Case("LSTM", 32, 100, 64, 512),
    Case("LSTM", 256, 50, 16, 256),
    Case("LSTM", 4096, 20, 8, 64),
    *(
        Case(kind, batch, 100, features, 128)
        for kind in ("stacked", "bidirectional", "GRU", "masked", "SimpleRNN", "masked GRU", "masked SimpleRNN")
        for batch, features in ((32, 32), (1, 8))
    ),
    *(Case("stream", 1, 1, STREAM_FEATURES, units) for units in (32, 128, 512)),
)


def keras_model(case: Case) -> Any:
    """The Keras model of a case, for streaming the one that takes whole sequences; its weights depend on the case."""
    keras = import_quietly("keras")
    steps = None if case.kind == "stream" else case.steps
    lstm = keras.layers.LSTM
    layers = {
        "LSTM": lambda: [lstm(case.units)],
        "stacked": lambda: [lstm(case.units, return_sequences=True), lstm(case.units)],
        "bidirectional": lambda: [keras.layers.Bidirectional(lstm(case.units))],
        "GRU": lambda: [keras.layers.GRU(case.units)],
        "masked": lambda: [keras.layers.Masking(MASKED_VALUE), lstm(case.units)],
        "SimpleRNN": lambda: [keras.layers.SimpleRNN(case.units)],
        "masked GRU": lambda: [keras.layers.Masking(MASKED_VALUE), keras.layers.GRU(case.units)],
        "masked SimpleRNN": lambda: [keras.layers.Masking(MASKED_VALUE), keras.layers.SimpleRNN(case.units)],
        "stream": lambda: [lstm(case.units, return_sequences=True)],
    }[case.kind]()
    model = keras.Sequential([keras.Input((steps, case.features), name="x"), *layers, keras.layers.Dense(1)])
    model.set_weights(weights_like(model.get_weights(), seed_of(case)))
    return model


def step_model(sequence: Any, case: Case) -> Any:
    """The streaming model as other engines know it: (x_t, h, c) → (y_t, h, c), with the weights of `sequence`."""
    keras = import_quietly("keras")
    x = keras.Input((1, case.features), name="x")
    h, c = keras.Input((case.units,), name="h"), keras.Input((case.units,), name="c")
    output, h_new, c_new = keras.layers.LSTM(case.units, return_state=True)(x, initial_state=[h, c])
    model = keras.Model([x, h, c], [keras.layers.Dense(1)(output), h_new, c_new])
    model.set_weights(sequence.get_weights())
    return model


def weights_like(arrays: list[Array], seed: int) -> list[Array]:
    """Normal numbers of scale 1/√rows for matrices, so 1/√units for recurrent kernels; 0.1 for biases."""
    random = np.random.default_rng(seed)
    scales = [1 / np.sqrt(len(array)) if array.ndim == 2 and len(array) > 2 else 0.1 for array in arrays]
    return [
        (random.standard_normal(array.shape) * scale).astype(np.float32)
        for array, scale in zip(arrays, scales, strict=True)
    ]


def input_of(case: Case, steps: int | None = None) -> Array:
    """x (batch, steps, features); a masked case ends its rows with 0 to 40 % of masked steps."""
    random = np.random.default_rng(seed_of(case) + 1)
    shape = (case.batch, steps or case.steps, case.features)
    x = random.standard_normal(shape).astype(np.float32)
    if case.kind.startswith("masked"):
        for row, valid in zip(x, random.integers(case.steps * 6 // 10, case.steps + 1, case.batch), strict=True):
            row[valid:] = MASKED_VALUE
    return x


def seed_of(case: Case) -> int:
    return zlib.crc32(case.name.encode())
