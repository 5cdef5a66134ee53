"""Runs lstmconv bundles: recurrent networks trained in Keras, with NumPy and safetensors alone.

import lstmconv_runtime as lr

model = lr.load("sine.safetensors")
y = model.predict(x)          # x (batch, time, features)
gates = model.gates(x)        # gates["lstm"].i .f .o .c_tilde .c .h: (batch, time, units); trace(x): every value
stream = model.stream()       # stream.step(x_t), stream.state, stream.reset()
print(model.summary())        # model.inputs, model.outputs: name, shape, dtype
model.verify().ok             # the bundle's own probes
lr.engine()                   # what runs the recurrent layers: "kernel" and its instruction set, or "numpy"
"""

from .describing import TensorInfo
from .engines import Engine, engine
from .errors import BundleError, EngineError, Error, FileError, InputError, NoFileError, StreamError, VersionError
from .model import Gates, Model, load
from .streaming import Stream
from .verifying import ProbeResult, Verification

__all__ = [
    "BundleError",
    "Engine",
    "EngineError",
    "Error",
    "FileError",
    "Gates",
    "InputError",
    "Model",
    "NoFileError",
    "ProbeResult",
    "Stream",
    "StreamError",
    "TensorInfo",
    "Verification",
    "VersionError",
    "engine",
    "load",
]
__version__ = "0.1.0"
