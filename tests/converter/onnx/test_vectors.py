"""Every committed model as ONNX, run by onnxruntime, beside what Keras computed for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from lstmconv_runtime import programs
from lstmconv_runtime.format.graph import FLOATS, Graph, GraphError, infer_types
from lstmconv_runtime.format.nodes import Input
from vector_files import NAMES, Vector, apart, read_vector

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from lstmconv.onnx.model import write_model  # noqa: E402
from lstmconv.onnx.running import onnxruntime_of  # noqa: E402

PROMISE, TYPICAL, DOUBLE = 1e-5, 2.1e-6, 1e-12
HALF = {"float16": 4e-3, "bfloat16": 2e-2}
LOOSER = ("activation-tanh-shrink", "activation-log-softmax", "saturated-gates")  # see tests/parity/test_vectors.py
NOT_RUN = {"no-rows": "onnxruntime ends the process when its LSTM is given no rows"}


@lru_cache(maxsize=4)
def exported(name: str) -> tuple[Vector, Any]:
    vector = read_vector(name)
    return vector, write_model(vector.graph, "0", {})


def operators(nodes: Any) -> Counter[str]:
    """How often each operator occurs, in the bodies of Scans too."""
    found = Counter(node.op_type for node in nodes)
    for node in nodes:
        for attribute in node.attribute:
            found += operators(attribute.g.node)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_computes_what_keras_computed(name: str) -> None:
    vector, model = exported(name)
    if name in NOT_RUN:
        pytest.skip(NOT_RUN[name])
    limit = HALF[vector.half] if vector.half else PROMISE if name in LOOSER else TYPICAL
    made = onnxruntime_of(model, threads=1)(dict(zip(vector.graph.inputs, vector.inputs, strict=True)))
    assert len(made) == len(vector.outputs)
    for index, (one, expected) in enumerate(zip(made, vector.outputs, strict=True)):
        found = apart(one, expected)
        assert found <= limit, f"output {index} differs by {found:.2g} of its scale"


@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_valid(name: str) -> None:
    """By the checker and by strict inference; names and dtypes are the model's own, and nothing loops step by step."""
    vector, model = exported(name)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    graph = vector.graph
    assert [info.name for info in model.graph.input] == list(graph.inputs)
    for values, infos in ((graph.inputs, model.graph.input), (graph.outputs, model.graph.output)):
        for value, info in zip(values, infos, strict=True):
            dtype = onnx.helper.tensor_dtype_to_string(info.type.tensor_type.elem_type).removeprefix("TensorProto.")
            assert {"FLOAT": "float32", "DOUBLE": "float64"}.get(dtype, dtype.lower()) == vector.types[value].dtype
    assert not {"Loop", "If"} & set(operators(model.graph.node))


def in_float64(graph: Graph) -> Graph:
    """The graph with float64 for every float."""
    lifted = (node.replace(dtype="float64") if getattr(node, "dtype", "") in FLOATS else node for node in graph.nodes)
    return replace(graph, nodes=tuple(lifted))


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_computed_in_float64(name: str) -> None:
    """Of the model in float64, where sums in another order are no excuse: a wrong constant shows."""
    vector = read_vector(name)
    if name in NOT_RUN:
        pytest.skip(NOT_RUN[name])
    graph = in_float64(vector.graph)
    program = programs.prepare(graph)
    given = {k: np.asarray(x).astype(program.dtype(k)) for k, x in zip(graph.inputs, vector.inputs, strict=True)}
    expected = programs.run(program, given)
    made = onnxruntime_of(write_model(graph, "0", {}), threads=1)(given)
    for one, value in zip(made, graph.outputs, strict=True):
        assert apart(one, expected[value]) <= DOUBLE


@pytest.mark.parametrize("name", NAMES)
def test_open_sizes(name: str) -> None:
    """With every axis between the batch and the last one open: what is known of sizes plays no part in the numbers."""
    vector = read_vector(name)
    graph = with_open_sizes(vector.graph)
    if name in NOT_RUN or graph is None:
        pytest.skip(NOT_RUN.get(name, "its sizes have to be known"))
    program = programs.prepare(graph)
    given = {k: np.asarray(x).astype(program.dtype(k)) for k, x in zip(graph.inputs, vector.inputs, strict=True)}
    expected = programs.run(program, given)
    model = write_model(graph, "0", {})
    onnx.checker.check_model(model, full_check=True)
    made = onnxruntime_of(model, threads=1)(given)
    for one, value in zip(made, graph.outputs, strict=True):
        assert apart(one, expected[value]) <= (HALF[vector.half] if vector.half else PROMISE)


def with_open_sizes(graph: Graph) -> Graph | None:
    nodes = tuple(
        node.replace(shape=(None, *[None] * max(1, len(node.shape) - 2), *node.shape[2:][-1:]))
        if isinstance(node, Input) and len(node.shape) > 1
        else node
        for node in graph.nodes
    )
    opened = replace(graph, nodes=nodes)
    try:
        infer_types(opened)
    except GraphError:
        return None
    return opened
