"""The names of Keras's own layers, by which a layer that is not converted is told from a class of somebody's own.

Configs before Keras 3 give a class without its module.
"""

from __future__ import annotations

from .layers import HANDLERS

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

CELLS = frozenset({"LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells"})
MODELS = frozenset({"Sequential", "Functional", "Model"})


def is_of_keras(class_name: str) -> bool:
    """Whether a class is one of Keras's own, of any age."""
    return class_name in HANDLERS or class_name in OTHERS_OF_KERAS_3 | OF_OLDER_KERAS | CELLS | MODELS
