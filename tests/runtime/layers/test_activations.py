"""Every activation against its formula, evaluated number by number with Python's math in float64."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lstmconv_runtime.format.activations import ACTIVATIONS
from lstmconv_runtime.format.graph import Activation
from lstmconv_runtime.layers.activations import FUNCTIONS, erf, function


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def clip(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


def elu(x: float, alpha: float) -> float:
    return x if x > 0 else alpha * math.expm1(x)


def relu(x: float, max_value: float | None, negative_slope: float, threshold: float) -> float:
    if x <= threshold:
        return negative_slope * (x - threshold)
    return x if max_value is None else min(x, max_value)


def exponential(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


# By name: the formula of one number, with its constants by keyword.
FORMULAS: dict[str, Callable[..., float]] = {
    "linear": lambda x: x,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": math.tanh,
    "hard_sigmoid": lambda x, slope, offset: clip(slope * x + offset, 0, 1),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "elu": elu,
    "selu": lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
    "celu": lambda x, alpha: max(x, 0) + min(0, alpha * math.expm1(min(x, 0) / alpha)),
    "exponential": exponential,
    "gelu": lambda x: 0.5 * x * (math.erfc(-x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x * sigmoid(x),
    "hard_silu": lambda x, slope, offset: x * clip(slope * x + offset, 0, 1),
    "mish": lambda x: x * math.tanh(softplus(x)),
    "hard_shrink": lambda x, threshold: x if abs(x) > threshold else 0.0,
    "soft_shrink": lambda x, threshold: math.copysign(max(abs(x) - threshold, 0.0), x),
    "tanh_shrink": lambda x: x - math.tanh(x),
    "hard_tanh": lambda x: clip(x, -1, 1),
    "log_sigmoid": lambda x: -softplus(-x),
    "sparse_plus": lambda x: 0.0 if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4,
    "sparse_sigmoid": lambda x: clip((x + 1) / 2, 0, 1),
    "squareplus": lambda x, b: (x + math.sqrt(x * x + b)) / 2,
    "threshold": lambda x, threshold, default_value: x if x > threshold else default_value,
}


def softmax(row: list[float]) -> list[float]:
    terms = [math.exp(x - max(row)) for x in row]
    return [term / math.fsum(terms) for term in terms]


def sparsemax(row: list[float]) -> list[float]:
    """As Keras has it: the running sums of all places in the support, added up."""
    falling = sorted(row, reverse=True)
    sums = [math.fsum(falling[: k + 1]) for k in range(len(row))]
    support = [k for k in range(len(row)) if falling[k] - (sums[k] - 1) / (k + 1) > 0]
    tau = (math.fsum(sums[k] for k in support) - 1) / len(support)
    return [max(x - tau, 0) for x in row]


# Of those along an axis: the formula of one row.
ROWS: dict[str, Callable[[list[float]], list[float]]] = {
    "softmax": softmax,
    "log_softmax": lambda row: [x - max(row) - math.log(math.fsum(math.exp(z - max(row)) for z in row)) for x in row],
    "sparsemax": sparsemax,
    "glu": lambda row: [a * sigmoid(b) for a, b in zip(row[: len(row) // 2], row[len(row) // 2 :], strict=True)],
}

CONSTANTS: dict[str, list[dict[str, float | None]]] = {
    "relu": [
        {"max_value": None, "negative_slope": 0.0, "threshold": 0.0},
        {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0},
        {"max_value": None, "negative_slope": 0.2, "threshold": 0.0},
        {"max_value": 3.0, "negative_slope": 0.1, "threshold": 0.5},
    ],
    "hard_sigmoid": [{"slope": 0.2, "offset": 0.5}, {"slope": 1 / 6, "offset": 0.5}],
    "hard_silu": [{"slope": 1 / 6, "offset": 0.5}],
    "elu": [{"alpha": 1.0}, {"alpha": 0.3}],
    "celu": [{"alpha": 1.0}, {"alpha": 0.3}],
    "hard_shrink": [{"threshold": 0.5}],
    "soft_shrink": [{"threshold": 0.5}],
    "squareplus": [{"b": 4.0}, {"b": 0.5}],
    "threshold": [{"threshold": 0.5, "default_value": -2.0}],
}
CASES = [(name, constants) for name in FORMULAS for constants in CONSTANTS.get(name, [{}])]

RANGE = np.concatenate([np.linspace(-12, 12, 481), [-1e4, -100, -1e-5, 0, 1e-5, 87, 100, 1e4]])


def call(name: str, constants: dict[str, float | None], x: Any) -> Any:
    return function(Activation(name, tuple(constants.items())))(x)


def test_every_activation_has_a_formula() -> None:
    assert set(FORMULAS) | set(ROWS) == set(FUNCTIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize(("dtype", "allowed"), [("float32", 5e-7), ("float64", 1e-14)])
@pytest.mark.parametrize(("name", "constants"), CASES, ids=str)
def test_formula(name: str, constants: dict[str, float | None], dtype: str, allowed: float) -> None:
    x = RANGE.astype(dtype)
    with warnings.catch_warnings(), np.errstate(over="ignore"):  # e^x may overflow
        warnings.simplefilter("error")
        made = call(name, constants, x)
    assert made.dtype == x.dtype
    with np.errstate(over="ignore"):
        expected = np.array([FORMULAS[name](float(one), **constants) for one in x]).astype(dtype)
    # The condition number of eˣ is |x|; squareplus below zero is the difference of two numbers near |x|.
    condition = np.maximum(np.abs(x), 1) if name in ("exponential", "squareplus") else 1
    with np.errstate(invalid="ignore"):
        error = np.abs(made - expected) / np.maximum(np.abs(expected), 1) / condition
    worst = np.nanmax(np.where(made == expected, 0, error))
    assert worst <= allowed, f"{worst:.2g} at {x[np.nanargmax(np.where(made == expected, 0, error))]}"


@pytest.mark.parametrize(("dtype", "allowed"), [("float32", 2e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("name", ROWS)
def test_formula_of_rows(name: str, dtype: str, allowed: float) -> None:
    x = (np.random.default_rng(0).standard_normal((20, 6)) * 5).astype(dtype)
    x[0], x[1], x[2] = 0, 3, np.arange(6) * 3
    if name != "sparsemax":  # which sums the inputs themselves: its error grows with them
        x[1], x[2] = 1000, np.arange(6) * 300
    expected = np.array([ROWS[name]([float(one) for one in row]) for row in x])
    for axis, given, wanted in ((-1.0, x, expected), (1.0, x, expected), (0.0, x.T, expected.T)):
        made = call(name, {"axis": axis}, given)
        assert made.dtype == x.dtype
        np.testing.assert_allclose(made, wanted, rtol=allowed, atol=allowed)


@pytest.mark.parametrize(("name", "constants"), CASES, ids=str)
def test_nan_stays_nan_in_its_place(name: str, constants: dict[str, float | None]) -> None:
    made = call(name, constants, np.array([1.0, np.nan, -1.0], np.float32))
    if name not in ("hard_shrink", "soft_shrink", "threshold", "sparse_plus", "relu", "elu", "selu"):
        assert np.isnan(made[1])
    assert np.isfinite(made[[0, 2]]).all()


def test_erf() -> None:
    x = np.linspace(-7, 7, 2001)
    np.testing.assert_allclose(erf(x), [math.erf(one) for one in x], rtol=0, atol=2e-15)
    assert erf(np.array([np.inf, -np.inf])).tolist() == [1, -1]
