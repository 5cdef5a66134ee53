"""The nodes of version 1.1 for functions of arrays, over dtypes and edges."""

from __future__ import annotations

from itertools import product
from typing import Any

import lstmconv_runtime as lr
import numpy as np
import pytest
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.bundle import from_bytes, needed_version
from lstmconv_runtime.format.graph import DTYPES, FLOATS, GraphError, Type, infer_types

INTS = ("int8", "int32", "int64", "uint8")
NAN, INF = float("nan"), float("inf")


def run(build: Any, node: Any, x: Any) -> Any:
    model = build.model([build.input(*x.shape[1:], dtype=x.dtype.name), node])
    return model.predict(x)


def test_their_bundles_say_version_1_1(build: Any) -> None:
    nodes = (
        n.Round(name="y", x="x"),
        n.CumSum(name="y", x="x", axis=1),
        n.Take(name="y", x="x", axis=1, indices=(0,)),
        n.ArgReduce(name="y", x="x", op="max", axis=1),
        n.Einsum(name="y", args=("x",), equation="ab->ba"),
    )
    for node in nodes:
        graph = build.graph([build.input(3), node])
        assert needed_version(graph, infer_types(graph)) == (1, 1)
        assert from_bytes(build.bytes(graph)).graph.nodes[-1] == node


@pytest.mark.parametrize("dtype", [*INTS, "float32", "float64"])
@pytest.mark.parametrize("axis", [1, 2])
def test_sums_so_far(build: Any, dtype: str, axis: int) -> None:
    x = np.random.default_rng(0).integers(0, 90, (2, 3, 4)).astype(dtype)
    made = run(build, n.CumSum(name="y", x="x", axis=axis), x)
    assert made.dtype == dtype
    for index in range(x.shape[axis]):
        total = x.take(range(index + 1), axis).astype(object).sum(axis)
        if dtype in INTS:  # integers wrap around
            total = np.array(total.tolist(), np.int64).astype(dtype)
        np.testing.assert_array_equal(made.take(index, axis), total.astype(dtype))


def test_a_sum_so_far_stays_nan_from_the_first_on(build: Any) -> None:
    made = run(build, n.CumSum(name="y", x="x", axis=1), np.array([[1, NAN, 2], [INF, 1, -INF]], np.float32))
    np.testing.assert_array_equal(made, np.array([[1, NAN, NAN], [INF, INF, NAN]], np.float32))


@pytest.mark.parametrize("dtype", [*INTS, "float32", "float64"])
def test_the_first_of_equals(build: Any, dtype: str) -> None:
    x = np.array([[3, 5, 5, 3], [0, 0, 0, 0], [1, 0, 0, 2]], dtype)
    largest, smallest = ([1, 0, 3], [0, 0, 1])
    for op, expected in (("max", largest), ("min", smallest)):
        made = run(build, n.ArgReduce(name="y", x="x", op=op, axis=1), x)
        assert made.dtype == np.int32
        np.testing.assert_array_equal(made, expected)


def test_the_place_of_the_first_nan(build: Any) -> None:
    x = np.array([[1, NAN, 3, NAN], [-0.0, 0.0, -0.0, -1], [-INF, INF, INF, 0]], np.float32)
    np.testing.assert_array_equal(run(build, n.ArgReduce(name="y", x="x", op="max", axis=1), x), [1, 0, 1])
    np.testing.assert_array_equal(run(build, n.ArgReduce(name="y", x="x", op="min", axis=1), x), [1, 3, 0])


def test_the_place_in_nothing_is_an_error(build: Any) -> None:
    model = build.model([build.input(None, 2), n.ArgReduce(name="y", x="x", op="max", axis=1)])
    with pytest.raises(lr.Error, match=r"node 'y' \(ArgReduce\): the max of nothing"):
        model.predict(np.zeros((1, 0, 2), np.float32))


def test_places_taken_in_any_order(build: Any) -> None:
    x = np.arange(24).reshape(2, 3, 4).astype(np.int64)
    made = run(build, n.Take(name="y", x="x", axis=2, indices=(3, -4, 3, 1)), x)
    np.testing.assert_array_equal(made, [[[r[3], r[0], r[3], r[1]] for r in rows] for rows in x])
    assert run(build, n.Take(name="y", x="x", axis=1, indices=()), x).shape == (2, 0, 4)


def test_a_place_that_is_not_there_is_an_error(build: Any) -> None:
    for index in (3, -4):
        with pytest.raises(GraphError, match=f"no place {index} on an axis of 3"):
            n.Take(name="y", x="x", axis=1, indices=(index,)).infer({"x": Type((None, 3), "float32")})
    model = build.model([build.input(None, 2), n.Take(name="y", x="x", axis=1, indices=(4,))])
    assert model.predict(np.zeros((1, 5, 2), np.float32)).shape == (1, 1, 2)
    with pytest.raises(lr.Error, match=r"node 'y' \(Take\)"):
        model.predict(np.zeros((1, 4, 2), np.float32))


def summed(equation: str, *arrays: Any) -> Any:
    """The definition: one term for each place of all letters."""
    given, made = equation.split("->")
    terms = given.split(",")
    sizes = {
        letter: size for term, a in zip(terms, arrays, strict=True) for letter, size in zip(term, a.shape, strict=True)
    }
    result = np.zeros([sizes[letter] for letter in made])
    for place in product(*(range(size) for size in sizes.values())):
        at = dict(zip(sizes, place, strict=True))
        factors = [a[tuple(at[letter] for letter in term)] for term, a in zip(terms, arrays, strict=True)]
        result[tuple(at[letter] for letter in made)] += np.prod(factors)
    return result


EQUATIONS = (
    "bij,bjk->bik", "bij,bkj->bik", "bij,bkj->bki", "bij,bij->b", "bij,bij->bij", "bij,bkl->bikjl", "bij->bj",
    "bij->bji", "bijk,bkjl->bil", "bhij,bhkj->bhik", "bijk,bljk,bij->bil", "bi,bj,bk->bkij", "biX,bX->bi",
    "bij,bjk->bk",
)  # fmt: skip


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum_is_its_definition(build: Any, equation: str) -> None:
    random = np.random.default_rng(0)
    sizes = {letter: 2 + index for index, letter in enumerate("bijklhX")}
    terms = equation.partition("->")[0].split(",")
    inputs = {f"x{index}": random.standard_normal([sizes[c] for c in term]) for index, term in enumerate(terms)}
    nodes = [build.input(*x.shape[1:], name=name, dtype="float64") for name, x in inputs.items()]
    made = build.model([*nodes, n.Einsum(name="y", args=tuple(inputs), equation=equation)]).predict(inputs)
    np.testing.assert_allclose(made, summed(equation, *inputs.values()), rtol=0, atol=1e-13)


def test_einsum_does_not_stretch_axes(build: Any) -> None:
    node = n.Einsum(name="y", args=("x", "z"), equation="bi,bi->b")
    model = build.model([build.input(None), build.input(None, name="z"), node])
    with pytest.raises(lr.Error, match=r"node 'y' \(Einsum\): axis i has the sizes 3 and 1"):
        model.predict({"x": np.ones((2, 3), np.float32), "z": np.ones((2, 1), np.float32)})


@pytest.mark.parametrize(
    "equation", ["bi,bj", "bi->bk", "bi,bi->bb", "bii,bj->bj", "bi,b.->b", "bi,bj->b,", "bi->b", "bi,bé->b", "", "->"]
)
def test_an_equation_that_is_none(equation: str) -> None:
    types = {"x": Type((None, 3), "float32")}
    with pytest.raises(GraphError):
        n.Einsum(name="y", args=("x", "x"), equation=equation).infer(types)


def test_the_dtypes_they_take() -> None:
    for dtype in DTYPES:
        types = {"x": Type((None, 3), dtype)}
        taken = {
            n.Round(name="y", x="x"): dtype in FLOATS,
            n.CumSum(name="y", x="x", axis=1): dtype != "bool",
            n.ArgReduce(name="y", x="x", op="min", axis=1): dtype != "bool",
            n.Take(name="y", x="x", axis=1, indices=(0,)): True,
            n.Einsum(name="y", args=("x",), equation="ab->ba"): dtype in FLOATS,
        }
        for node, takes in taken.items():
            if takes:
                node.infer(types)
            else:
                with pytest.raises(GraphError):
                    node.infer(types)


def test_axes_must_be_there() -> None:
    types = {"x": Type((None, 3), "float32")}
    for axis in (0, 2, -1):
        for node in (n.CumSum(name="y", x="x", axis=axis), n.ArgReduce(name="y", x="x", op="max", axis=axis),
                     n.Take(name="y", x="x", axis=axis, indices=(0,))):  # fmt: skip
            with pytest.raises(GraphError, match=f"no axis {axis}"):
                node.infer(types)
