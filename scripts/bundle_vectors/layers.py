"""Bundles for layers with weights, convolutions and pooling, computed by the layers of Keras."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import LINEAR, TANH, Activation, Array

from .case import Case, given, numbers, one

X2, X3, X4 = numbers(3, 4), numbers(2, 6, 4, seed=1), numbers(2, 5, 6, 3, seed=2)
SPACE = {1: (9,), 2: (5, 6), 3: (4, 3, 5)}
RELU = Activation("relu", (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0)))


def of_keras(layer: Any, x: Any, *weights: Array) -> Any:
    """What a layer of Keras makes of x with these weights, in their order."""
    layer.build(x.shape)
    layer.set_weights(list(weights))
    return layer(x)


def cases() -> Iterator[Case]:
    yield from dense()
    yield from normalisations()
    for axes in (1, 2, 3):
        yield from windows(axes)
    yield from conv_options()


def dense() -> Iterator[Case]:
    for name, x, use_bias, activation, function in (
        ("dense", X2, True, TANH, "tanh"),
        ("dense-of-steps", X3, True, LINEAR, None),
        ("dense-without-bias", X2, False, RELU, "relu"),
        ("dense-softmax", X3, True, Activation("softmax", (("axis", 2.0),)), "softmax"),
    ):
        node = n.Dense(name="y", x="x", weights="y", input_size=4, units=3, use_bias=use_bias, activation=activation)

        def computed(x: Any, W: Array, b: Array | None = None, use: bool = use_bias, f: Any = function) -> Any:
            return of_keras(keras.layers.Dense(3, activation=f, use_bias=use), x, *([W, b] if use else [W]))

        yield one(name, f"x @ W on the last axis, {activation.name} of it", node, computed, x)
    for name, ids in (
        ("embedding", np.array([[0, 4, 2], [2, 2, 1]], np.int32)),
        ("embedding-of-bytes", np.array([[0, 4], [3, 3]], np.uint8)),
    ):
        embedding = n.Embedding(name="y", x="x", weights="y", input_size=5, units=3, dtype="float32")
        yield one(
            name,
            f"rows of the table, ids of {ids.dtype}",
            embedding,
            lambda x, E: tf.gather(E, tf.cast(x, tf.int32)),
            ids,
        )
    for name, shape in (("prelu", (6, 4)), ("prelu-shared", (1, 4))):
        yield one(
            name, "a slope per place; one of size 1 along an axis is for all of it",
            n.PReLU(name="y", x="x", weights="y", shape=shape),
            lambda x, alpha: of_keras(
                keras.layers.PReLU(shared_axes=[1] if alpha.shape[0] == 1 else None), x, alpha
            ), X3,
        )  # fmt: skip


def normalisations() -> Iterator[Case]:
    for name, axis, x, scale, center in (
        ("batch-norm", 2, X3, True, True), ("batch-norm-of-steps", 1, X3, True, True),
        ("batch-norm-bare", 1, X2, False, False),
    ):  # fmt: skip
        node = n.BatchNorm(
            name="y", x="x", weights="y", axis=axis, size=x.shape[axis], epsilon=1e-3, scale=scale, center=center
        )

        def batch(x: Any, axis: int = axis, scale: bool = scale, center: bool = center, **p: Array) -> Any:
            layer = keras.layers.BatchNormalization(axis=axis, epsilon=1e-3, scale=scale, center=center)
            return of_keras(layer, x, *(p[key] for key in ("gamma", "beta", "mean", "variance") if key in p))

        yield one(name, f"the stored statistics, along axis {axis}", node, batch, x)
    for name, axes, scale, center, shows in (
        ("layer-norm", (2,), True, True, "over the last axis"),
        ("layer-norm-of-two-axes", (1, 2), True, True, "over two axes at once"),
        ("layer-norm-of-steps", (1,), True, False, "over an axis that is not the last"),
    ):
        normal = n.LayerNorm(
            name="y", x="x", weights="y", axes=axes, shape=(4,) * len(axes), epsilon=1e-2, scale=scale,
            center=center, rms=False,
        )  # fmt: skip

        def layer_norm(
            x: Any, axes: tuple[int, ...] = axes, scale: bool = scale, center: bool = center, **p: Array
        ) -> Any:
            layer = keras.layers.LayerNormalization(axis=list(axes), epsilon=1e-2, scale=scale, center=center)
            return of_keras(layer, x, *(p[key] for key in ("gamma", "beta") if key in p))

        yield one(name, shows, normal, layer_norm, X3[:, :4])
    rms = n.LayerNorm(
        name="y", x="x", weights="y", axes=(2,), shape=(4,), epsilon=1e-2, scale=True, center=True, rms=True
    )

    def scaled(x: Any, gamma: Array, beta: Array) -> Any:
        """In words of keras.ops, since Keras has no beta there: by the root of the variance, x not centred."""
        return ops.add(ops.multiply(ops.divide(x, ops.sqrt(ops.add(ops.var(x, 2, keepdims=True), 1e-2))), gamma), beta)

    yield one("layer-norm-rms", "by the root of the variance, not centred, with beta", rms, scaled, X3 + 1)
    for name, axis, groups, x in (("group-norm", 3, 2, numbers(2, 3, 2, 4)), ("group-norm-channels-first", 1, 3, X3)):
        group = n.GroupNorm(
            name="y",
            x="x",
            weights="y",
            axis=axis,
            size=x.shape[axis],
            groups=groups,
            epsilon=1e-2,
            scale=True,
            center=True,
        )

        def group_norm(x: Any, gamma: Array, beta: Array, axis: int = axis, groups: int = groups) -> Any:
            return of_keras(keras.layers.GroupNormalization(groups, axis=axis, epsilon=1e-2), x, gamma, beta)

        yield one(name, f"{groups} groups of neighbouring channels along axis {axis}", group, group_norm, x)


def windows(axes: int) -> Iterator[Case]:
    """Convolution, its transpose, and pooling over so many axes of space."""
    space = SPACE[axes]
    x = numbers(2, *space, 2, seed=axes)
    size, strides = (3, 2, 2)[:axes], (2, 1, 3)[:axes]
    ones, name = (1,) * axes, f"{axes}d"
    keras_conv = getattr(keras.layers, f"Conv{axes}D")
    for padding in ("valid", "same"):
        conv = n.Conv(
            name="y", x="x", weights="y", channels=2, filters=3, kernel_size=size, strides=strides, padding=padding,
            dilation=ones, groups=1, use_bias=True, activation=RELU,
        )  # fmt: skip

        def convolved(x: Any, W: Array, b: Array, padding: str = padding) -> Any:
            return of_keras(keras_conv(3, size, strides=strides, padding=padding, activation="relu"), x, W, b)

        yield one(f"conv-{name}-{padding}", f"padding {padding}, strides {strides}", conv, convolved, x)
        for op, layer in (("max", f"MaxPooling{axes}D"), ("mean", f"AveragePooling{axes}D")):
            pool = n.Pool(name="y", x="x", op=op, size=size, strides=strides, padding=padding)
            make = getattr(keras.layers, layer)

            def pooled(x: Any, make: Any = make, padding: str = padding) -> Any:
                return make(size, strides=strides, padding=padding)(x)

            shows = f"{op}, padding {padding}: padded places do not count, even where all numbers are below 0"
            yield one(f"pool-{name}-{op}-{padding}", shows, pool, pooled, x - 2)
    transposed = n.ConvTranspose(
        name="y", x="x", weights="y", channels=2, filters=3, kernel_size=size, strides=strides, dilation=ones,
        cropping=tuple(crop for k, s in zip(size, strides, strict=True) for crop in same_crop(k, s)), use_bias=True,
        activation=LINEAR,
    )  # fmt: skip

    def upwards(x: Any, W: Array, b: Array) -> Any:
        layer = getattr(keras.layers, f"Conv{axes}DTranspose")(3, size, strides=strides, padding="same")
        return of_keras(layer, x, np.swapaxes(W, -1, -2), b)

    yield one(
        f"conv-transpose-{name}",
        "cropped to n · stride places, which may leave zeros to be added",
        transposed,
        upwards,
        numbers(2, *(2, 3, 2)[:axes], 2),
    )


def same_crop(size: int, stride: int) -> tuple[int, int]:
    """What Keras's padding `same` takes off (n − 1) · stride + size places, so that n · stride are left."""
    total = size - stride
    before = max(total, 0) // 2
    return before, total - before


def conv_options() -> Iterator[Case]:
    def conv(name: str, shows: str, x: Array, build: Callable[..., Any], **options: Any) -> Case:
        channels = x.shape[-1]
        fields = {
            "kernel_size": (3,), "strides": (1,), "padding": "valid", "dilation": (1,), "groups": 1, "use_bias": True,
            "activation": LINEAR, "filters": 4, **options,
        }  # fmt: skip
        node = n.Conv(name="y", x="x", weights="y", channels=channels, **fields)
        sizes = (None, channels) if name.endswith("open") else x.shape[1:]
        return one(name, shows, node, build, x, *([x[:1, :5]] if name.endswith("open") else []), sizes=sizes)

    x = numbers(2, 9, 4)

    def keras_1d(**options: Any) -> Callable[..., Any]:
        return lambda x, **p: of_keras(keras.layers.Conv1D(4, 3, **options), x, *p.values())

    yield conv("conv-causal", "nothing of later steps", x, keras_1d(padding="causal"), padding="causal")
    yield conv("conv-causal-open", "over an open axis", x, keras_1d(padding="causal", dilation_rate=2),
               padding="causal", dilation=(2,))  # fmt: skip
    yield conv("conv-causal-strided", "each other step, from the first", x, keras_1d(padding="causal", strides=2),
               padding="causal", strides=(2,))  # fmt: skip
    yield conv("conv-dilated", "taps 3 apart", x, keras_1d(dilation_rate=3), dilation=(3,))
    yield conv("conv-same-open", "same over an open axis, strides 2", x, keras_1d(padding="same", strides=2),
               padding="same", strides=(2,))  # fmt: skip
    yield conv("conv-wider-than-input", "a window wider than the axis, which same allows", x[:, :2],
               keras_1d(padding="same"), padding="same")  # fmt: skip
    yield conv("conv-grouped", "two groups of channels, filters split evenly", x, keras_1d(groups=2), groups=2)
    yield conv("conv-depthwise", "a group per channel, two filters each", x,
               lambda x, W: of_keras(keras.layers.Conv1D(8, 3, groups=4, use_bias=False), x, W),
               groups=4, filters=8, use_bias=False)  # fmt: skip
    dilated = n.ConvTranspose(
        name="y", x="x", weights="y", channels=4, filters=2, kernel_size=(3,), strides=(1,), dilation=(2,),
        cropping=(0, 0), use_bias=False, activation=RELU,
    )  # fmt: skip
    yield one(
        "conv-transpose-dilated",
        "taps 2 apart, and an activation",
        dilated,
        lambda x, W: of_keras(
            keras.layers.Conv1DTranspose(2, 3, dilation_rate=2, use_bias=False, activation="relu"),
            x,
            np.swapaxes(W, 1, 2),
        ),
        numbers(2, 4, 4),
    )
    size, strides = (5, 4), (2, 1)
    crops = tuple(crop for k, s in zip(size, strides, strict=True) for crop in same_crop(k, s))
    assert crops == (1, 2, 1, 2)
    cropped = n.ConvTranspose(
        name="y", x="x", weights="y", channels=2, filters=3, kernel_size=size, strides=strides, dilation=(1, 1),
        cropping=crops, use_bias=True, activation=LINEAR,
    )  # fmt: skip
    yield one(
        "conv-transpose-cropped", "places cropped before and after, not the same number", cropped,
        lambda x, W, b: of_keras(
            keras.layers.Conv2DTranspose(3, size, strides=strides, padding="same"), x, np.swapaxes(W, 2, 3), b
        ), numbers(2, 3, 4, 2),
    )  # fmt: skip
    for op, function in (("max", tf.reduce_max), ("mean", tf.reduce_mean)):
        pool = n.Pool(name="y", x="x", op=op, size=(3,), strides=(1,), padding="causal")

        def causal(x: Any, function: Any = function) -> Any:
            return tf.stack([function(x[:, max(0, t - 2) : t + 1], axis=1) for t in range(x.shape[1])], axis=1)

        yield one(f"pool-causal-{op}", "each step and the two before it, as far as there are any", pool, causal, x)
    nan = numbers(2, 6, 2)
    nan[0, 2, 1], nan[1, 5, 0] = np.nan, np.inf
    for op, function in (("max", tf.reduce_max), ("mean", tf.reduce_mean)):
        yield one(
            f"pool-odd-{op}",
            "NaN and infinity in a window",
            n.Pool(name="y", x="x", op=op, size=(2,), strides=(2,), padding="valid"),
            lambda x, function=function: function(tf.reshape(x, (2, 3, 2, 2)), axis=2),
            nan,
        )
    values: dict[str, Array] = {
        "half": np.array([0.1, 70000, 1e-9], np.float32), "brain": np.array([0.1, 3.0e38, 257], np.float64),
        "double": np.array([0.1, 1e300, 3], np.float64), "whole": np.array([2**62, -1, 7], np.int64),
        "byte": np.array([255, 0, 7], np.uint8), "truth": np.array([True, False, True]),
        "single": np.array([0.1, 65504, -2], np.float16), "empty": np.zeros((1, 0), np.int32),
        "scalar": np.array(2.5, np.float32),
    }  # fmt: skip
    dtypes = {"half": "float16", "brain": "bfloat16", "double": "float64", "single": "float32"}
    nodes: list[Any] = [given(2)]
    for name, value in values.items():
        nodes.append(n.Constant(name=name, shape=value.shape, dtype=dtypes.get(name, value.dtype.name)))
    yield Case(
        "constant",
        "each dtype; a floating point one is rounded from whatever floating point it is stored as",
        nodes,
        list(values),
        [{"x": numbers(1, 2)}],
        lambda v, a: [
            tf.cast(tf.constant(a[f"{name}/value"]), dtypes.get(name, values[name].dtype.name)) for name in values
        ],
        {f"{name}/value": value for name, value in values.items()},
    )
