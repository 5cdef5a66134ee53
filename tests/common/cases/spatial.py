"""The layers over three axes of space, transposed convolutions, resizing and cropping, and channels before space."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers as kl

from .building import STEPS, Branch, Case, branches, of_class, pad, shown
from .companions import IMAGE, SEQUENCE, Options, dashed, images_before, sequences_before

FIRST: dict[str, Any] = {"data_format": "channels_first"}
VOLUME, CLIPS = (4, 3, 4, 2), (4, 3, 4, 3, 2)

ON_SEQUENCES: dict[str, Options] = {
    "Conv1DTranspose": {
        "valid": {"filters": 3, "kernel_size": 3},
        "valid_strides": {"filters": 3, "kernel_size": 2, "strides": 3, "activation": "relu"},
        "same": {"filters": 2, "kernel_size": 4, "strides": 3, "padding": "same", "use_bias": False},
        "same_odd": {"filters": 2, "kernel_size": 5, "strides": 2, "padding": "same"},
        "output_padding": {"filters": 2, "kernel_size": 3, "strides": 3, "output_padding": 2},
        "same_output_padding": {"filters": 2, "kernel_size": 5, "strides": 3, "padding": "same", "output_padding": 2},
        "same_no_output_padding": {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same",
                                   "output_padding": 0},
        "small_kernel": {"filters": 2, "kernel_size": 1, "strides": 4, "padding": "same", "output_padding": 3},
        "places": {"filters": 2, "kernel_size": 1, "activation": "softmax"},
    },
}  # fmt: skip
ON_IMAGES: dict[str, Options] = {
    "Conv2DTranspose": {
        "valid": {"filters": 1, "kernel_size": (3, 2), "strides": (1, 3)},
        "same": {"filters": 1, "kernel_size": (2, 3), "strides": (2, 3), "padding": "same", "activation": "elu"},
        "output_padding": {"filters": 1, "kernel_size": 3, "strides": (1, 3), "padding": "same",
                           "output_padding": (0, 2)},
    },
    "Cropping2D": {"plain": {"cropping": 1}, "pair": {"cropping": (1, 0)}, "pairs": {"cropping": ((0, 2), (1, 0))},
                   "nothing": {}},
    "UpSampling2D": {"plain": {}, "pair": {"size": (1, 3)}, "bilinear": {"size": (2, 4), "interpolation": "bilinear"},
                     "rows": {"size": (4, 1), "interpolation": "bilinear"},
                     "channels_first": {"size": (1, 2), "interpolation": "bilinear", **FIRST}},
}  # fmt: skip
ON_VOLUMES: dict[str, Options] = {
    "Conv3D": {
        "valid": {"filters": 2, "kernel_size": (2, 3, 2)},
        "same": {"filters": 2, "kernel_size": 3, "padding": "same", "activation": "relu"},
        "strides": {"filters": 2, "kernel_size": 2, "strides": (1, 2, 3), "padding": "same", "use_bias": False},
        "dilation": {"filters": 2, "kernel_size": 2, "dilation_rate": (3, 1, 2), "padding": "same"},
        "groups": {"filters": 4, "kernel_size": 2, "groups": 2, "activation": "softmax"},
        "frames": {"filters": 2, "kernel_size": (1, 2, 3), "padding": "same"},
    },
    "Conv3DTranspose": {
        "valid": {"filters": 1, "kernel_size": (1, 2, 3), "strides": (2, 1, 2)},
        "same": {"filters": 1, "kernel_size": 3, "strides": (1, 2, 1), "padding": "same", "output_padding": (0, 1, 0)},
        "frames": {"filters": 1, "kernel_size": (1, 2, 2), "strides": (1, 2, 1), "padding": "same"},
    },
    "MaxPooling3D": {"plain": {"pool_size": (2, 1, 2)},
                     "same": {"pool_size": 2, "strides": (2, 1, 3), "padding": "same"},
                     "frames": {"pool_size": (1, 2, 2), "padding": "same"}},
    "AveragePooling3D": {"plain": {"pool_size": (1, 2, 2)},
                         "same": {"pool_size": (3, 2, 2), "strides": 2, "padding": "same"}},
    "GlobalMaxPooling3D": {"plain": {}, "keepdims": {"keepdims": True}},
    "GlobalAveragePooling3D": {"plain": {}, "keepdims": {"keepdims": True}},
    "ZeroPadding3D": {"plain": {"padding": 1}, "each": {"padding": (0, 1, 2)},
                      "pairs": {"padding": ((0, 1), (2, 0), (1, 3))}, "frames": {"padding": (0, 1, 1)}},
    "Cropping3D": {"plain": {}, "each": {"cropping": (1, 0, 1)}, "pairs": {"cropping": ((0, 1), (2, 0), (0, 3))},
                   "frames": {"cropping": (0, 1, 1)}},
    "UpSampling3D": {"plain": {"size": (2, 1, 1)}, "each": {"size": (1, 2, 3)}},
    "SpatialDropout3D": {"plain": {"rate": 0.4}},
}  # fmt: skip

FIRST_1D: dict[str, Branch] = {
    "conv": lambda x: kl.Conv1D(3, 3, **FIRST)(x),
    "causal": lambda x: kl.Conv1D(3, 2, padding="causal", dilation_rate=2, activation="tanh", **FIRST)(x),
    "groups": lambda x: kl.Conv1D(6, 2, groups=6, use_bias=False, **FIRST)(x),
    "softmax": lambda x: kl.Conv1D(2, 2, activation="softmax", **FIRST)(x),
    "over_channels": lambda x: kl.Conv1D(2, 2, activation=kl.Softmax(axis=1), **FIRST)(x),
    "depthwise": lambda x: kl.DepthwiseConv1D(2, strides=2, padding="same", **FIRST)(x),
    "separable": lambda x: kl.SeparableConv1D(2, 2, activation="softmax", **FIRST)(x),
    "transposed": lambda x: kl.Conv1DTranspose(3, 3, strides=2, padding="same", **FIRST)(x),
    "dilated": lambda x: kl.Conv1DTranspose(3, 2, dilation_rate=3, **FIRST)(x),
    "dilated_same": lambda x: kl.Conv1DTranspose(3, 3, dilation_rate=2, padding="same", **FIRST)(x),
    "max": lambda x: kl.MaxPooling1D(2, **FIRST)(x),
    "average": lambda x: kl.AveragePooling1D(3, strides=2, padding="same", **FIRST)(x),
    "global_max": lambda x: kl.GlobalMaxPooling1D(**FIRST)(x),
    "global_average": lambda x: kl.GlobalAveragePooling1D(keepdims=True, **FIRST)(x),
    "padding": lambda x: kl.ZeroPadding1D((0, 2), **FIRST)(x),
}
FIRST_2D: dict[str, Branch] = {
    "conv": lambda x: kl.Conv2D(2, (3, 2), strides=(1, 2), padding="same", **FIRST)(x),
    "dilation": lambda x: kl.Conv2D(3, 2, dilation_rate=2, padding="same", activation=kl.Softmax(axis=2), **FIRST)(x),
    "depthwise": lambda x: kl.DepthwiseConv2D((3, 2), use_bias=False, **FIRST)(x),
    "separable": lambda x: kl.SeparableConv2D(4, 2, strides=2, padding="same", **FIRST)(x),
    "transposed": lambda x: kl.Conv2DTranspose(3, (2, 3), strides=(2, 1), **FIRST)(x),
    "max": lambda x: kl.MaxPooling2D((2, 1), padding="same", **FIRST)(x),
    "average": lambda x: kl.AveragePooling2D(2, strides=1, **FIRST)(x),
    "global_max": lambda x: kl.GlobalMaxPooling2D(keepdims=True, **FIRST)(x),
    "global_average": lambda x: kl.GlobalAveragePooling2D(**FIRST)(x),
    "padding": lambda x: kl.ZeroPadding2D(((0, 1), (2, 0)), **FIRST)(x),
    "cropping": lambda x: kl.Cropping2D(((0, 1), (1, 0)), **FIRST)(x),
    "sampling": lambda x: kl.UpSampling2D((2, 3), **FIRST)(x),
    "dropout": lambda x: kl.SpatialDropout2D(0.3, **FIRST)(x),
}
FIRST_3D: dict[str, Branch] = {
    "conv": lambda x: kl.Conv3D(3, (3, 2, 2), strides=(1, 2, 1), padding="same", **FIRST)(x),
    "transposed": lambda x: kl.Conv3DTranspose(3, 2, strides=(2, 1, 2), **FIRST)(x),
    "max": lambda x: kl.MaxPooling3D((2, 1, 2), padding="same", **FIRST)(x),
    "average": lambda x: kl.AveragePooling3D((1, 2, 2), strides=1, **FIRST)(x),
    "global_max": lambda x: kl.GlobalMaxPooling3D(keepdims=True, **FIRST)(x),
    "global_average": lambda x: kl.GlobalAveragePooling3D(**FIRST)(x),
    "padding": lambda x: kl.ZeroPadding3D(((0, 1), (2, 0), (1, 1)), **FIRST)(x),
    "cropping": lambda x: kl.Cropping3D(((0, 1), (1, 0), (0, 0)), **FIRST)(x),
    "sampling": lambda x: kl.UpSampling3D((2, 1, 3), **FIRST)(x),
}


def named(cls: str) -> str:
    """Conv2DTranspose → conv2d-transpose."""
    return dashed(cls).replace("dtranspose", "d-transpose")


def volumes_before() -> Any:
    return kl.ConvLSTM2D(2, 1, activation="linear", return_sequences=True, name="before")


def clips_before() -> Any:
    return kl.ConvLSTM3D(2, 1, activation="linear", return_sequences=True, name="before")


def few(case: Case) -> Case:
    """The case with two rows, which is enough where nothing is masked."""
    return lambda: (case(), lambda inputs: [x[:2] for x in inputs])


def frames(**options: Any) -> Any:
    """A mask of steps, and what it masks; each row has its own."""
    x, mask = keras.Input((STEPS, 3, 3, 2, 2), name="x"), keras.Input((STEPS,), dtype="bool", name="mask")
    made = kl.ConvLSTM3D(2, 2, padding="same", return_state=True, **options)(x, mask=mask)
    return keras.Model([x, mask], made)


def next_frames() -> Any:
    """The shape of Keras's own example: ConvLSTM2D layers, pooled over space, and a Conv3D that draws the frames."""
    x = keras.Input((None, 6, 5, 1), name="x")
    y = kl.ConvLSTM2D(3, 3, padding="same", return_sequences=True, activation="relu")(x)
    y = kl.BatchNormalization()(y)
    y = kl.MaxPooling3D((1, 2, 2), padding="same")(y)
    y = kl.ConvLSTM2D(2, (2, 1), padding="same", return_sequences=True, activation="relu")(y)
    y = kl.UpSampling3D((1, 2, 2))(y)
    drawn = kl.Conv3D(1, (3, 3, 3), activation="sigmoid", padding="same")(y)
    alone = kl.Conv3D(1, (1, 3, 3), activation="sigmoid", padding="same")(y)
    return keras.Model(x, [drawn, alone])


def encoder() -> Any:
    """Frames folded into the batch on the way down and up again, around a ConvLSTM2D."""
    x = keras.Input((None, 6, 4, 1), name="x")
    y = kl.TimeDistributed(kl.Conv2D(2, 3, strides=2, padding="same", activation="relu"))(x)
    y = kl.ConvLSTM2D(2, 2, padding="same", return_sequences=True)(y)
    y = kl.TimeDistributed(kl.Conv2DTranspose(2, 3, strides=2, padding="same", activation="relu"))(y)
    y = kl.TimeDistributed(kl.Cropping2D(((1, 0), (0, 1))))(y)
    up = kl.TimeDistributed(kl.UpSampling2D(2, interpolation="bilinear"))(y)
    return keras.Model(x, [kl.TimeDistributed(kl.ZeroPadding2D(1))(y), up])


def clips_in_time() -> Any:
    """Layers over three axes on each step of a sequence of volumes."""
    table: dict[str, Branch] = {
        "conv": lambda x: kl.TimeDistributed(kl.Conv3D(2, 2))(x),
        "max": lambda x: kl.TimeDistributed(kl.MaxPooling3D((1, 2, 3)))(x),
        "mean": lambda x: kl.TimeDistributed(kl.GlobalAveragePooling3D())(x),
        "padding": lambda x: kl.TimeDistributed(kl.ZeroPadding3D((0, 0, 1)))(x),
        "transposed": lambda x: kl.TimeDistributed(kl.Conv3DTranspose(1, (1, 2, 1), strides=(1, 2, 1)))(x),
    }
    return branches(table, CLIPS, clips_before)()


def masks_after() -> Any:
    """Which mask an LSTM after each layer still finds: none, but for the dropout's."""
    table: dict[str, Branch] = {
        "transposed": shown(kl.Conv1DTranspose(2, 3, padding="same")),
        "cropped": lambda x: kl.LSTM(2, return_sequences=True)(
            kl.Reshape((STEPS, 4))(kl.Cropping2D(((0, 0), (1, 0)))(kl.Reshape((STEPS, 2, 4))(kl.Masking()(x))))
        ),
        "timed": lambda x: kl.LSTM(2, return_sequences=True)(
            kl.TimeDistributed(kl.Flatten())(
                kl.TimeDistributed(kl.UpSampling2D(2))(kl.TimeDistributed(kl.Reshape((2, 2, 2)))(kl.Masking()(x)))
            )
        ),
    }
    return branches(table, (STEPS, 8))(), pad


def dropped_frames() -> Any:
    """SpatialDropout3D passes a mask on."""
    x, mask = keras.Input((STEPS, 3, 3, 2), name="x"), keras.Input((STEPS,), dtype="bool", name="mask")
    y = kl.ConvLSTM2D(2, 2, return_sequences=True)(x, mask=mask)
    y = kl.SpatialDropout3D(0.3)(y)
    return keras.Model([x, mask], [y, kl.ConvLSTM2D(2, 1, return_sequences=True)(y)])


def first_frames() -> Any:
    """ConvLSTM2D with the channels before space: states, masks, and an activation over an axis."""
    x, mask = keras.Input((STEPS, 2, 3, 4), name="x"), keras.Input((STEPS,), dtype="bool", name="mask")
    every = kl.ConvLSTM2D(3, 2, return_sequences=True, return_state=True, activation="softmax", **FIRST)(x)
    again = kl.ConvLSTM2D(3, 2, go_backwards=True, recurrent_activation=kl.Softmax(axis=1), **FIRST)(
        x, initial_state=every[1:]
    )
    zeros = kl.ConvLSTM2D(2, 2, return_sequences=True, zero_output_for_mask=True, **FIRST)(x, mask=mask)
    return keras.Model([x, mask], [*every, again, zeros])


def first_average() -> Any:
    """GlobalAveragePooling1D over the steps of a mask that runs along the last axis."""
    x, mask = keras.Input((2, STEPS), name="x"), keras.Input((STEPS,), dtype="bool", name="mask")
    made = [kl.GlobalAveragePooling1D(**FIRST)(x, mask=mask)]
    return keras.Model([x, mask], [*made, kl.GlobalAveragePooling1D(keepdims=True, **FIRST)(x, mask=mask)])


def half(policy: str) -> Case:
    """One layer of each kind in half precision."""

    def case() -> Any:
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            x = keras.Input((4, 4, 6, 2), name="x", dtype="float32")
            made = [
                kl.Conv3D(2, 2)(x), kl.GlobalAveragePooling3D()(x), kl.Conv3DTranspose(2, 2, strides=2)(x),
                kl.UpSampling3D(2)(x), kl.TimeDistributed(kl.UpSampling2D(2, interpolation="bilinear"))(x),
                kl.ConvLSTM2D(2, 2, return_sequences=True)(x),
            ]  # fmt: skip
            if "bfloat16" in policy:  # TensorFlow does not pool float16 over three axes on a CPU
                made += [kl.MaxPooling3D(2)(x), kl.AveragePooling3D((1, 2, 3))(x)]
            return keras.Model(x, made)
        finally:
            keras.config.set_dtype_policy(before)

    return case


CASES: dict[str, Case] = {
    **{named(name): few(of_class(name, options, SEQUENCE, sequences_before)) for name, options in ON_SEQUENCES.items()},
    **{named(name): few(of_class(name, options, IMAGE, images_before)) for name, options in ON_IMAGES.items()},
    **{named(name): few(of_class(name, options, VOLUME, volumes_before)) for name, options in ON_VOLUMES.items()},
    "conv-lstm-3d": few(
        branches(
            {
                "last": lambda x: kl.ConvLSTM3D(2, (1, 2, 2), dilation_rate=(1, 2, 1))(x),
                "strides": lambda x: kl.ConvLSTM3D(2, 2, strides=(2, 1, 1), padding="same", return_sequences=True)(x),
                "backwards": lambda x: kl.ConvLSTM3D(1, 2, go_backwards=True, use_bias=False, activation="relu")(x),
            },
            CLIPS,
        )
    ),
    "masked-conv-lstm-3d": lambda: frames(return_sequences=True),
    "masked-conv-lstm-3d-last": frames,
    "channels-first-1d": few(branches(FIRST_1D, (6, 7))),
    "channels-first-2d": few(branches(FIRST_2D, (2, 4, 5))),
    "channels-first-3d": few(branches(FIRST_3D, (2, 4, 3, 5))),
    "channels-first-conv-lstm": first_frames,
    "channels-first-conv-lstm-3d": few(
        of_class("ConvLSTM3D", {"plain": {"filters": 2, "kernel_size": 2, **FIRST}}, (STEPS, 2, 3, 2, 4))
    ),
    "channels-first-average": first_average,
    "next-frames": few(next_frames),
    "frames-encoded": few(encoder),
    "time-distributed-volumes": few(clips_in_time),
    "masks-after-spatial-layers": masks_after,
    "masked-spatial-dropout-3d": dropped_frames,
    "spatial-mixed-float16": few(half("mixed_float16")),
    "spatial-mixed-bfloat16": few(half("mixed_bfloat16")),
}
