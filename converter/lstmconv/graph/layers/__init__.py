"""HANDLERS: one function per Keras class, which adds the layer's nodes to the graph.

A handler takes the layer and one call of it, and returns the tensors the call makes, each with the mask Keras would
attach to it. It reads every option it understands from `layer.config`; what it leaves unread is refused.
"""

from __future__ import annotations

from typing import Any

from ..building import Layer
from ..call import Call, Handler
from . import (
    activations,
    arrangement,
    attention,
    contraction,
    convolution,
    core,
    grouped_attention,
    merging,
    normalization,
    operations,
    pooling,
    preprocessing,
    recurrent,
    reshaping,
    statistics,
    wrappers,
)

# Over three axes of space, and what came with them.
SPATIAL: dict[str, Handler] = {
    "Conv3D": convolution.conv,
    "Conv1DTranspose": convolution.conv_transpose,
    "Conv2DTranspose": convolution.conv_transpose,
    "Conv3DTranspose": convolution.conv_transpose,
    "ConvLSTM3D": convolution.conv_lstm,
    "MaxPooling3D": pooling.pooling,
    "AveragePooling3D": pooling.pooling,
    "GlobalMaxPooling3D": pooling.global_pooling,
    "GlobalAveragePooling3D": pooling.global_pooling,
    "ZeroPadding3D": reshaping.zero_padding,
    "Cropping2D": reshaping.cropping,
    "Cropping3D": reshaping.cropping,
    "UpSampling2D": reshaping.up_sampling,
    "UpSampling3D": reshaping.up_sampling,
    "SpatialDropout3D": core.identity,
}

HANDLERS: dict[str, Handler] = {
    "LSTM": recurrent.recurrent,
    "GRU": recurrent.recurrent,
    "SimpleRNN": recurrent.recurrent,
    "RNN": recurrent.rnn,
    "Bidirectional": wrappers.bidirectional,
    "TimeDistributed": wrappers.time_distributed,
    "Embedding": core.embedding,
    "Masking": core.masking,
    "Add": merging.merge,
    "Subtract": merging.merge,
    "Multiply": merging.merge,
    "Average": merging.merge,
    "Maximum": merging.merge,
    "Minimum": merging.merge,
    "Concatenate": merging.concatenate,
    "Dot": merging.dot,
    "Dense": core.dense,
    "Activation": activations.activation_layer,
    "Identity": core.identity,
    "Dropout": core.identity,
    "ReLU": activations.activation_layer,
    "LeakyReLU": activations.activation_layer,
    "ELU": activations.activation_layer,
    "Softmax": activations.softmax_layer,
    "PReLU": activations.prelu,
    "SpatialDropout1D": core.identity,
    "SpatialDropout2D": core.identity,
    "GaussianDropout": core.identity,
    "GaussianNoise": core.identity,
    "AlphaDropout": core.identity,
    "ActivityRegularization": core.identity,
    "Conv1D": convolution.conv,
    "Conv2D": convolution.conv,
    "DepthwiseConv1D": convolution.depthwise_conv,
    "DepthwiseConv2D": convolution.depthwise_conv,
    "SeparableConv1D": convolution.separable_conv,
    "SeparableConv2D": convolution.separable_conv,
    "ConvLSTM1D": convolution.conv_lstm,
    "ConvLSTM2D": convolution.conv_lstm,
    "MaxPooling1D": pooling.pooling,
    "MaxPooling2D": pooling.pooling,
    "AveragePooling1D": pooling.pooling,
    "AveragePooling2D": pooling.pooling,
    "GlobalMaxPooling1D": pooling.global_pooling,
    "GlobalMaxPooling2D": pooling.global_pooling,
    "GlobalAveragePooling1D": pooling.global_pooling,
    "GlobalAveragePooling2D": pooling.global_pooling,
    "BatchNormalization": normalization.batch_normalization,
    "LayerNormalization": normalization.layer_normalization,
    "GroupNormalization": normalization.group_normalization,
    "UnitNormalization": normalization.unit_normalization,
    "Normalization": normalization.normalization,
    "Rescaling": normalization.rescaling,
    "Flatten": reshaping.flatten,
    "Reshape": reshaping.reshape,
    "Permute": reshaping.permute,
    "RepeatVector": reshaping.repeat_vector,
    "ZeroPadding1D": reshaping.zero_padding,
    "ZeroPadding2D": reshaping.zero_padding,
    "Cropping1D": reshaping.cropping,
    "UpSampling1D": reshaping.up_sampling,
    "Attention": attention.attention,
    "AdditiveAttention": attention.attention,
    "MultiHeadAttention": attention.multi_head_attention,
    "GroupQueryAttention": grouped_attention.group_query_attention,
    "EinsumDense": contraction.einsum_dense,
    "RMSNormalization": normalization.rms_normalization,
    "SpectralNormalization": wrappers.spectral_normalization,
    "Discretization": preprocessing.discretization,
    "CategoryEncoding": preprocessing.category_encoding,
    "IntegerLookup": preprocessing.integer_lookup,
    **SPATIAL,
}

# What to do about layers that stand before the numbers of a model.
_WITHOUT = "export the model that begins behind it, keras.Model(inner_input, outputs), and do its work before predict"
ADVICE: dict[str, str] = {
    **dict.fromkeys(("TextVectorization", "StringLookup"), f"it works on text, and a bundle holds numbers: {_WITHOUT}"),
    **dict.fromkeys(("Hashing", "HashedCrossing"), f"it hashes its input: {_WITHOUT}"),
}

# By module of keras.src.ops and class: the functions that a functional graph may hold beside its layers.
OPERATIONS: dict[tuple[str, str], Handler] = {
    **operations.OPERATIONS,
    **arrangement.OPERATIONS,
    **statistics.OPERATIONS,
    **contraction.OPERATIONS,
}

# Layers that take their inputs in the dtype they come in.
KEEPS_DTYPE = frozenset({"Embedding", "LayerNormalization", "GroupNormalization"})


def handle(layer: Layer, call: Call) -> Any:
    """Runs the handler of a layer that is known to have one."""
    return HANDLERS[layer.class_name](layer, call)
