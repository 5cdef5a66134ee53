"""The loops over time: recurrent nodes with their gates fused into one matrix.

`prepare` lays the arrays of a node out once, at load; `run` takes a sequence and the carried states. B is the batch,
T the time steps, n the input size, u the units, g the number of gates.

A masked step carries every state. Its output repeats the previous output, which is zero before the first valid step
even where an initial state was given; with `zero_output_for_mask` it is zero. So the previous output is carried beside
the states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from .activations import function
from .cells import Function, gru_step, lstm_step, matmul, simple_rnn_step
from .convolution import convolve
from .graph import Activation, Array, Node
from .nodes import GRU, LSTM, ConvLSTM, SimpleRNN

Recurrent: TypeAlias = LSTM | GRU | SimpleRNN | ConvLSTM

# The order gates are fused in: those with the recurrent activation side by side.
FUSED_ORDER: dict[type[Node], tuple[str, ...]] = {
    LSTM: ("i", "f", "o", "c"),
    GRU: ("z", "r", "h"),
    SimpleRNN: ("h",),
    ConvLSTM: ("i", "f", "o", "c"),
}


class Prepared(NamedTuple):
    """A recurrent node ready to run."""

    W: Array  # (n, g·u); convolution: (*kernel, channels, g·filters)
    U: Array  # (u, g·u); convolution: (*kernel, filters, g·filters)
    b: Array | None  # (g·u,)
    bU: Array | None  # (g·u,), added to h @ U; GRU with reset_after
    named: dict[str, Array]  # the same arrays, one per gate, for `trace`


class State(NamedTuple):
    """What is carried from one time step to the next."""

    states: tuple[Array, ...]  # h and, for an LSTM, c: (B, u)
    output: Array  # the previous output, (B, u)


class Result(NamedTuple):
    sequence: Array | None  # (B, T, u), in processing order; None unless asked for
    state: State
    gates: dict[str, Array] | None  # (B, T, u) each, in processing order; None unless asked for


def prepare(node: Recurrent, arrays: Mapping[str, Array]) -> Prepared:
    """Fuses the gates of a node; `arrays` by parameter name, already of the dtype to compute in."""

    def fused(prefix: str) -> Array | None:
        parts = [arrays[f"{prefix}_{gate}"] for gate in FUSED_ORDER[type(node)] if f"{prefix}_{gate}" in arrays]
        return np.ascontiguousarray(np.concatenate(parts, axis=-1)) if parts else None

    W, U = fused("W"), fused("U")
    assert W is not None and U is not None
    return Prepared(W, U, fused("b"), fused("bU"), dict(arrays))


def zero_state(node: Recurrent, batch: int, space: tuple[int, ...], dtype: np.dtype[np.generic]) -> State:
    """The state before the first step; `space` is () but for convolutions."""
    width = node.filters if isinstance(node, ConvLSTM) else node.units
    zeros = tuple(np.zeros((batch, *space, width), dtype) for _ in node.OUTPUTS[1:])
    return State(zeros, np.zeros((batch, *space, width), dtype))


def run(
    node: Recurrent,
    p: Prepared,
    x: Array,
    mask: Array | None,
    state: State,
    *,
    sequence: bool,
    gates: bool = False,
) -> Result:
    """Runs a node over x (B, T, n), already in processing order, from `state`."""
    step = (_traced_step if gates else _fused_step)(node, p)
    if not gates:
        x = _input_product(node, p, x)
    states, output = state
    outputs: list[Array] = []
    traced: list[dict[str, Array]] = []
    for t in range(x.shape[1]):
        new, shown = step(x[:, t], states)
        if mask is None:
            states, output = new, new[0]
        else:
            valid = mask[:, t].reshape((-1,) + (1,) * (output.ndim - 1))
            before = np.zeros_like(output) if node.zero_output_for_mask else output
            output = np.where(valid, new[0], before)
            states = tuple(np.where(valid, s, old) for s, old in zip(new, states, strict=True))
        if sequence:
            outputs.append(output)
        if gates:
            named = dict(zip(node.OUTPUTS[1:], states, strict=True))
            traced.append({**shown, **named})
    return Result(
        np.stack(outputs, axis=1) if sequence else None,
        State(states, output),
        {name: np.stack([step[name] for step in traced], axis=1) for name in traced[0]} if gates else None,
    )


def _input_product(node: Recurrent, p: Prepared, x: Array) -> Array:
    """x_t·W + b of every time step at once: (B, T, g·u)."""
    if isinstance(node, ConvLSTM):
        batch, steps = x.shape[:2]
        z = convolve(x.reshape(batch * steps, *x.shape[2:]), p.W, node.strides, node.padding, node.dilation, 1)
        z = z.reshape(batch, steps, *z.shape[1:])
    else:
        z = x @ p.W
    return z if p.b is None else z + p.b


Step: TypeAlias = Callable[[Array, tuple[Array, ...]], tuple[tuple[Array, ...], dict[str, Array]]]


def _fused_step(node: Recurrent, p: Prepared) -> Step:
    """A step on the input product; equations as in `cells`, all gates in one matrix product."""
    act = function(node.activation)
    if isinstance(node, SimpleRNN):
        return lambda z, states: ((act(z + states[0] @ p.U),), {})
    gates = _gate_function(node.recurrent_activation)
    width = node.filters if isinstance(node, ConvLSTM) else node.units

    def lstm(z: Array, states: tuple[Array, ...]) -> tuple[tuple[Array, ...], dict[str, Array]]:
        h, c = states
        z = z + _state_product(node)(h, p.U)
        i, f, o = gates(z[..., : 3 * width], 3)
        c = f * c + i * act(z[..., 3 * width :])
        return (o * act(c), c), {}

    def gru(z: Array, states: tuple[Array, ...]) -> tuple[tuple[Array, ...], dict[str, Array]]:
        (h,) = states
        zr, candidate = z[..., : 2 * width], z[..., 2 * width :]
        assert isinstance(node, GRU)
        if node.reset_after:
            hU = h @ p.U if p.bU is None else h @ p.U + p.bU
            update, r = gates(zr + hU[..., : 2 * width], 2)
            h_tilde = act(candidate + r * hU[..., 2 * width :])
        else:
            update, r = gates(zr + h @ p.U[:, : 2 * width], 2)
            h_tilde = act(candidate + (r * h) @ p.U[:, 2 * width :])
        return (update * h + (1 - update) * h_tilde,), {}

    return gru if isinstance(node, GRU) else lstm


def _gate_function(activation: Activation) -> Callable[[Array, int], list[Array]]:
    """σ of `count` gates that lie side by side; softmax and its like must see each gate by itself."""
    sigma = function(activation)
    if "axis" in dict(activation.constants):
        return lambda z, count: [sigma(gate) for gate in np.split(z, count, axis=-1)]
    return lambda z, count: np.split(sigma(z), count, axis=-1)


def _traced_step(node: Recurrent, p: Prepared) -> Step:
    """A step on the input itself, by the reference cells, that shows its gates."""
    act = function(node.activation)

    def step(x: Array, states: tuple[Array, ...]) -> tuple[tuple[Array, ...], dict[str, Array]]:
        if isinstance(node, SimpleRNN):
            shown = simple_rnn_step(p.named, x, states[0], act)
        elif isinstance(node, GRU):
            shown = gru_step(p.named, x, states[0], act, function(node.recurrent_activation), node.reset_after)
        else:
            h, c = states
            sigma: Function = function(node.recurrent_activation)
            shown = lstm_step(p.named, x, h, c, act, sigma, _input_convolution(node), _state_product(node))
        return tuple(shown[name] for name in node.OUTPUTS[1:]), shown

    return step


def _input_convolution(node: LSTM | ConvLSTM) -> Callable[[Array, Array], Array]:
    if isinstance(node, LSTM):
        return matmul
    return lambda x, W: convolve(x, W, node.strides, node.padding, node.dilation, 1)


def _state_product(node: Recurrent) -> Callable[[Array, Array], Array]:
    if not isinstance(node, ConvLSTM):
        return matmul
    ones = (1,) * len(node.kernel_size)
    return lambda h, U: convolve(h, U, ones, "same", ones, 1)
