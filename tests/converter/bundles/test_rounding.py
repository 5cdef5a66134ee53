"""What rounding is worth: how far a value goes when all that is rounded on the way moves by one ulp."""

from __future__ import annotations

import numpy as np
import pytest
from lstmconv.bundles.rounding import moved_programs, still_program
from lstmconv_runtime import programs
from lstmconv_runtime.format.graph import Array, Graph, Node
from lstmconv_runtime.format.nodes import Cast, Concatenate, Constant, Elementwise, GroupNorm, Input, LayerNorm

X = np.full((1, 1), 0.7, "float32")
ULP = 2.0**-23 * 0.5  # of 0.7


def movements(nodes: tuple[Node, ...], arrays: dict[str, Array]) -> dict[str, float]:
    """Largest movement by value."""
    head = Input(name="x", shape=(None, 1), dtype="float32")
    graph = Graph(("x",), (nodes[-1].name,), None, (head, *nodes), arrays)
    given = {"x": X.astype("float64")}
    still = programs.run(still_program(graph), given)
    moved = [programs.run(one, given) for one in moved_programs(graph, np.random.default_rng(0))]
    return {name: max(float(np.abs(one[name] * 1.0 - y).max()) for one in moved) for name, y in still.items()}


@pytest.mark.parametrize("kind", ["layer", "group"])
def test_a_mean_of_equal_numbers_is_rounded(kind: str) -> None:
    """(x − mean) is 0 in float64, an ulp of x in float32, which 1 / √(0 + ε) makes 30 times as large."""
    equal = Concatenate(name="equal", args=("x", "x", "x"), axis=1)
    node: Node = LayerNorm(
        name="y", x="equal", weights="n", axes=(1,), shape=(3,), epsilon=0.001, scale=False, center=False, rms=False
    )
    if kind == "group":
        node = GroupNorm(
            name="y", x="equal", weights="n", axis=1, size=3, groups=1, epsilon=0.001, scale=False, center=False
        )
    moves = movements((equal, node), {})
    assert moves["equal"] == 0
    assert 5 * ULP < moves["y"] < 60 * ULP


def test_what_a_mask_is_made_of_is_rounded_where_it_is_used() -> None:
    """A half before a mask is a half; the mask itself is what it is where nothing moves, also at equal numbers."""
    half = Cast(name="half", x="x", dtype="float16")
    square, again = (Elementwise(name=name, op="multiply", args=("half", "half")) for name in ("square", "again"))
    of_zero = Elementwise(name="of_zero", op="not_equal", args=("half", "c"))
    of_equal = Elementwise(name="of_equal", op="equal", args=("square", "again"))
    zero = Constant(name="c", shape=(), dtype="float16")
    moves = movements((zero, half, square, again, of_zero, of_equal), {"c/value": np.zeros((), "float16")})
    assert moves["half"] > 1e-4
    assert moves["square"] != moves["again"]
    assert moves["of_zero"] == moves["of_equal"] == 0
