"""Bundles for the edges of the format: names, keys, storage, precision, versions, probes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import LINEAR, TANH, Activation, Array
from make_invalid_bundles import File

from .case import Case, given, numbers, one, renamed
from .recurrent import MASK, SOFTMAX, X, fields, run

LSTM = n.LSTM(**fields("LSTM"))


def dense(name: str, x: str, size: int, units: int, **options: Any) -> n.Dense:
    usual = {"weights": name, "use_bias": True, "activation": LINEAR, **options}
    return n.Dense(name=name, x=x, input_size=size, units=units, **usual)


def of_dense(x: Any, arrays: Mapping[str, Array], ns: str, use_bias: bool = True) -> Any:
    y = tf.matmul(x, tf.cast(arrays[f"{ns}/W"], x.dtype))
    return y + tf.cast(arrays[f"{ns}/b"], x.dtype) if use_bias else y


def cases() -> Iterator[Case]:
    yield from names()
    yield from storage()
    yield from precision()
    yield from rows()
    yield from versions()
    yield from probes()


def names() -> Iterator[Case]:
    odd = ["～", "😀", "größe", 'a "b"\\c', "入力 1", "\u00e9", "e\u0301", " ", "a.b$c"]
    nodes = [given(3, name="größe-x"), *(dense(name, "größe-x", 3, 2) for name in odd)]
    yield Case(
        "names", "any character but / : and controls; sorted by code point, in which U+FF5E comes before U+1F600",
        nodes, odd, [{"größe-x": numbers(2, 3)}], lambda v, a: [of_dense(v["größe-x"], a, name) for name in odd],
    )  # fmt: skip
    yield Case(
        "output-keys", "outputs by key; an input and one value twice among them",
        [given(3), dense("first", "x", 3, 2), dense("second", "first", 2, 2)],
        ["second", "first", "x", "first"], [{"x": numbers(2, 3)}],
        lambda v, a: [of_dense(of_dense(v["x"], a, "first"), a, "second"), of_dense(v["x"], a, "first"), v["x"],
                      of_dense(v["x"], a, "first")],
        output_keys=("b", "a", "größe", ""),
    )  # fmt: skip
    yield Case(
        "output-key-with-delete", "U+007F is escaped in canonical JSON", [given(3), dense("y", "x", 3, 2)], ["y"],
        [{"x": numbers(2, 3)}], lambda v, a: [of_dense(v["x"], a, "y")], output_keys=("a\x7f\b\n",),
    )  # fmt: skip
    yield Case(
        "inputs-in-order",
        "inputs and outputs in the order of the graph, which is not that of names or nodes",
        [
            given(2, name="b"),
            given(3, name="a"),
            dense("y", "a", 3, 2),
            n.Elementwise(name="d", op="subtract", args=("b", "y")),
        ],
        ["d", "y"],
        [{"a": numbers(2, 3), "b": numbers(2, 2)}],
        lambda v, a: [v["b"] - of_dense(v["a"], a, "y"), of_dense(v["a"], a, "y")],
    )
    yield Case(
        "shared-weights", "one namespace for several nodes, with and without bias, and no node of its name",
        [given(3), dense("first", "x", 3, 3, weights="both"), dense("second", "first", 3, 3, weights="both"),
         dense("bare", "x", 3, 3, weights="both", use_bias=False)],
        ["second", "bare"], [{"x": numbers(2, 3)}],
        lambda v, a: [of_dense(of_dense(v["x"], a, "both"), a, "both"), of_dense(v["x"], a, "both", use_bias=False)],
    )  # fmt: skip
    forth = LSTM.replace(name="forth", weights="cell", return_sequences=True)
    back = LSTM.replace(name="back", weights="cell", x="forth", input_size=2, go_backwards=True)
    shared = [given(None, 3), forth.replace(input_size=3), back.replace(input_size=3)]
    yield Case(
        "shared-cell", "two LSTMs with one namespace", shared, ["back"], [{"x": numbers(2, 5, 3)}],
        lambda v, a: [run(shared[2], "LSTM", {"forth": run(shared[1], "LSTM", v, a)[0]}, a)[0]],
    )  # fmt: skip


def storage() -> Iterator[Case]:
    def lstm(v: Mapping[str, Any], a: Mapping[str, Array]) -> list[Any]:
        return run(LSTM, "LSTM", v, {name: array.astype("float32") for name, array in a.items()})[:1]

    stored = Case("stored-as-f16", "F16 weights of a float32 graph: computed with in float32", [given(None, 2), LSTM],
                  ["lstm"], [{"x": X}], lstm, store="float16")  # fmt: skip
    yield stored
    yield renamed(stored, "stored-as-f64", "F64 weights of a float32 graph: rounded to float32 first", store="float64")
    # 2⁻²⁴ is the smallest that F16 holds, 2⁻¹⁴ the smallest with all its digits.
    tiny = np.array([[1, -1023], [5, 1024], [-700, 341]], np.float16) * np.float16(2**-24)
    yield Case(
        "stored-as-f16-subnormal", "F16 weights below 2⁻¹⁴, which have fewer digits", [given(3), dense("y", "x", 3, 2)],
        ["y"], [{"x": np.eye(3, dtype=np.float32)}, {"x": numbers(2, 3)}],
        lambda v, a: [of_dense(v["x"], a, "y")], {"y/W": tiny, "y/b": np.zeros(2, np.float16)},
    )  # fmt: skip
    mixed = {"lstm/W_i": numbers(2, 3).astype("float16"), "lstm/b_c": numbers(3).astype("float64")}
    yield renamed(
        stored, "stored-as-several", "a dtype for each tensor, in the order of dtypes", store="float32", arrays=mixed
    )


def precision() -> Iterator[Case]:
    for dtype in ("float16", "bfloat16", "float64"):
        nodes = [given(None, 2, dtype=dtype), LSTM.replace(return_sequences=True), dense("y", "lstm", 3, 2)]

        def oracle(
            v: Mapping[str, Any], a: Mapping[str, Array], nodes: list[Any] = nodes, dtype: str = dtype
        ) -> list[Any]:
            keras.config.set_dtype_policy(dtype)
            try:
                y = run(nodes[1], "LSTM", v, a)[0]
                return [of_dense(y, a, "y")]
            finally:
                keras.config.set_dtype_policy("float32")

        yield Case(f"in-{dtype}", f"computed in {dtype}", nodes, ["y"], [{"x": X}], oracle)
    x = np.array([[1.0, 1 + 2**-11, 1 + 3 * 2**-11, 65504.0, 1e-7, 0.1, 1 + 2**-8, 1 + 2**-9 + 2**-20]], np.float32)
    for dtype in ("float16", "bfloat16"):
        nodes = [
            given(8),
            n.Cast(name="half", x="x", dtype=dtype),
            n.Elementwise(name="twice", op="add", args=("half", "half")),
            n.Elementwise(name="more", op="add", args=("twice", "half")),
            n.Cast(name="y", x="more", dtype="float32"),
        ]

        def rounded(v: Mapping[str, Any], _: Mapping[str, Array], dtype: str = dtype) -> list[Any]:
            half = tf.cast(v["x"], dtype)
            return [tf.cast(half + half + half, "float32")]

        allowed = ((1e-12, 1e-12),)
        yield Case(
            f"rounded-in-{dtype}", "each node's result is rounded, ties to even: exactly these numbers", nodes, ["y"],
            [{"x": x}], rounded, allowed=allowed,
        )  # fmt: skip


def rows() -> Iterator[Case]:
    nodes = [
        given(None, 2),
        LSTM.replace(return_sequences=True),
        n.Reduce(name="mean", x="lstm", op="mean", axes=(1,), keepdims=False),
    ]
    yield Case(
        "open-sizes", "any number of rows and of steps, one of each too", nodes, ["mean"],
        [{"x": numbers(3, 5, 2)}, {"x": numbers(1, 1, 2)}, {"x": numbers(1, 9, 2)}, {"x": numbers(4, 2, 2)}],
        lambda v, a: [ops.mean(run(nodes[1], "LSTM", v, a)[0], axis=1)],
    )  # fmt: skip
    fixed = n.Input(name="x", shape=(2, 4, 3), dtype="float32")
    yield Case(
        "fixed-batch", "a batch of a known size", [fixed, dense("y", "x", 3, 2)], ["y"], [{"x": numbers(2, 4, 3)}],
        lambda v, a: [of_dense(v["x"], a, "y")],
    )  # fmt: skip
    state = numbers(1, 3, seed=9)
    one_row = [given(None, 2), n.Constant(name="h0", shape=(1, 3), dtype="float32"), LSTM.replace(h0="h0")]
    yield Case(
        "state-of-one-row",
        "an initial state of one row stands for all rows, since 1.1",
        one_row,
        list(one_row[2].makes()),
        [{"x": X}],
        lambda v, a: run(one_row[2], "LSTM", {"x": v["x"], "h0": tf.repeat(a["h0/value"], 3, 0)}, a),
        {"h0/value": state},
    )
    one_mask = [
        given(6, 2),
        n.Constant(name="mask", shape=(1, 6), dtype="bool"),
        LSTM.replace(mask="mask", return_sequences=True),
    ]
    yield Case(
        "mask-of-one-row",
        "a mask of one row stands for all rows",
        one_mask,
        ["lstm"],
        [{"x": X}],
        lambda v, a: run(one_mask[2], "LSTM", {"x": v["x"], "mask": tf.repeat(a["mask/value"], 3, 0)}, a)[:1],
        {"mask/value": MASK[2:]},
    )
    computed = [
        given(None, 2), n.Constant(name="zero", shape=(), dtype="float32"),
        n.Elementwise(name="differs", op="not_equal", args=("x", "zero")),
        n.Reduce(name="mask", x="differs", op="any", axes=(2,), keepdims=False),
        LSTM.replace(mask="mask", return_sequences=True), dense("y", "lstm", 3, 2),
    ]  # fmt: skip
    gaps = X * MASK[:, :, None]

    def masking(v: Mapping[str, Any], a: Mapping[str, Array]) -> list[Any]:
        mask = keras.layers.Masking().compute_mask(v["x"])
        return [of_dense(run(computed[4], "LSTM", {"x": v["x"], "mask": mask}, a)[0], a, "y")]

    yield Case(
        "mask-made-in-the-graph",
        "as Keras's Masking makes it: steps that are all 0",
        computed,
        ["y"],
        [{"x": gaps}],
        masking,
        {"zero/value": np.zeros((), np.float32)},
    )
    odd = numbers(4, 3)
    odd[1, 0], odd[3, 2] = np.nan, np.inf
    yield one("odd-rows", "NaN and infinity in some rows, the others as ever", dense("y", "x", 3, 2, activation=TANH),
              lambda x, W, b: ops.tanh(ops.add(ops.matmul(x, W), b)), odd)  # fmt: skip
    unread = [given(3), dense("unread", "x", 3, 5), dense("y", "x", 3, 2)]
    yield Case("unread-node", "a node that nothing reads", unread, ["y"], [{"x": numbers(2, 3)}],
               lambda v, a: [of_dense(v["x"], a, "y")])  # fmt: skip


def respelled(version: str, **changes: dict[str, Any]) -> Callable[[bytes], bytes]:
    """The file with fields of nodes written in another way, in a version of the format."""

    def rewrite(data: bytes) -> bytes:
        file = File(data)
        file.metadata["format"] = version
        for name, changed in changes.items():
            file.nodes[name].update(changed)
        return file.pack()

    return rewrite


def versions() -> Iterator[Case]:
    normal = n.BatchNorm(name="normal", x="x", weights="normal", axis=2, size=2, epsilon=1.0, scale=False, center=False)
    nodes = [
        given(None, 2), normal, LSTM.replace(x="normal", recurrent_activation=SOFTMAX, return_sequences=True),
        n.Activate(name="y", x="lstm", activation=Activation("softmax", (("axis", 1.0),))),
        n.Activate(name="z", x="lstm", activation=Activation("elu", (("alpha", 1.0),))),
    ]  # fmt: skip

    def oracle(v: Mapping[str, Any], a: Mapping[str, Array]) -> list[Any]:
        x = (v["x"] - a["normal/mean"]) / tf.sqrt(a["normal/variance"] + np.float32(1))
        y = run(nodes[2], "LSTM", {"normal": x}, a)[0]
        return [keras.activations.softmax(y, axis=1), keras.activations.elu(y)]

    new = Case("spelling", "one spelling of an axis and of a number, in 1.0 too", nodes, ["y", "z"], [{"x": X}], oracle)
    yield new
    yield renamed(
        new,
        "spelling-of-1.0",
        "the other spellings of 1.0: axes with a fraction and negative, whole numbers, no weights",
        rewrite=respelled(
            "1.0",
            normal={"epsilon": 1, "weights": ""},
            y={"activation": {"name": "softmax", "axis": -2.0}},
            lstm={"recurrent_activation": {"name": "softmax", "axis": -1}, "weights": ""},
            z={"activation": {"name": "elu", "alpha": 1}},
        ),
    )
    yield renamed(new, "spelling-of-1.1", "version 1.1 with nothing that needs it", rewrite=respelled("1.1"))
    yield renamed(
        new, "newer-minor-version", "a newer minor version in which everything is known", rewrite=respelled("1.999999")
    )
    yield Case(
        "rounding",
        "what a probe allows, which takes the place of the rule",
        [given(3), dense("y", "x", 3, 2)],
        ["y", "x"],
        [{"x": numbers(2, 3)}],
        lambda v, a: [of_dense(v["x"], a, "y"), v["x"]],
        allowed=((1e-5, 1e-6), None),
    )


def probes() -> Iterator[Case]:
    x = numbers(2, 3)
    nodes = [given(3), dense("y", "x", 3, 2)]

    def oracle(v: Mapping[str, Any], a: Mapping[str, Array]) -> list[Any]:
        return [of_dense(v["x"], a, "y")]

    yield Case("no-probes", "no probes: legal, and nothing is proved", nodes, ["y"], [], oracle)
    yield Case("probes-of-other-dtypes", "inputs of any floating point dtype, rounded to float32", nodes, ["y"],
               [{"x": x.astype("float16")}, {"x": x.astype("float64") / 3}], oracle)  # fmt: skip
    many = [{"x": numbers(1, 3, seed=seed)} for seed in range(11)]
    yield Case(
        "eleven-probes", "probe 10 comes after probe 1 in the file, and is number 10", nodes, ["y"], many, oracle
    )
