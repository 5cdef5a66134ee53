"""The tuned time steps of LSTM, GRU and SimpleRNN. `cells` has the equations in readable form.

What makes them fast, each measured beside the plain form:

- The state is feature-major, (u, B), so that every gate is a contiguous block of rows and the recurrent product has the
  weights on the left, with no transposition inside. One row (B = 1) is kept as (u,), which makes that product a
  matrix-vector product.
- A step multiplies one operand, [h; 1; x_t] (K, B), by one matrix, U | b | W: a product that is a little wider costs
  less than one of its own for the inputs, whose result must be stored, read again and added.
- σ(x) = 1 / (1 + e^−x) is never computed: what it would weigh is divided by 1 + e^−x, which is one operation and one
  rounding less. The sign is folded into the weights when they are laid out (exact). ½ tanh(x/2) + ½ would be faster
  still, one tanh for all gates, but keeps no digits of a gate that is nearly closed, and a layer that normalises
  afterwards shows it (6e-5 of the scale, seen).
- What two gates weigh lies side by side, as the gates do: c~ and c of an LSTM take one operation.
- Every ufunc writes into an array that exists already, passed by position: nothing is allocated per step.
- Constants are 0-d arrays; NumPy takes twice as long to convert a Python number as to use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from ..format.graph import Activation, Array
from ..format.nodes import GRU, LSTM, SimpleRNN
from ..layers.activations import function

Carried: TypeAlias = tuple[Array, ...]
# step(a, xz, h, carried, first): a (K, B) is the operand of the step; xz, of which some loops need none, what does not
# depend on the state and was computed before. Writes the new h (u, B) and the other new states, into arrays that may
# be those of the states themselves. `first` says that h is zero, which makes the product cheaper.
Step: TypeAlias = Callable[[Array, "Array | None", Array, Carried, bool], None]
InPlace: TypeAlias = Callable[[Array, Array], object]

add, subtract, multiply, divide = np.add, np.subtract, np.multiply, np.divide
exp, tanh, copyto, matmul = np.exp, np.tanh, np.copyto, np.matmul


class Loop(NamedTuple):
    """A step and the states it reads beside h, which stands in the operand: (c,) of an LSTM, each (u, B)."""

    step: Step
    carried: Carried


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


def gate(activation: Activation, dtype: np.dtype[np.generic]) -> Callable[[Array], object]:
    """σ in place, on values already multiplied by `gate_scale`."""
    if activation.name == "sigmoid":
        denominator, one = divisor(dtype), np.ones((), dtype)

        def sigmoid(z: Array) -> None:
            denominator(z)
            divide(one, z, z)

        return sigmoid
    act = into(activation, dtype)
    return lambda z: act(z, z)


def divisor(dtype: np.dtype[np.generic]) -> Callable[[Array], object]:
    """1 + e^z in place: what a value is divided by to be weighed by σ(−z).

    e^z may overflow, which is harmless: x / ∞ is 0.
    """
    one = np.ones((), dtype)

    def denominator(z: Array) -> None:
        exp(z, z)
        add(z, one, z)

    return denominator


def product_with(M: Array) -> Callable[[Array, Array], object]:
    """M @ a as a function (a, out). `dot` starts faster, but copies M for a vector where it is not contiguous."""
    return M.dot if M.flags.forc else lambda a, out: matmul(M, a, out)


def lstm(node: LSTM, M: Array, batch: int) -> Loop:
    """c' = f * c + i * c~;  h' = o * act(c').  M (4u, K), gates in the order i, f, o, c."""
    u, dtype = node.units, M.dtype
    z, pair, weighed = (_buffer(count * u, batch, dtype) for count in (4, 2, 2))
    input_and_forget, o, gates, candidate = z[: 2 * u], z[2 * u : 3 * u], z[: 3 * u], z[3 * u :]
    c_tilde, c = pair[:u], pair[u:]
    entering, kept = weighed[:u], weighed[u:]
    product, first_product = product_with(M), product_with(M[:, u:])
    act = into(node.activation, dtype)
    divided = node.recurrent_activation.name == "sigmoid"
    weigh: np.ufunc = divide if divided else multiply
    open_gates = divisor(dtype) if divided else gate(node.recurrent_activation, dtype)

    def step(a: Array, xz: Array | None, h_new: Array, carried: Carried, first: bool) -> None:
        (c_new,) = carried
        if first:
            first_product(a[u:], z)
        else:
            product(a, z)
        if xz is not None:
            add(z, xz, z)
        open_gates(gates)
        act(candidate, c_tilde)
        weigh(pair, input_and_forget, weighed)  # i * c~ and f * c
        add(entering, kept, c_new)
        act(c_new, candidate)
        weigh(candidate, o, h_new)

    return Loop(step, (c,))


def gru(node: GRU, M: Array, M_h: Array | None, batch: int) -> Loop:
    """h' = z * h + (1 − z) * h~.  M (2u, K), gates in the order z, r; M_h (u, u + 1), U_h | bU_h, or U_h (u, u).

    xz is what the candidate takes of x_t, x_t·W_h + b_h (u, B). Where M has no columns for x_t, what z and r take of
    it stands before that (3u, B); and without M_h, M has the candidate as its last rows.

    The blend is as Keras computes it: h~ + z * (h − h~) is one operation less, and loses h where h~ is large and z
    near 1, as with the activation `exponential`.
    """
    u, dtype = node.units, M.dtype
    zrh, other, one = _buffer(3 * u, batch, dtype), _buffer(u, batch, dtype), np.ones((), dtype)
    gates, z, r, candidate = zrh[: 2 * u], zrh[:u], zrh[u : 2 * u], zrh[2 * u :]
    made = zrh[: len(M)]
    sigma, act = gate(node.recurrent_activation, dtype), into(node.activation, dtype)
    product, first_product = product_with(M), product_with(M[:, u:])
    candidate_product = None if M_h is None else product_with(M_h)
    apart, reset_after = M.shape[1] == u + 1, node.reset_after

    def step(a: Array, xz: Array | None, h_new: Array, carried: Carried, first: bool) -> None:
        assert xz is not None
        h = a[:u]
        if first:
            first_product(a[u:], made)
        else:
            product(a, made)
        if apart:
            add(gates, xz[: 2 * u], gates)
            xz = xz[2 * u :]
        sigma(gates)
        if reset_after:
            if candidate_product is not None:
                candidate_product(a[: u + 1], candidate)
            multiply(r, candidate, candidate)
        else:
            multiply(r, h, other)
            assert candidate_product is not None
            candidate_product(other, candidate)
        add(candidate, xz, candidate)
        act(candidate, candidate)
        subtract(one, z, other)
        multiply(other, candidate, candidate)
        multiply(z, h, other)
        add(other, candidate, h_new)

    return Loop(step, ())


def simple_rnn(node: SimpleRNN, M: Array, batch: int) -> Loop:
    """h' = act(x·W + b + U h).  M (u, K)."""
    u = node.units
    z = _buffer(u, batch, M.dtype)
    product, first_product, act = product_with(M), product_with(M[:, u:]), into(node.activation, M.dtype)

    def step(a: Array, xz: Array | None, h_new: Array, carried: Carried, first: bool) -> None:
        if first:
            first_product(a[u:], z)
        else:
            product(a, z)
        if xz is not None:
            add(z, xz, z)
        act(z, h_new)

    return Loop(step, ())


def _buffer(rows: int, batch: int, dtype: np.dtype[np.generic]) -> Array:
    return np.empty(rows if batch == 1 else (rows, batch), dtype)
