"""Layers that make classes of numbers, behind which an Embedding or a recurrent layer stands."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers as kl

from .building import Case, sequence

BOUNDS = [-0.5, 0.1, 0.1, 1.0]


def discretization() -> Any:
    x = sequence((4,))
    classes = kl.Discretization(BOUNDS, name="classes")
    whole = keras.Input((4,), dtype="int32", name="whole")
    outputs = [
        classes(x), kl.Discretization([1, 3], name="of_whole")(whole),
        kl.Discretization(BOUNDS, output_mode="one_hot", name="one_hot")(x),
        kl.Discretization(BOUNDS, output_mode="multi_hot", name="multi_hot")(x),
        kl.Discretization(BOUNDS, output_mode="count", name="count")(x),
        kl.Discretization(BOUNDS, output_mode="one_hot", name="of_one")(x[:, :1]),
        kl.LSTM(3)(kl.Embedding(5, 2)(classes(x))),
    ]  # fmt: skip

    def change(inputs: list[Any]) -> list[Any]:
        inputs[0][:2] = [[-0.5, 0.1, 1.0, np.nan], [np.inf, -np.inf, 0.0, -0.50000006]]
        return inputs

    return keras.Model([x, whole], outputs), change


def adapted_discretization() -> Any:
    layer = kl.Discretization(num_bins=4, name="adapted")
    layer.adapt(np.random.default_rng(0).standard_normal(100))
    x = sequence((4, 2))
    return keras.Model(x, [layer(x), kl.GRU(2)(kl.CategoryEncoding(4, "one_hot")(layer(x[:, :, 0])))])


def category_encoding() -> Any:
    x, weights = keras.Input((4,), dtype="int32", name="x"), keras.Input((4,), name="weights")
    small = keras.Input((4,), dtype="uint8", name="small")
    outputs = [kl.CategoryEncoding(7, mode, name=mode)(x) for mode in ("one_hot", "multi_hot", "count")]
    outputs += [
        kl.CategoryEncoding(3, "count", name="fewer")(x), kl.CategoryEncoding(3, "one_hot", name="fewer_hot")(x),
        kl.CategoryEncoding(7, "count", name="weighted")(x, count_weights=weights),
        kl.CategoryEncoding(7, "one_hot", name="of_one")(x[:, :1]),
        kl.CategoryEncoding(7, "multi_hot", name="of_uint8")(small),
        kl.LSTM(2)(kl.CategoryEncoding(7, "one_hot", name="inner")(x)),
    ]  # fmt: skip
    return keras.Model([x, weights, small], outputs)


def integer_lookup() -> Any:
    x = keras.Input((4,), dtype="int32", name="x")
    wide = keras.Input((None,), dtype="int64", name="wide")
    outputs = [
        kl.IntegerLookup(vocabulary=[3, 5, 1], name="plain")(x),
        kl.IntegerLookup(vocabulary=[3, 5, 1], mask_token=2, name="mask")(x),
        kl.IntegerLookup(vocabulary=[-1, 3, 5], name="special")(wide),
        kl.IntegerLookup(vocabulary=[0, -1, 3, 5], mask_token=0, name="specials")(wide),
        kl.IntegerLookup(vocabulary=[3, 5], oov_token=-7, max_tokens=9, name="other")(wide),
        kl.IntegerLookup(vocabulary=[3, 5, 1], output_mode="one_hot", name="one_hot")(x),
        kl.IntegerLookup(vocabulary=[3, 5, 1], output_mode="multi_hot", name="multi_hot")(x),
        kl.IntegerLookup(vocabulary=[3, 5, 1], output_mode="count", name="count")(x),
        kl.LSTM(3)(kl.Embedding(4, 2, mask_zero=True)(kl.IntegerLookup(vocabulary=[3, 5, 1], name="inner")(x))),
    ]  # fmt: skip
    return keras.Model([x, wide], outputs)


CASES: dict[str, Case] = {
    "discretization": discretization,
    "discretization-adapted": adapted_discretization,
    "category-encoding": category_encoding,
    "integer-lookup": integer_lookup,
}
