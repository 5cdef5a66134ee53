"""Which graphs compute a batch in parts, and that the parts are the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lstmconv_runtime import InputError, splitting
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import TANH
from lstmconv_runtime.model import Model
from outputs import single

SIX = 6  # rows of every batch here
Nodes = list[Any]


def constant(*shape: int, name: str = "k") -> n.Constant:
    return n.Constant(name=name, shape=shape, dtype="float32")


def add(a: str, b: str, name: str = "sum") -> n.Elementwise:
    return n.Elementwise(name=name, op="add", args=(a, b))


def splitting_graphs(build: Any) -> dict[str, Nodes]:
    x, r = build.input(4, 2), build.recurrent
    return {
        "rows": [x, r("LSTM", "a", "x", 2, 3), build.dense("d", "a", 3, 1)],
        "a constant for all rows": [x, constant(1, 4, 2), add("x", "k"), r("GRU", "a", "sum", 2, 3)],
        "a constant of lower rank": [x, constant(4, 2), add("k", "x"), r("GRU", "a", "sum", 2, 3)],
        "a state for all rows": [x, constant(1, 3), r("GRU", "a", "x", 2, 3, h0="k")],
        "a mask for all rows": [
            x, constant(1, 4), n.Cast(name="m", x="k", dtype="bool"), r("GRU", "a", "x", 2, 3, mask="m"),
        ],
        "folded": [x, n.FoldTime(name="f", x="x"), build.dense("d", "f", 2, 2), constant(1, 2), add("d", "k")],
        "folded of open time": [
            build.input(None, 2), n.FoldTime(name="f", x="x"), build.dense("d", "f", 2, 3, TANH), add("d", "d"),
            n.UnfoldTime(name="u", x="sum", like="x"),
        ],
        "folded by a new shape": [x, n.Reshape(name="f", x="x", shape=(-1, 2)), build.dense("d", "f", 2, 2)],
        "folded and back by new shapes": [
            x, n.Reshape(name="f", x="x", shape=(-1, 1)), n.Reshape(name="g", x="f", shape=(-1, 4, 2)), add("x", "g"),
        ],
        "a new shape of each row": [x, n.Reshape(name="f", x="x", shape=(0, -1)), build.dense("d", "f", 8, 2)],
        "attention": [
            x, n.MatMul(name="s", a="x", b="x", transpose_b=True), n.CausalMask(name="c", x="s"), constant(),
            n.Where(name="w", condition="c", a="s", b="k"), n.MatMul(name="y", a="w", b="x", transpose_b=False),
        ],
        "an einsum of each row": [
            x, n.Einsum(name="s", args=("x", "x"), equation="btc,bsc->bts"), constant(2, 5),
            n.Einsum(name="y", args=("s", "x", "k"), equation="bts,bsc,cd->btd"),
        ],
        "a matrix": [build.input(3), constant(3, 2), n.MatMul(name="y", a="x", b="k", transpose_b=False)],
    }  # fmt: skip


def whole_graphs(build: Any) -> dict[str, Nodes]:
    x, v, r = build.input(4, 2), build.input(3), build.recurrent
    return {
        "a fixed batch": [n.Input(name="x", shape=(SIX, 4, 2), dtype="float32"), r("LSTM", "a", "x", 2, 3)],
        "a constant of as many rows": [x, constant(SIX, 1, 2), add("x", "k"), r("GRU", "a", "sum", 2, 3)],
        "rows that are hidden by a new shape": [
            v, constant(SIX, 3), add("x", "k"), n.Reshape(name="y", x="sum", shape=(-1, 3)),
        ],
        "a new shape of fixed rows": [
            v, n.Reshape(name="f", x="x", shape=(2, 9)), n.Reshape(name="y", x="f", shape=(-1, 3)),
        ],
        "a new shape across rows": [v, n.Reshape(name="y", x="x", shape=(-1, 2))],
        "a state for each row": [x, constant(SIX, 3), r("GRU", "a", "x", 2, 3, h0="k")],
        "a mask for each row": [
            x, constant(SIX, 4), n.Cast(name="m", x="k", dtype="bool"), r("GRU", "a", "x", 2, 3, mask="m"),
        ],
        "rows with rows": [v, n.MatMul(name="y", a="x", b="x", transpose_b=True)],
        "rows on the right": [v, constant(2, SIX), n.MatMul(name="y", a="k", b="x", transpose_b=False)],
        "rows along another axis": [
            build.input(SIX, 3), n.Slice(name="s", x="x", axis=1, start=0, stop=1, step=1),
            n.Squeeze(name="row", x="s", axis=1), add("x", "row"),
        ],
        "an einsum that sums over rows": [v, n.Einsum(name="y", args=("x", "x"), equation="bi,bj->ij")],
        "an einsum of rows with rows": [v, n.Einsum(name="y", args=("x", "x"), equation="bi,ci->bc")],
        "an einsum with a row for each row": [
            v, constant(SIX, 3), n.Einsum(name="y", args=("x", "k"), equation="bi,bi->b"),
        ],
        "an einsum with the rows last": [v, n.Einsum(name="y", args=("x",), equation="bi->ib")],
        "an output that does not grow": [v, constant(1, 3), add("x", "k"), add("k", "k", name="y")],
        "a constant that has to be as long": [x, constant(SIX, 4, 2), n.Concatenate(name="y", args=("x", "k"), axis=2)],
        "time folded with what is not": [
            x, n.FoldTime(name="f", x="x"), n.Slice(name="s", x="x", axis=1, start=0, stop=1, step=1),
            n.FoldTime(name="g", x="s"), n.MatMul(name="y", a="f", b="g", transpose_b=True),
        ],
    }  # fmt: skip


def model_of(build: Any, nodes: Nodes) -> Model:
    model: Model = build.model(nodes, dtype="float64")
    return model


def names(graphs: Callable[[Any], dict[str, Nodes]]) -> list[str]:
    class Anything:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *args, **options: None

    return list(graphs(Anything()))


def check_parts(model: Model) -> None:
    shape = [5 if size is None else size for size in model.program.types["x"].shape]
    x = np.random.default_rng(0).standard_normal((SIX, *shape[1:]))
    whole = model.predict(x)
    assert isinstance(whole, np.ndarray)
    for rows in (1, 2, 4, 5):
        part = model.predict(x, batch_size=rows)
        assert isinstance(part, np.ndarray)
        assert part.shape == whole.shape
        np.testing.assert_allclose(part, whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", names(splitting_graphs))
def test_these_are_split(build: Any, name: str) -> None:
    model = model_of(build, splitting_graphs(build)[name])
    assert model.splits
    check_parts(model)


@pytest.mark.parametrize("name", names(whole_graphs))
def test_these_are_not_split(build: Any, name: str) -> None:
    model = model_of(build, whole_graphs(build)[name])
    assert not model.splits
    check_parts(model)


def test_every_node_has_a_rule() -> None:
    """One without is sound, but a model that has it would compute every batch as a whole."""
    assert {n.Input, *splitting.RULES} == set(n.NODES.values())


def test_a_state_of_one_row_stands_for_all(build: Any) -> None:
    """For more rows than advance together too."""
    nodes = [build.input(4, 2), constant(1, 3), build.recurrent("LSTM", "a", "x", 2, 3, h0="k", c0="k")]
    graph = build.graph(nodes)
    graph.arrays["k/value"][:] = 0.5
    model = Model(build.bytes(graph))
    x = np.random.default_rng(0).standard_normal((500, 4, 2)).astype(np.float32)
    made = single(model.predict(x))
    for rows in (slice(0, 1), slice(250, 260), slice(499, 500)):
        np.testing.assert_allclose(made[rows], single(model.predict(x[rows])), rtol=0, atol=1e-6)
    nodes[1] = constant(2, 3)
    two = build.model(nodes)
    two.predict(x[:2])
    with pytest.raises(InputError, match=r"'k' has the shape \(2, 3\)"):
        two.predict(x[:3])
