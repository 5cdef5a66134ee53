"""OpenVINO on what we write, as the tests and the table of engines use it."""

from __future__ import annotations

from typing import Any

import numpy as np
from lstmconv.onnx.model import write_model
from lstmconv.onnx.running import dtype_of, without_bfloat16
from vector_files import Vector

ITS_FUNCTIONS = ("Sigmoid", "Tanh", "Relu")  # inside its recurrent operators; what has another is written as a Scan
ITS_MISTAKES = {
    "channels-first-1d": "its convolution with dilation, and padding before alone, reads the wrong places",
    "float64-int8": "it computes float64 in float32, and half of a number is rounded",
}
NOT_RUN = {"no-rows": "it makes one row of none"}


def run_vector(openvino: Any, vector: Vector) -> list[Any]:
    """The outputs for the inputs of a vector, bfloat16 as float32.

    It is told the sizes of the inputs: with open ones it takes the states after the last step, whatever the lengths.

    Args:
        openvino: the module.
    """
    model = without_bfloat16(write_model(vector.graph, "0", {}, functions=ITS_FUNCTIONS))
    given = [
        np.ascontiguousarray(np.asarray(x).astype(dtype_of(info)))
        for x, info in zip(vector.inputs, model.graph.input, strict=True)
    ]
    core = openvino.Core()
    read = core.read_model(model.SerializeToString(), b"")
    read.reshape({place: list(x.shape) for place, x in enumerate(given)})
    made = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(given)
    return [made[place] for place in range(len(vector.outputs))]
