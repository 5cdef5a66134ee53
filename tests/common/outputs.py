"""What `predict` gave, as an array or as a list of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.inputs import Outputs


def single(outputs: Outputs) -> Array:
    """The array that a model of one output gives."""
    assert isinstance(outputs, np.ndarray)
    return outputs


def as_list(outputs: Any) -> list[Any]:
    """The arrays of the runtime or of Keras, in the order of the outputs."""
    if isinstance(outputs, dict):
        return list(outputs.values())
    return outputs if isinstance(outputs, list) else [outputs]
