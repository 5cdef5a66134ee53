"""The rule of what is rounding and what is a mistake, on graphs built by hand; needs no Keras."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf

import numpy as np
import pytest
from lstmconv.bundles.compare import compare_outputs, largest_relative, reference
from lstmconv.bundles.rounding import move_weights
from lstmconv.parity.cross_check import ROWS, draw_inputs
from lstmconv.parity.report import Report
from lstmconv_runtime import programs
from lstmconv_runtime.difference import difference
from lstmconv_runtime.format.graph import SIGMOID, TANH, Array, Graph
from lstmconv_runtime.format.nodes import GRU, Constant, Dense, Elementwise, Input


def gru_graph(units: int, deviation: float, seed: int = 0) -> Graph:
    """Input (any, any, 3) → GRU → times a Constant; recurrent weights with the given standard deviation."""
    node = GRU(
        name="gru", x="x", mask=None, h0=None, weights="gru", input_size=3, units=units, use_bias=True,
        activation=TANH, recurrent_activation=SIGMOID, return_sequences=False, go_backwards=False,
        zero_output_for_mask=False, stateful=False, reset_after=False,
    )  # fmt: skip
    random = np.random.default_rng(seed)
    arrays: dict[str, Array] = {
        f"gru/{name}": (random.standard_normal(shape) * deviation).astype("float32")
        for name, shape in node.parameters().items()
    }
    arrays["two/value"] = np.array(2, "float32")
    return Graph(
        inputs=("x",),
        outputs=("y",),
        output_keys=None,
        nodes=(
            Input(name="x", shape=(None, None, 3), dtype="float32"),
            node,
            Constant(name="two", shape=(), dtype="float32"),
            Elementwise(name="y", op="multiply", args=("gru", "two")),
        ),
        arrays=arrays,
    )


def run(graph: Graph, inputs: dict[str, Array]) -> list[Array]:
    """The float32 outputs of the runtime."""
    values = programs.run(programs.prepare(graph), inputs)
    return [values[name] for name in graph.outputs]


def sequences(steps: int, rows: int = 4) -> dict[str, Array]:
    return {"x": np.random.default_rng(1).standard_normal((rows, steps, 3)).astype("float32")}


def swapped_gates(graph: Graph) -> Graph:
    arrays = dict(graph.arrays)
    arrays["gru/W_z"], arrays["gru/W_r"] = arrays["gru/W_r"], arrays["gru/W_z"]
    return replace(graph, arrays=arrays)


def report_of(graph: Graph, inputs: dict[str, Array], results: dict[str, list[Array]]) -> Report:
    outputs = compare_outputs(["y"], graph.outputs, results, reference(graph, inputs))
    return Report({"x": ((4, 20, 3), "float32")}, tuple(results), {}, outputs, "not asked", "not asked")


def test_rounding_agrees() -> None:
    graph, inputs = gru_graph(32, 32**-0.5), sequences(20)
    made = run(graph, inputs)
    report = report_of(graph, inputs, {"one": made, "two": [made[0] * np.float32(1 + 1e-6)]})
    assert report.ok
    assert not report.outputs[0].chaotic
    assert report.outputs[0].deviations[0].largest < 1e-6
    assert "AGREE: one, two" in report.text()


@pytest.mark.parametrize("units", [8, 64])
def test_swapped_gates_differ(units: int) -> None:
    graph, inputs = gru_graph(units, units**-0.5), sequences(20)
    report = report_of(graph, inputs, {"right": run(graph, inputs), "wrong": run(swapped_gates(graph), inputs)})
    assert not report.ok
    output = report.outputs[0]
    assert [output.word(one.largest) for one in output.deviations] == ["agree", "DIFFER"]
    assert "DIFFER: 'y': right and wrong by" in report.text()


def test_a_small_error_in_one_weight_differs() -> None:
    graph, inputs = gru_graph(16, 0.25), sequences(20)
    arrays = {**graph.arrays, "gru/b_h": graph.arrays["gru/b_h"] + np.float32(1e-3)}
    assert not report_of(graph, inputs, {"a": run(graph, inputs), "b": run(replace(graph, arrays=arrays), inputs)}).ok


def test_a_chaotic_model_is_said_to_be_chaotic() -> None:
    graph = gru_graph(128, 0.5)
    short, long = sequences(3), sequences(100)
    assert not report_of(graph, short, {"a": run(graph, short)}).outputs[0].chaotic
    report = report_of(graph, long, {"right": run(graph, long), "wrong": run(swapped_gates(graph), long)})
    assert report.outputs[0].chaotic
    assert "chaotic at this length" in report.text()
    assert report.verdicts == ("undecided",)  # the differences cannot tell right from wrong
    assert not report.ok
    assert "AGREE" not in report.text()
    for in_float64, verdict in ((1e-6, "agree in float64"), (1e-2, "undecided")):
        told = replace(report, keras_float64=(in_float64,))
        assert told.verdicts == (verdict,)
        assert told.ok == (verdict != "undecided")


def test_weights_move_by_about_an_ulp_and_constants_stay() -> None:
    graph = gru_graph(8, 1.0)
    graph.arrays["gru/b_z"][:3] = 0, 1, -0.75
    moved = move_weights(graph, np.random.default_rng(0))
    assert moved.arrays["two/value"] is graph.arrays["two/value"]
    for name in ("gru/W_z", "gru/b_z"):
        weights, step = graph.arrays[name], np.abs(moved.arrays[name] - graph.arrays[name].astype(np.float64))
        ulps = np.where(weights == 0, 0.0, np.spacing(np.abs(weights)).astype(np.float64))
        assert (step >= 0.5 * ulps).all()
        assert (step <= 1.5 * ulps).all()


def test_the_reference_is_computed_in_parts() -> None:
    graph, inputs = gru_graph(4, 0.5), sequences(2, rows=2 * ROWS + 3)
    truth = reference(graph, inputs)
    few = reference(graph, {"x": inputs["x"][-5:]})
    assert truth.outputs[0].shape == (2 * ROWS + 3, 4)
    assert truth.outputs[0].dtype == np.float64
    np.testing.assert_allclose(truth.outputs[0][-5:], few.outputs[0], rtol=0, atol=1e-15)
    assert truth.scale["y"] == np.abs(truth.outputs[0]).max()


def test_differences_of_odd_arrays() -> None:
    a = np.array([1.0, np.nan, inf, 0.0])
    assert difference(a, a).largest == largest_relative(a, a) == 0
    for other in (np.array([1.0, np.nan, -inf, 0.0]), np.array([1.0, 2.0, inf, 0.0]), a[:2]):
        found = difference(a, other)
        assert found.largest == found.rms == found.relative == largest_relative(a, other) == inf
        assert found.misfit
    assert difference(np.zeros((0, 3)), np.zeros((0, 3))).largest == 0
    assert difference(np.array([2**53]), np.array([2**53 + 1])).largest == 1
    small = difference(np.full(4, 2e-9), np.full(4, 1e-9))
    assert small.relative == pytest.approx(1)
    assert small.rms / small.scale_rms == pytest.approx(1)


def test_a_nan_on_one_side_differs_and_is_valid_json() -> None:
    graph, inputs = gru_graph(4, 0.5), sequences(5)
    made = run(graph, inputs)[0]
    bad = made.copy()
    bad[0, 0] = np.nan
    report = report_of(graph, inputs, {"good": [made], "bad": [bad]})
    assert not report.ok
    found = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert found["agree"] is False
    assert found["outputs"][0]["differences"][0]["absolute"] == "infinite"


def test_one_engine_is_no_comparison() -> None:
    graph, inputs = gru_graph(4, 0.5), sequences(5)
    report = report_of(graph, inputs, {"alone": run(graph, inputs)})
    assert not report.ok
    assert "NOT COMPARED" in report.text()


def test_drawn_inputs_fit_and_repeat() -> None:
    graph = gru_graph(4, 0.5)
    first, second = draw_inputs(graph), draw_inputs(graph)
    assert first["x"].shape == (8, 20, 3)
    np.testing.assert_array_equal(first["x"], second["x"])


def gated(bias: float) -> Graph:
    """Input (any, any, 3) → GRU → Dense of one sigmoid with this bias."""
    graph = gru_graph(8, 0.3)
    dense = Dense(name="y", x="gru", weights="y", input_size=8, units=1, use_bias=True, activation=SIGMOID)
    arrays = {**graph.arrays, "y/W": np.full((8, 1), 0.1, "float32"), "y/b": np.array([bias], "float32")}
    del arrays["two/value"]
    return replace(graph, nodes=(*graph.nodes[:2], dense), arrays=arrays)


def test_a_sigmoid_that_is_an_ulp_of_one_off_agrees() -> None:
    """As onnxruntime's: 5e-8 of an output of 1e-4. A hundred times as much is a mistake, and so is 1e-3 of it."""
    graph, inputs = gated(-9.2), sequences(20)
    made = run(graph, inputs)
    assert 5e-5 < made[0].max() < 2e-4
    for off, agrees in ((5e-8, True), (5e-6, False), (1e-3 * float(made[0].max()) + 1.2e-7, False)):
        report = report_of(graph, inputs, {"one": made, "two": [made[0] + np.float32(off)]})
        assert report.ok == agrees
    assert reference(graph, inputs).allowed("y") < 2e-7


def test_gates_that_are_an_ulp_of_one_off_agree() -> None:
    """An output gate near 1e-4 hands the error of its sigmoid on to the state, undiminished."""
    graph, inputs = gru_graph(8, 0.3), sequences(5)
    arrays = {**graph.arrays, "gru/b_z": np.full(8, 9.0, "float32")}  # the state takes in 1 - z, near 1e-4
    graph = replace(graph, arrays=arrays)
    made = run(graph, inputs)
    assert np.abs(made[0]).max() < 2e-3
    assert report_of(graph, inputs, {"one": made, "two": [made[0] + np.float32(5e-8)]}).ok
    assert not report_of(graph, inputs, {"one": made, "two": [made[0] + np.float32(1e-5)]}).ok
