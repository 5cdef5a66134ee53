"""ConvLSTM over images of any size: what Keras computed for one size, from a graph that leaves the size open.

Keras 3 builds such a layer for one size alone; files of tf.keras 2 may leave it open.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from lstmconv_runtime import InputError, Model
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from lstmconv_runtime.format.graph import Graph, infer_types
from lstmconv_runtime.format.nodes import Input
from lstmconv_runtime.stream_kinds import STREAM, classify
from outputs import as_list
from vector_files import Vector, apart, of_outputs, read_vector, stream_refusals

CASES = (
    "conv-lstm-1d", "conv-lstm-1d-states", "masked-conv-lstm-1d",
    "conv-lstm-2d", "conv-lstm-2d-states", "masked-conv-lstm-2d",
)  # fmt: skip
LIMIT = 2e-6


def opened(graph: Graph) -> Graph:
    """The graph with Input nodes that leave time and space open."""
    nodes = tuple(
        node.replace(shape=(None, *(None for _ in node.shape[1:-1]), node.shape[-1]))
        if isinstance(node, Input)
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes)


def model_of(graph: Graph) -> Model:
    return Model(to_bytes(Bundle(opened(graph), {}, {}, ())))


@pytest.fixture(params=CASES)
def vector(request: pytest.FixtureRequest) -> Vector:
    return read_vector(request.param)


def test_predict(vector: Vector) -> None:
    model = model_of(vector.graph)
    assert None in model.program.types[vector.graph.outputs[0]].shape[1:]
    for made, expected in zip(as_list(model.predict(vector.inputs)), vector.outputs, strict=True):
        assert apart(made, expected) <= LIMIT
    for name, shown in model.trace(vector.inputs).items():
        if name in vector.graph.outputs:
            output = shown["output"] if isinstance(shown, dict) else shown
            assert apart(output, vector.outputs[vector.graph.outputs.index(name)]) <= LIMIT


def test_stream(vector: Vector) -> None:
    able = [position for position, why in enumerate(stream_refusals(vector.graph)) if why is None]
    part = of_outputs(vector.graph, able)
    model = model_of(part)
    (x,) = vector.inputs
    stream = model.stream(len(x))
    assert not any(stream.state.values())
    stream.state = stream.state  # that of a stream that has not begun
    parts = [as_list(stream.chunk(x[:, start:stop])) for start, stop in pairwise((0, 2, 3, x.shape[1]))]
    kinds = classify(part.nodes, infer_types(part))
    for position, name, column in zip(able, part.outputs, zip(*parts, strict=True), strict=True):
        made = np.concatenate(column, axis=1) if kinds[name] == STREAM else column[-1]
        assert apart(made, vector.outputs[position]) <= LIMIT
    kept = stream.state
    with pytest.raises(InputError, match="space"):
        stream.step(x[:, 0, 1:])
    other = model.stream(len(x))
    other.state = kept
    assert apart(as_list(other.step(x[:, 0]))[0], as_list(stream.step(x[:, 0]))[0]) == 0
    node = next(iter(kept))
    for wrong in ({**kept[node], "h": kept[node]["h"][:, 1:]}, {"h": kept[node]["h"]}):
        with pytest.raises(InputError, match="state"):
            other.state = {**kept, node: wrong}
    stream.reset()
    again = as_list(stream.chunk(x[:, :2]))
    assert all(apart(a, b) == 0 for a, b in zip(again, parts[0], strict=True))
    stream.reset()
    stream.step(np.concatenate([x, x], axis=2)[:, 0])  # another size, from the start


def test_a_window_that_does_not_fit() -> None:
    graph = read_vector("conv-lstm-2d").graph
    model = model_of(graph)
    with pytest.raises(InputError, match="does not fit") as caught:
        model.predict(np.zeros((1, 2, 1, 1, 1), np.float32))
    assert caught.value.code == "E_NO_STEPS"
