"""RMSNormalization, SpectralNormalization, EinsumDense, GroupQueryAttention, and layers quantised to int8."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers as kl
from keras.quantizers import AbsMaxQuantizer, Int8QuantizationConfig

from .building import Branch, Case, branches, masked, of_class, sequence, shown
from .dtypes import under

SHAPE = (5, 4)
ATTENTION = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}


def before() -> Any:
    return kl.LSTM(4, return_sequences=True)


RMS: dict[str, dict[str, Any]] = {"plain": {}, "axes": {"axis": [1, 2]}, "epsilon": {"axis": -1, "epsilon": 0.1}}


def rms_square() -> Any:
    """Over axis 1, where Keras broadcasts the scale against the last axis."""
    x = sequence((4, 4))
    return keras.Model(x, kl.RMSNormalization(axis=1)(x))


def losing_masks() -> Any:
    x = sequence((5, 3))
    layers = [
        kl.RMSNormalization(name="rms"), kl.EinsumDense("abc,cd->abd", (None, 3), name="einsum"),
        kl.SpectralNormalization(kl.Dense(3), name="spectral_dense"),
        kl.SpectralNormalization(kl.Conv1D(3, 1), name="spectral_conv"),
    ]  # fmt: skip
    return keras.Model(x, [shown(layer)(x) for layer in layers])


def spectral_embedding() -> Any:
    """Whose rows Keras casts to the dtype of the ids."""
    ids = keras.Input((4,), dtype="int32", name="ids")
    floats = keras.Input((4,), name="floats")
    layer = kl.SpectralNormalization(kl.Embedding(6, 3))
    model = keras.Model([ids, floats], [layer(ids), kl.LSTM(2)(layer(floats))])
    return model, lambda inputs: [inputs[0], 2 * abs(inputs[1])]


EINSUM: dict[str, dict[str, Any]] = {
    "plain": {"equation": "abc,cd->abd", "output_shape": (None, 3)},
    "bias": {"equation": "abc,cd->abd", "output_shape": (None, 3), "bias_axes": "d", "activation": "tanh"},
    "no_bias": {"equation": "abc,cd->abd", "output_shape": (5, 3), "activation": "relu"},
    "left": {"equation": "...x,xy->...y", "output_shape": 3, "bias_axes": "y"},
    "right": {"equation": "ab...,bc->ac...", "output_shape": 3, "bias_axes": "c"},
    "heads": {"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "de"},
    "one_axis": {"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "d"},
    "turned": {"equation": "abc,cd->adb", "output_shape": (3, 5), "bias_axes": "d"},
    "both": {"equation": "abc,bcd->ad", "output_shape": 3, "bias_axes": "d"},
    "time": {"equation": "abc,bd->adc", "output_shape": (2, 4), "bias_axes": "dc"},
    "kept": {"equation": "abc,bcd->abd", "output_shape": (5, 3)},
}  # fmt: skip


def grouped(name: str, call: Any = None, **options: Any) -> Any:
    """One way to use GroupQueryAttention on x (B, 5, 4)."""
    layer = kl.GroupQueryAttention(**{**ATTENTION, **options}, name=name)
    return (lambda x: layer(x, x)) if call is None else (lambda x: call(layer, x))


GROUPED = {
    "plain": grouped("plain"),
    "one_group": grouped("one_group", num_key_value_heads=1),
    "all_groups": grouped("all_groups", num_key_value_heads=4, use_bias=False),
    "gate": grouped("gate", use_gate=True),
    "dropout": grouped("dropout", dropout=0.3),
    "causal": grouped("causal", lambda layer, x: layer(x, x, use_causal_mask=True)),
    "causal_dropout": grouped("causal_dropout", lambda layer, x: layer(x, x, use_causal_mask=True), dropout=0.1),
    "scores": grouped("scores", lambda layer, x: layer(x, x, return_attention_scores=True)),
    "key": grouped("key", lambda layer, x: layer(x, x[:, 1:4], 2 * x[:, 1:4])),
}


def grouped_masked() -> Any:
    x = sequence((5, 4))
    y = kl.Masking()(x)
    z = kl.LSTM(4, return_sequences=True)(y)
    causal = kl.LSTM(2, return_sequences=True)
    outputs: list[Any] = []
    calls: tuple[tuple[str, dict[str, float], Branch], ...] = (
        ("own", {}, lambda layer: layer(z, z)),
        ("causal", {}, lambda layer: layer(z, z, use_causal_mask=True)),
        ("key", {"dropout": 0.2}, lambda layer: layer(x, y, z)),
        ("query_mask", {}, lambda layer: layer(z, x, query_mask=x[:, :, 0] > 0)),
        ("value_mask", {}, lambda layer: layer(x, x, value_mask=x[:, :, 0] > 0)),
        ("attention_mask", {}, lambda layer: layer(z, z, attention_mask=x @ keras.ops.transpose(x, (0, 2, 1)) > 0)),
        ("scores", {}, lambda layer: layer(z, z, return_attention_scores=True)),
    )
    for name, options, call in calls:
        made = call(kl.GroupQueryAttention(**{**ATTENTION, **options}, name=name))
        outputs += made if isinstance(made, list | tuple) else [made]
        outputs.append(causal(outputs[-len(made) if isinstance(made, list | tuple) else -1]))
    outputs.append(kl.LSTM(2)(z))  # the mask of z is still there
    return keras.Model(x, outputs)


NOT_QUANTISED = ("left", "right", "kept")

# --- quantised --------------------------------------------------------------------------------------------------------


def int8(case: Case, config: Any = None) -> Case:
    """The case quantised by Keras."""

    def built() -> Any:
        made = case()
        model, change = made if isinstance(made, tuple) else (made, None)
        model.quantize("int8", config=None if config is None else config())
        return model if change is None else (model, change)

    return built


def quantisable() -> Any:
    x = sequence((None, 3))
    y = kl.LSTM(6, return_sequences=True)(x)
    wide = kl.Dense(1100, activation="tanh", name="wide")(x)
    return keras.Model(x, [
        kl.Dense(4, activation="softmax", name="softmax")(y), kl.Dense(3, use_bias=False, name="no_bias")(y),
        kl.Dense(3, use_bias=False, activation="tanh", name="tanh")(x), kl.Dense(2, name="last")(y[:, -1]),
        kl.Dense(2, name="of_wide")(wide), kl.Dense(2, activation="relu", name="relu")(y),
        kl.GRU(2)(kl.Dense(3, name="before")(kl.Masking()(x))),
        kl.EinsumDense("abc,cd->abd", (None, 3), "relu", "d", name="einsum")(y),
        kl.EinsumDense("abc,cde->abde", (None, 2, 3), name="heads")(y),
    ])  # fmt: skip


def quantisable_objects() -> Any:
    """Layers in the place of the names of activations."""
    x = sequence((3, 4))
    y = kl.Dense(3, activation=kl.ReLU())(x)
    return keras.Model(x, [y, kl.EinsumDense("abc,cd->abd", (None, 2), kl.Softmax(axis=1))(y)])


def quantisable_axes() -> Any:
    """Inputs whose scales are turned round before they stand beside the sums; Keras quantises no "..."."""
    x = sequence((5, 4))
    layers = [kl.EinsumDense(**options, name=name) for name, options in EINSUM.items() if name not in NOT_QUANTISED]
    return keras.Model(x, [layer(x) for layer in layers])


def quantisable_ids() -> Any:
    x = keras.Input((None,), dtype="int32", name="x")
    y = kl.Embedding(6, 5, mask_zero=True)(x)
    return keras.Model(x, [y, kl.Dense(2)(kl.LSTM(4)(y))])


def nice_numbers() -> Any:
    """Inputs of few bits, which fall on the halves between whole numbers, and rows of nothing but zeros."""
    x = sequence((3, 4))

    def change(inputs: list[Any]) -> list[Any]:
        x = np.round(inputs[0] * 4) / 2
        x[:, :, 0], x[0] = 4.0, 0.0
        return [x]

    return keras.Model(x, kl.Dense(3)(x)), change


def narrow() -> Any:
    return AbsMaxQuantizer(value_range=(-100, 90), epsilon=0.01)


CASES: dict[str, Case] = {
    "rms-normalization": of_class("RMSNormalization", RMS, SHAPE, before),
    "rms-normalization-square": rms_square,
    "newer-layers-masked": masked(losing_masks),
    "spectral-normalization": branches({
        "dense": lambda x: kl.SpectralNormalization(kl.Dense(3, activation="tanh"), power_iterations=2)(x),
        "conv": lambda x: kl.SpectralNormalization(kl.Conv1D(3, 2))(x),
        "depthwise": lambda x: kl.SpectralNormalization(kl.DepthwiseConv1D(2, depth_multiplier=2))(x),
    }, SHAPE, before),
    "spectral-normalization-embedding": spectral_embedding,
    "einsum-dense": of_class("EinsumDense", EINSUM, SHAPE, before),
    "einsum-dense-bias-along-steps": branches({
        "steps": lambda x: kl.EinsumDense("abc,cde->abde", output_shape=(4, 4, 3), bias_axes="d")(x),
        "heads": lambda x: kl.EinsumDense("abc,cde->abde", output_shape=(4, 5, 3), bias_axes="d")(x),
        "attention": lambda x: kl.MultiHeadAttention(3, 1)(x, x),
    }, (4, 3)),
    "grouped-attention": branches(GROUPED, SHAPE, before),
    "masked-grouped-attention": masked(grouped_masked),
    "int8": int8(quantisable),
    "int8-weights-only": int8(quantisable, lambda: Int8QuantizationConfig(activation_quantizer=None)),
    "int8-range": int8(quantisable, lambda: Int8QuantizationConfig(activation_quantizer=narrow())),
    "int8-activation-objects": int8(quantisable_objects),
    "int8-axes": int8(quantisable_axes),
    "int8-embedding": int8(quantisable_ids),
    "int8-nice-numbers": int8(nice_numbers),
    "float64-int8": under("float64", int8(quantisable)),
}  # fmt: skip
