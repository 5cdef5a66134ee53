"""The tuned time steps of LSTM, GRU and SimpleRNN. `cells` has the equations in readable form.

What makes them fast, each measured beside the plain form:

- The state is feature-major, (u, B), so that every gate is a contiguous block of rows and the recurrent product has the
  weights on the left: one matrix product, `U.dot(h, z)`, with no transposition inside. One row (B = 1) is kept as (u,),
  which makes that product a matrix-vector product.
- σ(x) = 1 / (1 + e^−x): the sign is folded into the weights when they are laid out (exact). ½ tanh(x/2) + ½ would be a
  tenth faster, one tanh for all gates, but keeps no digits of a gate that is nearly closed, and a layer that normalises
  afterwards shows it (6e-5 of the scale, seen).
- Every ufunc writes into an array that exists already, passed by position: nothing is allocated per step.
- Constants are 0-d arrays; NumPy takes twice as long to convert a Python number as to use it.
- x·W + b of all steps is computed before the loop, `recurrence` says in what portions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from .activations import function
from .graph import Activation, Array
from .nodes import GRU, LSTM, SimpleRNN

States: TypeAlias = tuple[Array, ...]
# step(x_t, states, new): x_t is x·W + b of one step (g·u, B); writes the new states into `new`, whose arrays may be
# those of `states`. With `states` None it is the first step, from zeros, which needs no recurrent product.
Step: TypeAlias = Callable[[Array, "States | None", States], None]
InPlace: TypeAlias = Callable[[Array, Array], object]

add, subtract, multiply, divide = np.add, np.subtract, np.multiply, np.divide
exp, tanh, copyto, minimum = np.exp, np.tanh, np.copyto, np.minimum


def is_tunable(activation: Activation) -> bool:
    """False for activations that mix features, which the feature-major state has on another axis."""
    return "axis" not in dict(activation.constants)


def into(activation: Activation, dtype: np.dtype[np.generic]) -> InPlace:
    """act as a function (x, out), which may be the same array."""
    constants = dict(activation.constants)
    if activation.name == "tanh":
        return tanh
    if activation.name == "linear":
        return _copy
    zero, one = np.zeros((), dtype), np.ones((), dtype)
    if activation.name == "relu" and not any(constants.values()):
        return lambda x, out: np.maximum(x, zero, out=out)
    if activation.name == "hard_sigmoid":
        slope = np.asarray(constants["slope"], dtype)
        offset = np.asarray(constants["offset"], dtype)

        def hard_sigmoid(x: Array, out: Array) -> None:
            multiply(x, slope, out)
            add(out, offset, out)
            np.maximum(out, zero, out=out)
            np.minimum(out, one, out=out)

        return hard_sigmoid
    act = function(activation)
    return lambda x, out: copyto(out, act(x))


def _copy(x: Array, out: Array) -> None:
    if x is not out:
        copyto(out, x)


def gate_scale(activation: Activation) -> float:
    """The factor folded into a gate's weights."""
    return -1.0 if activation.name == "sigmoid" else 1.0


def gate(activation: Activation, dtype: np.dtype[np.generic], guarded: bool) -> Callable[[Array], object]:
    """σ in place, on values already multiplied by `gate_scale`.

    Args:
        guarded: keep e^z from overflowing, which is harmless (1 / (1 + ∞) is 0) and yet a warning of NumPy's. For a
            single step that is cheaper than np.errstate; loops go without and use np.errstate once.
    """
    if activation.name == "sigmoid":
        one, most = np.ones((), dtype), np.full((), 80, dtype)

        def sigmoid(z: Array) -> None:
            if guarded:
                minimum(z, most, out=z)
            exp(z, z)
            add(z, one, z)
            divide(one, z, z)

        return sigmoid
    act = into(activation, dtype)
    return lambda z: act(z, z)


def lstm(node: LSTM, U: Array, batch: int, guarded: bool) -> Step:
    """c' = f * c + i * c~;  h' = o * act(c').  U (4u, u), gates in the order i, f, o, c."""
    u, dtype = node.units, U.dtype
    z = _buffer(4 * u, batch, dtype)
    i, f, o, sigmoids, candidate = z[:u], z[u : 2 * u], z[2 * u : 3 * u], z[: 3 * u], z[3 * u :]
    product = U.dot
    act = into(node.activation, dtype)
    sigma = gate(node.recurrent_activation, dtype, guarded)

    def squash() -> None:
        sigma(sigmoids)
        act(candidate, candidate)

    def step(x_t: Array, states: States | None, new: States) -> None:
        h_new, c_new = new
        if states is None:
            copyto(z, x_t)
            squash()
            multiply(i, candidate, c_new)
        else:
            h, c = states
            product(h, z)
            add(z, x_t, z)
            squash()
            multiply(f, c, c_new)
            multiply(i, candidate, candidate)
            add(c_new, candidate, c_new)
        act(c_new, candidate)
        multiply(o, candidate, h_new)

    return step


def gru(node: GRU, U: Array, bU: Array | None, batch: int, guarded: bool) -> Step:
    """h' = z * h + (1 − z) * h~.  U (3u, u), gates in the order z, r, h; bU (u, B) of the last.

    As Keras computes it: h~ + z * (h − h~) is one operation less, and loses h where h~ is large and z near 1, as with
    the activation `exponential`.
    """
    u, dtype = node.units, U.dtype
    zU, other, one = _buffer(3 * u, batch, dtype), _buffer(u, batch, dtype), np.ones((), dtype)
    gates, z, r, candidate = zU[: 2 * u], zU[:u], zU[u : 2 * u], zU[2 * u :]
    sigma, act = gate(node.recurrent_activation, dtype, guarded), into(node.activation, dtype)
    product, gate_product, candidate_product = U.dot, U[: 2 * u].dot, U[2 * u :].dot

    def blend(h: Array, h_new: Array) -> None:
        subtract(one, z, other)
        multiply(other, candidate, candidate)
        multiply(z, h, other)
        add(other, candidate, h_new)

    def first(x_t: Array, new: States) -> None:
        copyto(zU, x_t)
        sigma(gates)
        if bU is not None:
            multiply(r, bU, other)
            add(candidate, other, candidate)
        act(candidate, candidate)
        subtract(one, z, other)
        multiply(other, candidate, new[0])

    def reset_after(x_t: Array, states: States | None, new: States) -> None:
        if states is None:
            return first(x_t, new)
        product(states[0], zU)
        add(gates, x_t[: 2 * u], gates)
        sigma(gates)
        if bU is not None:
            add(candidate, bU, candidate)
        multiply(r, candidate, candidate)
        add(candidate, x_t[2 * u :], candidate)
        act(candidate, candidate)
        blend(states[0], new[0])

    def reset_before(x_t: Array, states: States | None, new: States) -> None:
        if states is None:
            return first(x_t, new)
        gate_product(states[0], gates)
        add(gates, x_t[: 2 * u], gates)
        sigma(gates)
        multiply(r, states[0], other)
        candidate_product(other, candidate)
        add(candidate, x_t[2 * u :], candidate)
        act(candidate, candidate)
        blend(states[0], new[0])

    return reset_after if node.reset_after else reset_before


def simple_rnn(node: SimpleRNN, U: Array, batch: int) -> Step:
    """h' = act(x·W + b + U h)."""
    z = _buffer(node.units, batch, U.dtype)
    product, act = U.dot, into(node.activation, U.dtype)

    def step(x_t: Array, states: States | None, new: States) -> None:
        if states is None:
            act(x_t, new[0])
        else:
            product(states[0], z)
            add(z, x_t, z)
            act(z, new[0])

    return step


def _buffer(rows: int, batch: int, dtype: np.dtype[np.generic]) -> Array:
    return np.empty(rows if batch == 1 else (rows, batch), dtype)
