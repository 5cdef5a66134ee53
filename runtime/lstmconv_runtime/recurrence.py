"""The loops over time: recurrent nodes with their gates fused into one matrix.

`prepare` lays the arrays of a node out once, at load; `run` takes a sequence and the carried states. B is the batch,
T the time steps, n the input size, u the units, g the number of gates.

A masked step carries every state. Its output repeats the previous output, which is zero before the first valid step
even where an initial state was given; with `zero_output_for_mask` it is zero. So the previous output is carried beside
the states.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np

from . import loops
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
    """A recurrent node ready to run: by the tuned loops, or, where they do not fit, by plain steps."""

    W: Array  # (g·u, n), scaled by `loops.gate_scale`; plain: (n, g·u), convolution: (*kernel, channels, g·filters)
    U: Array  # (g·u, u), scaled; plain: (u, g·u), convolution: (*kernel, filters, g·filters)
    b: Array | None  # (g·u,), scaled
    bU: Array | None  # tuned: (u,), of the candidate alone, the others joined to b; plain: (g·u,)
    named: dict[str, Array]  # the same arrays, one per gate, for `trace`
    tuned: bool
    U_one_row: Array  # U in Fortran order: a matrix-vector product is up to a fifth faster that way, B > 1 slower
    kept: threading.local  # each thread's last Runner


class State(NamedTuple):
    """What is carried from one time step to the next."""

    states: tuple[Array, ...]  # h and, for an LSTM, c: (B, u)
    output: Array  # the previous output, (B, u)


class Result(NamedTuple):
    sequence: Array | None  # (B, T, u), in processing order; None unless asked for
    state: State
    gates: dict[str, Array] | None  # (B, T, u) each, in processing order; None unless asked for

    @property
    def outputs(self) -> tuple[Array, ...]:
        """The outputs of the node: y, and the last states."""
        return (self.state.output if self.sequence is None else self.sequence, *self.state.states)


def prepare(node: Recurrent, arrays: Mapping[str, Array]) -> Prepared:
    """Fuses the gates of a node; `arrays` by parameter name, already of the dtype to compute in."""
    gates = FUSED_ORDER[type(node)]
    tuned = not isinstance(node, ConvLSTM) and loops.is_tunable(node.activation)
    sigma = None if isinstance(node, SimpleRNN) else node.recurrent_activation
    tuned = tuned and (sigma is None or loops.is_tunable(sigma))
    scale = loops.gate_scale(sigma) if sigma and tuned else 1.0
    squashed = {"LSTM": 3, "GRU": 2}.get(type(node).__name__, 0)  # how many gates σ is applied to

    def fused(prefix: str) -> Array | None:
        parts = [arrays[f"{prefix}_{gate}"] for gate in gates if f"{prefix}_{gate}" in arrays]
        if tuned:
            parts = [part * part.dtype.type(scale) if k < squashed else part for k, part in enumerate(parts)]
        return np.concatenate(parts, axis=-1) if parts else None

    W, U, b, bU = (fused(prefix) for prefix in ("W", "U", "b", "bU"))
    assert W is not None and U is not None
    if tuned:
        W, U = np.ascontiguousarray(W.T), np.ascontiguousarray(U.T)
        if b is not None and bU is not None:
            split = len(b) // 3 * 2
            b, bU = np.concatenate([b[:split] + bU[:split], b[split:]]), bU[split:].copy()
    # Not where the product is taken in two parts: rows of a matrix in Fortran order are not contiguous.
    in_parts = isinstance(node, GRU) and not node.reset_after
    one_row = np.asfortranarray(U) if tuned and not in_parts else U
    return Prepared(W, U, b, bU, dict(arrays), tuned, one_row, threading.local())


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
    state: State | None,
    *,
    sequence: bool,
    gates: bool = False,
) -> Result:
    """Runs a node over x (B, T, n), already in processing order, from `state`, which is left as it was.

    A tuned node takes None for zeros.
    """
    if not p.tuned or gates:
        assert state is not None
        return _run_plain(node, p, x, mask, state, sequence, gates)
    rows, steps = x.shape[:2]
    if rows <= ROWS:
        return runner(node, p, rows).run(x, mask, state, sequence)
    count = -(-rows // ROWS)
    edges = [rows * k // count for k in range(count + 1)]
    # One array for all blocks, not one each and then another to join them: the sequence may be most of the memory.
    ys = np.empty((rows, steps, p.U.shape[1]), p.U.dtype) if sequence else None
    results = [
        runner(node, p, stop - start).run(
            x[start:stop],
            None if mask is None else mask[start:stop],
            state and State(tuple(s[start:stop] for s in state.states), state.output[start:stop]),
            sequence,
            None if ys is None else ys[start:stop],
        )
        for start, stop in pairwise(edges)
    ]
    states = tuple(np.concatenate(parts) for parts in zip(*(r.state.states for r in results), strict=True))
    output = np.concatenate([r.state.output for r in results])
    return Result(ys, State(states, output), None)


# Rows that advance together. More, and a step's gates no longer fit the cache: 4096 rows of 64 units take 36 ms at once
# and 28 ms in blocks of 240 (two cores).
ROWS = 240
# Numbers in the input product of one portion of the time steps: 2 MB of float32, within the cache of a core. So beside
# input and output a float32 sequence of any length needs 4 · max(PORTION, g·u·B) bytes, for the input product of
# T' = max(1, PORTION // (g·u·B)) steps; where B > 1, also 4·n·B·T' for their input and, where the output of every step
# is wanted, 4·u·B·T' for their outputs, which both are feature-major there. B is at most ROWS.
PORTION = 2**19


KEPT = 2**16  # numbers in the buffer of a Runner that is kept for the next call: 256 kB of float32


def runner(node: Recurrent, p: Prepared, batch: int) -> Runner:
    """A Runner for so many rows: this thread's last one, if it fits."""
    kept: Runner | None = getattr(p.kept, "runner", None)
    if kept is not None and kept.batch == batch:
        return kept
    made = Runner(node, p, batch)
    if len(p.U) * batch <= KEPT:
        p.kept.runner = made
    return made


class Runner:
    """A node's tuned loop with its buffers, for one number of rows. Not to be shared between threads."""

    def __init__(self, node: Recurrent, p: Prepared, batch: int) -> None:
        assert not isinstance(node, ConvLSTM)
        self.batch = batch
        self._node: LSTM | GRU | SimpleRNN = node
        self._p = p
        self._one_row = batch == 1
        self._shape = (node.units,) if batch == 1 else (node.units, batch)
        column = (slice(None),) if batch == 1 else (slice(None), None)
        self._b = None if p.b is None else p.b[column]
        self._portion = max(1, PORTION // (len(p.U) * max(1, batch)))
        # Spread over the rows once: adding (u, 1) to (u, B) at every step goes through a buffer.
        self._bU = None if p.bU is None else np.broadcast_to(p.bU[column], self._shape).copy()
        self._step = self._make_step(guarded=False)
        self._single_step = self._make_step(guarded=True) if batch == 1 else self._step

    def _make_step(self, guarded: bool) -> loops.Step:
        node, U = self._node, self._p.U_one_row if self._one_row else self._p.U
        if isinstance(node, LSTM):
            return loops.lstm(node, U, self.batch, guarded)
        if isinstance(node, GRU):
            return loops.gru(node, U, self._bU, self.batch, guarded)
        return loops.simple_rnn(node, U, self.batch)

    def run(
        self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None = None
    ) -> Result:
        """As `recurrence.run`; the sequence goes into the array `into`, where that is given."""
        if x.shape[:2] == (1, 1) and mask is None and into is None:
            return self._single(x, state, sequence)
        with np.errstate(over="ignore"):  # see `loops.gate`
            return self._steps(x, mask, state, sequence, into)

    def _steps(self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None) -> Result:
        steps, dtype, count = x.shape[1], self._p.U.dtype, len(self._node.OUTPUTS) - 1
        if sequence and into is None:
            into = np.empty((self.batch, steps, self._node.units), dtype)
        ys = None if into is None else self._sequence(into)
        given = None if state is None else tuple(self._inward(s) for s in state.states)
        if mask is None:
            states = tuple(np.empty(self._shape, dtype) for _ in range(count))
            output = states[0]
        elif given is None or state is None:
            states = tuple(np.zeros(self._shape, dtype) for _ in range(count))
            output = np.zeros(self._shape, dtype)
        else:
            states = tuple(s.copy() for s in given)
            output = self._inward(state.output).copy()
        for start in range(0, steps, self._portion):
            part = slice(start, start + self._portion)
            xz = self._input_product(x[:, part])
            y = None if ys is None else ys[part] if self._one_row else ys[: len(xz)]
            if mask is None:
                given = self._unmasked(xz, given, states, y)
            else:
                self._masked(xz, mask[:, part], states, output, y)
            if y is not None and into is not None and not self._one_row:
                np.copyto(into[:, part], y.transpose(2, 0, 1))
            del xz  # or it would be held while the next is made
        if mask is None and given is not None:
            np.copyto(states[0], given[0])  # with a sequence, h is in the memory of its last step
        last = tuple(self._outward(s) for s in states)
        return Result(into, State(last, last[0] if mask is None else self._outward(output)), None)

    def _sequence(self, into: Array) -> Array:
        """Where the steps put their outputs: for one row (T, u), `into` itself; else (T', u, B), for a portion."""
        if self._one_row:
            row: Array = into[0]
            return row
        return np.empty((min(into.shape[1], self._portion), *self._shape), into.dtype)

    def _single(self, x: Array, state: State | None, sequence: bool) -> Result:
        """One step of one row, as streaming takes them: no loop, no copies, results in arrays of their own."""
        W = self._p.W
        xz: Array = W[:, 0] * x[0, 0] if x.shape[2] == 1 else W.dot(x[0, 0])
        if self._b is not None:
            np.add(xz, self._b, xz)
        # tuple([…]), here and below: a generator would take longer than what it makes.
        new = tuple([np.empty(self._shape, xz.dtype) for _ in self._node.OUTPUTS[1:]])
        self._single_step(xz, None if state is None else tuple([s[0] for s in state.states]), new)
        last = tuple([s[None] for s in new])
        return Result(last[0][None] if sequence else None, State(last, last[0]), None)

    def _inward(self, s: Array) -> Array:
        """(B, u) → (u,) for one row, (u, B) else; to be read only, for it may share memory."""
        return s[0] if self._one_row else np.ascontiguousarray(s.T)

    def _outward(self, s: Array) -> Array:
        """(u,) or (u, B) → (B, u)."""
        return s[None] if self._one_row else np.ascontiguousarray(s.T)

    def _input_product(self, x: Array) -> Array:
        """x_t·W + b of some steps: (T, g·u) for one row, (T, g·u, B) else."""
        if self._one_row:
            xz: Array = x[0] * self._p.W[:, 0] if x.shape[2] == 1 else x[0] @ self._p.W.T
        elif x.shape[2] == 1:  # NumPy has no fast product for a matrix of one column
            xz = self._p.W * np.ascontiguousarray(x.transpose(1, 2, 0))
        else:
            xz = np.matmul(self._p.W, np.ascontiguousarray(x.transpose(1, 2, 0)))
        if self._b is not None:
            np.add(xz, self._b, xz)
        return xz

    def _unmasked(
        self, xz: Array, given: tuple[Array, ...] | None, states: tuple[Array, ...], ys: Array | None
    ) -> tuple[Array, ...]:
        """The states after some steps from `given`, None for zeros; in the memory of `states`, h in that of `ys`."""
        step = self._step
        if ys is None:
            for x_t in xz:
                step(x_t, given, states)
                given = states
            return states
        rest = states[1:]
        for x_t, y_t in zip(xz, ys, strict=True):
            after = (y_t, *rest)
            step(x_t, given, after)
            given = after
        return after

    def _masked(self, xz: Array, mask: Array, states: tuple[Array, ...], output: Array, ys: Array | None) -> None:
        """Advances `states` and `output` in place; a masked step leaves both, or puts out zeros."""
        step, zero = self._step, self._node.zero_output_for_mask
        new = tuple(np.empty_like(s) for s in states)
        one_row = self._one_row
        for t, x_t in enumerate(xz):
            valid = mask[:, t]
            if zero:
                output.fill(0)
            if not one_row or valid[0]:
                step(x_t, states, new)
                for s, s_new in zip(states, new, strict=True):
                    np.copyto(s, s_new, where=valid)
                np.copyto(output, new[0], where=valid)
            if ys is not None:
                ys[t] = output


def _run_plain(
    node: Recurrent, p: Prepared, x: Array, mask: Array | None, state: State, sequence: bool, gates: bool
) -> Result:
    """Step by step in the equations' own form: for `trace`, convolutions, and activations that mix features."""
    step = (_traced_step if gates else _fused_step)(node, p)
    states, output = state
    steps = x.shape[1]
    outputs = np.empty((output.shape[0], steps, *output.shape[1:]), output.dtype) if sequence else None
    traced: list[dict[str, Array]] = []
    portion = max(1, PORTION // max(1, output.size * len(FUSED_ORDER[type(node)])))
    for start in range(0, steps, portion):
        part = x[:, start : start + portion]
        if not gates:
            part = _input_product(node, p, part)
        for t in range(part.shape[1]):
            new, shown = step(part[:, t], states)
            if mask is None:
                states, output = new, new[0]
            else:
                valid = mask[:, start + t].reshape((-1,) + (1,) * (output.ndim - 1))
                before = np.zeros_like(output) if node.zero_output_for_mask else output
                output = np.where(valid, new[0], before)
                states = tuple(np.where(valid, s, old) for s, old in zip(new, states, strict=True))
            if outputs is not None:
                outputs[:, start + t] = output
            if gates:
                named = dict(zip(node.OUTPUTS[1:], states, strict=True))
                traced.append({**shown, **named})
    return Result(
        outputs,
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
