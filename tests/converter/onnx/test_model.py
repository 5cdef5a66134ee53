"""The file as a whole: names of sizes and outputs, what is left out, fused operators where they are due."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from lstmconv_runtime import programs
from lstmconv_runtime.format.graph import SIGMOID, TANH, Activation, Graph
from lstmconv_runtime.format.nodes import LSTM, Cast, Concatenate, Dense, Elementwise, Flip, Input
from vector_files import read_vector

pytest.importorskip("onnx")

from lstmconv.onnx.model import write_model
from lstmconv.onnx.running import onnxruntime_of


def sizes(info: Any) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]


def operators(model: Any) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def lstm(name: str, x: str = "x", **options: Any) -> LSTM:
    settings: dict[str, Any] = {
        "mask": None, "h0": None, "c0": None, "weights": name, "input_size": 3, "units": 2, "use_bias": True,
        "activation": TANH, "recurrent_activation": SIGMOID, "return_sequences": True, "go_backwards": False,
        "zero_output_for_mask": False, "stateful": False,
    }  # fmt: skip
    return LSTM(name=name, x=x, **{**settings, **options})


def graph_of(*nodes: Any, outputs: tuple[str, ...], keys: tuple[str, ...] | None = None) -> Graph:
    random = np.random.default_rng(0)
    arrays = {
        f"{node.name}/{name}": random.standard_normal(shape).astype(np.float32)
        for node in nodes
        for name, shape in node.parameters().items()
    }
    inputs = tuple(node.name for node in nodes if isinstance(node, Input))
    return Graph(inputs, outputs, keys, nodes, arrays)


X = Input(name="x", shape=(None, None, 3), dtype="float32")


def test_open_sizes_have_the_names_of_their_inputs() -> None:
    model = write_model(graph_of(X, lstm("y"), outputs=("y", "y:h")), "0", {})
    assert sizes(model.graph.input[0]) == ["batch", "time", 3]
    assert [sizes(info) for info in model.graph.output] == [["batch", "time", 2], ["batch", 2]]


def test_inputs_with_steps_of_their_own_have_times_of_their_own() -> None:
    other = Input(name="z", shape=(None, None, 3), dtype="float32")
    apart = write_model(graph_of(X, other, lstm("a"), lstm("b", "z"), outputs=("a", "b")), "0", {})
    assert [sizes(info)[1] for info in (*apart.graph.input, *apart.graph.output)] == ["x.time", "z.time"] * 2
    joined = Concatenate(name="both", args=("a", "b"), axis=2)
    together = write_model(graph_of(X, other, lstm("a"), lstm("b", "z"), joined, outputs=("both",)), "0", {})
    assert [sizes(info)[1] for info in (*together.graph.input, *together.graph.output)] == ["time"] * 3


def test_only_inputs_whose_steps_must_agree_share_a_time() -> None:
    """onnxruntime plans its memory by these names: sizes of one name that differ end in an error."""
    mask = Input(name="m", shape=(None, None), dtype="bool")
    other = Input(name="z", shape=(None, None, 3), dtype="float32")
    model = write_model(graph_of(other, X, mask, lstm("y", mask="m"), lstm("w", "z"), outputs=("y", "w")), "0", {})
    assert [sizes(info)[1] for info in model.graph.input] == ["z.time", "x.time", "x.time"]
    assert [sizes(info)[1] for info in model.graph.output] == ["x.time", "z.time"]


def test_steps_of_which_one_may_be_a_single_one_are_not_named_alike() -> None:
    """onnxruntime would put the difference of 5 steps and 1 into the memory of the 1."""
    other = Input(name="z", shape=(None, None, 3), dtype="float32")
    both = Elementwise(name="both", op="subtract", args=("x", "z"))
    again = Elementwise(name="y", op="negative", args=("both",))
    graph = graph_of(X, other, both, again, outputs=("y",))
    model = write_model(graph, "0", {})
    assert [sizes(info) for info in model.graph.input] == [["batch", "x.time", 3], ["batch", "z.time", 3]]
    assert sizes(model.graph.output[0]) == ["batch", 0, 3]
    given = {"x": np.ones((2, 5, 3), "float32"), "z": np.full((2, 1, 3), 3, "float32")}
    (y,) = onnxruntime_of(model, threads=1)(given)
    np.testing.assert_array_equal(y, np.full((2, 5, 3), 2))


def test_outputs_have_the_keys_of_a_dict_and_an_input_that_is_an_output_keeps_its_name() -> None:
    model = write_model(graph_of(X, lstm("y"), outputs=("y", "x", "y"), keys=("second/y", "x", "again")), "0", {})
    assert [info.name for info in model.graph.output] == ["second/y", "x_2", "again"]
    assert [info.name for info in model.graph.input] == ["x"]


def test_both_directions_are_one_operator_without_a_flip() -> None:
    ahead, back = lstm("ahead"), lstm("back", go_backwards=True)
    flipped = Flip(name="flipped", x="back", axis=1)
    both = Concatenate(name="both", args=("ahead", "flipped"), axis=2)
    model = write_model(graph_of(X, ahead, back, flipped, both, outputs=("both",)), "0", {})
    counts = operators(model)
    assert counts["LSTM"] == 1
    assert counts["Slice"] == 0
    other = lstm("back", go_backwards=True, activation=Activation("softsign"))
    assert operators(write_model(graph_of(X, ahead, other, flipped, both, outputs=("both",)), "0", {}))["LSTM"] == 2


def test_what_nothing_reads_is_left_out() -> None:
    model = write_model(graph_of(X, lstm("y"), outputs=("y:c",)), "0", {})
    (node,) = (node for node in model.graph.node if node.op_type == "LSTM")
    assert [bool(name) for name in node.output] == [False, False, True]
    assert len(model.graph.initializer) == 4  # W, R, B, and the place of the one direction


@pytest.mark.parametrize(("activation", "operator"), [("softplus", "Scan"), ("mish", "Scan"), ("softsign", "LSTM")])
def test_scan_only_where_the_operator_lacks_the_function(activation: str, operator: str) -> None:
    model = write_model(graph_of(X, lstm("y", activation=Activation(activation)), outputs=("y",)), "0", {})
    assert operators(model)[operator] == 1


def test_the_slope_of_hard_sigmoid_is_written_out() -> None:
    old = Activation("hard_sigmoid", (("offset", 0.5), ("slope", 0.2)))
    model = write_model(graph_of(X, lstm("y", recurrent_activation=old), outputs=("y",)), "0", {})
    (node,) = (node for node in model.graph.node if node.op_type == "LSTM")
    said = {attribute.name: attribute for attribute in node.attribute}
    assert list(said["activations"].strings) == [b"HardSigmoid", b"Tanh", b"Tanh"]
    assert said["activation_alpha"].floats == pytest.approx([0.2])
    assert said["activation_beta"].floats == pytest.approx([0.5])


def test_a_layer_that_is_called_twice_on_one_input_is_computed_once() -> None:
    """onnxruntime fails where it finds out by itself that two LSTMs are one and other outputs are read of each."""
    twice = (lstm("a"), lstm("b").replace(weights="a"), lstm("c"))
    graph = graph_of(X, *twice, outputs=("a", "b:h", "b", "c", "a"))
    model = write_model(graph, "0", {})
    assert operators(model)["LSTM"] == 2
    given = {"x": np.random.default_rng(1).standard_normal((2, 4, 3)).astype("float32")}
    made = onnxruntime_of(model, threads=1)(given)
    values = programs.run(programs.prepare(graph), given)
    for name, y in zip(graph.outputs, made, strict=True):
        np.testing.assert_allclose(y, values[name], rtol=1e-5, atol=1e-6)


def test_a_mask_is_compacted_once_for_all_that_read_it() -> None:
    model = write_model(read_vector("masked-bidirectional-concat-sequences").graph, "0", {})
    assert operators(model)["ScatterElements"] == 1
    assert operators(model)["LSTM"] == 1


def test_no_product_reads_what_a_cast_has_made() -> None:
    """onnxruntime 1.32 ends the process where Transpose, Cast and MatMul are in a row, as they were here."""
    wide = Cast(name="wide", x="y", dtype="float64")
    dense = Dense(name="d", x="wide", weights="d", input_size=2, units=1, use_bias=True, activation=TANH)
    model = write_model(graph_of(X, lstm("y"), wide, dense, outputs=("d",)), "0", {})
    made = {name: node.op_type for node in model.graph.node for name in node.output}
    (product,) = (node for node in model.graph.node if node.op_type == "MatMul")
    assert [made.get(name) for name in product.input] == ["Reshape", None]
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert session.run(None, {"x": np.ones((2, 3, 3), np.float32)})[0].shape == (2, 3, 1)
