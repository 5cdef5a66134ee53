"""The loop over time in the equations' own form: for `trace`, convolutions, and activations that mix features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from ..format.graph import Activation, Array
from ..format.nodes import GRU, LSTM, ConvLSTM, SimpleRNN
from ..layers.activations import function
from ..layers.convolution import convolve
from .cells import Function, gru_step, lstm_step, matmul, simple_rnn_step
from .states import Recurrent, Result, State, zero_state

# The order gates are fused in: those with the recurrent activation side by side.
FUSED_ORDER: Mapping[type, tuple[str, ...]] = {
    LSTM: ("i", "f", "o", "c"),
    GRU: ("z", "r", "h"),
    SimpleRNN: ("h",),
    ConvLSTM: ("i", "f", "o", "c"),
}
# Numbers in the input product of one portion of the time steps.
PORTION = 2**19


class Fused(NamedTuple):
    """The arrays of a node with its gates side by side."""

    W: Array  # (n, g·u), convolution: (*kernel, channels, g·filters)
    U: Array  # (u, g·u), convolution: (*kernel, filters, g·filters)
    b: Array | None  # (g·u,)
    bU: Array | None


def fuse(node: Recurrent, arrays: Mapping[str, Array]) -> Fused:
    gates = FUSED_ORDER[type(node)]

    def fused(prefix: str) -> Array | None:
        parts = [arrays[f"{prefix}_{gate}"] for gate in gates if f"{prefix}_{gate}" in arrays]
        return np.concatenate(parts, axis=-1) if parts else None

    W, U = fused("W"), fused("U")
    assert W is not None and U is not None
    return Fused(W, U, fused("b"), fused("bU"))


class Plain:
    """The loop with the gates of a node side by side, one matrix product a step."""

    def __init__(self, node: Recurrent, fused: Fused) -> None:
        self._node, self._fused = node, fused

    def own(self, batch: int) -> Plain:
        return self

    def run(
        self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None = None
    ) -> Result:
        """As `states.Loop.run`."""
        state = zero_state(self._node, len(x), (), self._fused.U.dtype) if state is None else state
        return _run(self._node, self._fused, {}, x, mask, state, sequence, into)


class Traced:
    """The loop by the reference cells, from the arrays as they are stored; its Result has the gates."""

    def __init__(self, node: Recurrent, arrays: Mapping[str, Array]) -> None:
        self._node, self.arrays = node, arrays

    def own(self, batch: int) -> Traced:
        return self

    def run(
        self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None = None
    ) -> Result:
        """As `states.Loop.run`."""
        state = zero_state(self._node, len(x), (), next(iter(self.arrays.values())).dtype) if state is None else state
        return _run(self._node, None, self.arrays, x, mask, state, sequence, into)


def _run(
    node: Recurrent,
    fused: Fused | None,
    arrays: Mapping[str, Array],
    x: Array,
    mask: Array | None,
    state: State,
    sequence: bool,
    into: Array | None,
) -> Result:
    """Step by step; with its gates where `fused` is None, from the `arrays` by parameter name.

    The previous output, which a masked step repeats, is carried beside the states.
    """
    step = _traced_step(node, arrays) if fused is None else _fused_step(node, fused)
    states, output = state
    steps = x.shape[1]
    if sequence and into is None:
        into = np.empty((output.shape[0], steps, *output.shape[1:]), output.dtype)
    traced: list[dict[str, Array]] = []
    portion = max(1, PORTION // max(1, output.size * len(FUSED_ORDER[type(node)])))
    for start in range(0, steps, portion):
        part = x[:, start : start + portion]
        if fused is not None:
            part = _input_product(node, fused, part)
        for t in range(part.shape[1]):
            new, shown = step(part[:, t], states)
            if mask is None:
                states, output = new, new[0]
            else:
                valid = mask[:, start + t].reshape((-1,) + (1,) * (output.ndim - 1))
                before = np.zeros_like(output) if node.zero_output_for_mask else output
                output = np.where(valid, new[0], before)
                states = tuple(np.where(valid, s, old) for s, old in zip(new, states, strict=True))
            if into is not None:
                into[:, start + t] = output
            if fused is None:
                named = dict(zip(node.OUTPUTS[1:], states, strict=True))
                traced.append({**shown, **named})
    return Result(
        into,
        State(states, output),
        {name: np.stack([step[name] for step in traced], axis=1) for name in traced[0]} if traced else None,
    )


def _input_product(node: Recurrent, p: Fused, x: Array) -> Array:
    """x_t·W + b of every time step at once: (B, T, g·u)."""
    if isinstance(node, ConvLSTM):
        batch, steps = x.shape[:2]
        z = convolve(x.reshape(batch * steps, *x.shape[2:]), p.W, node.strides, node.padding, node.dilation, 1)
        z = z.reshape(batch, steps, *z.shape[1:])
    else:
        z = x @ p.W
    return z if p.b is None else z + p.b


Step: TypeAlias = Callable[[Array, tuple[Array, ...]], tuple[tuple[Array, ...], dict[str, Array]]]


def _fused_step(node: Recurrent, p: Fused) -> Step:
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


def _traced_step(node: Recurrent, p: Mapping[str, Array]) -> Step:
    """A step on the input itself, by the reference cells, that shows its gates."""
    act = function(node.activation)

    def step(x: Array, states: tuple[Array, ...]) -> tuple[tuple[Array, ...], dict[str, Array]]:
        if isinstance(node, SimpleRNN):
            shown = simple_rnn_step(p, x, states[0], act)
        elif isinstance(node, GRU):
            shown = gru_step(p, x, states[0], act, function(node.recurrent_activation), node.reset_after)
        else:
            h, c = states
            sigma: Function = function(node.recurrent_activation)
            shown = lstm_step(p, x, h, c, act, sigma, _input_convolution(node), _state_product(node))
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
