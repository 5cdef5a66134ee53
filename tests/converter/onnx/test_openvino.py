"""A second consumer: what we write is ONNX, and not merely what onnxruntime accepts."""

from __future__ import annotations

import pytest
from vector_files import NAMES, apart, read_vector

pytest.importorskip("onnx")
openvino = pytest.importorskip("openvino")

from openvino_engine import ITS_MISTAKES, NOT_RUN, run_vector  # noqa: E402

PROMISE, HALF = 1e-5, {"float16": 4e-3, "bfloat16": 2e-2}


@pytest.mark.parametrize("name", NAMES)
def test_openvino(name: str) -> None:
    vector = read_vector(name)
    if name in NOT_RUN:
        pytest.skip(NOT_RUN[name])
    made = run_vector(openvino, vector)
    worst = max(apart(one, expected) for one, expected in zip(made, vector.outputs, strict=True))
    limit = HALF[vector.half] if vector.half else PROMISE
    assert (worst <= limit) != (name in ITS_MISTAKES), f"differs by {worst:.2g} of the scale"
