"""What FORMAT.md says has no number: sizes and numbers that only the inputs have are an error, which names the node."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lstmconv_runtime import InputError
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import LINEAR, Node


def window(padding: str) -> n.Pool:
    return n.Pool(name="y", x="x", op="max", size=(3,), strides=(1,), padding=padding)


# By what it is: the open sizes and dtype of x, the node that reads it, and an x.
ONE: dict[str, tuple[tuple[int | None, ...], str, Node, Any]] = {
    "an id outside": (
        (None,), "int32", n.Embedding(name="y", x="x", weights="y", input_size=3, units=2, dtype="float32"), [[3]],
    ),
    "a negative id": (
        (None,), "int32", n.Embedding(name="y", x="x", weights="y", input_size=3, units=2, dtype="float32"), [[-1]],
    ),
    "an index beyond": ((None,), "float32", n.Take(name="y", x="x", axis=1, indices=(2,)), [[1, 2]]),
    "a cast that overflows": ((None,), "float32", n.Cast(name="y", x="x", dtype="uint8"), [[256]]),
    "a cast of NaN": ((None,), "float32", n.Cast(name="y", x="x", dtype="int32"), [[np.nan]]),
    "a negative power": ((None,), "int32", n.Elementwise(name="y", op="power", args=("x", "x")), [[2, -1]]),
    "the largest of nothing": ((None,), "float32", n.Reduce(name="y", x="x", op="max", axes=(1,), keepdims=True), [[]]),
    "the place of nothing": ((None,), "float32", n.ArgReduce(name="y", x="x", op="min", axis=1), [[]]),
    "a window too wide": ((None, 1), "float32", window("valid"), [[[1], [2]]]),
    "a window over nothing": ((None, 1), "float32", window("same"), np.zeros((1, 0, 1))),
    "a transposed window over nothing": (
        (None, 1), "float32",
        n.ConvTranspose(
            name="y", x="x", weights="y", channels=1, filters=1, kernel_size=(2,), strides=(2,), dilation=(1,),
            cropping=(0, 0), use_bias=False, activation=LINEAR,
        ), np.zeros((1, 0, 1)),
    ),
    "an axis that is not of size 1": ((None, 1), "float32", n.Squeeze(name="y", x="x", axis=1), [[[1], [2]]]),
    "a shape that does not divide": ((None,), "float32", n.Reshape(name="y", x="x", shape=(0, 2)), [[1, 2, 3]]),
}  # fmt: skip


@pytest.mark.parametrize("what", ONE)
def test_it_is_an_error(build: Any, what: str) -> None:
    sizes, dtype, node, x = ONE[what]
    model = build.model([build.input(*sizes, dtype=dtype), node])
    with pytest.raises(InputError, match=r"'y'|window|transposed"):
        model.predict(np.array(x, dtype))


def two(build: Any, node: Node, *shapes: tuple[int | None, ...]) -> Any:
    return build.model([*(build.input(*shape, name=name) for name, shape in zip("xyz", shapes, strict=False)), node])


def test_sizes_that_do_not_fit_each_other(build: Any) -> None:
    cases = [
        (n.Elementwise(name="w", op="add", args=("x", "y")), (2, 3), (2, 4)),
        (n.Concatenate(name="w", args=("x", "y"), axis=2), (2, 3, 1), (2, 4, 1)),
        (n.MatMul(name="w", a="x", b="y", transpose_b=False), (2, 3, 2), (2, 3, 2)),
        (n.Einsum(name="w", args=("x", "y"), equation="bi,bi->b"), (2, 3), (2, 4)),
        (n.UnfoldTime(name="w", x="x", like="y"), (2, 1), (2, 2)),
    ]
    for node, *shapes in cases:
        model = two(build, node, *((None,) * (len(shape) - 1) for shape in shapes))
        with pytest.raises(InputError, match="'w'"):
            model.predict([np.ones(shape, np.float32) for shape in shapes])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_recurrent_sizes(build: Any, kind: str) -> None:
    """No steps, and a state of as many rows as there are steps and rows together."""
    nodes = [
        build.input(None, 2), build.recurrent(kind, "v", "x", 2, 3),
        n.FoldTime(name="rows", x="v"), build.recurrent(kind, "w", "x", 2, 3, h0="rows"),
    ]  # fmt: skip
    model = build.model(nodes)
    for steps in (0, 4):
        with pytest.raises(InputError, match=f"'{'v' if steps == 0 else 'w'}'"):
            model.predict(np.ones((2, steps, 2), np.float32))


def test_inputs_of_different_numbers_of_rows(build: Any) -> None:
    model = two(build, n.Elementwise(name="w", op="add", args=("x", "y")), (2,), (2,))
    with pytest.raises(InputError, match="rows"):
        model.predict([np.ones((2, 2), np.float32), np.ones((1, 2), np.float32)])


def test_what_nothing_has_a_number_for(build: Any) -> None:
    """The sum of nothing is 0, its mean NaN."""
    for op, wanted in (("sum", 0.0), ("mean", np.nan)):
        node = n.Reduce(name="y", x="x", op=op, axes=(1,), keepdims=False)
        model = build.model([build.input(None), node])
        np.testing.assert_array_equal(model.predict(np.zeros((2, 0), np.float32)), [wanted, wanted])
