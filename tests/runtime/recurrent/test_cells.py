"""The fused loops agree with the cells written gate by gate, for every option of every recurrent node."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from lstmconv_runtime.format.activations import ACTIVATIONS
from lstmconv_runtime.format.graph import SIGMOID, TANH, Activation

# A constant each that is neither 0 nor a default, so that a forgotten one shows.
CONSTANTS = {
    "max_value": 1.5, "negative_slope": 0.1, "threshold": 0.2, "slope": 0.2, "offset": 0.5, "alpha": 0.7, "b": 3.0,
    "axis": -1.0, "default_value": -0.3,
}  # fmt: skip
FEW = 2  # from more steps the unbounded activations run away to infinity
OVER_AN_AXIS = [name for name, declared in ACTIVATIONS.items() if "axis" in declared.constants and name != "glu"]
BY_PLACE = [name for name, declared in ACTIVATIONS.items() if "axis" not in declared.constants]


def activation(name: str) -> Activation:
    return Activation(name, tuple((key, CONSTANTS[key]) for key in ACTIVATIONS[name].constants))


def check(build: Any, kind: str, *, masked: bool = False, steps: int = 6, **options: Any) -> None:
    """Fused in float32, fused in float64 and the traced cells against the traced cells in float64."""
    nodes = [build.input(None, 2), *(build.mask("x") if masked else [])]
    if masked:
        options["mask"] = "mask"
    nodes.append(build.recurrent(kind, "cell", "x", 2, 3, **options))
    x = np.random.default_rng(3).standard_normal((4, steps, 2)).astype(np.float32)
    if masked:
        x[0, :2] = x[1, 3] = x[2] = 0
    outputs = nodes[-1].makes()
    model, exact = build.model(nodes, outputs), build.model(nodes, outputs, dtype="float64")
    expected = exact.trace(x)["cell"].output
    np.testing.assert_allclose(exact.predict(x)[0], expected, rtol=1e-13, atol=1e-13)
    allowed = 2e-6 * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(model.predict(x)[0], expected, rtol=0, atol=allowed)
    np.testing.assert_allclose(model.trace(x)["cell"].output, expected, rtol=0, atol=allowed)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("options", list(product([False, True], repeat=4)), ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_every_option(build: Any, kind: str, masked: bool, options: tuple[bool, ...]) -> None:
    names = ("return_sequences", "go_backwards", "use_bias", "zero_output_for_mask")
    check(build, kind, masked=masked, **dict(zip(names, options, strict=True)))


@pytest.mark.parametrize("use_bias", [False, True])
def test_reset_before(build: Any, use_bias: bool) -> None:
    check(build, "GRU", reset_after=False, use_bias=use_bias)
    check(build, "GRU", reset_after=False, use_bias=use_bias, masked=True)


@pytest.mark.parametrize("name", [*BY_PLACE, *OVER_AN_AXIS])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_every_activation(build: Any, kind: str, name: str) -> None:
    check(build, kind, steps=1 if name == "exponential" else FEW, activation=activation(name))


@pytest.mark.parametrize("name", [*BY_PLACE, *OVER_AN_AXIS])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_every_recurrent_activation(build: Any, kind: str, name: str) -> None:
    check(build, kind, steps=FEW, recurrent_activation=activation(name), activation=TANH)


def test_a_masked_start_with_an_initial_state_puts_out_zero(build: Any) -> None:
    """The previous output is zero before the first valid step, though the state is not."""
    nodes = [
        build.input(None, 2),
        build.input(3, name="start"),
        *build.mask("x"),
        build.recurrent("GRU", "gru", "x", 2, 3, mask="mask", h0="start", recurrent_activation=SIGMOID),
    ]
    model = build.model(nodes, ["gru", "gru:h"])
    x, start = np.zeros((2, 4, 2), np.float32), np.ones((2, 3), np.float32)
    x[1, 2] = 1
    y, h = model.predict({"x": x, "start": start})
    assert not y[0].any()
    assert not y[1, :2].any()
    assert np.array_equal(y[1, 2], y[1, 3])
    assert np.array_equal(y[1, 3], h[1])
    assert np.array_equal(h[0], start[0])
