"""LSTM, GRU, SimpleRNN without masks: every option, every activation in every slot, and the sizes at the edges."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers as kl

from .building import FEATURES, ROWS, STEPS, Case, sequence, stack

KINDS = {"lstm": kl.LSTM, "gru": kl.GRU, "simple-rnn": kl.SimpleRNN}
STATES = {"lstm": 2, "gru": 1, "simple-rnn": 1}
UNITS = 3

OPTIONS: dict[str, dict[str, Any]] = {
    "last": {},
    "no-bias": {"use_bias": False},
    "sequences": {"return_sequences": True},
    "state": {"return_state": True},
    "sequences-state": {"return_sequences": True, "return_state": True},
    "backwards": {"go_backwards": True},
    "backwards-sequences-state": {"go_backwards": True, "return_sequences": True, "return_state": True},
    "unroll": {"unroll": True, "return_sequences": True},
    "unroll-backwards": {"unroll": True, "go_backwards": True},
    "dropouts": {"dropout": 0.3, "recurrent_dropout": 0.4, "return_sequences": True},
    "stateful": {"stateful": True, "return_sequences": True, "return_state": True},
}
ACTIVATIONS = (
    "linear", "relu", "relu6", "leaky_relu", "sigmoid", "softmax", "log_softmax", "softplus", "softsign", "elu",
    "selu", "celu", "exponential", "gelu", "silu", "hard_silu", "mish", "hard_shrink", "soft_shrink", "tanh_shrink",
    "hard_tanh", "hard_sigmoid", "log_sigmoid", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "tanh",
)  # fmt: skip


def one_layer(kind: str, **options: Any) -> Case:
    """A model of one layer, which returns all that the layer returns."""
    fixed = {"batch_size": ROWS} if options.get("stateful") else {}
    steps = STEPS if options.get("unroll") else None

    def case() -> Any:
        x = sequence((steps, FEATURES), **fixed)
        return keras.Model(x, KINDS[kind](UNITS, **options)(x))

    return case


def from_states(kind: str, **options: Any) -> Case:
    """A layer whose initial states are inputs of the model."""

    def case() -> Any:
        x = sequence()
        states = [keras.Input((UNITS,), name=name) for name in "hc"[: STATES[kind]]]
        made = KINDS[kind](UNITS, return_state=True, **options)(x, initial_state=states)
        return keras.Model([x, *states], made)

    return case


def activation(name: str) -> Case:
    """The activation in each slot of each cell."""

    # exp of exp of … leaves the numbers there are within some steps
    steps = 2 if name == "exponential" else None

    def case() -> Any:
        x = sequence((steps, FEATURES))
        layers = [
            *(made(UNITS, activation=name, return_sequences=True) for made in KINDS.values()),
            *(made(UNITS, recurrent_activation=name, return_sequences=True) for made in (kl.LSTM, kl.GRU)),
            kl.Dense(UNITS, activation=name),
        ]
        return keras.Model(x, [layer(x) for layer in layers])

    return case


def activation_objects() -> Any:
    """Layers in the place of activations."""
    x = sequence()
    layers = [
        kl.LSTM(UNITS, activation=kl.LeakyReLU(negative_slope=0.1), recurrent_activation=kl.ReLU(max_value=1.0)),
        kl.GRU(UNITS, activation=kl.ELU(alpha=0.5), recurrent_activation=kl.Softmax()),
        kl.SimpleRNN(UNITS, activation=kl.Activation("softsign")),
        kl.SimpleRNN(UNITS, activation=kl.ReLU(negative_slope=0.2, threshold=0.3)),
    ]
    return keras.Model(x, [layer(x) for layer in layers])


def saturated() -> Any:
    """Inputs so large that every gate is at 0 or 1."""
    x = sequence()
    made = [layer(UNITS, return_sequences=True)(x) for layer in KINDS.values()]
    return keras.Model(x, made), lambda inputs: [100 * inputs[0]]


def of_size(rows: int, steps: int) -> Case:
    """The three cells on a batch of this size."""

    def case() -> Any:
        x = sequence()
        made = [layer(UNITS, return_sequences=index == 0)(x) for index, layer in enumerate(KINDS.values())]
        random = np.random.default_rng(rows + steps)
        drawn = random.standard_normal((rows, steps, FEATURES)).astype("float32")
        return keras.Model(x, made), lambda inputs: [drawn]

    return case


def wide_options() -> Any:
    """Every option of the layer that changes the numbers, none at its default."""
    lstm = kl.LSTM(
        4, activation="relu", recurrent_activation="hard_sigmoid", use_bias=False, return_sequences=True,
        go_backwards=True,
    )  # fmt: skip
    return keras.Sequential([sequence(), lstm, kl.Dense(1)])


CASES: dict[str, Case] = {
    "lstm-dense": stack(lambda: kl.LSTM(4), lambda: kl.Dense(1)),
    "lstm-stacked": stack(
        lambda: kl.LSTM(4, return_sequences=True), lambda: kl.LSTM(3), lambda: kl.Dropout(0.4), lambda: kl.Dense(2),
        lambda: kl.Activation("tanh"), shape=(STEPS, FEATURES),
    ),
    "lstm-options": wide_options,
    **{f"{kind}-{name}": one_layer(kind, **options) for kind in KINDS for name, options in OPTIONS.items()},
    "gru-reset-before": one_layer("gru", reset_after=False, return_sequences=True),
    "gru-reset-before-no-bias": one_layer("gru", reset_after=False, use_bias=False, go_backwards=True),
    "gru-reset-after-no-bias": one_layer("gru", reset_after=True, use_bias=False, return_state=True),
    "lstm-unit-forget-bias-off": one_layer("lstm", unit_forget_bias=False),
    **{f"{kind}-initial-state": from_states(kind) for kind in KINDS},
    **{f"{kind}-initial-state-backwards": from_states(kind, go_backwards=True, return_sequences=True)
       for kind in KINDS},
    **{f"activation-{name.replace('_', '-')}": activation(name) for name in ACTIVATIONS},
    "activation-objects": activation_objects,
    "saturated-gates": saturated,
    "one-step": of_size(4, 1),
    "one-row": of_size(1, 6),
    "one-row-one-step": of_size(1, 1),
    "no-rows": of_size(0, 4),
    "513-steps": of_size(1, 513),
}  # fmt: skip
