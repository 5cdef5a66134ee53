"""Initial states that are arrays of the graph: one row for all rows, or a row for each."""

from __future__ import annotations

from typing import Any

import lstmconv_runtime as lr
import numpy as np
import pytest
from lstmconv_runtime.format.bundle import from_bytes
from lstmconv_runtime.format.graph import SIGMOID, GraphError, Type
from lstmconv_runtime.format.nodes import Constant
from lstmconv_runtime.model import Model
from outputs import single

ROWS = 300  # more than advance together


def with_state(build: Any, rows: int, kind: str = "LSTM", **options: Any) -> Any:
    """A model whose initial state is an array, and the same model that takes it as an input."""
    names = ("h0", "c0") if kind == "LSTM" else ("h0",)
    cell = build.recurrent(kind, "cell", "x", 2, 3, **{name: name for name in names}, **options)
    values = {name: np.random.default_rng(1).standard_normal((rows, 3)).astype("float32") for name in names}
    graph = build.graph(
        [build.input(None, 2), *(Constant(name=name, shape=(rows, 3), dtype="float32") for name in names), cell]
    )
    graph.arrays.update({f"{name}/value": value for name, value in values.items()})
    given = build.graph([build.input(None, 2), *(build.input(3, name=name) for name in names), cell])
    graph.arrays.update(given.arrays)
    return build.bytes(graph), Model(build.bytes(given)), values


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("rows", [1, 2, ROWS])
@pytest.mark.parametrize("backwards", [False, True])
def test_one_row_stands_for_all(build: Any, kind: str, rows: int, backwards: bool) -> None:
    data, given, values = with_state(build, 1, kind, go_backwards=backwards)
    x = np.random.default_rng(0).standard_normal((rows, 4, 2)).astype("float32")
    every = {name: np.repeat(value, rows, axis=0) for name, value in values.items()}
    assert np.array_equal(single(lr.load(data).predict(x)), single(given.predict({"x": x, **every})))
    traced = lr.load(data).trace(x)["cell"]
    assert np.allclose(traced.h[:, :: -1 if backwards else 1], given.predict({"x": x, **every}), atol=1e-6)


def test_a_stream_starts_from_it(build: Any) -> None:
    data, _, _ = with_state(build, 1)
    model = lr.load(data)
    x = np.random.default_rng(0).standard_normal((3, 4, 2)).astype("float32")
    stream = model.stream(batch=3)
    made = np.stack([single(stream.step(x[:, t])) for t in range(4)], axis=1)
    assert np.allclose(made, single(model.predict(x)), atol=1e-6)
    stream.reset()
    assert np.allclose(single(stream.step(x[:, 0])), made[:, 0], atol=1e-6)


def test_a_row_for_each_asks_for_so_many_rows(build: Any) -> None:
    data, given, values = with_state(build, 3)
    x = np.random.default_rng(0).standard_normal((3, 4, 2)).astype("float32")
    assert np.array_equal(single(lr.load(data).predict(x)), single(given.predict({"x": x, **values})))
    for rows in (1, 2, 6):
        with pytest.raises(lr.InputError, match=r"has the shape \(3, 3\)"):
            lr.load(data).predict(np.zeros((rows, 4, 2), "float32"))


def test_it_came_with_format_1_1(build: Any) -> None:
    """A state of one row for all rows; one for each row was there before."""
    assert from_bytes(with_state(build, 1)[0]).format_version == "1.1"
    assert from_bytes(with_state(build, 3)[0]).format_version == "1.0"


def test_other_numbers_of_rows_do_not_fit(build: Any) -> None:
    node = build.recurrent("GRU", "cell", "x", 2, 3, h0="h", recurrent_activation=SIGMOID)
    types = {"x": Type((4, 5, 2), "float32"), "h": Type((3, 3), "float32")}
    with pytest.raises(GraphError, match="has 3 rows"):
        node.infer(types)
    assert node.infer({**types, "h": Type((1, 3), "float32")})[0].shape == (4, 5, 3)
    assert node.infer({**types, "x": Type((None, 5, 2), "float32")})[0].shape == (3, 5, 3)
