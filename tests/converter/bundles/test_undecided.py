"""What rounding decides is no probe: gates near 1, the smallest halves, edges of floor, cancelled numbers compared."""

from __future__ import annotations

import numpy as np
import pytest
from lstmconv.bundles.probe_inputs import Judged, judge
from lstmconv_runtime.format.graph import SIGMOID, TANH, Activation, Array, Graph, Node
from lstmconv_runtime.format.nodes import GRU, LSTM, Activate, Cast, Concatenate, Constant, Elementwise, Input


def judged(nodes: list[Node], x: float, arrays: dict[str, Array] | None = None, dtype: str = "float32") -> Judged:
    """Nodes that make "y" of "x", (batch, time, 1), judged at one number."""
    head = Input(name="x", shape=(None, None, 1), dtype=dtype)
    graph = Graph(("x",), ("y",), None, (head, *nodes), arrays or {})
    return judge(graph, [{"x": np.full((1, 1, 1), x, dtype)}])[0]


def with_constant(value: float, *nodes: Node) -> tuple[list[Node], dict[str, Array]]:
    constant = Constant(name="c", shape=(), dtype="float32")
    return [constant, *nodes], {"c/value": np.array(value, "float32")}


def gru(update_bias: float) -> tuple[list[Node], dict[str, Array]]:
    node = GRU(
        name="y", x="x", mask=None, h0=None, weights="gru", input_size=1, units=1, use_bias=True, activation=TANH,
        recurrent_activation=SIGMOID, return_sequences=False, go_backwards=False, zero_output_for_mask=False,
        stateful=False, reset_after=False,
    )  # fmt: skip
    arrays: dict[str, Array] = {f"gru/{name}": np.ones(shape, "float32") for name, shape in node.parameters().items()}
    arrays["gru/b_z"] = np.full(1, update_bias, "float32")
    return [node], arrays


@pytest.mark.parametrize(("update_bias", "undecided"), [(0.0, 0), (4.0, 0), (14.0, 1)])
def test_a_gate_near_1_leaves_a_difference_from_1_that_is_rounding(update_bias: float, undecided: int) -> None:
    """h = (1 − z) h̃ from h = 0: of z = σ(15) float32 leaves one digit of 1 − z = 3e-7."""
    nodes, arrays = gru(update_bias)
    assert judged(nodes, 1.0, arrays).undecided == undecided


@pytest.mark.parametrize(("x", "undecided"), [(1.0, 0), (1e-3, 0), (2e-7, 1)])
def test_the_smallest_halves_have_no_digits(x: float, undecided: int) -> None:
    tanh = Activate(name="y", x="x", activation=TANH)
    assert judged([tanh], x, dtype="float16").undecided == undecided


@pytest.mark.parametrize(("x", "undecided"), [(1.0, 0), (1e-30, 0), (1e-36, 1), (1e-40, 1)])
def test_below_the_smallest_normal_number_machines_differ(x: float, undecided: int) -> None:
    """A rule of 1e-5 needs five digits above 2^-126."""
    assert judged([Activate(name="y", x="x", activation=TANH)], x).undecided == undecided


@pytest.mark.parametrize(("x", "undecided"), [(2.0, 0), (60.0, 1)])
def test_what_overflows_inside_a_cell_is_infinite_in_float32_alone(x: float, undecided: int) -> None:
    """c is x, then 2x; o exp(c) with o = 0 is 0 in float64, and NaN where exp(c) is infinite, from c = 89 on."""
    relu = Activation("relu", (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0)))
    node = LSTM(
        name="lstm", x="twice", mask=None, h0=None, c0=None, weights="lstm", input_size=1, units=1, use_bias=True,
        activation=Activation("exponential", ()), recurrent_activation=relu, return_sequences=False,
        go_backwards=False, zero_output_for_mask=False, stateful=False,
    )  # fmt: skip
    twice = Concatenate(name="twice", args=("x", "x"), axis=1)
    arrays: dict[str, Array] = {f"lstm/{name}": np.zeros(shape, "float32") for name, shape in node.parameters().items()}
    arrays["lstm/W_i"] += 1.0  # times exp(0), and f = 1 keeps c
    arrays["lstm/b_f"] += 1.0
    shown = Elementwise(name="y", op="add", args=("lstm", "lstm:h"))
    assert judged([twice, node, shown], x, arrays).undecided == undecided


@pytest.mark.parametrize(("x", "undecided"), [(0.75, 0), (1.0, 1), (np.nextafter(np.float32(1), np.float32(0)), 1)])
def test_a_floor_at_its_edge_is_undecided(x: float, undecided: int) -> None:
    nodes, arrays = with_constant(
        3.0, Elementwise(name="m", op="multiply", args=("x", "c")), Elementwise(name="y", op="floor", args=("m",))
    )
    assert judged(nodes, x, arrays).undecided == undecided


@pytest.mark.parametrize(
    ("name", "x", "undecided"),
    [
        ("gelu", 1.0, 0),
        ("gelu", -7.8, 1),  # 2e-14 in float64; 1 + erf is 0 in float32
        ("gelu", 0.0, 0),  # exactly 0 in every precision
        ("relu", -3.0, 0),
        ("tanh", 1e-6, 0),
        ("sigmoid", -80.0, 0),  # 2e-35
        ("sigmoid", -120.0, 1),  # 8e-53, which float32 does not have
    ],
)
@pytest.mark.parametrize("op", ["equal", "not_equal"])
def test_what_an_activation_cancels_is_all_but_equal_to_0(name: str, x: float, undecided: int, op: str) -> None:
    constants = {"relu": {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}}.get(name, {})
    nodes, arrays = with_constant(
        0.0,
        Activate(name="a", x="x", activation=Activation(name, tuple(sorted(constants.items())))),
        Elementwise(name="e", op=op, args=("a", "c")),
        Cast(name="y", x="e", dtype="float32"),
    )
    assert judged(nodes, x, arrays).undecided == undecided
