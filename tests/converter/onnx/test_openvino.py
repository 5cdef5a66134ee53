"""A second consumer: what we write is ONNX, and not merely what onnxruntime accepts.

OpenVINO gets the models as they are but for the activations inside the operators, of which it has three; it is told the
sizes of the inputs, for with open ones it takes the states after the last step, whatever the lengths say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from vector_files import NAMES, apart, read_vector

pytest.importorskip("onnx")
openvino = pytest.importorskip("openvino")

from lstmconv.onnx.model import write_model  # noqa: E402
from lstmconv.onnx.running import dtype_of, without_bfloat16  # noqa: E402

ITS_FUNCTIONS = ("Sigmoid", "Tanh", "Relu")
PROMISE, HALF = 1e-5, {"float16": 4e-3, "bfloat16": 2e-2}
ITS_MISTAKES = {
    "channels-first-1d": "a convolution with dilation, and padding before it alone, reads the wrong places",
    "float64-int8": "it computes float64 in float32, and half of a number is rounded",
}
NOT_RUN = {"no-rows": "it makes one row of none"}


@pytest.fixture(scope="module")
def core() -> Any:
    made = openvino.Core()
    made.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return made


@pytest.mark.parametrize("name", NAMES)
def test_openvino(name: str, core: Any) -> None:
    vector = read_vector(name)
    if name in NOT_RUN:
        pytest.skip(NOT_RUN[name])
    model = without_bfloat16(write_model(vector.graph, "0", {}, functions=ITS_FUNCTIONS))
    given = [
        np.ascontiguousarray(np.asarray(x).astype(dtype_of(info)))
        for x, info in zip(vector.inputs, model.graph.input, strict=True)
    ]
    read = core.read_model(model.SerializeToString(), b"")
    read.reshape({place: list(x.shape) for place, x in enumerate(given)})
    made = core.compile_model(read, "CPU")(given)
    worst = max(apart(made[place], expected) for place, expected in enumerate(vector.outputs))
    limit = HALF[vector.half] if vector.half else PROMISE
    assert (worst <= limit) != (name in ITS_MISTAKES), f"differs by {worst:.2g} of the scale"
