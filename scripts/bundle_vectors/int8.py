"""Bundles whose kernels are stored as int8 with scales, computed by Keras from the float32 numbers they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import LINEAR, TANH, Array

from .case import Case, given, numbers, one, renamed
from .layers import of_keras
from .recurrent import MASK, X, case, fields, run

EVERY = ("*",)
LSTM = n.LSTM(**fields("LSTM", return_sequences=True))


def cases() -> Iterator[Case]:
    yield from recurrent()
    yield from layers()
    yield from edges()


def recurrent() -> Iterator[Case]:
    states = {"h0": numbers(3, 3, seed=9)}
    masked: dict[str, Array] = {"x": X, "mask": MASK, **states}
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        plain = case(f"int8-{kind.lower()}", "W and U of every gate are int8, with a scale for each unit", kind,
                     [masked], return_sequences=True)  # fmt: skip
        yield renamed(plain, plain.name, plain.shows, int8=EVERY)
    before = case("int8-gru-reset-before", "the reset gate before the product with an int8 U", "GRU", [{"x": X}],
                  return_sequences=True, reset_after=False)  # fmt: skip
    yield renamed(before, before.name, before.shows, int8=EVERY)
    window: dict[str, Any] = {"kernel_size": (3, 2), "strides": (1, 1), "padding": "same", "dilation": (1, 1)}
    convolutional = case("int8-conv-lstm", "kernels over two axes of space, a scale for each filter", "ConvLSTM",
                         [{"x": numbers(2, 3, 4, 3, 2)}], steps=3, return_sequences=True, **window)  # fmt: skip
    yield renamed(convolutional, convolutional.name, convolutional.shows, int8=EVERY)


def layers() -> Iterator[Case]:
    yield one(
        "int8-dense", "W is int8, with a scale for each unit",
        n.Dense(name="y", x="x", weights="y", input_size=4, units=3, use_bias=True, activation=TANH),
        lambda x, W, b: of_keras(keras.layers.Dense(3, activation="tanh"), x, W, b), numbers(3, 4), int8=EVERY,
    )  # fmt: skip
    yield one(
        "int8-embedding", "E is int8, with a scale for each row: along the first axis",
        n.Embedding(name="y", x="x", weights="y", input_size=5, units=3, dtype="float32"),
        lambda x, E: tf.gather(E, x), np.array([[0, 4, 2], [2, 2, 1], [3, 3, 3]], np.int32), int8=EVERY,
    )  # fmt: skip
    window: dict[str, Any] = {"kernel_size": (3,), "strides": (2,), "dilation": (1,)}
    window |= {"use_bias": True, "activation": LINEAR}
    yield one(
        "int8-conv", "two groups of channels, a scale for each of all filters",
        n.Conv(name="y", x="x", weights="y", channels=4, filters=6, groups=2, padding="valid", **window),
        lambda x, W, b: of_keras(keras.layers.Conv1D(6, 3, strides=2, groups=2), x, W, b), numbers(2, 9, 4), int8=EVERY,
    )  # fmt: skip
    yield one(
        "int8-conv-transpose", "W (*space, channels, filters) is int8, with a scale for each filter",
        n.ConvTranspose(name="y", x="x", weights="y", channels=2, filters=3, cropping=(0, 0), **window),
        lambda x, W, b: of_keras(keras.layers.Conv1DTranspose(3, 3, strides=2), x, np.swapaxes(W, -1, -2), b),
        numbers(2, 4, 2), int8=EVERY,
    )  # fmt: skip


def edges() -> Iterator[Case]:
    def lstm(v: Mapping[str, Any], a: Mapping[str, Array]) -> list[Any]:
        return run(LSTM, "LSTM", v, {name: array.astype("float32") for name, array in a.items()})[:1]

    nodes = [given(None, 2), LSTM]
    plain = Case("int8-of-some", "a matrix of int8 beside those of F16, F32 and F64", nodes, ["lstm"], [{"x": X}], lstm)
    some = {"lstm/W_i": numbers(2, 3).astype("float16"), "lstm/U_f": numbers(3, 3).astype("float64") / 3}
    yield renamed(plain, plain.name, plain.shows, arrays=some, int8=("lstm/W_[fo]", "lstm/U_[io]"))
    nothing = {"lstm/W_f.scale": np.array([0, 0.01, 0], np.float32), "lstm/U_o.scale": np.zeros(3, np.float32)}
    yield renamed(plain, "int8-scale-0", "scales of 0, beside numbers that are not", arrays=nothing, int8=EVERY)
    first = n.Dense(name="first", x="x", weights="both", input_size=3, units=3, use_bias=True, activation=LINEAR)

    def twice(v: Mapping[str, Any], a: Mapping[str, Array]) -> list[Any]:
        y = tf.matmul(v["x"], a["both/W"]) + a["both/b"]
        return [tf.matmul(y, a["both/W"])]

    yield Case("int8-shared", "one int8 matrix, with its scales, for two nodes",
               [given(3), first, first.replace(name="y", x="first", use_bias=False)], ["y"], [{"x": numbers(2, 3)}],
               twice, int8=EVERY)  # fmt: skip

    def in_half(v: Mapping[str, Any], a: Mapping[str, Array]) -> list[Any]:
        keras.config.set_dtype_policy("float16")
        try:
            return run(LSTM, "LSTM", v, a)[:1]
        finally:
            keras.config.set_dtype_policy("float32")

    yield Case("int8-in-float16", "q * scale is rounded to float32 and then to the float16 it is computed in",
               [given(None, 2, dtype="float16"), LSTM], ["lstm"], [{"x": X}], in_half, int8=EVERY)  # fmt: skip
    large = n.LSTM(**fields("LSTM", input_size=3, units=180))
    yield Case("int8-large", "131 760 weights: readers that multiply by int8 only where it is worth it do so here",
               [given(None, 3), large], ["lstm"], [{"x": numbers(2, 3, 3)}],
               lambda v, a: run(large, "LSTM", v, a)[:1], int8=EVERY)  # fmt: skip
