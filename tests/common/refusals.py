"""Settings that well-formed Keras files can have and this version refuses: REFUSED, by class.

Read by the tests, which prove each line, and by scripts/make_docs, which prints them.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Refused(NamedTuple):
    """A setting that is refused.

    Attributes:
        option: the key in the layer's config, with dots into what is inside.
        value: an example.
        shown: how the documents put it, where the value does not speak for itself.
    """

    option: str
    value: Any
    shown: str = ""


QUANTISED = {
    "module": "keras.dtype_policies",
    "class_name": "QuantizedDTypePolicy",
    "config": {"mode": "int4", "source_name": "float32"},
}
INT8_FROM_HALF = {**QUANTISED, "config": {"mode": "int8", "source_name": "mixed_float16"}}
FLOAT8 = {
    "module": "keras.dtype_policies",
    "class_name": "QuantizedFloat8DTypePolicy",
    "config": {"mode": "float8", "source_name": "float32"},
}
FORMAT = Refused("data_format", "channels_middle")
CELL = {
    "module": "my.cells",
    "class_name": "PeepholeCell",
    "config": {"units": 2},
    "registered_name": "my>PeepholeCell",
}
LOOP = [Refused("time_major", True)]


def softmax_over(axis: int) -> dict[str, Any]:
    config = {"name": "softmax", "axis": axis, "dtype": "float32"}
    return {"module": "keras.layers", "class_name": "Softmax", "config": config, "registered_name": None}


def along(option: str, *axes: int) -> list[Refused]:
    """An activation along an axis that the arrays do not have, or along the batch."""
    return [Refused(option, softmax_over(axis), f"`{option}=Softmax(axis={axis})`") for axis in axes]


GATED = [
    *LOOP, Refused("activation", "threshold"), Refused("recurrent_activation", "threshold"),
    Refused("activation", "glu"), *along("activation", 2, 0), *along("recurrent_activation", 2, -2),
]  # fmt: skip
QUANTISABLE = [
    Refused("lora_rank", 4), Refused("quantization_config", {"module": "keras"}, "quantization_config"),
    Refused("dtype", INT8_FROM_HALF, "int8 from half precision"), Refused("dtype", FLOAT8, "float8"),
]  # fmt: skip
DENSE = [Refused("activation", "threshold"), Refused("activation", "glu"), *along("activation", 7, 0)]
WINDOW = [FORMAT, Refused("padding", "reflect")]
TRANSPOSED = [*WINDOW, Refused("activation", "glu"), Refused("output_padding", 9, "`output_padding` ≥ `strides`")]
SPATIAL: dict[str, list[Refused]] = {
    "Conv3D": [*WINDOW, Refused("padding", "causal"), Refused("activation", "glu")],
    "Conv1DTranspose": TRANSPOSED,
    "Conv2DTranspose": TRANSPOSED,
    "Conv3DTranspose": TRANSPOSED,
    "ConvLSTM3D": [*WINDOW, Refused("recurrent_activation", "threshold")],
    "MaxPooling3D": WINDOW,
    "AveragePooling3D": WINDOW,
    "GlobalMaxPooling3D": [FORMAT],
    "GlobalAveragePooling3D": [FORMAT],
    "ZeroPadding3D": [FORMAT],
    "Cropping2D": [FORMAT],
    "Cropping3D": [FORMAT],
    "UpSampling2D": [FORMAT, Refused("interpolation", "bicubic"), Refused("interpolation", "lanczos3")],
    "UpSampling3D": [FORMAT],
}

REFUSED: dict[str, list[Refused]] = {
    "LSTM": GATED,
    "GRU": GATED,
    "SimpleRNN": [*LOOP, Refused("activation", "threshold"), Refused("activation", "glu"), *along("activation", 2, 0)],
    "RNN": [*LOOP, Refused("cell", CELL, "cell of another class")],
    "StackedRNNCells": [Refused("reverse_state_order", True)],
    "Bidirectional": [Refused("merge_mode", "max")],
    "Embedding": QUANTISABLE,
    "Dense": [*QUANTISABLE, *DENSE],
    "Activation": [Refused("activation", "threshold"), Refused("activation", "my_function")],
    "Softmax": [Refused("axis", 0)],
    "Concatenate": [Refused("axis", 0)],
    "Dot": [Refused("axes", [0, 0])],
    "Conv1D": [*WINDOW, Refused("activation", "glu"), *along("activation", 3, 0), Refused("lora_rank", 4)],
    "Conv2D": [*WINDOW, Refused("padding", "causal"), Refused("activation", "glu")],
    "DepthwiseConv1D": WINDOW,
    "DepthwiseConv2D": WINDOW,
    "SeparableConv1D": WINDOW,
    "SeparableConv2D": WINDOW,
    "ConvLSTM1D": [*WINDOW, Refused("recurrent_activation", "threshold"), *along("recurrent_activation", 3, 0)],
    "ConvLSTM2D": [*WINDOW, Refused("recurrent_activation", "threshold"), *along("activation", 4, -4)],
    "MaxPooling1D": WINDOW,
    "MaxPooling2D": WINDOW,
    "AveragePooling1D": WINDOW,
    "AveragePooling2D": WINDOW,
    "GlobalMaxPooling1D": [FORMAT],
    "GlobalMaxPooling2D": [FORMAT],
    "GlobalAveragePooling1D": [FORMAT],
    "GlobalAveragePooling2D": [FORMAT],
    "BatchNormalization": [Refused("axis", [1, 2])],
    "LayerNormalization": [Refused("axis", [0])],
    "GroupNormalization": [Refused("axis", 0)],
    "UnitNormalization": [Refused("axis", 0)],
    "Normalization": [Refused("axis", 0)],
    "Flatten": [Refused("data_format", "channels_middle")],
    "Reshape": [Refused("target_shape", [0, 3])],
    "ZeroPadding1D": [FORMAT],
    "ZeroPadding2D": [FORMAT],
    "Attention": [Refused("score_mode", "cosine")],
    "MultiHeadAttention": [
        Refused("sliding_window", 2), Refused("attention_axes", [1, 2]), Refused("output_shape", [2, 3]),
    ],
    "GroupQueryAttention": [Refused("sliding_window", 2)],
    "EinsumDense": [
        *QUANTISABLE, Refused("equation", "bac,cd->abd"), Refused("equation", "aab,bc->ac"),
        Refused("gptq_unpacked_column_size", 4), Refused("activation", "threshold"),
    ],
    "RMSNormalization": [Refused("axis", 0)],
    "SpectralNormalization": [Refused("layer", CELL, "layer of a class without a kernel")],
    "Discretization": [
        Refused("sparse", True), Refused("bin_boundaries", None), Refused("bin_boundaries", [2.0, 1.0]),
        Refused("output_mode", "tf_idf"),
    ],
    "CategoryEncoding": [Refused("sparse", True), Refused("output_mode", "tf_idf")],
    "IntegerLookup": [
        Refused("num_oov_indices", 0), Refused("num_oov_indices", 2), Refused("invert", True), Refused("sparse", True),
        Refused("vocabulary", None), Refused("output_mode", "tf_idf"), Refused("pad_to_max_tokens", True),
    ],
    **SPATIAL,
}  # fmt: skip

# Classes of keras.layers that have no handler.
UNSUPPORTED_CLASSES = (
    "Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "StringLookup", "TextVectorization",
    "Hashing", "HashedCrossing", "Resizing", "CenterCrop", "RandomFlip", "MelSpectrogram", "STFTSpectrogram",
    "Pipeline", "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D", "ReversibleEmbedding",
)  # fmt: skip
