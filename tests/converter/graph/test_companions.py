"""The companion layers against Keras: each case is one branch of a model of its family, built and run by Keras.

A family is saved once, exported once and predicted once, so that the table can be long and the file quick.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lstmconv
import lstmconv_runtime as lr
import numpy as np
import pytest
from lstmconv.errors import UnsupportedError
from lstmconv.exporting import convert
from lstmconv.reading import read_keras_file
from lstmconv_runtime.difference import difference
from outputs import as_list

pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
global_state = pytest.importorskip("keras.src.backend.common.global_state")

L = keras.layers

Case = Callable[[Any], Any]
SEQUENCE, IMAGE, LINE_VIDEO, VIDEO = (7, 4), (6, 5, 4), (5, 6, 2), (4, 6, 5, 2)
VOLUME, VOLUMES = (5, 6, 7, 2), (4, 4, 3, 5, 2)
FIRST: dict[str, Any] = {"data_format": "channels_first"}


def masked(layer: Any, **arguments: Any) -> Case:
    """The layer on a masked sequence, then an LSTM that shows which mask came out."""
    return lambda x: L.LSTM(3, return_sequences=True)(layer(L.Masking()(x), **arguments))


def with_state(layer: Any) -> Case:
    """The layer with all it returns."""
    return lambda x: layer(x)


def from_state(layer: Any, maker: Any) -> Case:
    """The layer started from the final state of another."""
    return lambda x: layer(x, initial_state=maker(x)[1:])


def adapted(**options: Any) -> Any:
    layer = L.Normalization(**options)
    layer.adapt(np.random.default_rng(5).normal(3, 2, (20, 7, 4)).astype("float32"))
    return layer


CONVOLUTION: dict[str, Case] = {
    "valid": L.Conv1D(5, 3),
    "same, strides": L.Conv1D(5, 3, strides=2, padding="same", activation="relu"),
    "same, even kernel": L.Conv1D(5, 4, padding="same", use_bias=False),
    "causal": L.Conv1D(5, 3, padding="causal", activation="tanh"),
    "causal, dilated": L.Conv1D(5, 3, padding="causal", dilation_rate=2),
    "causal, strides": L.Conv1D(5, 2, padding="causal", strides=3),
    "dilated": L.Conv1D(5, 3, dilation_rate=3),
    "same, dilated": L.Conv1D(5, 3, padding="same", dilation_rate=2),
    "groups": L.Conv1D(6, 3, groups=2, padding="same", activation="gelu"),
    "kernel 1": L.Conv1D(3, 1, activation="softmax"),
    "wider than its stride": L.Conv1D(3, 2, strides=5, padding="same"),
    "mask stops": masked(L.Conv1D(3, 3, padding="same")),
    "depthwise": L.DepthwiseConv1D(3),
    "depthwise, multiplier": L.DepthwiseConv1D(3, depth_multiplier=3, padding="same", activation="relu"),
    "depthwise, strides": L.DepthwiseConv1D(3, strides=2, padding="same", depth_multiplier=2),
    "depthwise, strides, dilation": L.DepthwiseConv1D(3, strides=2, dilation_rate=2, padding="same"),
    "depthwise, dilation": L.DepthwiseConv1D(2, dilation_rate=2, use_bias=False),
    "separable": L.SeparableConv1D(5, 3),
    "separable, multiplier": L.SeparableConv1D(5, 3, depth_multiplier=2, padding="same", activation="tanh"),
    "separable, strides": L.SeparableConv1D(5, 3, strides=2, padding="same", use_bias=False),
    "separable, dilation": L.SeparableConv1D(5, 2, dilation_rate=2, padding="valid"),
}
CONVOLUTION_2D: dict[str, Case] = {
    "valid": L.Conv2D(5, (3, 2)),
    "same": L.Conv2D(5, 3, padding="same", activation="relu"),
    "strides": L.Conv2D(5, (2, 3), strides=(2, 1), padding="same"),
    "dilation": L.Conv2D(5, 2, dilation_rate=(2, 3), padding="same"),
    "groups": L.Conv2D(8, 3, groups=4, padding="valid", use_bias=False),
    "depthwise": L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
    "depthwise, strides": L.DepthwiseConv2D(3, strides=2, padding="valid"),
    "separable": L.SeparableConv2D(5, (3, 2), depth_multiplier=2, padding="same", activation="elu"),
    "max": L.MaxPooling2D((2, 3)),
    "max, same": L.MaxPooling2D(2, strides=1, padding="same"),
    "average": L.AveragePooling2D((3, 2), strides=(1, 2)),
    "average, same": L.AveragePooling2D(3, strides=2, padding="same"),
    "global max": L.GlobalMaxPooling2D(),
    "global max, keepdims": L.GlobalMaxPooling2D(keepdims=True),
    "global average": L.GlobalAveragePooling2D(),
    "global average, keepdims": L.GlobalAveragePooling2D(keepdims=True),
    "zero padding": L.ZeroPadding2D(2),
    "zero padding, pair": L.ZeroPadding2D((1, 2)),
    "zero padding, pairs": L.ZeroPadding2D(((0, 1), (3, 2))),
    "batch norm": L.BatchNormalization(),
    "batch norm, axis": L.BatchNormalization(axis=2, epsilon=0.1, scale=False),
    "layer norm, axes": L.LayerNormalization(axis=[1, 3]),
    "layer norm, all": L.LayerNormalization(axis=[1, 2, 3], epsilon=1e-5),
    "group norm": L.GroupNormalization(groups=2),
    "group norm, axis": L.GroupNormalization(groups=3, axis=1),
    "spatial dropout": L.SpatialDropout2D(0.4),
    "prelu": L.PReLU(shared_axes=[1, 2]),
    "softmax, axes": L.Softmax(axis=[1, 2]),
    "softmax, axis": L.Softmax(axis=1),
    "flatten": L.Flatten(),
    "flatten, channels first": L.Flatten(data_format="channels_first"),
    "permute": L.Permute((3, 1, 2)),
    "reshape": L.Reshape((5, -1)),
}
SEQUENCES: dict[str, Case] = {
    "max": L.MaxPooling1D(2),
    "max, same": L.MaxPooling1D(3, strides=2, padding="same"),
    "max, wide stride": L.MaxPooling1D(2, strides=3, padding="same"),
    "average": L.AveragePooling1D(3, strides=1),
    "average, same": L.AveragePooling1D(4, strides=3, padding="same"),
    "global max": L.GlobalMaxPooling1D(),
    "global max, keepdims, mask": lambda x: L.GlobalMaxPooling1D(keepdims=True)(L.Masking()(x)),
    "global average": L.GlobalAveragePooling1D(),
    "global average, mask": lambda x: L.GlobalAveragePooling1D()(L.Masking()(x)),
    "global average, mask, keepdims": lambda x: L.GlobalAveragePooling1D(keepdims=True)(L.Masking()(x)),
    "zero padding": L.ZeroPadding1D(2),
    "zero padding, pair": L.ZeroPadding1D((0, 3)),
    "cropping": L.Cropping1D(1),
    "cropping, start": L.Cropping1D((2, 0)),
    "cropping, end": L.Cropping1D((0, 3)),
    "up-sampling": L.UpSampling1D(3),
    "flatten": L.Flatten(),
    "reshape": L.Reshape((2, 2, 7)),
    "reshape, open": L.Reshape((-1, 2)),
    "permute": L.Permute((2, 1)),
    "repeat vector": lambda x: L.RepeatVector(3)(L.Flatten()(x)),
    "spatial dropout": masked(L.SpatialDropout1D(0.4)),
    "gaussian dropout": masked(L.GaussianDropout(0.4)),
    "gaussian noise": masked(L.GaussianNoise(0.4)),
    "alpha dropout": masked(L.AlphaDropout(0.4)),
    "activity regularization": masked(L.ActivityRegularization(l1=0.1)),
    "relu": L.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.3),
    "relu, mask": masked(L.ReLU()),
    "leaky relu": L.LeakyReLU(),
    "leaky relu, slope": masked(L.LeakyReLU(negative_slope=0.05)),
    "elu": L.ELU(alpha=0.7),
    "prelu": L.PReLU(),
    "prelu, shared": masked(L.PReLU(shared_axes=[1])),
    "softmax": L.Softmax(),
    "softmax, axis 1": L.Softmax(axis=1),
    "softmax, axis list": L.Softmax(axis=[-1]),
    "softmax, axes": L.Softmax(axis=[1, 2]),
    "softmax, mask": lambda x: L.Softmax()(x, mask=x > 0.2),
    "softmax, number mask": lambda x: L.Softmax(axis=[1, 2])(x, mask=L.ReLU()(x)),
    "activation object": L.Dense(3, activation=L.Softmax(axis=1)),
}
NORMALIZATION: dict[str, Case] = {
    "batch": L.BatchNormalization(),
    "batch, axis": L.BatchNormalization(axis=1, epsilon=0.2),
    "batch, neither": L.BatchNormalization(scale=False, center=False),
    "batch, scale": masked(L.BatchNormalization(center=False)),
    "batch, renorm": L.BatchNormalization(renorm=True),
    "layer": masked(L.LayerNormalization()),
    "layer, axis": L.LayerNormalization(axis=1, epsilon=0.05),
    "layer, axes": L.LayerNormalization(axis=[1, 2]),
    "layer, mixed axes": L.LayerNormalization(axis=[1, -1]),
    "layer, neither": L.LayerNormalization(scale=False, center=False),
    "layer, center": L.LayerNormalization(scale=False),
    "layer, rms": L.LayerNormalization(rms_scaling=True),
    "layer, rms, no scale": L.LayerNormalization(axis=[1], rms_scaling=True, scale=False),
    "group": masked(L.GroupNormalization(groups=2)),
    "group, one": L.GroupNormalization(groups=1, epsilon=0.1),
    "group, instance": L.GroupNormalization(groups=-1, scale=False),
    "group, time": L.GroupNormalization(groups=7, axis=1, center=False),
    "unit": masked(L.UnitNormalization()),
    "unit, axes": L.UnitNormalization(axis=[1, 2]),
    "adapted": masked(adapted()),
    "adapted, axes": adapted(axis=(1, 2)),
    "adapted, inverted": adapted(invert=True),
    "adapted, no axis": adapted(axis=None),
    "given": L.Normalization(mean=0.3, variance=2.0),
    "given, list": L.Normalization(mean=[0.1, 0.2, 0.3, 4.0], variance=[1.0, 2.0, 0.0, 4.0], invert=True),
    "given, axes": L.Normalization(axis=(1, 2), mean=[0.1, 0.2, 0.3, 4.0], variance=[1.0, 2.0, 3.0, 4.0]),
    "given, no axis": L.Normalization(axis=None, mean=0.3, variance=2.0),
    "rescaling": masked(L.Rescaling(1 / 255, offset=-1)),
    "rescaling, lists": L.Rescaling([0.1, 0.2, 0.3, 0.4], offset=[1.0, 2.0, 3.0, 4.0]),
    "rescaling, array": L.Rescaling(np.array([0.1, 0.2, 0.3, 0.4])),
}
CONV_LSTM_1D: dict[str, Case] = {
    "last": L.ConvLSTM1D(3, 3),
    "sequence, same": L.ConvLSTM1D(3, 3, padding="same", return_sequences=True),
    "strides": L.ConvLSTM1D(3, 2, strides=2, return_sequences=True, use_bias=False),
    "dilation": L.ConvLSTM1D(3, 2, dilation_rate=2, padding="same", activation="relu"),
    "backwards": L.ConvLSTM1D(3, 3, go_backwards=True, return_sequences=True, recurrent_activation="hard_sigmoid"),
    "states": with_state(L.ConvLSTM1D(3, 3, return_state=True)),
    "from states": from_state(L.ConvLSTM1D(3, 3, return_sequences=True), L.ConvLSTM1D(3, 3, return_state=True)),
    "mask": lambda x: L.ConvLSTM1D(3, 3, return_sequences=True)(x, mask=keras.ops.any(x > 0.9, axis=(2, 3))),
    "mask, last": lambda x: L.ConvLSTM1D(3, 3)(x, mask=keras.ops.any(x > 1.5, axis=(2, 3))),
    "mask, backwards": lambda x: L.ConvLSTM1D(3, 3, go_backwards=True)(x, mask=keras.ops.any(x > 1.5, axis=(2, 3))),
    "mask, zeros": lambda x: L.ConvLSTM1D(3, 3, return_sequences=True, zero_output_for_mask=True)(
        x, mask=keras.ops.any(x > 1.5, axis=(2, 3))
    ),
}
CONV_LSTM_2D: dict[str, Case] = {
    "last": L.ConvLSTM2D(3, 3),
    "sequence, same": L.ConvLSTM2D(3, (3, 2), padding="same", return_sequences=True),
    "strides, states": with_state(L.ConvLSTM2D(2, 2, strides=(2, 1), return_state=True, return_sequences=True)),
    "dropout": L.ConvLSTM2D(2, 3, dropout=0.3, recurrent_dropout=0.3),
}

TRANSPOSED_1D: dict[str, Case] = {
    "valid": L.Conv1DTranspose(3, 3),
    "valid, strides": L.Conv1DTranspose(3, 3, strides=2, activation="relu"),
    "valid, wide stride": L.Conv1DTranspose(3, 2, strides=5, use_bias=False),
    "same": L.Conv1DTranspose(3, 3, padding="same"),
    "same, even": L.Conv1DTranspose(3, 4, padding="same"),
    "same, strides": L.Conv1DTranspose(3, 3, strides=2, padding="same"),
    "same, even, strides": L.Conv1DTranspose(3, 4, strides=3, padding="same"),
    "same, wide stride": L.Conv1DTranspose(3, 2, strides=5, padding="same"),
    "output padding": L.Conv1DTranspose(3, 3, strides=2, output_padding=1),
    "output padding, 0": L.Conv1DTranspose(3, 3, strides=3, output_padding=0),
    "output padding, small kernel": L.Conv1DTranspose(3, 1, strides=4, output_padding=2),
    "same, output padding": L.Conv1DTranspose(3, 5, strides=3, padding="same", output_padding=2),
    "same, output padding, 0": L.Conv1DTranspose(3, 5, strides=3, padding="same", output_padding=0),
    "same, even, output padding": L.Conv1DTranspose(3, 4, strides=3, padding="same", output_padding=1),
    "same, kernel 1, output padding": L.Conv1DTranspose(3, 1, strides=3, padding="same", output_padding=2),
    "softmax": L.Conv1DTranspose(3, 3, activation="softmax"),
    "mask stops": masked(L.Conv1DTranspose(3, 3, padding="same")),
    "streams": L.Conv1DTranspose(3, 1),
}
TRANSPOSED_2D: dict[str, Case] = {
    "valid": L.Conv2DTranspose(3, (3, 2)),
    "strides": L.Conv2DTranspose(3, (2, 3), strides=(2, 3), activation="tanh"),
    "same": L.Conv2DTranspose(3, (3, 4), strides=(2, 1), padding="same"),
    "output padding": L.Conv2DTranspose(3, 3, strides=(2, 3), padding="same", output_padding=(0, 2)),
    "time-distributed": lambda x: L.TimeDistributed(L.Conv1DTranspose(3, 2, strides=2))(x),
    "cropping": L.Cropping2D(((1, 2), (0, 3))),
    "cropping, pair": L.Cropping2D((1, 2)),
    "cropping, none": L.Cropping2D(),
    "up-sampling": L.UpSampling2D((2, 3)),
    "bilinear": L.UpSampling2D((2, 3), interpolation="bilinear"),
    "bilinear, one way": L.UpSampling2D((1, 4), interpolation="bilinear"),
    "bilinear, other way": L.UpSampling2D((5, 1), interpolation="bilinear"),
    "bilinear, neither": L.UpSampling2D(1, interpolation="bilinear"),
    "bilinear, channels first": L.UpSampling2D((3, 2), interpolation="bilinear", **FIRST),
}
THREE_AXES: dict[str, Case] = {
    "conv": L.Conv3D(3, (2, 3, 2)),
    "conv, same": L.Conv3D(3, 3, padding="same", activation="relu"),
    "conv, strides": L.Conv3D(3, 2, strides=(1, 2, 3), padding="same", use_bias=False),
    "conv, strides, valid": L.Conv3D(3, (2, 2, 1), strides=2),
    "conv, dilation": L.Conv3D(3, 2, dilation_rate=(2, 1, 3), padding="same"),
    "conv, groups": L.Conv3D(4, 2, groups=2, activation="softmax"),
    "transposed": L.Conv3DTranspose(3, (2, 3, 1), strides=(2, 1, 3)),
    "transposed, same": L.Conv3DTranspose(3, 3, strides=(1, 2, 2), padding="same", output_padding=(0, 1, 0)),
    "max": L.MaxPooling3D((1, 2, 2)),
    "max, same": L.MaxPooling3D(2, strides=(2, 1, 3), padding="same"),
    "average": L.AveragePooling3D((2, 3, 1), strides=(1, 2, 2)),
    "average, same": L.AveragePooling3D(3, strides=2, padding="same"),
    "global max": L.GlobalMaxPooling3D(),
    "global max, keepdims": L.GlobalMaxPooling3D(keepdims=True),
    "global average": L.GlobalAveragePooling3D(),
    "global average, keepdims": L.GlobalAveragePooling3D(keepdims=True),
    "zero padding": L.ZeroPadding3D(1),
    "zero padding, each": L.ZeroPadding3D((0, 1, 2)),
    "zero padding, pairs": L.ZeroPadding3D(((0, 1), (2, 0), (1, 3))),
    "cropping": L.Cropping3D(),
    "cropping, each": L.Cropping3D((0, 1, 2)),
    "cropping, pairs": L.Cropping3D(((0, 1), (2, 0), (3, 3))),
    "up-sampling": L.UpSampling3D((1, 2, 3)),
    "spatial dropout": L.SpatialDropout3D(0.4),
    "time-distributed, transposed": lambda x: L.TimeDistributed(L.Conv2DTranspose(2, 2, strides=2))(x),
    "time-distributed, up-sampling": lambda x: L.TimeDistributed(L.UpSampling2D(2))(x),
    "time-distributed, bilinear": lambda x: L.TimeDistributed(L.UpSampling2D(2, interpolation="bilinear"))(x),
    "time-distributed, cropping": lambda x: L.TimeDistributed(L.Cropping2D(((1, 0), (2, 1))))(x),
}
CONV_LSTM_3D: dict[str, Case] = {
    "last": L.ConvLSTM3D(2, (2, 3, 2)),
    "sequence, same": L.ConvLSTM3D(2, 2, padding="same", return_sequences=True, activation="relu"),
    "strides, states": with_state(L.ConvLSTM3D(2, 2, strides=(2, 1, 1), return_state=True)),
    "dilation": L.ConvLSTM3D(2, 2, dilation_rate=(1, 2, 1), use_bias=False),
    "mask": lambda x: L.ConvLSTM3D(2, 2, return_sequences=True)(x, mask=keras.ops.any(x > 2.5, axis=(2, 3, 4, 5))),
    "from states": from_state(L.ConvLSTM3D(2, 2), L.ConvLSTM3D(2, 2, return_state=True)),
    "channels first": L.ConvLSTM3D(2, 2, **FIRST, return_sequences=True),
    "time-distributed": lambda x: L.TimeDistributed(L.MaxPooling3D((1, 2, 1)))(x),
    "time-distributed, conv": lambda x: L.TimeDistributed(L.Conv3D(2, 2))(x),
}
FIRST_1D: dict[str, Case] = {
    "conv": L.Conv1D(4, 3, **FIRST),
    "conv, causal": L.Conv1D(3, 2, padding="causal", dilation_rate=2, activation="tanh", **FIRST),
    "conv, groups": L.Conv1D(14, 2, groups=7, **FIRST),
    "conv, softmax": L.Conv1D(4, 2, activation="softmax", **FIRST),
    "conv, softmax over channels": L.Conv1D(4, 2, activation=L.Softmax(axis=1), **FIRST),
    "depthwise": L.DepthwiseConv1D(2, depth_multiplier=2, strides=2, padding="same", **FIRST),
    "separable": L.SeparableConv1D(4, 2, activation="softmax", **FIRST),
    "one filter": L.Conv1D(1, 4, **FIRST),
    "no bias": L.Conv1D(2, 3, use_bias=False, **FIRST),
    "transposed": L.Conv1DTranspose(3, 3, strides=2, padding="same", **FIRST),
    "transposed, dilated": L.Conv1DTranspose(3, 3, dilation_rate=2, **FIRST),
    "transposed, dilated, same": L.Conv1DTranspose(3, 2, dilation_rate=3, padding="same", **FIRST),
    "max": L.MaxPooling1D(2, **FIRST),
    "average": L.AveragePooling1D(3, strides=2, padding="same", **FIRST),
    "global max": L.GlobalMaxPooling1D(**FIRST),
    "global average": L.GlobalAveragePooling1D(keepdims=True, **FIRST),
    "global average, mask": lambda x: L.GlobalAveragePooling1D(**FIRST)(x, mask=keras.ops.any(x > 0.9, axis=1)),
    "zero padding": L.ZeroPadding1D((0, 2), **FIRST),
}
FIRST_2D: dict[str, Case] = {
    "conv": L.Conv2D(4, (3, 2), strides=(1, 2), padding="same", **FIRST),
    "conv, groups": L.Conv2D(4, 2, groups=2, activation="softmax", **FIRST),
    "conv, dilation": L.Conv2D(4, 2, dilation_rate=2, activation=L.Softmax(axis=2), **FIRST),
    "depthwise": L.DepthwiseConv2D((3, 2), depth_multiplier=2, **FIRST),
    "separable": L.SeparableConv2D(3, 2, strides=2, padding="same", **FIRST),
    "transposed": L.Conv2DTranspose(3, (2, 3), strides=(2, 1), **FIRST),
    "max": L.MaxPooling2D((2, 1), padding="same", **FIRST),
    "average": L.AveragePooling2D(2, strides=1, **FIRST),
    "global max": L.GlobalMaxPooling2D(keepdims=True, **FIRST),
    "global average": L.GlobalAveragePooling2D(**FIRST),
    "zero padding": L.ZeroPadding2D(((0, 1), (2, 0)), **FIRST),
    "cropping": L.Cropping2D(((0, 1), (2, 0)), **FIRST),
    "up-sampling": L.UpSampling2D((2, 3), **FIRST),
    "spatial dropout": L.SpatialDropout2D(0.3, **FIRST),
    "flatten": L.Flatten(**FIRST),
}
FIRST_3D: dict[str, Case] = {
    "conv": L.Conv3D(4, (3, 2, 2), strides=(1, 2, 1), padding="same", **FIRST),
    "conv, groups": L.Conv3D(5, 2, groups=5, **FIRST),
    "transposed": L.Conv3DTranspose(3, 2, strides=(2, 1, 3), **FIRST),
    "max": L.MaxPooling3D((2, 1, 2), padding="same", **FIRST),
    "average": L.AveragePooling3D(2, strides=1, **FIRST),
    "global max": L.GlobalMaxPooling3D(keepdims=True, **FIRST),
    "global average": L.GlobalAveragePooling3D(**FIRST),
    "zero padding": L.ZeroPadding3D(((0, 1), (2, 0), (1, 1)), **FIRST),
    "cropping": L.Cropping3D(((0, 1), (2, 0), (0, 0)), **FIRST),
    "up-sampling": L.UpSampling3D((2, 1, 3), **FIRST),
    "conv lstm": L.ConvLSTM2D(2, 2, **FIRST),
    "conv lstm, states": with_state(L.ConvLSTM2D(2, 2, return_sequences=True, return_state=True, activation="softmax",
                                                 strides=(1, 2), padding="same", **FIRST)),
    "conv lstm, from states": from_state(L.ConvLSTM2D(2, 2, go_backwards=True, **FIRST),
                                         L.ConvLSTM2D(2, 2, return_state=True, **FIRST)),
    "conv lstm, softmax gates": L.ConvLSTM2D(2, 2, recurrent_activation=L.Softmax(axis=1), **FIRST),
    "conv lstm, mask": lambda x: L.ConvLSTM2D(2, 2, return_sequences=True, zero_output_for_mask=True, **FIRST)(
        x, mask=keras.ops.any(x > 2, axis=(2, 3, 4))
    ),
}  # fmt: skip


def pair(x: Any) -> tuple[Any, Any]:
    """Query of 7 steps and value of 5, both masked."""
    value = L.Dense(4)(L.Cropping1D((1, 1))(x))
    return L.Masking()(x), L.Masking()(L.ReLU(threshold=0.8)(value))


def attend(layer: Any, **arguments: Any) -> Case:
    """Attention of one sequence over another, and the mask that comes out of it."""

    def case(x: Any) -> Any:
        made = layer(list(pair(x)), **arguments)
        first = made[0] if isinstance(made, list | tuple) else made
        return [*(made if isinstance(made, list | tuple) else [made]), L.LSTM(2, return_sequences=True)(first)]

    return case


def heads(layer: Any, **arguments: Any) -> Case:
    """MultiHeadAttention, masked, and the mask that comes out of it."""

    def case(x: Any) -> Any:
        made = layer(*pair(x), **arguments)
        first = made[0] if isinstance(made, list | tuple) else made
        return [*(made if isinstance(made, list | tuple) else [made]), L.LSTM(2, return_sequences=True)(first)]

    return case


def siblings(x: Any) -> Any:
    """Three layers over one masked tensor: the first of them that Keras runs takes the mask away from the others."""
    m = L.Masking()(x)
    first, second = L.MultiHeadAttention(2, 3), L.MultiHeadAttention(2, 3)
    return [second(m, m), L.Attention()([m, m]), first(m, L.Dense(4)(m)), L.Attention()([m, L.Dense(4)(m)])]


def transformer(x: Any) -> Any:
    """Two blocks: the first takes the mask off its argument, so the sum and the second run without it."""
    for _ in range(2):
        x = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 3)(x, x)]))
    return x


ATTENTION: dict[str, Case] = {
    "dot": attend(L.Attention()),
    "dot, scale": attend(L.Attention(use_scale=True, dropout=0.2)),
    "dot, causal": attend(L.Attention(), use_causal_mask=True),
    "dot, scores": attend(L.Attention(), return_attention_scores=True),
    "concat": attend(L.Attention(score_mode="concat")),
    "concat, scale": attend(L.Attention(score_mode="concat", use_scale=True), return_attention_scores=True),
    "no mask, key": lambda x: L.Attention()([x, L.Dense(3)(x), L.Dense(4)(x)]),
    "no mask, causal": lambda x: L.Attention(use_scale=True)([x, x], use_causal_mask=True),
    "value mask": lambda x: L.Attention()([x, L.Masking()(x)]),
    "query mask": lambda x: L.Attention()([L.Masking()(x), x]),
    "given masks": lambda x: L.Attention()([x, x], mask=[None, keras.ops.any(x > 0.5, axis=2)]),
    "nothing to attend to": lambda x: L.Attention()([x * 9, x], mask=[None, keras.ops.any(x > 1.5, axis=2)]),
    "nothing, large scores": lambda x: L.Attention()([x * 90, x], mask=[None, keras.ops.any(x > 9, axis=2)]),
    "additive": attend(L.AdditiveAttention()),
    "additive, no scale": attend(L.AdditiveAttention(use_scale=False), use_causal_mask=True),
    "additive, no mask": lambda x: L.AdditiveAttention()([x, x], return_attention_scores=True),
}
MULTI_HEAD: dict[str, Case] = {
    "plain": lambda x: L.MultiHeadAttention(2, 3)(x, x),
    "key": lambda x: L.MultiHeadAttention(2, 3)(x, L.Dense(5)(x), L.Dense(6)(x)),
    "causal": lambda x: L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
    "sizes": lambda x: L.MultiHeadAttention(3, 2, value_dim=5, output_shape=6, use_bias=False)(x, x),
    "masks": heads(L.MultiHeadAttention(2, 3)),
    "masks, causal": heads(L.MultiHeadAttention(2, 3), use_causal_mask=True),
    "masks, scores": heads(L.MultiHeadAttention(2, 3), return_attention_scores=True),
    "masks, scores, causal": heads(L.MultiHeadAttention(2, 3), return_attention_scores=True, use_causal_mask=True),
    "masks, dropout": heads(L.MultiHeadAttention(2, 3, dropout=0.3)),
    "gate": heads(L.MultiHeadAttention(2, 3, value_dim=4, use_gate=True)),
    "self, masked": lambda x: (lambda m: L.MultiHeadAttention(2, 3)(m, m))(L.Masking()(x)),
    "attention mask": lambda x: L.MultiHeadAttention(2, 3)(x, x, attention_mask=L.Dot(axes=2)([x, x]) > 0),
    "attention mask of scores": lambda x: L.MultiHeadAttention(2, 3)(
        x, x, attention_mask=L.Attention()([x, x], return_attention_scores=True)[1] > 0.1, return_attention_scores=True
    ),
    "value mask by hand": lambda x: L.MultiHeadAttention(2, 3)(x, x, value_mask=keras.ops.any(x > 0.5, axis=2)),
    "query mask by hand": lambda x: L.MultiHeadAttention(2, 3)(x, x, query_mask=keras.ops.any(x > 0.5, axis=2)),
    "nothing to attend to": lambda x: L.MultiHeadAttention(2, 3)(x, x, value_mask=keras.ops.any(x > 9, axis=2)),
    "nothing to attend to, dropout": lambda x: L.MultiHeadAttention(2, 3, dropout=0.1)(
        x, x, value_mask=keras.ops.any(x > 1.5, axis=2)
    ),
    "siblings": siblings,
    "transformer": transformer,
    "transformer, masked": lambda x: transformer(L.Masking()(x)),
}


def twice(layer: Any) -> Case:
    """One layer called twice: its arrays are stored once."""
    return lambda x: L.Concatenate(axis=1)([layer(x), layer(L.ReLU()(x))])


def attended_twice(layer: Any, x: Any) -> Any:
    return L.Concatenate(axis=1)([layer([x, x]), layer([x, L.ReLU()(x)])])


def heads_twice(layer: Any, x: Any) -> Any:
    return L.Concatenate(axis=1)([layer(x, x), layer(query=x, value=L.ReLU()(x))])


SHARED: dict[str, Case] = {
    "conv": twice(L.Conv1D(3, 2)),
    "separable": twice(L.SeparableConv1D(3, 2)),
    "batch norm": twice(L.BatchNormalization()),
    "layer norm": twice(L.LayerNormalization()),
    "prelu": twice(L.PReLU()),
    "normalization": twice(adapted()),
    "attention": lambda x: attended_twice(L.AdditiveAttention(), x),
    "multi-head": lambda x: heads_twice(L.MultiHeadAttention(2, 3), x),
}
WRAPPED: dict[str, Case] = {
    "conv": L.TimeDistributed(L.Conv1D(3, 2, padding="same")),
    "separable": L.TimeDistributed(L.SeparableConv1D(3, 2)),
    "pooling": L.TimeDistributed(L.MaxPooling1D(2)),
    "global average": L.TimeDistributed(L.GlobalAveragePooling1D()),
    "flatten": L.TimeDistributed(L.Flatten()),
    "reshape": L.TimeDistributed(L.Reshape((4, 3))),
    "batch norm": L.TimeDistributed(L.BatchNormalization()),
    "layer norm": L.TimeDistributed(L.LayerNormalization(axis=[1, 2])),
    "unit": L.TimeDistributed(L.UnitNormalization()),
    "prelu": L.TimeDistributed(L.PReLU()),
    "softmax": L.TimeDistributed(L.Softmax(axis=1)),
    "rescaling": L.TimeDistributed(L.Rescaling(0.5, 1.0)),
}
FAMILIES: dict[str, tuple[tuple[int, ...], dict[str, Case]]] = {
    "convolution": (SEQUENCE, CONVOLUTION),
    "convolution 2d": (IMAGE, CONVOLUTION_2D),
    "sequences": (SEQUENCE, SEQUENCES),
    "normalization": (SEQUENCE, NORMALIZATION),
    "conv lstm 1d": (LINE_VIDEO, CONV_LSTM_1D),
    "conv lstm 2d": (VIDEO, CONV_LSTM_2D),
    "conv lstm 3d": (VOLUMES, CONV_LSTM_3D),
    "transposed 1d": (SEQUENCE, TRANSPOSED_1D),
    "transposed 2d": (IMAGE, TRANSPOSED_2D),
    "three axes": (VOLUME, THREE_AXES),
    "channels first 1d": (SEQUENCE, FIRST_1D),
    "channels first 2d": (IMAGE, FIRST_2D),
    "channels first 3d": (VOLUME, FIRST_3D),
    "attention": (SEQUENCE, ATTENTION),
    "multi-head attention": (SEQUENCE, MULTI_HEAD),
    "shared layers": (SEQUENCE, SHARED),
    "time-distributed": (LINE_VIDEO, WRAPPED),
}


# How many layers of each name had been made when those above were; other tests have Keras count from 0 again.
COUNTED = dict(global_state.get_global_attribute("object_name_uids") or {})


@pytest.fixture(autouse=True)
def names_are_free() -> None:
    """No layer made from here on gets the name of one above."""
    counts = global_state.get_global_attribute("object_name_uids", defaultdict(int), set_to_default=True)
    for name, count in COUNTED.items():
        counts[name] = max(counts[name], count)


def fill(model: Any, seed: int) -> None:
    """Random weights of a size that neither dies nor explodes; variances positive, counts whole."""
    random = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed" in variable.path or "int" in str(variable.dtype):
            continue
        shape, name = tuple(variable.shape), variable.path.rsplit("/", 1)[-1]
        fan_in = int(np.prod(shape[:-1])) if len(shape) > 1 else 1
        values = random.normal(0, fan_in**-0.5 if "kernel" in name else 0.6, shape)
        if "variance" in name or "stddev" in name:
            values = np.abs(values) + 0.1
        if "gamma" in name or "scale" in name:
            values = values + 1
        variable.assign(values.astype(variable.dtype))
    for layer in model.layers:
        if isinstance(layer, L.Normalization):
            layer.finalize_state()


def inputs_for(shape: tuple[int, ...], seed: int) -> np.ndarray[Any, Any]:
    """Rows with gaps, a masked tail, a masked head, and nothing at all."""
    x = np.random.default_rng(seed).normal(0, 1, (5, *shape)).astype("float32")
    x[1, [1, 3]] = 0
    x[2, -2:] = 0
    x[3, :2] = 0
    x[4] = 0
    return x


def differences(model: Any, x: np.ndarray[Any, Any], folder: Path, compiled: bool = False) -> list[float]:
    """Per output, the greatest difference between Keras and the runtime, over the output's scale.

    Args:
        compiled: by XLA, which has kernels for convolutions with the channels first; TensorFlow has none for CPUs.
    """
    if compiled:
        model.compile(jit_compile=True)
    model.save(folder / "model.keras")
    lstmconv.export(folder / "model.keras", folder / "model.safetensors")
    bundle = lr.load(folder / "model.safetensors")
    assert bundle.verify().ok
    ours = as_list(bundle.predict(x))
    theirs = as_list(model.predict(x, verbose=0))
    found = []
    for y, reference in zip(ours, theirs, strict=True):
        assert y.shape == reference.shape
        assert y.dtype == reference.dtype
        found.append(difference(y, reference).relative)
    return found


def build(family: str) -> tuple[Any, list[str]]:
    """The model of a family, and the case that each of its outputs belongs to."""
    shape, cases = FAMILIES[family]
    x = keras.Input(shape)
    outputs, names = [], []
    for name, case in cases.items():
        made = case(x)
        flat = list(made) if isinstance(made, list | tuple) else [made]
        outputs += flat
        names += [name] * len(flat)
    model = keras.Model(x, outputs)
    fill(model, seed=len(names))
    return model, names


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_agrees_with_keras(family: str, tmp_path: Path) -> None:
    model, names = build(family)
    compiled = family.startswith("channels first")
    found = differences(model, inputs_for(FAMILIES[family][0], seed=3), tmp_path, compiled)
    worst = {name: max(d for n, d in zip(names, found, strict=True) if n == name) for name in FAMILIES[family][1]}
    print("\n".join(f"{family}: {name}: {apart:.1e}" for name, apart in worst.items()))
    assert {name: d for name, d in worst.items() if not d <= 2e-6} == {}


@pytest.mark.parametrize(
    "layer", [L.MaxPooling1D(3), L.Conv1D(3, 9), L.Cropping1D(5), L.Reshape((-1, 8)), L.DepthwiseConv1D(4, strides=3)]
)
def test_open_sequences_that_one_step_cannot_fill(layer: Any, tmp_path: Path) -> None:
    """The probes of the bundle take as many steps as the windows need; too few steps at run time are an error."""
    x = keras.Input((None, 4))
    model = keras.Model(x, L.GlobalMaxPooling1D()(layer(x)))
    fill(model, seed=2)
    assert max(differences(model, inputs_for((12, 4), seed=6), tmp_path)) <= 2e-6
    with pytest.raises(lr.InputError):
        lr.load(tmp_path / "model.safetensors").predict(np.zeros((2, 1, 4), "float32"))


def half_precision(x: Any) -> list[Any]:
    """One layer of each kind, in the policy of the moment."""
    x = L.Dense(4)(x)
    m = L.Masking()(x)
    return [
        L.Conv1D(3, 3)(x),
        L.SeparableConv1D(3, 2)(x),
        L.BatchNormalization()(x),
        L.LayerNormalization()(x),
        L.GroupNormalization(2)(x),
        L.UnitNormalization()(x),
        L.Normalization(mean=0.3, variance=2.0)(x),
        L.Rescaling(1 / 255, 0.1)(x),
        L.PReLU()(x),
        L.Softmax(axis=[1, 2])(x, mask=x > 0),
        L.GlobalAveragePooling1D()(m),
        L.Attention()([m, m]),
        L.MultiHeadAttention(2, 3, dropout=0.1)(m, m),
        L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
    ]


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_float16", 3e-3), ("float16", 3e-3), ("mixed_bfloat16", 2e-2), ("float64", 2e-7)]
)
def test_other_dtypes(policy: str, tolerance: float, tmp_path: Path) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        x = keras.Input(SEQUENCE)
        model = keras.Model(x, half_precision(x))
        fill(model, seed=1)
        model.save(tmp_path / "model.keras")
        lstmconv.export(tmp_path / "model.keras", tmp_path / "model.safetensors")
        data = inputs_for(SEQUENCE, seed=4)
        theirs = model.predict(data, verbose=0)
    finally:
        keras.config.set_dtype_policy(before)
    ours = lr.load(tmp_path / "model.safetensors").predict(data)
    for layer, y, reference in zip(model.layers[-len(theirs) :], ours, theirs, strict=True):
        reference = np.asarray(reference).astype("f8")
        assert np.array_equal(np.isnan(y), np.isnan(reference)), layer.name
        worst = float(np.nanmax(np.abs(y.astype("f8") - reference))) / float(np.nanmax(np.abs(reference)))
        assert worst <= tolerance, layer.name


REFUSED: dict[str, tuple[tuple[int | None, ...], Case, str]] = {
    "conv": (SEQUENCE, L.Conv1D(3, 2, **FIRST), "data_format channels_first with 3 filters and a bias"),
    "conv, open": ((7, None), L.Conv1D(3, 2, **FIRST), "the size of the last axis is not known"),
    "depthwise": ((2, 5, 4), L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", **FIRST), "4 filters"),
    "separable": (SEQUENCE, L.SeparableConv1D(3, 2, **FIRST), "data_format channels_first"),
    "transposed": (SEQUENCE, L.Conv1DTranspose(5, 2, **FIRST), "data_format channels_first"),
    "bicubic": (IMAGE, L.UpSampling2D(2, interpolation="bicubic"), "interpolation"),
    "bilinear, many": (IMAGE, L.UpSampling2D(40, interpolation="bilinear"), "size"),
    "conv, gated": (SEQUENCE, L.Conv1D(4, 1, activation="glu"), "glu"),
    "unit norm": (SEQUENCE, L.UnitNormalization(axis=0), "axis 0"),
    "softmax": (SEQUENCE, L.Softmax(axis=0), "axis 0"),
    "softmax in a slot": (SEQUENCE, L.Dense(3, activation=L.Softmax(axis=[1, 2])), "axis"),
    "batch mask": (VIDEO, lambda x: L.ConvLSTM2D(3, 2)(x, mask=x[..., 0] > 0), "mask"),
    "attention of rank 4": (IMAGE, lambda x: L.Attention()([x, x]), "rank 4"),
    "heads of rank 4": (IMAGE, lambda x: L.MultiHeadAttention(2, 3)(x, x), "attention_axes"),
    "sliding window": (SEQUENCE, lambda x: L.MultiHeadAttention(2, 3, sliding_window=2)(x, x), "sliding_window"),
    "output shape": (SEQUENCE, lambda x: L.MultiHeadAttention(2, 3, output_shape=(2, 3))(x, x), "output_shape"),
    "heads of size 1": (SEQUENCE, lambda x: L.MultiHeadAttention(7, 1)(x, x), "adds it along the steps"),
    "center crop": (IMAGE, L.CenterCrop(3, 3), "not supported"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_refused_by_name(case: str, tmp_path: Path) -> None:
    shape, layer, option = REFUSED[case]
    x = keras.Input(shape)
    model = keras.Model(x, layer(x))
    model.save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError) as error:
        lstmconv.export(tmp_path / "model.keras", tmp_path / "model.safetensors")
    named = model.layers[-1]
    assert f"layer '{named.name}' (" in str(error.value)
    assert option in str(error.value)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in ("shared layers", "time-distributed")])
def test_an_unknown_option_is_refused(family: str, tmp_path: Path) -> None:
    """One layer of each class gets an option that no version of Keras has."""
    model, _ = build(family)
    model.save(tmp_path / "model.keras")
    file = read_keras_file(tmp_path / "model.keras")
    assert isinstance(file.config, dict)
    layers = {item["class_name"]: item for item in file.config["config"]["layers"] if "dtype" in item["config"]}
    for class_name, item in layers.items():
        if class_name == "InputLayer":
            continue
        item["config"]["mystery"] = 1
        with pytest.raises(UnsupportedError, match=rf"{class_name}\): the option 'mystery'"):
            convert(file)
        del item["config"]["mystery"]
