"""What is known of each class of Keras: CLASSES, one row for each, and HANDLERS, those that are converted.

To add a layer is to add its row here, its handler in `layers`, and a case that Keras has computed.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..reading.form import MODELS
from .call import Handler
from .functions import contraction
from .layers import (  # fmt: skip
    activations,
    attention,
    convolution,
    core,
    grouped_attention,
    merging,
    normalization,
    pooling,
    preprocessing,
    recurrent,
    reshaping,
    wrappers,
)

# The words of today's loader where a layer of a Sequential model of before TensorFlow is not given its input's shape.
INPUT = "Input 0 with name 'None' of layer '{name}' is incompatible with the layer"
KERNEL = "Kernel shape must have the same length as input"
CALLED = "Exception encountered when calling {cls}.call()"


class KerasClass(NamedTuple):
    """One class of Keras.

    Attributes:
        handler: adds its nodes to the graph; None where the layer around it does, as around cells.
        options: what its constructor takes in Keras 3, but for what training alone needs; `upgrade` writes these. None:
            it is in no file of before Keras 3.
        masks: "used" to compute; "choose": Keras 3 leaves masked places out, where Keras before it did not.
        keeps_dtype: it takes its inputs in the dtype they come in.
        int8: it can be quantised to int8.
        order: of several inputs, whether it counts.
        extra: what today's loader does with an option that it does not take: ignores it, names it, or quotes the layer.
        ranked: the words with which today's loader refuses it where nothing tells the rank of its input.
    """

    handler: Handler | None
    options: tuple[str, ...] | None = None
    masks: Literal["", "used", "choose"] = ""
    keeps_dtype: bool = False
    int8: bool = False
    order: Literal["", "any", "counts"] = ""
    extra: Literal["", "named", "quoted"] = ""
    ranked: str = ""


RNN = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask")
GATED = ("units", "activation", "recurrent_activation", "use_bias", "dropout", "recurrent_dropout")
CONV = ("kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "use_bias")
POOL = ("pool_size", "padding", "strides", "data_format")
CONV_LSTM = (*RNN, "filters", *CONV, "recurrent_activation", "unit_forget_bias", "dropout", "recurrent_dropout")

# fmt: off
CLASSES: dict[str, KerasClass] = {
    # Recurrent
    "LSTM": KerasClass(recurrent.recurrent, (*RNN, *GATED, "unit_forget_bias"), masks="used", extra="named",
        ranked=INPUT),
    "GRU": KerasClass(recurrent.recurrent, (*RNN, *GATED, "reset_after"), masks="used", extra="named", ranked=INPUT),
    "SimpleRNN": KerasClass(recurrent.recurrent, (*RNN, "units", "activation", "use_bias", "dropout",
        "recurrent_dropout"), masks="used", extra="named", ranked=INPUT),
    "RNN": KerasClass(recurrent.rnn, (*RNN, "cell"), masks="used", ranked=INPUT),
    "LSTMCell": KerasClass(None, (*GATED, "unit_forget_bias")),
    "GRUCell": KerasClass(None, (*GATED, "reset_after")),
    "SimpleRNNCell": KerasClass(None, ("units", "activation", "use_bias", "dropout", "recurrent_dropout")),
    "StackedRNNCells": KerasClass(None, ("cells",)),
    "ConvLSTM1D": KerasClass(convolution.conv_lstm, CONV_LSTM, masks="used", extra="named", ranked=INPUT),
    "ConvLSTM2D": KerasClass(convolution.conv_lstm, CONV_LSTM, masks="used", extra="named", ranked=INPUT),
    "ConvLSTM3D": KerasClass(convolution.conv_lstm, CONV_LSTM, masks="used", extra="named", ranked=INPUT),
    # Around other layers
    "Bidirectional": KerasClass(wrappers.bidirectional, ("merge_mode", "layer", "backward_layer"), masks="used",
        ranked=INPUT),
    "TimeDistributed": KerasClass(wrappers.time_distributed, ("layer",), masks="used"),
    "SpectralNormalization": KerasClass(wrappers.spectral_normalization),
    # Tables, products, activations
    "Embedding": KerasClass(core.embedding, ("input_dim", "output_dim", "mask_zero"), keeps_dtype=True, int8=True),
    "Masking": KerasClass(core.masking, ("mask_value",)),
    "Dense": KerasClass(core.dense, ("units", "activation", "use_bias"), int8=True),
    "EinsumDense": KerasClass(contraction.einsum_dense, ("equation", "output_shape", "activation", "bias_axes"),
        int8=True),
    "Activation": KerasClass(activations.activation_layer, ("activation",)),
    "ReLU": KerasClass(activations.activation_layer, ("max_value", "negative_slope", "threshold")),
    "LeakyReLU": KerasClass(activations.activation_layer, ("negative_slope",)),
    "ELU": KerasClass(activations.activation_layer, ("alpha",)),
    "PReLU": KerasClass(activations.prelu, ("shared_axes",), extra="quoted"),
    "Softmax": KerasClass(activations.softmax_layer, ("axis",), masks="used"),
    # Nothing at inference
    "Identity": KerasClass(core.identity),
    "Dropout": KerasClass(core.identity, ("rate", "noise_shape")),
    "SpatialDropout1D": KerasClass(core.identity, ("rate",), extra="quoted"),
    "SpatialDropout2D": KerasClass(core.identity, ("rate", "data_format"), extra="quoted"),
    "SpatialDropout3D": KerasClass(core.identity, ("rate", "data_format"), extra="quoted"),
    "GaussianDropout": KerasClass(core.identity, ("rate",)),
    "GaussianNoise": KerasClass(core.identity, ("stddev",)),
    "AlphaDropout": KerasClass(core.identity, ("rate", "noise_shape")),
    "ActivityRegularization": KerasClass(core.identity, ("l1", "l2")),
    # Several inputs
    "Add": KerasClass(merging.merge, (), order="any"),
    "Subtract": KerasClass(merging.merge, (), order="counts"),
    "Multiply": KerasClass(merging.merge, (), masks="choose", order="any"),
    "Average": KerasClass(merging.merge, (), order="any"),
    "Maximum": KerasClass(merging.merge, (), masks="choose", order="any"),
    "Minimum": KerasClass(merging.merge, (), masks="choose", order="any"),
    "Concatenate": KerasClass(merging.concatenate, ("axis",), order="counts"),
    "Dot": KerasClass(merging.dot, ("axes", "normalize"), order="counts"),
    "Attention": KerasClass(attention.attention, ("use_scale", "score_mode", "dropout")),
    "AdditiveAttention": KerasClass(attention.attention, ("use_scale", "dropout")),
    "MultiHeadAttention": KerasClass(attention.multi_head_attention, ("num_heads", "key_dim", "value_dim", "dropout",
        "use_bias", "use_gate", "output_shape", "attention_axes")),
    "GroupQueryAttention": KerasClass(grouped_attention.group_query_attention, ("head_dim", "num_query_heads",
        "num_key_value_heads", "dropout", "use_bias", "use_gate")),
    # Space
    "Conv1D": KerasClass(convolution.conv, ("filters", "groups", *CONV), ranked=KERNEL),
    "Conv2D": KerasClass(convolution.conv, ("filters", "groups", *CONV), ranked=KERNEL),
    "Conv3D": KerasClass(convolution.conv, ("filters", "groups", *CONV), ranked=KERNEL),
    "Conv1DTranspose": KerasClass(convolution.conv_transpose, ("filters", "output_padding", *CONV), extra="quoted",
        ranked=CALLED),
    "Conv2DTranspose": KerasClass(convolution.conv_transpose, ("filters", "output_padding", *CONV), extra="quoted",
        ranked=CALLED),
    "Conv3DTranspose": KerasClass(convolution.conv_transpose, ("filters", "output_padding", *CONV), extra="quoted",
        ranked=CALLED),
    "DepthwiseConv1D": KerasClass(convolution.depthwise_conv, ("depth_multiplier", *CONV), extra="quoted",
        ranked=KERNEL),
    "DepthwiseConv2D": KerasClass(convolution.depthwise_conv, ("depth_multiplier", *CONV), extra="quoted",
        ranked=KERNEL),
    "SeparableConv1D": KerasClass(convolution.separable_conv, ("depth_multiplier", "filters", *CONV), extra="quoted",
        ranked=KERNEL),
    "SeparableConv2D": KerasClass(convolution.separable_conv, ("depth_multiplier", "filters", *CONV), extra="quoted",
        ranked=KERNEL),
    "MaxPooling1D": KerasClass(pooling.pooling, POOL, ranked=INPUT),
    "MaxPooling2D": KerasClass(pooling.pooling, POOL, ranked=INPUT),
    "MaxPooling3D": KerasClass(pooling.pooling, POOL, ranked=INPUT),
    "AveragePooling1D": KerasClass(pooling.pooling, POOL, ranked=INPUT),
    "AveragePooling2D": KerasClass(pooling.pooling, POOL, ranked=INPUT),
    "AveragePooling3D": KerasClass(pooling.pooling, POOL, ranked=INPUT),
    "GlobalMaxPooling1D": KerasClass(pooling.global_pooling, ("data_format", "keepdims"), ranked=INPUT),
    "GlobalMaxPooling2D": KerasClass(pooling.global_pooling, ("data_format", "keepdims"), ranked=INPUT),
    "GlobalMaxPooling3D": KerasClass(pooling.global_pooling, ("data_format", "keepdims"), ranked=INPUT),
    "GlobalAveragePooling1D": KerasClass(pooling.global_pooling, ("data_format", "keepdims"), masks="used",
        ranked=INPUT),
    "GlobalAveragePooling2D": KerasClass(pooling.global_pooling, ("data_format", "keepdims"), ranked=INPUT),
    "GlobalAveragePooling3D": KerasClass(pooling.global_pooling, ("data_format", "keepdims"), ranked=INPUT),
    # Shapes
    "Flatten": KerasClass(reshaping.flatten, ("data_format",)),
    "Reshape": KerasClass(reshaping.reshape, ("target_shape",)),
    "Permute": KerasClass(reshaping.permute, ("dims",)),
    "RepeatVector": KerasClass(reshaping.repeat_vector, ("n",)),
    "ZeroPadding1D": KerasClass(reshaping.zero_padding, ("padding", "data_format"), ranked=INPUT),
    "ZeroPadding2D": KerasClass(reshaping.zero_padding, ("padding", "data_format"), ranked=INPUT),
    "ZeroPadding3D": KerasClass(reshaping.zero_padding, ("padding", "data_format"), ranked=INPUT),
    "Cropping1D": KerasClass(reshaping.cropping, ("cropping",), ranked=INPUT),
    "Cropping2D": KerasClass(reshaping.cropping, ("cropping", "data_format"), ranked=INPUT),
    "Cropping3D": KerasClass(reshaping.cropping, ("cropping", "data_format"), ranked=INPUT),
    "UpSampling1D": KerasClass(reshaping.up_sampling, ("size",), ranked=INPUT),
    "UpSampling2D": KerasClass(reshaping.up_sampling, ("size", "data_format", "interpolation"), ranked=INPUT),
    "UpSampling3D": KerasClass(reshaping.up_sampling, ("size", "data_format"), ranked=INPUT),
    # Scales
    "BatchNormalization": KerasClass(normalization.batch_normalization, ("axis", "momentum", "epsilon", "center",
        "scale", "synchronized"), masks="used"),
    "LayerNormalization": KerasClass(normalization.layer_normalization, ("axis", "epsilon", "center", "scale",
        "rms_scaling"), keeps_dtype=True),
    "GroupNormalization": KerasClass(normalization.group_normalization, ("groups", "axis", "epsilon", "center",
        "scale"), keeps_dtype=True),
    "UnitNormalization": KerasClass(normalization.unit_normalization, ("axis",)),
    "RMSNormalization": KerasClass(normalization.rms_normalization, ("axis", "epsilon")),
    "Normalization": KerasClass(normalization.normalization, ("axis", "invert", "mean", "variance")),
    "Rescaling": KerasClass(normalization.rescaling, ("scale", "offset")),
    # Numbers made ready
    "Discretization": KerasClass(preprocessing.discretization),
    "CategoryEncoding": KerasClass(preprocessing.category_encoding, ("num_tokens", "output_mode")),
    "IntegerLookup": KerasClass(preprocessing.integer_lookup, ("mask_token", "oov_token", "num_oov_indices",
        "vocabulary", "max_tokens", "output_mode")),
}
# fmt: on

HANDLERS: dict[str, Handler] = {name: row.handler for name, row in CLASSES.items() if row.handler is not None}

# What to do about layers that stand before the numbers of a model.
_WITHOUT = "export the model that begins behind it, keras.Model(inner_input, outputs), and do its work before predict"
ADVICE: dict[str, str] = {
    **dict.fromkeys(("TextVectorization", "StringLookup"), f"it works on text, and a bundle holds numbers: {_WITHOUT}"),
    **dict.fromkeys(("Hashing", "HashedCrossing"), f"it hashes its input: {_WITHOUT}"),
}

# Layers of Keras 3 that have no handler, and can be opened there.
OTHERS_OF_KERAS_3 = frozenset({
    "InputLayer", "Layer", "Wrapper", "Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer",
    "StringLookup", "TextVectorization", "Hashing", "HashedCrossing",
    "FeatureSpace", "GroupedQueryAttention", "MelSpectrogram", "STFTSpectrogram", "Pipeline",
    "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D", "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D", "ReversibleEmbedding",
    "AlphaDropout", "Identity", "Resizing", "CenterCrop", "RandomCrop", "RandomFlip", "RandomTranslation",
    "RandomRotation", "RandomZoom", "RandomHeight", "RandomWidth", "RandomContrast", "RandomBrightness",
    "RandomColorDegeneration", "RandomColorJitter", "RandomElasticTransform", "RandomErasing", "RandomGaussianBlur",
    "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomSaturation",
    "RandomSharpness", "RandomShear", "AugMix", "AutoContrast", "CutMix", "Equalization", "MaxNumBoundingBoxes",
    "MixUp", "RandAugment", "Solarization",
})  # fmt: skip

# Layers that Keras 3 no longer has.
OF_OLDER_KERAS = frozenset({
    "Merge", "MaxoutDense", "Highway", "TimeDistributedDense", "AtrousConvolution1D", "AtrousConvolution2D",
    "Convolution1D", "Convolution2D", "Convolution3D", "Deconvolution2D", "SeparableConvolution2D",
    "ParametricSoftplus", "SReLU", "LocallyConnected1D", "LocallyConnected2D", "CuDNNLSTM", "CuDNNGRU",
    "ThresholdedReLU", "DenseFeatures", "ConvRecurrent2D", "Recurrent", "ConvLSTM2DCell", "PeepholeLSTMCell",
    "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization", "ExperimentalRNN", "AbstractRNNCell",
    "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceMethod", "InstanceProperty",
})  # fmt: skip


def is_of_keras(class_name: str) -> bool:
    """Whether a class is one of Keras's own, of any age."""
    return class_name in CLASSES or class_name in (*MODELS, *OTHERS_OF_KERAS_3, *OF_OLDER_KERAS)
