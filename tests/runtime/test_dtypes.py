"""Every operation gives the dtype that the graph infers, for every dtype it takes; the others are refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lstmconv_runtime import programs
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.activations import ACTIVATIONS
from lstmconv_runtime.format.elementwise import OPERATIONS
from lstmconv_runtime.format.fields import READS
from lstmconv_runtime.format.graph import DTYPES, FLOATS, INTS, LINEAR, Activation, DtypeError, Node, Type

NUMBERS = (*FLOATS, *INTS)
X = np.array([[[1, 2], [3, 1], [2, 2], [1, 0]], [[2, 1], [0, 1], [1, 3], [1, 1]]])  # (2, 4, 2)


def candidates() -> dict[str, tuple[Node, tuple[str, ...]]]:
    """By a name, a node that reads x (2, 4, 2) (as often as it reads anything), and the dtypes it declares to take."""
    made: dict[str, tuple[Node, tuple[str, ...]]] = {}
    for op, operation in OPERATIONS.items():
        made[op] = n.Elementwise(name="y", op=op, args=("x",) * operation.arity), operation.takes
    for op in ("mean", "sum", "max", "min", "any", "all"):
        takes = FLOATS if op == "mean" else ("bool",) if op in ("any", "all") else NUMBERS
        for keepdims in (False, True):
            made[f"reduce {op} {keepdims}"] = n.Reduce(name="y", x="x", op=op, axes=(1,), keepdims=keepdims), takes
    for name, declared in ACTIVATIONS.items():
        values = {"axis": -1.0, "max_value": 6.0}
        activation = Activation(name, tuple((key, values.get(key, 0.5)) for key in declared.constants))
        made[f"activation {name}"] = n.Activate(name="y", x="x", activation=activation), FLOATS
    for dtype in DTYPES:
        made[f"cast to {dtype}"] = n.Cast(name="y", x="x", dtype=dtype), DTYPES
    for op in ("max", "mean"):
        made[f"pool {op}"] = n.Pool(name="y", x="x", op=op, size=(2,), strides=(1,), padding="valid"), FLOATS
    of_any: list[Node] = [
        n.Concatenate(name="y", args=("x", "x"), axis=1),
        n.Reshape(name="y", x="x", shape=(0, 8)),
        n.ExpandDims(name="y", x="x", axis=1),
        n.Transpose(name="y", x="x", axes=(0, 2, 1)),
        n.Slice(name="y", x="x", axis=1, start=0, stop=2, step=1),
        n.Flip(name="y", x="x", axis=1),
        n.Pad(name="y", x="x", amounts=(0, 0, 1, 1, 0, 0)),
        n.Repeat(name="y", x="x", axis=1, count=2),
        n.FoldTime(name="y", x="x"),
        n.CausalMask(name="y", x="x"),
    ]
    of_floats: list[Node] = [
        n.MatMul(name="y", a="x", b="x", transpose_b=True),
        n.Dense(name="y", x="x", weights="y", input_size=2, units=3, use_bias=True, activation=LINEAR),
        n.PReLU(name="y", x="x", weights="y", shape=(1, 2)),
        n.BatchNorm(name="y", x="x", weights="y", axis=2, size=2, epsilon=1e-3, scale=True, center=True),
        n.LayerNorm(
            name="y", x="x", weights="y", axes=(2,), shape=(2,), epsilon=1e-3, scale=True, center=True, rms=False
        ),
        n.GroupNorm(name="y", x="x", weights="y", axis=2, size=2, groups=1, epsilon=1e-3, scale=True, center=True),
        n.Conv(
            name="y", x="x", weights="y", channels=2, filters=3, kernel_size=(2,), strides=(1,), padding="valid",
            dilation=(1,), groups=1, use_bias=True, activation=LINEAR,
        ),
        n.ConvTranspose(
            name="y", x="x", weights="y", channels=2, filters=3, kernel_size=(2,), strides=(2,), dilation=(1,),
            cropping=(1, 0), use_bias=True, activation=LINEAR,
        ),
    ]  # fmt: skip
    made |= {type(node).__name__: (node, DTYPES) for node in of_any}
    made |= {type(node).__name__: (node, FLOATS) for node in of_floats}
    made["Round"] = n.Round(name="y", x="x"), FLOATS
    made["Einsum"] = n.Einsum(name="y", args=("x", "x"), equation="btf,bsf->bts"), FLOATS
    made["CumSum"] = n.CumSum(name="y", x="x", axis=1), NUMBERS
    made["ArgReduce"] = n.ArgReduce(name="y", x="x", op="max", axis=1), NUMBERS
    made["Take"] = n.Take(name="y", x="x", axis=1, indices=(2, -1)), DTYPES
    made["Embedding"] = n.Embedding(name="y", x="x", weights="y", input_size=5, units=3, dtype="float16"), INTS
    return made


CANDIDATES = candidates()


@pytest.mark.parametrize("name", CANDIDATES)
def test_results_have_the_dtype_inferred(build: Any, name: str) -> None:
    node, takes = CANDIDATES[name]
    for dtype in DTYPES:
        if dtype not in takes:
            with pytest.raises(DtypeError, match=dtype):
                node.infer({"x": Type((None, 4, 2), dtype)})
            continue
        graph = build.graph([build.input(4, 2, dtype=dtype), node])
        arrays = {key: np.abs(array) + np.float32(0.1) for key, array in graph.arrays.items()}
        for precision in (None, "float64"):
            program = programs.prepare(graph, precision)
            program.graph.arrays.update(arrays)
            x = X.astype(program.dtype("x"))
            made = programs.run(program, {"x": x})["y"]
            assert made.dtype == program.dtype("y"), (dtype, precision)
            wanted = program.types["y"].shape
            assert len(wanted) == made.ndim
            assert all(size in (None, there) for size, there in zip(wanted, made.shape, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_and_recurrent_nodes(build: Any, dtype: str) -> None:
    nodes = [
        build.input(4, 2, dtype=dtype),
        n.Elementwise(name="c", op="equal", args=("x", "x")),
        n.Where(name="y", condition="c", a="x", b="x"),
    ]
    program = programs.prepare(build.graph(nodes))
    assert programs.run(program, {"x": X.astype(program.dtype("x"))})["y"].dtype == program.dtype("y")
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        nodes = [build.input(4, 2, dtype=dtype), build.recurrent(kind, "y", "x", 2, 3)]
        if dtype not in FLOATS:
            with pytest.raises(DtypeError, match=dtype):
                programs.prepare(build.graph(nodes))
            continue
        program = programs.prepare(build.graph(nodes))
        values = programs.run(program, {"x": X.astype(program.dtype("x"))})
        assert {values[name].dtype for name in nodes[1].makes()} == {program.dtype("y")}


def test_the_table_of_the_format_says_the_same() -> None:
    """What is tried above is what FORMAT.md and nodes.json say; of recurrent nodes and Where see their own test."""
    for node, takes in CANDIDATES.values():
        if not isinstance(node, n.Elementwise | n.Reduce):
            assert READS[type(node).__name__] == takes
    assert set(READS) == set(n.NODES) - {"Input", "Constant", "Elementwise", "Reduce"}


def test_the_table_has_every_node() -> None:
    tested = {type(node) for node, _ in CANDIDATES.values()} | {n.Where, n.LSTM, n.GRU, n.SimpleRNN}
    # Input and Constant have the dtype they say; the others are tested where their ranks are.
    assert set(n.NODES.values()) - tested == {n.Input, n.Constant, n.ConvLSTM, n.Squeeze, n.UnfoldTime}
