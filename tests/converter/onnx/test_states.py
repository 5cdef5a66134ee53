"""Models that carry their states: a step at a time they give what the whole sequence gives, and what a stream gives."""

from __future__ import annotations

import numpy as np
import pytest
from lstmconv.errors import UnsupportedError
from lstmconv_runtime import Model
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from lstmconv_runtime.stream_kinds import STREAM, classify, stream_inputs
from outputs import as_list
from vector_files import NAMES, apart, of_outputs, read_vector, stream_refusals

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from lstmconv.onnx.checking import next_states, state_pairs, zero_states  # noqa: E402
from lstmconv.onnx.model import write_model  # noqa: E402
from lstmconv.onnx.running import onnxruntime_of  # noqa: E402

PROMISE, HALF = 1e-5, {"float16": 4e-3, "bfloat16": 2e-2}


@pytest.mark.parametrize("name", NAMES)
def test_step_by_step(name: str) -> None:
    """Single steps through onnxruntime: beside Keras on the whole sequence, and beside the runtime's stream."""
    vector = read_vector(name)
    able = [place for place, why in enumerate(stream_refusals(vector.graph)) if why is None]
    if not able:
        with pytest.raises(UnsupportedError):
            write_model(vector.graph, "0", {}, states=True)
        return
    graph = of_outputs(vector.graph, able)
    expected = [vector.outputs[place] for place in able]
    given = dict(zip(vector.graph.inputs, vector.inputs, strict=True))
    given = {name: given[name] for name in graph.inputs}
    moving = stream_inputs(graph.nodes)
    steps, rows = {given[name].shape[1] for name in moving}, len(next(iter(given.values())))
    if len(steps) > 1 or rows == 0:
        pytest.skip("its inputs have different numbers of steps" if rows else "a stream has at least one row")
    model = write_model(graph, "0", {}, states=True)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    names = [info.name for info in model.graph.input]
    assert names[: len(graph.inputs)] == list(graph.inputs)
    runtime = Model(to_bytes(Bundle(graph, {}, {}, ())))
    stream = runtime.stream(rows, {name: x for name, x in given.items() if name not in moving})
    kinds = classify(graph.nodes, runtime.program.types)
    run, states, made = onnxruntime_of(model, threads=1), zero_states(model, rows), []
    states = {name: array for name, array in states.items() if name in names}
    limit = HALF[vector.half] if vector.half else PROMISE
    for t in range(steps.pop()):
        piece = {name: x[:, t : t + 1] if name in moving else x for name, x in given.items()}
        outputs = run({**piece, **states})
        states = next_states(model, outputs)
        made.append(outputs[: len(able)])
        of_stream = as_list(stream.chunk({name: piece[name] for name in runtime.input_names if name in moving}))
        for one, other in zip(made[-1], of_stream, strict=True):
            assert np.allclose(one, other, rtol=0, atol=limit * (1 + np.abs(np.nan_to_num(other)).max())), t
    assert set(state_pairs(model)) == {name for name in names if name.startswith("past.")}
    for value, column, whole in zip(graph.outputs, zip(*made, strict=True), expected, strict=True):
        joined = np.concatenate(column, axis=1) if kinds[value] == STREAM else column[-1]
        assert apart(joined, whole) <= limit
