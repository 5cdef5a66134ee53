"""TimeDistributed over layers and models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers as kl

from .building import STEPS, Case, branches, pad, sequence

PLACES = 4  # of the inner axis


def inner_sequential() -> Any:
    return keras.Sequential([kl.Conv1D(3, 2, activation="relu"), kl.GlobalMaxPooling1D(), kl.Dense(2)])


def inner_functional() -> Any:
    x = keras.Input((PLACES, 2))
    return keras.Model(x, kl.Add()([kl.LSTM(2)(x), kl.GlobalAveragePooling1D()(x)]))


INNER: dict[str, Callable[[], Any]] = {
    "dense": lambda: kl.Dense(3, activation="tanh"),
    "activation": lambda: kl.Activation("softmax"),
    "dropout": lambda: kl.Dropout(0.3),
    "flatten": kl.Flatten,
    "reshape": lambda: kl.Reshape((2, PLACES)),
    "permute": lambda: kl.Permute((2, 1)),
    "conv": lambda: kl.Conv1D(3, 2, padding="same"),
    "separable": lambda: kl.SeparableConv1D(3, 2),
    "pooling": lambda: kl.MaxPooling1D(2),
    "global-average": kl.GlobalAveragePooling1D,
    "batch-normalization": kl.BatchNormalization,
    "layer-normalization": lambda: kl.LayerNormalization(axis=[1, 2]),
    "prelu": kl.PReLU,
    "lstm": lambda: kl.LSTM(2),
    "lstm-sequences": lambda: kl.LSTM(2, return_sequences=True),
    "bidirectional": lambda: kl.Bidirectional(kl.GRU(2)),
    "time-distributed": lambda: kl.TimeDistributed(kl.Dense(2)),
    "sequential": inner_sequential,
    "functional": inner_functional,
}
GROUPS = {
    "places": ("dense", "activation", "dropout", "prelu", "batch-normalization", "layer-normalization"),
    "shapes": ("flatten", "reshape", "permute"),
    "windows": ("conv", "separable", "pooling", "global-average"),
    "recurrent": ("lstm", "lstm-sequences", "bidirectional"),
    "nested": ("time-distributed", "sequential", "functional"),
}


def distributed(names: tuple[str, ...]) -> Case:
    table = {name: (lambda x, name=name: kl.TimeDistributed(INNER[name](), name=name)(x)) for name in names}
    return branches(table, (STEPS, PLACES, 2))


def open_time() -> Any:
    x = sequence((None, PLACES, 2))
    features = kl.TimeDistributed(kl.Flatten())(kl.TimeDistributed(kl.Conv1D(2, 3))(x))
    return keras.Model(x, kl.LSTM(2)(features))


def after_a_film() -> Any:
    """Rows of an image take the place of time: they are not the steps of the film."""
    x = sequence((STEPS, PLACES, 3, 1))
    image = kl.ConvLSTM2D(2, 2)(x)
    return keras.Model(x, [kl.TimeDistributed(INNER[name]())(image) for name in ("permute", "lstm")])


def masked() -> Any:
    """The mask passes around, and into, the layer inside."""
    x = sequence()
    m = kl.Masking()(x)
    outputs = [
        kl.LSTM(2, return_sequences=True)(kl.TimeDistributed(kl.Dense(2))(m)),
        kl.TimeDistributed(kl.RepeatVector(2))(m),
        kl.GRU(2)(kl.TimeDistributed(keras.Sequential([kl.Dense(3), kl.BatchNormalization()]))(m)),
    ]
    return keras.Model(x, outputs), pad


CASES: dict[str, Case] = {
    **{f"time-distributed-{name}": distributed(names) for name, names in GROUPS.items()},
    "time-distributed-open": open_time,
    "time-distributed-after-film": after_a_film,
    "masked-time-distributed": masked,
}
