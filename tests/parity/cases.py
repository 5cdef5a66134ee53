"""The models of tests/vectors/parity: one small Keras model per option that changes what is computed.

scripts/make_vectors.py gives them seeded weights, runs Keras on seeded inputs and writes one file per case. A builder
returns a Keras model; the inputs are drawn for its Input layers, or a builder returns them beside the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers as kl


def lstm_dense() -> keras.Model:
    return keras.Sequential([keras.Input((None, 2)), kl.LSTM(4), kl.Dense(1)])


def lstm_stacked() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6, 2)),
            kl.LSTM(4, return_sequences=True),
            kl.LSTM(3),
            kl.Dropout(0.4),
            kl.Dense(2),
            kl.Activation("tanh"),
        ]
    )


def lstm_options() -> keras.Model:
    """Every option of the layer that changes the numbers, none at its default."""
    lstm = kl.LSTM(
        4, activation="relu", recurrent_activation="hard_sigmoid", use_bias=False, return_sequences=True,
        go_backwards=True,
    )  # fmt: skip
    return keras.Sequential([keras.Input((None, 2)), lstm, kl.Dense(1)])


CASES: dict[str, Callable[[], Any]] = {
    "lstm-dense": lstm_dense,
    "lstm-stacked": lstm_stacked,
    "lstm-options": lstm_options,
}
