"""The reference implementation of ONNX, on what it implements.

It has no lengths of sequences, no direction but forward, the default functions of the recurrent operators alone, and no
Scan along another axis than the first.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from vector_files import NAMES, apart, read_vector

onnx = pytest.importorskip("onnx")

from lstmconv.onnx.model import write_model  # noqa: E402
from lstmconv.onnx.running import dtype_of, without_bfloat16  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

PROMISE, HALF = 1e-5, {"float16": 4e-3, "bfloat16": 2e-2}
ITS_FUNCTIONS = {"LSTM": [b"Sigmoid", b"Tanh", b"Tanh"], "GRU": [b"Sigmoid", b"Tanh"], "RNN": [b"Tanh"]}


def implemented(node: Any) -> bool:
    if node.op_type not in ITS_FUNCTIONS:
        return bool(node.op_type != "Scan")
    said = {attribute.name: attribute for attribute in node.attribute}
    lengths = len(node.input) > 4 and node.input[4] != ""
    return (
        not lengths and said["direction"].s == b"forward"
        and list(said["activations"].strings) == ITS_FUNCTIONS[node.op_type]
    )  # fmt: skip


@lru_cache(maxsize=4)
def written(name: str) -> Any:
    return without_bfloat16(write_model(read_vector(name).graph, "0", {}))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_reference(name: str) -> None:
    vector, model = read_vector(name), written(name)
    if not all(map(implemented, model.graph.node)):
        pytest.skip("it has something that the reference implementation lacks")
    given = {
        info.name: np.asarray(x).astype(dtype_of(info))
        for info, x in zip(model.graph.input, vector.inputs, strict=True)
    }
    for one, expected in zip(ReferenceEvaluator(model).run(None, given), vector.outputs, strict=True):
        assert apart(one, expected) <= (HALF[vector.half] if vector.half else PROMISE)


def test_it_implements_a_third_of_the_vectors() -> None:
    assert sum(all(map(implemented, written(name).graph.node)) for name in NAMES) > len(NAMES) // 3
