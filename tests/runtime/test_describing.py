"""What a model says of itself, and what its face is."""

from __future__ import annotations

import pydoc
import re
from typing import Any

import lstmconv_runtime as lr
import numpy as np
import pytest
from lstmconv_runtime.format import nodes as n


@pytest.fixture(scope="module")
def two(build: Any) -> Any:
    """Two inputs, two outputs by key."""
    nodes = [
        build.input(None, 2), build.input(3, name="start", dtype="float16"),
        n.Cast(name="cast", x="start", dtype="float32"),
        build.recurrent("LSTM", "lstm", "x", 2, 3, h0="cast", c0="cast"),
    ]  # fmt: skip
    return build.model(nodes, ["lstm", "lstm:c"], output_keys=("y", "cell"))


def test_inputs_and_outputs(two: Any) -> None:
    assert two.inputs == (("x", (None, None, 2), "float32"), ("start", (None, 3), "float16"))
    assert two.outputs == (("y", (None, None, 3), "float32"), ("cell", (None, 3), "float32"))
    assert two.inputs[1].dtype == "float16"
    made = two.predict({info.name: np.zeros([size or 4 for size in info.shape], info.dtype) for info in two.inputs})
    for info in two.outputs:
        assert made[info.name].dtype.name == info.dtype
        assert len(made[info.name].shape) == len(info.shape)


def test_dtypes_are_those_of_the_numbers_given_back(build: Any) -> None:
    graph = build.sine().bundle.graph
    model = lr.load(build.bytes(graph), dtype="float64")
    assert model.outputs[0].dtype == model.predict(np.zeros((1, 2, 2))).dtype.name == "float64"


def test_summary(build: Any) -> None:
    model = build.sine()
    lines = model.summary().splitlines()
    assert lines[0].split() == ["node", "class", "shape", "dtype", "parameters", "reads"]
    assert [line.split()[:2] for line in lines[2:5]] == [["x", "Input"], ["lstm", "LSTM"], ["dense", "Dense"]]
    assert re.search(r"\b72\b", lines[3])  # 4 gates × 3 units × (2 + 3 + 1)
    assert lines[-3:] == [
        "input   x (any, any, 2) float32", "output  dense (any, 1) float32",
        f"76 parameters, engine {model.engine.name}",
    ]  # fmt: skip


def test_outputs_by_name(two: Any, build: Any) -> None:
    given = {"x": np.ones((2, 5, 2)), "start": np.zeros((2, 3))}
    made = two.predict_by_name(given, batch_size=1)
    assert list(made) == ["y", "cell"]
    assert all(np.array_equal(made[name], array) for name, array in two.predict(given, batch_size=1).items())
    sine, x = build.sine(), np.ones((2, 5, 2))
    assert np.array_equal(sine.predict_by_name(x)["dense"], sine.predict(x))


def test_gates_are_those_of_the_trace(two: Any) -> None:
    given = {"x": np.ones((2, 5, 2)), "start": np.zeros((2, 3))}
    gates = two.gates(given)
    assert list(gates) == ["lstm"]
    assert list(gates["lstm"]) == ["i", "f", "o", "c_tilde", "c", "h", "output"]
    assert np.array_equal(gates["lstm"].f, two.trace(given)["lstm"]["f"])
    with pytest.raises(AttributeError, match="no 'z' here; there are i, f"):
        _ = gates["lstm"].z


def test_help_shows_the_face_alone() -> None:
    public = {name for name in dir(lr.Model) if not name.startswith("_")}
    assert public == {
        "check_inputs", "gates", "input_names", "inputs", "nodes", "output_names", "outputs", "predict",
        "predict_by_name", "splits", "stream", "summary", "trace", "verify",
    }  # fmt: skip
    assert {name for name in dir(lr.Stream) if not name.startswith("_")} == {"chunk", "reset", "state", "step"}
    shown = pydoc.render_doc(lr.Model, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    assert "predict_by_name" in shown
    for name in public:
        assert getattr(lr.Model, name).__doc__, name
    assert not re.search(r"\b(_owned|_pack|_run)\b", shown)
