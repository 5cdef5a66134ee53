"""Graphs: several inputs and outputs, dicts, shared layers, nested models, states passed from layer to layer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers as kl

from .building import FEATURES, ROWS, STEPS, Case, pad, sequence


def several_inputs() -> Any:
    a, b, v = keras.Input((None, 2), name="b_first"), keras.Input((4, 3), name="a_second"), keras.Input((2,), name="v")
    joined = kl.Concatenate()([kl.LSTM(3)(a), kl.GRU(2)(b), v])
    return keras.Model([a, b, v], [kl.Dense(2, name="z_head")(joined), kl.Dense(1, name="a_head")(joined), joined])


def dicts() -> Any:
    late, early = keras.Input((4, 3), name="late"), keras.Input((None,), dtype="int32", name="early")
    vectors = kl.Embedding(6, 3, mask_zero=True)(early)
    outputs = {"z": kl.GRU(3)(late), "a": kl.Bidirectional(kl.LSTM(2, return_sequences=True))(vectors)}
    return keras.Model({"late": late, "early": early}, outputs), pad


def nested_dicts_of_inputs() -> Any:
    """A dict of inputs with a list of outputs."""
    given = {"b": keras.Input((None, 2), name="b"), "a": keras.Input((None, 2), name="a")}
    return keras.Model(given, [kl.LSTM(2)(given["a"]), kl.Dense(1)(kl.GRU(2)(given["b"]))])


def shared() -> Any:
    """One LSTM and one Dense over two inputs: a Siamese network."""
    a, b = keras.Input((None, 2), name="a"), keras.Input((None, 2), name="b")
    lstm, head = kl.LSTM(3), kl.Dense(2)
    left, right = head(lstm(a)), head(lstm(b))
    return keras.Model([a, b], [kl.Subtract()([left, right]), kl.Dot(axes=1, normalize=True)([left, right])])


def shared_masked() -> Any:
    """A layer called with and without a mask."""
    x = sequence()
    lstm = kl.LSTM(3, return_sequences=True)
    return keras.Model(x, [lstm(x), lstm(kl.Masking()(x)), lstm(kl.Dense(FEATURES)(lstm(x)))]), pad


def nested() -> Any:
    """A Functional in a Sequential in a Functional, the Sequential called twice."""
    inner_x = keras.Input((None, 3))
    inner = keras.Model(inner_x, kl.Add()([kl.LSTM(3, return_sequences=True)(inner_x), inner_x]), name="inner")
    middle = keras.Sequential([kl.Dense(3), inner, kl.Dense(3, activation="tanh")], name="middle")
    x = sequence((None, 3))
    return keras.Model(x, [kl.GRU(2)(middle(middle(x))), middle(x)])


def nested_masked() -> Any:
    """The mask of a tensor that enters a nested model."""
    x = sequence()
    sequential = keras.Sequential([kl.LSTM(3, return_sequences=True), kl.Dense(2)])
    inner_x = keras.Input((None, 2))
    functional = keras.Model(inner_x, kl.LSTM(2, return_sequences=True)(inner_x))
    m = kl.Masking()(x)
    return keras.Model(x, [kl.GRU(2)(sequential(m)), kl.GRU(2)(functional(m))]), pad


def nested_several() -> Any:
    """A nested model with two inputs and two outputs, in another order than its layers."""
    a, b = keras.Input((None, 2), name="a"), keras.Input((3,), name="b")
    y, h, c = kl.LSTM(3, return_state=True)(a, initial_state=[b, b])
    inner = keras.Model([a, b], [kl.Dense(2)(c), kl.Dense(2)(y), h])
    x, s = sequence(), keras.Input((3,), name="s")
    one, two, three = inner([x, s])
    return keras.Model([s, x], [kl.Add()([one, two]), three])


def sequence_to_sequence() -> Any:
    """An encoder whose states start a decoder; both read padded ids."""
    source, target = (keras.Input((None,), dtype="int32", name=name) for name in ("source", "target"))
    _, h, c = kl.LSTM(3, return_state=True)(kl.Embedding(7, 2, mask_zero=True)(source))
    decoded = kl.LSTM(3, return_sequences=True)(kl.Embedding(7, 2, mask_zero=True)(target), initial_state=[h, c])
    return keras.Model([source, target], kl.Dense(6, activation="softmax")(decoded)), pad


def sequence_to_sequence_attention() -> Any:
    source, target = keras.Input((STEPS, 2), name="source"), keras.Input((4, 2), name="target")
    encoded, h, c, hb, cb = kl.Bidirectional(kl.LSTM(2, return_sequences=True, return_state=True))(kl.Masking()(source))
    states = [kl.Concatenate()([h, hb]), kl.Concatenate()([c, cb])]
    decoded = kl.LSTM(4, return_sequences=True)(target, initial_state=states)
    context = kl.Attention()([decoded, encoded])
    return keras.Model([source, target], kl.TimeDistributed(kl.Dense(2))(kl.Concatenate()([decoded, context]))), pad


def autoencoder() -> Any:
    x = sequence((STEPS, FEATURES))
    code = kl.GRU(2)(x)
    return keras.Model(x, kl.TimeDistributed(kl.Dense(FEATURES))(kl.LSTM(3, return_sequences=True)(
        kl.RepeatVector(STEPS)(code))))  # fmt: skip


def states_between_kinds() -> Any:
    x = sequence()
    _, h = kl.GRU(3, return_state=True)(x)
    y, h2, c2 = kl.LSTM(3, return_sequences=True, return_state=True)(x, initial_state=[h, kl.Dense(3)(h)])
    return keras.Model(x, [kl.SimpleRNN(3)(y, initial_state=c2), h2])


def convolutional() -> Any:
    x = sequence((None, 3))
    y = kl.Conv1D(4, 3, padding="causal", activation="relu")(x)
    y = kl.LSTM(3, return_sequences=True)(kl.BatchNormalization()(y))
    return keras.Model(x, kl.Dense(2)(kl.LayerNormalization()(kl.Add()([y, kl.Conv1D(3, 1)(x)]))))


def returned_input() -> Any:
    """A model that returns its input, and one tensor twice."""
    x = sequence()
    y = kl.LSTM(2)(x)
    return keras.Model(x, [x, y, y])


def slices() -> Any:
    x = sequence((STEPS, 4))
    y = kl.LSTM(3, return_sequences=True)(x[:, 1:, :2])
    return keras.Model(x, [y[:, -1], y[:, 0, 1:], y[:, ::2], y[:, -2:, None], x[..., 0], y[:, ::-1]])


def residual() -> Any:
    """Arithmetic of Python between layers."""
    x = sequence()
    y = kl.LSTM(FEATURES, return_sequences=True)(x)
    gate = keras.ops.sigmoid(kl.Dense(FEATURES)(x))
    mixed = gate * y + (1.0 - gate) * x
    weights = keras.ops.softmax(kl.Dense(1)(mixed), axis=1)
    return keras.Model(x, [mixed / 2 - 0.5, keras.ops.sum(mixed * weights, axis=1)])


def fixed_rows() -> Any:
    """Values of as many rows as the batch has, each of which belongs to one row of the batch."""
    x = sequence(batch_size=ROWS)
    shift = (np.arange(ROWS * FEATURES, dtype="float32") / 8 - 1).reshape(ROWS, 1, FEATURES)
    y, h = kl.GRU(3, return_sequences=True, return_state=True)(x + shift)
    return keras.Model(x, [y, kl.Dense(2)(h) * shift[:, 0], kl.LSTM(2)(y)])


CASES: dict[str, Case] = {
    "several-inputs": several_inputs,
    "dicts": dicts,
    "dict-of-inputs": nested_dicts_of_inputs,
    "shared": shared,
    "shared-masked": shared_masked,
    "nested": nested,
    "nested-masked": nested_masked,
    "nested-several": nested_several,
    "sequence-to-sequence": sequence_to_sequence,
    "sequence-to-sequence-attention": sequence_to_sequence_attention,
    "autoencoder": autoencoder,
    "states-between-kinds": states_between_kinds,
    "convolutional": convolutional,
    "returned-input": returned_input,
    "slices": slices,
    "residual": residual,
    "fixed-rows": fixed_rows,
}
