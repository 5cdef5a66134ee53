"""A bundle for every activation: numbers on both sides of every bend, and the values at the ends and of NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from keras import activations as k
from keras import ops
from lstmconv_runtime.format.activations import ACTIVATIONS
from lstmconv_runtime.format.graph import Activation, Array
from lstmconv_runtime.format.nodes import Activate

from .case import Case, numbers, several

Variant = tuple[dict[str, Any], Callable[[Any], Any]]


def relu(max_value: float | None, negative_slope: float, threshold: float) -> Variant:
    given = {"max_value": max_value, "negative_slope": negative_slope, "threshold": threshold}
    return given, lambda x: k.relu(x, **given)


def along(function: Callable[..., Any]) -> list[Variant]:
    return [({"axis": float(axis)}, partial(function, axis=axis)) for axis in (1, 2)]


# By name: constants, and what Keras computes with them.
VARIANTS: dict[str, list[Variant]] = {
    "linear": [({}, k.linear)],
    "relu": [
        relu(None, 0.0, 0.0), relu(1.5, 0.0, 0.0), relu(None, 0.25, 0.0), relu(1.5, 0.25, 0.5), relu(None, 0.0, 0.5),
        relu(1.5, 0.25, -0.5),
    ],
    "sigmoid": [({}, k.sigmoid)],
    "tanh": [({}, k.tanh)],
    "hard_sigmoid": [
        ({"slope": 1 / 6, "offset": 0.5}, k.hard_sigmoid),
        ({"slope": 0.2, "offset": 0.5}, lambda x: ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0)),
    ],
    "softmax": along(k.softmax),
    "log_softmax": along(k.log_softmax),
    "softplus": [({}, k.softplus)],
    "softsign": [({}, k.softsign)],
    "elu": [({"alpha": alpha}, partial(k.elu, alpha=alpha)) for alpha in (1.0, 0.3)],
    "selu": [({}, k.selu)],
    "celu": [({"alpha": alpha}, partial(k.celu, alpha=alpha)) for alpha in (1.0, 0.3)],
    "exponential": [({}, k.exponential)],
    "gelu": [({}, lambda x: k.gelu(x, approximate=False))],
    "gelu_tanh": [({}, lambda x: k.gelu(x, approximate=True))],
    "silu": [({}, k.silu)],
    "hard_silu": [({"slope": 1 / 6, "offset": 0.5}, k.hard_silu)],
    "mish": [({}, k.mish)],
    "glu": along(k.glu),
    "hard_shrink": [({"threshold": t}, partial(k.hard_shrink, threshold=t)) for t in (0.5, 1.25)],
    "soft_shrink": [({"threshold": t}, partial(k.soft_shrink, threshold=t)) for t in (0.5, 1.25)],
    "tanh_shrink": [({}, k.tanh_shrink)],
    "hard_tanh": [({}, k.hard_tanh)],
    "log_sigmoid": [({}, k.log_sigmoid)],
    "sparse_plus": [({}, k.sparse_plus)],
    "sparse_sigmoid": [({}, k.sparse_sigmoid)],
    "sparsemax": along(k.sparsemax),
    "squareplus": [({"b": b}, partial(k.squareplus, b=b)) for b in (4.0, 0.5)],
    "threshold": [
        ({"threshold": t, "default_value": d}, partial(k.threshold, threshold=t, default_value=d))
        for t, d in ((0.5, -2.0), (-1.0, 3.0))
    ],
}  # fmt: skip

BENDS = [-3, -2.5, -1.25, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 1.25, 1.5, 2, 2.5, 3, 6]
# The odd numbers after which the other places of an axis are not defined.
APART: dict[str, tuple[float, ...]] = dict.fromkeys(("softmax", "log_softmax", "sparsemax"), (np.inf, np.nan))


def probes(name: str) -> list[Array]:
    """Normal numbers and the bends; the odd numbers, each in a row of its own."""
    x = np.concatenate([numbers(2, 4, 6, seed=7, scale=2.0).reshape(-1), np.array(BENDS * 3, np.float32)])
    x = x.reshape(4, 4, 6)
    if name == "sparsemax":  # its sums of sums leave too little of what is not near 0 or 1
        x = x / 4
    odd = [o for o in (-np.inf, -100.0, 100.0, -30.0, 30.0, np.inf, np.nan) if o not in APART.get(name, ())]
    if name == "exponential":
        odd = [o for o in odd if abs(o) != 100]
    if name == "sparsemax":
        odd = [-np.inf]
    rows = numbers(len(odd), 4, 6, seed=8)
    rows[:, 0, 0] = odd
    if name == "glu":
        rows = np.concatenate([rows, rows[:, ::-1, ::-1]])
    return [x, rows]


def case_of(name: str) -> Case:
    nodes, oracles = [], []
    for place, (constants, oracle) in enumerate(VARIANTS[name]):
        activation = Activation(name, tuple((key, constants[key]) for key in ACTIVATIONS[name].constants))
        nodes.append(Activate(name=f"y{place}", x="x", activation=activation))
        oracles.append(oracle)
    shows = f"{name}, at its bends, at infinity and of NaN; each pair of constants is an output"
    return several(
        f"activation-{name.replace('_', '-')}", shows, nodes, lambda x: [oracle(x) for oracle in oracles], *probes(name)
    )


def cases() -> Iterator[Case]:
    yield from map(case_of, ACTIVATIONS)
