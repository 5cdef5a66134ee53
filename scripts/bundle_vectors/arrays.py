"""Bundles for the nodes that move, join, sum and cast numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import DTYPES, FLOATS, Activation

from .case import Case, Oracle, given, numbers, one, several

INF, NAN = np.inf, np.nan
X = numbers(2, 5, 3, seed=1)
ODD = X.copy()
ODD[0, 1, 1], ODD[1, 2, 0], ODD[1, 4, 2] = NAN, INF, -INF


def cases() -> Iterator[Case]:
    yield from reductions()
    yield from shapes()
    yield from places()
    yield from casts()
    yield from products()


def reductions() -> Iterator[Case]:
    for op in ("mean", "sum", "max", "min"):
        function = getattr(ops, op)
        yield several(
            f"reduce-{op}",
            f"{op} over one and two axes, with and without keepdims; NaN and infinity stay in their row",
            [
                n.Reduce(name="one", x="x", op=op, axes=(1,), keepdims=False),
                n.Reduce(name="last", x="x", op=op, axes=(2,), keepdims=True),
                n.Reduce(name="both", x="x", op=op, axes=(1, 2), keepdims=False),
            ],
            lambda x, f=function: [f(x, axis=1), f(x, axis=2, keepdims=True), f(x, axis=(1, 2))],
            X,
            ODD,
        )
    for op in ("any", "all"):
        truth = np.array([[[True, False], [False, False], [True, True]], [[False, False]] * 3, [[True, True]] * 3])
        function = getattr(ops, op)
        yield several(
            f"reduce-{op}", f"{op} of bool, which stays bool",
            [n.Reduce(name="one", x="x", op=op, axes=(1,), keepdims=False),
             n.Reduce(name="both", x="x", op=op, axes=(1, 2), keepdims=True)],
            lambda x, f=function: [f(x, axis=1), f(x, axis=(1, 2), keepdims=True)], truth,
        )  # fmt: skip
    whole = np.array([[100, 27, 3, -128], [-100, -29, 127, 127]], np.int8)
    yield several(
        "reduce-whole-numbers", "a sum of int8 adds up modulo 256 and stays int8",
        [n.Reduce(name=op, x="x", op=op, axes=(1,), keepdims=False) for op in ("sum", "max", "min")],
        lambda x: [tf.reduce_sum(x, 1), tf.reduce_max(x, 1), tf.reduce_min(x, 1)], whole,
    )  # fmt: skip
    yield several(
        "cum-sum", "each place included; NaN goes on to the end of its row",
        [n.CumSum(name="steps", x="x", axis=1), n.CumSum(name="last", x="x", axis=2)],
        lambda x: [ops.cumsum(x, axis=1), ops.cumsum(x, axis=2)], X, ODD[:1],
    )  # fmt: skip
    wraps = np.array([[2**31 - 1, 1, 5], [-(2**31), -1, 7]], np.int32)
    yield one(
        "cum-sum-whole-numbers", "running sums of int32 modulo 2^32", n.CumSum(name="y", x="x", axis=1),
        lambda x: tf.cumsum(x, axis=1), wraps,
    )  # fmt: skip
    ties = np.array([[[1, 3, 3, -2], [0, -2, 3, -2]], [[-0.0, 0, -1, 5], [7, 7, 7, 7]]], np.float32)
    yield several(
        "arg-reduce", "the first of equal numbers, −0 and 0 being equal; int32",
        [n.ArgReduce(name=f"{op}{axis}", x="x", op=op, axis=axis) for op in ("max", "min") for axis in (1, 2)],
        lambda x: [f(x, axis=axis) for f in (ops.argmax, ops.argmin) for axis in (1, 2)], ties,
    )  # fmt: skip
    odd = np.array([[1, NAN, 3, NAN], [NAN, -INF, INF, 1], [0, 1, 2, NAN], [INF, 5, INF, -INF]], np.float32)

    def first(function: Any, x: Any) -> Any:
        """In words of keras.ops, since TensorFlow passes over NaN, as NumPy, JAX and Torch do not."""
        nan = ops.isnan(x)
        return ops.where(ops.any(nan, axis=1), ops.argmax(ops.cast(nan, "int32"), axis=1), function(x, axis=1))

    yield several(
        "arg-reduce-odd", "the first NaN, where there is one, of the largest and of the smallest; infinities",
        [n.ArgReduce(name=op, x="x", op=op, axis=1) for op in ("max", "min")],
        lambda x: [first(ops.argmax, x), first(ops.argmin, x)], odd,
    )  # fmt: skip


def shapes() -> Iterator[Case]:
    yield several(
        "reshape", "row-major; 0 keeps an axis, −1 takes the rest",
        [n.Reshape(name="flat", x="x", shape=(0, -1)), n.Reshape(name="kept", x="x", shape=(0, 3, 5)),
         n.Reshape(name="more", x="x", shape=(0, 0, 1, -1))],
        lambda x: [ops.reshape(x, (-1, 15)), ops.reshape(x, (-1, 3, 5)), ops.reshape(x, (-1, 5, 1, 3))], X, X[:1],
    )  # fmt: skip
    yield Case(
        "reshape-open", "an open number of steps is kept by 0",
        [given(None, 6), n.Reshape(name="heads", x="x", shape=(0, 0, 2, -1))], ["heads"],
        [{"x": numbers(2, 3, 6)}, {"x": numbers(1, 7, 6)}],
        lambda v, _: [ops.reshape(v["x"], (v["x"].shape[0], v["x"].shape[1], 2, 3))],
    )  # fmt: skip
    yield one(
        "expand-dims", "the new axis may be the last of the result", n.ExpandDims(name="y", x="x", axis=3),
        lambda x: ops.expand_dims(x, 3), X,
    )  # fmt: skip
    yield one(
        "squeeze", "an axis of size 1 goes", n.Squeeze(name="y", x="x", axis=1), lambda x: ops.squeeze(x, 1),
        numbers(3, 1, 2),
    )  # fmt: skip
    yield one(
        "squeeze-open", "an open axis that turns out to have size 1", n.Squeeze(name="y", x="x", axis=1),
        lambda x: ops.squeeze(x, 1), numbers(3, 1, 2), sizes=(None, 2),
    )  # fmt: skip
    yield one(
        "transpose", "axes in another order, which is not its own inverse",
        n.Transpose(name="y", x="x", axes=(0, 2, 3, 1)), lambda x: ops.transpose(x, (0, 2, 3, 1)), numbers(2, 2, 3, 4),
    )  # fmt: skip
    yield one(
        "pad", "zeros before and after, not the same number", n.Pad(name="y", x="x", amounts=(0, 0, 1, 2, 0, 1)),
        lambda x: ops.pad(x, [(0, 0), (1, 2), (0, 1)]), X,
    )  # fmt: skip
    yield one(
        "concatenate", "more than two, one of them twice", n.Concatenate(name="y", args=("x", "x", "x"), axis=1),
        lambda x: ops.concatenate([x, x, x], axis=1), X,
    )  # fmt: skip
    fold = [
        given(None, 3), n.FoldTime(name="rows", x="x"),
        n.Dense(name="dense", x="rows", weights="dense", input_size=3, units=2, use_bias=True,
                activation=Activation("linear")),
        n.UnfoldTime(name="steps", x="dense", like="x"),
    ]  # fmt: skip
    yield Case(
        "fold-and-unfold-time", "each step becomes a row, row-major, and goes back", fold, ["rows", "steps"],
        [{"x": numbers(2, 4, 3)}, {"x": numbers(3, 1, 3)}],
        lambda v, a: [ops.reshape(v["x"], (-1, 3)), ops.add(ops.matmul(v["x"], a["dense/W"]), a["dense/b"])],
    )  # fmt: skip


def places() -> Iterator[Case]:
    long = numbers(2, 7, 2, seed=2)
    cuts = {
        "first": (0, 3, 1), "last": (-1, None, 1), "inner": (-5, -2, 1), "strided": (1, None, 2), "thirds": (0, 99, 3),
        "before": (-99, 2, 1), "none": (4, 2, 1), "beyond": (9, None, 1),
    }  # fmt: skip
    yield several(
        "slice",
        "as Python slices: negative ones count from the end, what is outside is cut off, nothing is left of none",
        [n.Slice(name=name, x="x", axis=1, start=a, stop=b, step=c) for name, (a, b, c) in cuts.items()],
        lambda x: [x[:, a:b:c] for a, b, c in cuts.values()],
        long,
    )
    nodes = [
        given(None, 2),
        *(n.Slice(name=name, x="x", axis=1, start=a, stop=b, step=c) for name, (a, b, c) in cuts.items()),
    ]
    yield Case(
        "slice-open", "the same on an open axis, which may be shorter than what is asked for", nodes, list(cuts),
        [{"x": numbers(2, 7, 2)}, {"x": numbers(1, 2, 2)}, {"x": numbers(1, 1, 2)}],
        lambda v, _: [v["x"][:, a:b:c] for a, b, c in cuts.values()],
    )  # fmt: skip
    yield several(
        "flip", "one axis in reverse order", [n.Flip(name="steps", x="x", axis=1), n.Flip(name="last", x="x", axis=2)],
        lambda x: [ops.flip(x, 1), ops.flip(x, 2)], X,
    )  # fmt: skip
    yield several(
        "repeat", "each place so often in a row, not the whole axis so often",
        [n.Repeat(name="steps", x="x", axis=1, count=2), n.Repeat(name="last", x="x", axis=2, count=3)],
        lambda x: [ops.repeat(x, 2, 1), ops.repeat(x, 3, 2)], X,
    )  # fmt: skip
    yield several(
        "take", "places in any order, twice, and counted from the end; none at all",
        [n.Take(name="some", x="x", axis=1, indices=(3, 0, -1, 3, -5)), n.Take(name="none", x="x", axis=2, indices=())],
        lambda x: [tf.gather(x, [3, 0, 4, 3, 0], axis=1), x[:, :, :0]], X,
    )  # fmt: skip
    condition = np.array([[[True, False, True]], [[False, False, True]]])
    yield Case(
        "where", "all three broadcast; the value that is not chosen may be NaN",
        [given(1, 3, name="condition", dtype="bool"), given(5, 3, name="a"), given(5, 1, name="b"),
         n.Where(name="y", condition="condition", a="a", b="b")],
        ["y"], [{"condition": condition, "a": ODD, "b": X[:, :, :1]}],
        lambda v, _: [ops.where(v["condition"], v["a"], v["b"])],
    )  # fmt: skip
    yield one(
        "causal-mask", "true where column ≤ row, from rows that are fewer than columns; its first axis is 1",
        n.CausalMask(name="y", x="x"),
        lambda x: ops.reshape(ops.arange(5)[None, :] <= ops.arange(3)[:, None], (1, 1, 3, 5)), numbers(2, 2, 3, 5),
    )  # fmt: skip
    halves = np.array([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.4999, 1e9, 8388609.0, INF, -INF, NAN]], np.float32)
    yield one(
        "round",
        "halves to the even number",
        n.Round(name="y", x="x"),
        ops.round,
        halves,
        np.clip(np.nan_to_num(halves), -3, 3),
    )


WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")


def casts() -> Iterator[Case]:
    numbers_ = np.array([[0, 1, -1, 2.5, -2.5, 0.75, -0.75, 100.9, -100.9, 65504, 1e-3, 3.14159265]], np.float32)
    floats = [n.Cast(name=f"to_{dtype}", x="x", dtype=dtype) for dtype in (*FLOATS, "bool")]
    odd = np.array([[70000, 1e38, INF, -INF, NAN, 1e-8, -0.0, 65520, 3.3e38, 257.0, 0.1, 1]], np.float32)
    yield several(
        "cast-floats", "rounded to even, infinite beyond the largest; of NaN and of all but 0 bool is true", floats,
        lambda x: [tf.cast(x, dtype) for dtype in (*FLOATS, "bool")], numbers_, odd,
    )  # fmt: skip
    signed = ("int8", "int16", "int32", "int64")
    yield several(
        "cast-floats-to-whole",
        "cut towards zero",
        [n.Cast(name=f"to_{dtype}", x="x", dtype=dtype) for dtype in signed],
        lambda x: [tf.cast(x, dtype) for dtype in signed],
        np.clip(numbers_, -120, 120),
    )
    yield several(
        "cast-floats-to-unsigned", "cut towards zero; a fraction below 0 gives 0",
        [n.Cast(name=f"to_{dtype}", x="x", dtype=dtype) for dtype in WHOLE if dtype.startswith("u")],
        lambda x: [tf.cast(x, dtype) for dtype in WHOLE if dtype.startswith("u")],
        np.array([[0, 0.75, 1.5, 2.9999, 254.9]], np.float32),
    )  # fmt: skip
    whole = np.array([[0, 1, -1, 127, 128, 255, 256, -129, 65535, 65536, 2**31 - 1, -(2**31), 16777217]], np.int32)
    yield several(
        "cast-whole", "whole numbers modulo 2^n, to floats rounded to even",
        [n.Cast(name=f"to_{dtype}", x="x", dtype=dtype) for dtype in DTYPES],
        lambda x: [tf.cast(x, dtype) for dtype in DTYPES], whole,
    )  # fmt: skip
    yield several(
        "cast-bool", "0 and 1 in every dtype", [n.Cast(name=f"to_{dtype}", x="x", dtype=dtype) for dtype in DTYPES],
        lambda x: [tf.cast(x, dtype) for dtype in DTYPES], np.array([[True, False]]),
    )  # fmt: skip


def products() -> Iterator[Case]:
    def pair(name: str, shows: str, a: Any, b: Any, transpose: bool) -> Case:
        node = n.MatMul(name="y", a="a", b="b", transpose_b=transpose)
        return Case(
            name,
            shows,
            [given(*a.shape[1:], name="a"), given(*b.shape[1:], name="b"), node],
            ["y"],
            [{"a": a, "b": b}],
            lambda v, _: [tf.matmul(v["a"], v["b"], transpose_b=transpose)],
        )

    yield pair("mat-mul", "a @ b of each example", numbers(2, 3, 4), numbers(2, 4, 5, seed=1), False)
    yield pair("mat-mul-transposed", "b's last two axes swapped", numbers(2, 3, 4), numbers(2, 4, 4, seed=1), True)
    yield pair("mat-mul-broadcast", "axes before the last two broadcast", numbers(2, 2, 3, 4),
               numbers(2, 1, 4, 2, seed=1), False)  # fmt: skip

    def einsum(equation: str) -> Oracle:
        return lambda v, _: [ops.einsum(equation, v["a"], v["b"])]

    for name, equation, shows in (
        ("einsum", "bij,bjk->bik", "the matrix product of each example"),
        ("einsum-outer", "bij,bkl->bljki", "nothing summed, and axes in another order"),
        ("einsum-summed", "bij,bjk->b", "letters of one argument alone are summed too"),
    ):
        a, b = numbers(2, 3, 4), numbers(2, 4, 5, seed=1)
        yield Case(
            name, shows, [given(3, 4, name="a"), given(4, 5, name="b"),
                          n.Einsum(name="y", args=("a", "b"), equation=equation)],
            ["y"], [{"a": a, "b": b}], einsum(equation),
        )  # fmt: skip
    yield Case(
        "einsum-of-three", "three arguments, and one alone", [
            given(3, 4, name="a"), given(4, name="b"), given(3, name="c"),
            n.Einsum(name="y", args=("a", "b", "c"), equation="bij,bj,bi->bj"),
            n.Einsum(name="z", args=("a",), equation="bij->bji"),
        ],
        ["y", "z"], [{"a": numbers(2, 3, 4), "b": numbers(2, 4, seed=1), "c": numbers(2, 3, seed=2)}],
        lambda v, _: [ops.einsum("bij,bj,bi->bj", v["a"], v["b"], v["c"]), ops.einsum("bij->bji", v["a"])],
    )  # fmt: skip
