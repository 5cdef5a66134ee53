"""A stream gives what predict gives, however the sequence is cut into steps and chunks."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lstmconv_runtime import InputError, StreamError
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import TANH, Activation
from outputs import as_list


def graphs(build: Any) -> dict[str, tuple[list[Any], list[str]]]:
    """Models that can be streamed: nodes, outputs."""
    r = build.recurrent
    x = build.input(None, 2)
    return {
        "lstm": ([x, r("LSTM", "a", "x", 2, 3)], ["a", "a:h", "a:c"]),
        "last": ([x, r("LSTM", "a", "x", 2, 3, return_sequences=False), build.dense("d", "a", 3, 1)], ["d"]),
        "gru": ([x, r("GRU", "a", "x", 2, 3)], ["a", "a:h"]),
        "reset before": ([x, r("GRU", "a", "x", 2, 3, reset_after=False)], ["a"]),
        "simple": ([x, r("SimpleRNN", "a", "x", 2, 3)], ["a"]),
        "masked": ([x, *build.mask("x"), r("LSTM", "a", "x", 2, 3, mask="mask")], ["a", "a:h", "a:c"]),
        "masked last": ([x, *build.mask("x"), r("GRU", "a", "x", 2, 3, mask="mask", return_sequences=False)], ["a"]),
        "zero output": (
            [x, *build.mask("x"), r("SimpleRNN", "a", "x", 2, 3, mask="mask", zero_output_for_mask=True)],
            ["a", "a:h"],
        ),
        "stacked": (
            [
                x,
                *build.mask("x"),
                r("LSTM", "a", "x", 2, 3, mask="mask"),
                r("GRU", "b", "a", 3, 2, mask="mask"),
                n.Concatenate(name="both", args=("a", "b"), axis=2),
                build.dense("d", "both", 5, 2, TANH),
                r("SimpleRNN", "c", "d", 2, 2, mask="mask", return_sequences=False),
            ],
            ["d", "c"],
        ),
        "causal": (
            [x, build.causal("k", "x", 2, 3, 3), build.causal("l", "k", 3, 3, 2, 4), r("GRU", "a", "l", 3, 2)],
            ["l", "a"],
        ),
        "folded": (
            [
                x,
                n.FoldTime(name="fold", x="x"),
                build.dense("d", "fold", 2, 3, TANH),
                n.UnfoldTime(name="unfold", x="d", like="x"),
                r("LSTM", "a", "unfold", 3, 2),
            ],
            ["a"],
        ),
        "another time": (
            [
                x,
                r("LSTM", "a", "x", 2, 6, return_sequences=False),
                n.Reshape(name="rows", x="a", shape=(0, 3, 2)),
                n.FoldTime(name="fold", x="rows"),
                build.dense("d", "fold", 2, 3, TANH),
                n.UnfoldTime(name="unfold", x="d", like="rows"),
                n.Reshape(name="flat", x="unfold", shape=(0, -1)),
            ],
            ["flat"],
        ),
        "last step": (
            [
                x,
                r("LSTM", "a", "x", 2, 3),
                n.Slice(name="cut", x="a", axis=1, start=-1, stop=None, step=1),
                n.Squeeze(name="last", x="cut", axis=1),
            ],
            ["last"],
        ),
        "volumes": (
            [
                x,
                r("LSTM", "a", "x", 2, 8),
                n.Reshape(name="frames", x="a", shape=(0, 0, 2, 2, 2)),
                conv(n.Conv, "conv", "frames", 2, 3, (1, 2, 1), groups=1, padding="same"),
                n.Pool(name="pool", x="conv", op="mean", size=(1, 2, 1), strides=(1, 2, 1), padding="valid"),
                conv(n.ConvTranspose, "up", "pool", 3, 2, (1, 3, 2), cropping=(0, 0, 1, 0, 0, -1)),
                n.Reshape(name="flat", x="up", shape=(0, 0, -1)),
            ],
            ["flat"],
        ),
        "functions": (
            [
                x,
                r("LSTM", "a", "x", 2, 3),
                n.Round(name="round", x="a"),
                n.CumSum(name="sums", x="a", axis=2),
                n.ArgReduce(name="arg", x="a", op="max", axis=2),
                n.ExpandDims(name="place", x="arg", axis=2),
                n.Take(name="taken", x="sums", axis=2, indices=(2, 0)),
                n.Constant(name="k", shape=(3, 4), dtype="float32"),
                n.Einsum(name="product", args=("a", "k"), equation="btf,fg->btg"),
                n.Einsum(name="pairs", args=("a", "taken"), equation="btf,btg->btf"),
            ],
            ["round", "place", "taken", "product", "pairs"],
        ),
    }


def conv(
    kind: Any, name: str, x: str, channels: int, filters: int, kernel_size: tuple[int, ...], **options: Any
) -> Any:
    ones = (1,) * len(kernel_size)
    fields = {"strides": ones, "dilation": ones, "use_bias": True, "activation": TANH, **options}
    return kind(name=name, x=x, weights=name, channels=channels, filters=filters, kernel_size=kernel_size, **fields)


NAMES = (
    "lstm", "last", "gru", "reset before", "simple", "masked", "masked last", "zero output", "stacked", "causal",
    "folded", "another time", "last step", "volumes", "functions",
)  # fmt: skip


@pytest.mark.parametrize("rows", [[1], np.array([0, 2]), [False, True, True], (), 2])
def test_some_rows_start_again(build: Any, rows: Any) -> None:
    """They go on as a new stream does, the others as if nothing had been."""
    for name, (nodes, outputs) in graphs(build).items():
        model = build.model(nodes, outputs)
        x = np.random.default_rng(0).standard_normal((3, 8, 2)).astype(np.float32)
        stream, untouched, fresh = (model.stream(batch=3) for _ in range(3))
        for one in (stream, untouched):
            one.chunk(x[:, :5])
        before = stream.state
        stream.reset(rows)
        again = np.zeros(3, bool)
        again[np.asarray(rows, bool if isinstance(rows, list) and rows[0] is False else int)] = True
        for node, kept in untouched.state.items():
            for key, array in kept.items():
                assert np.array_equal(before[node][key], array)
                assert np.array_equal(stream.state[node][key][~again], array[~again])
        made = as_list(stream.chunk(x[:, 5:]))
        for y, new, old in zip(made, as_list(fresh.chunk(x[:, 5:])), as_list(untouched.chunk(x[:, 5:])), strict=True):
            assert np.array_equal(y, np.where(again.reshape(-1, *[1] * (y.ndim - 1)), new, old)), name


@pytest.mark.parametrize("rows", [[3], [-1], [0.0], [True, False], "1", [[0]]])
def test_rows_that_are_none(build: Any, rows: Any) -> None:
    stream = build.sine().stream(batch=3)
    stream.step(np.ones((3, 2)))
    before = stream.state
    with pytest.raises(InputError):
        stream.reset(rows)
    assert np.array_equal(stream.state["lstm"]["h"], before["lstm"]["h"])


@pytest.mark.parametrize("name", NAMES)
@given(cuts=st.lists(st.integers(1, 4), min_size=1, max_size=7), seed=st.integers(0, 99))
def test_any_split_equals_predict(build: Any, name: str, cuts: list[int], seed: int) -> None:
    nodes, outputs = graphs(build)[name]
    model = build.model(nodes, outputs)
    random = np.random.default_rng(seed)
    x = random.standard_normal((2, sum(cuts), 2)).astype(np.float32)
    x[random.random(x.shape[:2]) < 0.3] = 0  # masked steps, where the model has a mask
    expected = as_list(model.predict(x))
    stream = model.stream(batch=2)
    done = 0
    for size in cuts:
        piece = x[:, done : done + size]
        made = as_list(stream.step(piece[:, 0]) if size == 1 else stream.chunk(piece))
        done += size
        sofar = as_list(model.predict(x[:, :done]))
        for value, one, part, whole in zip(outputs, made, sofar, expected, strict=True):
            if part.ndim == 3:  # a sequence: the steps at hand
                one = one[:, None] if size == 1 else one
                np.testing.assert_allclose(one, whole[:, done - size : done], rtol=0, atol=2e-6, err_msg=value)
            else:  # what predict gives for the sequence so far
                np.testing.assert_allclose(one, part, rtol=0, atol=2e-6, err_msg=value)


def test_every_graph_is_tested(build: Any) -> None:
    assert tuple(graphs(build)) == NAMES


def test_state_can_be_kept_and_set(build: Any) -> None:
    nodes, outputs = graphs(build)["causal"]
    stream = build.model(nodes, outputs).stream(batch=2)
    x = np.random.default_rng(0).standard_normal((2, 8, 2)).astype(np.float32)
    stream.chunk(x[:, :5])
    kept = stream.state
    first = stream.chunk(x[:, 5:])
    stream.state = kept
    again = stream.chunk(x[:, 5:])
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    stream.reset()
    assert np.array_equal(stream.chunk(x[:, :5])[0], build.model(nodes, outputs).predict(x[:, :5])[0])
    for bad in ({}, {**kept, "more": {}}, {**kept, "a": {"h": 1}}):
        with pytest.raises(InputError):
            stream.state = bad


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("again", [lambda s: pickle.loads(pickle.dumps(s)), copy.copy, copy.deepcopy])
def test_a_copy_goes_on_by_itself(build: Any, name: str, again: Callable[[Any], Any]) -> None:
    stream = build.model(*graphs(build)[name]).stream(batch=2)
    x = np.random.default_rng(0).standard_normal((2, 6, 2)).astype(np.float32)
    stream.chunk(x[:, :3])
    other = again(stream)
    expected = as_list(stream.chunk(x[:, 3:]))
    for made in (other, again(other)):
        assert all(np.array_equal(a, b) for a, b in zip(as_list(made.chunk(x[:, 3:])), expected, strict=True))


def test_values_of_another_number_of_rows(build: Any) -> None:
    """A constant of six rows makes six of one, of which a stream of one row would take the first."""
    k = n.Constant(name="k", shape=(6, 1, 2), dtype="float32")
    nodes = [build.input(None, 2), k, n.Elementwise(name="sum", op="add", args=("x", "k"))]
    model = build.model([*nodes, build.recurrent("LSTM", "a", "sum", 2, 3)])
    for rows in (1, 3):
        with pytest.raises(InputError, match=r"stream\(batch=6\)"):
            model.stream(batch=rows)
    x = np.random.default_rng(0).standard_normal((6, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(model.stream(batch=6).chunk(x), model.predict(x), rtol=0, atol=1e-6)


def test_a_copy_keeps_the_fixed_inputs(build: Any) -> None:
    nodes = [build.input(None, 2), build.input(3, name="start"), build.recurrent("GRU", "a", "x", 2, 3, h0="start")]
    start = np.ones((1, 3), np.float32)
    stream = build.model(nodes).stream(fixed={"start": start})
    x = np.ones((1, 4, 2), np.float32)
    expected = stream.chunk(x)
    start[:] = 0  # what the caller gave is not kept
    other = pickle.loads(pickle.dumps(stream))
    for one in (stream, other):
        one.reset()
        assert np.array_equal(one.chunk(x), expected)


def test_reading_the_state_gives_copies(build: Any) -> None:
    stream = build.model(*graphs(build)["lstm"]).stream()
    stream.step(np.ones((1, 2)))
    stream.state["a"]["h"][:] = 9
    assert not (stream.state["a"]["h"] == 9).any()


def test_a_refused_step_leaves_the_stream_as_it_was(build: Any) -> None:
    stream = build.model(*graphs(build)["lstm"]).stream()
    stream.step(np.ones((1, 2)))
    before = stream.state["a"]
    for bad in (np.ones((1, 3)), np.ones((2, 2)), np.ones(2), np.full((1, 2), "a"), {"y": np.ones((1, 2))}):
        with pytest.raises(InputError):
            stream.step(bad)
    for chunk in (np.ones((1, 0, 2)), np.ones((2, 3, 2)), np.ones(2)):
        with pytest.raises(InputError):
            stream.chunk(chunk)
    assert all(np.array_equal(stream.state["a"][key], before[key]) for key in before)


def test_inputs_without_time_are_fixed(build: Any) -> None:
    nodes = [
        build.input(None, 2),
        build.input(3, name="start"),
        build.recurrent("GRU", "a", "x", 2, 3, h0="start"),
    ]
    model = build.model(nodes)
    x = np.random.default_rng(0).standard_normal((2, 4, 2)).astype(np.float32)
    start = np.ones((2, 3), np.float32)
    stream = model.stream(2, {"start": start})
    made = np.stack([stream.step(x[:, t]) for t in range(4)], axis=1)
    np.testing.assert_allclose(made, model.predict({"x": x, "start": start}), rtol=0, atol=2e-6)
    for fixed in ({}, {"start": start[:1]}, {"start": start, "x": x}):
        with pytest.raises(InputError):
            model.stream(2, fixed)


def refused(build: Any) -> dict[str, list[Any]]:
    """Models that need the future; the last node is the one to be named."""
    x, r = build.input(None, 2), build.recurrent
    lstm = r("LSTM", "a", "x", 2, 3)
    return {
        "backwards": [x, r("LSTM", "culprit", "x", 2, 3, go_backwards=True)],
        "state of the whole": [x, lstm, r("LSTM", "culprit", "x", 2, 3, h0="a:h", c0="a:c")],
        "reverse": [x, lstm, n.Flip(name="culprit", x="a", axis=1)],
        "mean over time": [x, lstm, n.Reduce(name="culprit", x="a", op="mean", axes=(1,), keepdims=False)],
        "pool": [x, lstm, n.Pool(name="culprit", x="a", op="max", size=(2,), strides=(2,), padding="valid")],
        "first step": [x, lstm, n.Slice(name="culprit", x="a", axis=1, start=0, stop=1, step=1)],
        "attention": [x, lstm, n.MatMul(name="culprit", a="a", b="a", transpose_b=True)],
        "groups": [
            x,
            lstm,
            n.GroupNorm(
                name="culprit", x="a", weights="culprit", axis=2, size=3, groups=3, epsilon=0.1, scale=True, center=True
            ),
        ],
        "over time": [x, lstm, n.LayerNorm(
            name="culprit", x="a", weights="", axes=(1,), shape=(4,), epsilon=0.1, scale=False, center=False, rms=False
        )],
        "flatten": [x, lstm, n.Reshape(name="culprit", x="a", shape=(0, -1))],
        "wide": [
            x,
            lstm,
            n.Conv(
                name="culprit", x="a", weights="culprit", channels=3, filters=2, kernel_size=(3,), strides=(1,),
                padding="same", dilation=(1,), groups=1, use_bias=False, activation=TANH,
            ),
        ],
        "transposed": [x, lstm, conv(n.ConvTranspose, "culprit", "a", 3, 2, (2,), cropping=(0, 1))],
        "further steps": [x, lstm, conv(n.ConvTranspose, "culprit", "a", 3, 2, (1,), cropping=(0, -1))],
        "softmax over time": [x, lstm, conv(
            n.Conv, "culprit", "a", 3, 2, (1,), groups=1, padding="valid",
            activation=Activation("softmax", (("axis", 1.0),)),
        )],
        "mixes": [
            x,
            lstm,
            n.ExpandDims(name="wide", x="a:h", axis=1),
            n.Elementwise(name="culprit", op="add", args=("a", "wide")),
        ],
        "the time of another": [
            x, lstm, n.FoldTime(name="fold", x="a"), n.Constant(name="k", shape=(2, 4, 3), dtype="float32"),
            n.UnfoldTime(name="culprit", x="fold", like="k"),
        ],
        "sums over time": [x, lstm, n.CumSum(name="culprit", x="a", axis=1)],
        "place in time": [x, lstm, n.ArgReduce(name="culprit", x="a", op="max", axis=1)],
        "steps taken": [x, lstm, n.Take(name="culprit", x="a", axis=1, indices=(0,))],
        "product over time": [x, lstm, n.Einsum(name="culprit", args=("a", "a"), equation="btf,bsf->bts")],
        "sum over time": [x, lstm, n.Einsum(name="culprit", args=("a",), equation="btf->bf")],
        "weights of steps": [
            x, lstm, n.Constant(name="k", shape=(4, 2), dtype="float32"),
            n.Einsum(name="culprit", args=("a", "k"), equation="btf,tg->btg"),
        ],
    }  # fmt: skip


REFUSED = (
    "backwards", "state of the whole", "reverse", "mean over time", "pool", "first step", "attention", "groups",
    "over time", "flatten", "wide", "transposed", "further steps", "softmax over time", "mixes",
    "the time of another", "sums over time",
    "place in time", "steps taken", "product over time", "sum over time", "weights of steps",
)  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_needs_the_future_is_named(build: Any, name: str) -> None:
    model = build.model(refused(build)[name])
    with pytest.raises(StreamError, match="'culprit'"):
        model.stream()


def test_a_model_without_time_is_refused(build: Any) -> None:
    with pytest.raises(StreamError):
        build.model([build.input(2), build.dense("d", "x", 2, 1)]).stream()


@pytest.mark.parametrize("batch", [0, -1, 1.0, True])
def test_a_batch_that_is_none(build: Any, batch: Any) -> None:
    with pytest.raises(InputError):
        build.model(*graphs(build)["lstm"]).stream(batch)
