"""The layers around recurrent ones: one case per class, one output per option.

They stand on a recurrent layer without bounds, so that those which can stream do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers as kl

from .building import STEPS, Branch, Case, branches, of_class, pad, shown

SEQUENCE, IMAGE = (6, 4), (5, 4, 2)
Options = dict[str, dict[str, Any]]

ON_SEQUENCES: dict[str, Options] = {
    "Dense": {"plain": {"units": 3}, "no_bias": {"units": 2, "use_bias": False, "activation": "gelu"}},
    "Activation": {"relu": {"activation": "relu"}, "softmax": {"activation": "softmax"},
                   "linear": {"activation": "linear"}},
    "ReLU": {"plain": {}, "bent": {"max_value": 1.5, "negative_slope": 0.1, "threshold": 0.3}},
    "LeakyReLU": {"plain": {}, "slope": {"negative_slope": 0.05}},
    "ELU": {"plain": {}, "alpha": {"alpha": 0.7}},
    "PReLU": {"plain": {}, "shared": {"shared_axes": [1]}},
    "Softmax": {"plain": {}, "axis": {"axis": 1}, "axis_list": {"axis": [-1]}, "axes": {"axis": [1, 2]}},
    "Identity": {"plain": {}},
    "Dropout": {"plain": {"rate": 0.4}},
    "SpatialDropout1D": {"plain": {"rate": 0.4}},
    "GaussianDropout": {"plain": {"rate": 0.4}},
    "GaussianNoise": {"plain": {"stddev": 0.4}},
    "AlphaDropout": {"plain": {"rate": 0.4}},
    "ActivityRegularization": {"plain": {"l1": 0.1, "l2": 0.2}},
    "Conv1D": {
        "valid": {"filters": 3, "kernel_size": 3},
        "same_strides": {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"},
        "same_even": {"filters": 3, "kernel_size": 4, "padding": "same", "use_bias": False},
        "causal": {"filters": 3, "kernel_size": 3, "padding": "causal", "activation": "tanh"},
        "causal_dilated": {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2},
        "causal_strides": {"filters": 3, "kernel_size": 2, "padding": "causal", "strides": 3},
        "dilated": {"filters": 3, "kernel_size": 2, "dilation_rate": 3},
        "same_dilated": {"filters": 3, "kernel_size": 3, "padding": "same", "dilation_rate": 2},
        "groups": {"filters": 4, "kernel_size": 3, "groups": 2, "padding": "same", "activation": "gelu"},
        "wide_stride": {"filters": 3, "kernel_size": 2, "strides": 5, "padding": "same"},
    },
    "DepthwiseConv1D": {
        "valid": {"kernel_size": 3},
        "multiplier": {"kernel_size": 3, "depth_multiplier": 3, "padding": "same", "activation": "relu"},
        "strides": {"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2},
        "dilation": {"kernel_size": 2, "dilation_rate": 2, "use_bias": False},
    },
    "SeparableConv1D": {
        "valid": {"filters": 3, "kernel_size": 3},
        "multiplier": {"filters": 3, "kernel_size": 3, "depth_multiplier": 2, "padding": "same", "activation": "tanh"},
        "strides": {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "use_bias": False},
        "dilation": {"filters": 3, "kernel_size": 2, "dilation_rate": 2},
    },
    "MaxPooling1D": {"plain": {"pool_size": 2}, "same": {"pool_size": 3, "strides": 2, "padding": "same"},
                     "wide_stride": {"pool_size": 2, "strides": 3, "padding": "same"}},
    "AveragePooling1D": {"plain": {"pool_size": 3, "strides": 1},
                         "same": {"pool_size": 4, "strides": 3, "padding": "same"}},
    "GlobalMaxPooling1D": {"plain": {}, "keepdims": {"keepdims": True}},
    "GlobalAveragePooling1D": {"plain": {}, "keepdims": {"keepdims": True}},
    "BatchNormalization": {"plain": {}, "axis": {"axis": 1, "epsilon": 0.2}, "neither": {"scale": False,
                           "center": False}, "scale": {"center": False}, "renorm": {"renorm": True}},
    "LayerNormalization": {"plain": {}, "axis": {"axis": 1, "epsilon": 0.05}, "axes": {"axis": [1, 2]},
                           "neither": {"scale": False, "center": False}, "rms": {"rms_scaling": True}},
    "GroupNormalization": {"groups": {"groups": 2}, "one": {"groups": 1, "epsilon": 0.1},
                           "instance": {"groups": -1, "scale": False},
                           "time": {"groups": 3, "axis": 1, "center": False}},
    "UnitNormalization": {"plain": {}, "axes": {"axis": [1, 2]}},
    "Normalization": {"adapted": {}, "axes": {"axis": (1, 2)}, "inverted": {"invert": True}, "none": {"axis": None},
                      "given": {"mean": [0.1, 0.2, 0.3, 4.0], "variance": [1.0, 2.0, 0.0, 4.0]},
                      "number": {"mean": 0.3, "variance": 2.0, "invert": True}},
    "Rescaling": {"plain": {"scale": 1 / 255, "offset": -1.0}, "lists": {"scale": [0.1, 0.2, 0.3, 0.4],
                  "offset": [1.0, 2.0, 3.0, 4.0]}, "array": {"scale": np.array([0.1, 0.2, 0.3, 0.4])}},
    "Flatten": {"plain": {}, "channels_first": {"data_format": "channels_first"}},
    "Reshape": {"plain": {"target_shape": (2, 2, 6)}, "open": {"target_shape": (-1, 2)}},
    "Permute": {"plain": {"dims": (2, 1)}},
    "ZeroPadding1D": {"plain": {"padding": 2}, "pair": {"padding": (0, 3)}},
    "Cropping1D": {"plain": {"cropping": 1}, "start": {"cropping": (2, 0)}, "end": {"cropping": (0, 3)}},
    "UpSampling1D": {"plain": {"size": 3}},
}  # fmt: skip
ON_IMAGES: dict[str, Options] = {
    "Conv2D": {
        "valid": {"filters": 3, "kernel_size": (3, 2)},
        "same": {"filters": 3, "kernel_size": 3, "padding": "same", "activation": "relu"},
        "strides": {"filters": 3, "kernel_size": (2, 3), "strides": (2, 1), "padding": "same"},
        "dilation": {"filters": 3, "kernel_size": 2, "dilation_rate": (2, 3), "padding": "same"},
        "groups": {"filters": 4, "kernel_size": 3, "groups": 2, "use_bias": False},
    },
    "DepthwiseConv2D": {"same": {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"},
                        "strides": {"kernel_size": 3, "strides": 2}},
    "SeparableConv2D": {"same": {"filters": 3, "kernel_size": (3, 2), "depth_multiplier": 2, "padding": "same",
                                 "activation": "elu"}},
    "MaxPooling2D": {"plain": {"pool_size": (2, 3)}, "same": {"pool_size": 2, "strides": 1, "padding": "same"}},
    "AveragePooling2D": {"plain": {"pool_size": (3, 2), "strides": (1, 2)},
                         "same": {"pool_size": 3, "strides": 2, "padding": "same"}},
    "GlobalMaxPooling2D": {"plain": {}, "keepdims": {"keepdims": True}},
    "GlobalAveragePooling2D": {"plain": {}, "keepdims": {"keepdims": True}},
    "ZeroPadding2D": {"plain": {"padding": 2}, "pair": {"padding": (1, 2)}, "pairs": {"padding": ((0, 1), (3, 2))}},
    "SpatialDropout2D": {"plain": {"rate": 0.4}},
}  # fmt: skip
MIXED: dict[str, dict[str, Callable[[], Any]]] = {
    "layers-of-rank-4": {
        "batch": kl.BatchNormalization, "layer": lambda: kl.LayerNormalization(axis=[1, 3]),
        "group": lambda: kl.GroupNormalization(groups=2), "prelu": lambda: kl.PReLU(shared_axes=[1, 2]),
        "softmax": lambda: kl.Softmax(axis=[1, 2]), "flatten": lambda: kl.Flatten(data_format="channels_first"),
        "permute": lambda: kl.Permute((3, 1, 2)), "reshape": lambda: kl.Reshape((5, -1)),
        "dense": lambda: kl.Dense(3),
    },
    "layers-of-rank-2": {
        "batch": kl.BatchNormalization, "layer": kl.LayerNormalization, "group": lambda: kl.GroupNormalization(2),
        "unit": kl.UnitNormalization, "prelu": kl.PReLU, "flatten": kl.Flatten,
        "reshape": lambda: kl.Reshape((2, -1)), "repeat": lambda: kl.RepeatVector(3), "dense": lambda: kl.Dense(3),
    },
}  # fmt: skip
MASKED: tuple[Any, ...] = (
    lambda: kl.Activation("relu"), kl.LeakyReLU, lambda: kl.PReLU(shared_axes=[1]), kl.BatchNormalization,
    kl.LayerNormalization, lambda: kl.GroupNormalization(2), kl.UnitNormalization,
    lambda: kl.Normalization(mean=0.3, variance=2.0), lambda: kl.Rescaling(0.5), lambda: kl.SpatialDropout1D(0.3),
    lambda: kl.GaussianNoise(0.3), lambda: kl.ActivityRegularization(l1=0.1),
)  # fmt: skip


def sequences_before() -> Any:
    return kl.SimpleRNN(4, activation="linear", return_sequences=True, name="before")


def images_before() -> Any:
    return kl.ConvLSTM1D(2, 1, activation="linear", return_sequences=True, name="before")


def rows_before() -> Any:
    return kl.SimpleRNN(4, activation="linear", name="before")


def dashed(name: str) -> str:
    """SeparableConv1D → separable-conv1d."""
    name = name.replace("ReLU", "Relu").replace("PRe", "Pre")
    return "".join(f"-{c.lower()}" if c.isupper() and not name[i - 1].isupper() and i and not name[i - 1].isdigit()
                   else c.lower() for i, c in enumerate(name))  # fmt: skip


def applied(make: Callable[[], Any]) -> Branch:
    return lambda x: make()(x)


def mixed(table: dict[str, Any], shape: tuple[int, ...], before: Any) -> Case:
    return branches({name: applied(make) for name, make in table.items()}, shape, before)


def masked_companions() -> Any:
    """Each shows by an LSTM that it passes the mask on."""
    table = {str(index): (lambda x, make=make: shown(make())(x)) for index, make in enumerate(MASKED)}
    return branches(table, (STEPS, 4))(), pad


def softmax_of_masks() -> Any:
    x = keras.Input(SEQUENCE, name="x")
    made = [
        kl.Softmax(name="of_comparison")(x, mask=x > 0.2),
        kl.Softmax(axis=[1, 2], name="of_numbers")(x, mask=kl.ReLU()(x)),
    ]
    return keras.Model(x, made)


def masked_averages() -> Any:
    """A row with nothing in its mask gives NaN, as in Keras."""
    x = keras.Input((STEPS, 2), name="x")
    m = kl.Masking()(x)
    return keras.Model(x, [kl.GlobalAveragePooling1D()(m), kl.GlobalAveragePooling1D(keepdims=True)(m)]), pad


CASES: dict[str, Case] = {
    **{dashed(name): of_class(name, options, SEQUENCE, sequences_before) for name, options in ON_SEQUENCES.items()},
    **{dashed(name): of_class(name, options, IMAGE, images_before) for name, options in ON_IMAGES.items()},
    "layers-of-rank-4": mixed(MIXED["layers-of-rank-4"], IMAGE, images_before),
    "layers-of-rank-2": mixed(MIXED["layers-of-rank-2"], SEQUENCE, rows_before),
    "masked-companions": masked_companions,
    "masked-softmax": softmax_of_masks,
    "masked-global-average": masked_averages,
}
