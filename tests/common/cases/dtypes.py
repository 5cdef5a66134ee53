"""Models that compute in float64, float16, bfloat16, or in one while their weights are another."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers as kl

from .building import Case, masked, sequence

POLICIES = ("float64", "float16", "mixed_float16", "mixed_bfloat16", "bfloat16")  # Keras draws no orthogonal bfloat16


def under(policy: str, case: Case) -> Case:
    """The case built under a dtype policy."""

    def built() -> Any:
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            return case()
        finally:
            keras.config.set_dtype_policy(before)

    return built


def recurrent() -> Any:
    x = sequence()
    y = kl.LSTM(3, return_sequences=True)(x)
    return keras.Model(x, [y, kl.GRU(3)(y), kl.SimpleRNN(3)(y), kl.Dense(2, activation="softmax")(y)])


def with_masks() -> Any:
    x = sequence()
    y = kl.Bidirectional(kl.LSTM(2, return_sequences=True))(kl.Masking()(x))
    return keras.Model(x, [y, kl.GRU(3, return_state=True)(y)[1], kl.GRU(2, reset_after=False)(y)])


def companions() -> Any:
    x = sequence((6, 4))
    layers = [
        kl.Conv1D(3, 3), kl.BatchNormalization(), kl.LayerNormalization(), kl.GroupNormalization(2),
        kl.UnitNormalization(), kl.Rescaling(1 / 255, 0.1), kl.PReLU(), kl.GlobalAveragePooling1D(),
        kl.Activation("gelu"), kl.MaxPooling1D(2),
    ]  # fmt: skip
    return keras.Model(x, [layer(x) for layer in layers])


def one_layer_apart() -> Any:
    """A layer that computes in another dtype than the rest."""
    x = sequence()
    y = kl.LSTM(3, return_sequences=True, dtype="mixed_float16")(x)
    return keras.Model(x, [kl.Dense(2, dtype="float32")(y), kl.GRU(2, dtype="float64")(y)])


CASES: dict[str, Case] = {
    **{f"{policy.replace('_', '-')}-recurrent": under(policy, recurrent) for policy in POLICIES[:4]},
    **{f"{policy.replace('_', '-')}-masked": under(policy, masked(with_masks)) for policy in POLICIES[:4]},
    **{f"{policy.replace('_', '-')}-companions": under(policy, companions) for policy in POLICIES},
    "layers-of-other-dtypes": one_layer_apart,
}
