"""Converts trained Keras recurrent models to safetensors bundles, without TensorFlow.

    import lstmconv

    lstmconv.export("model.keras", "model.safetensors")     # or a Keras model in memory

The bundle runs with `lstmconv_runtime`. Errors are in `lstmconv.errors`.
"""

from .conversion import Conversion, export

__all__ = ["Conversion", "export"]
__version__ = "0.1.0"
