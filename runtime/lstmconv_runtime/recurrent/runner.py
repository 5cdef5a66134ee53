"""The tuned loop over time: how the arrays of a node are laid out for it, and how it goes through a sequence.

B is the batch, T the time steps, n the input size, u the units, K = u + 1 + n.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from typing import NamedTuple, TypeAlias, cast

import numpy as np

from ..format.graph import Array
from ..format.nodes import GRU, LSTM, SimpleRNN
from . import steps
from .states import Recurrent, Result, State

copyto = np.copyto
Cell: TypeAlias = LSTM | GRU | SimpleRNN


class Layout(NamedTuple):
    """The arrays of a node for `loops`: columns U | b | W, gates one below the other."""

    M: Array  # (m, K); of a GRU without the candidate. Gates that σ is applied to are scaled by `loops.gate_scale`
    M_one_row: Array  # the same, in the order of memory that is faster for one row
    M_h: Array | None  # the candidate of a GRU, without inputs: U_h | bU_h (u, u + 1), reset before: U_h (u, u)
    W_h: Array | None  # b_h | W_h (u, 1 + n) of that candidate
    finite: bool  # that U is: only then is the product with a state of zeros zero


# A matrix-vector product is up to a fifth faster in Fortran order, as long as it is too small to be shared by threads;
# larger ones take up to 1.7 times as long in it.
SMALL = 2**17
# From so many numbers in W, the inputs of one row are multiplied for many steps at once, apart from the state: a
# matrix-vector product takes that much longer than a share of a matrix product and one more addition.
WIDE = 2**14


def lay_out(node: Recurrent, arrays: Mapping[str, Array]) -> Layout | None:
    """The layout of a node, `arrays` by parameter name; None where the tuned loop does not fit."""
    if not isinstance(node, LSTM | GRU | SimpleRNN) or not steps.is_tunable(node.activation):
        return None
    scale = 1.0
    if not isinstance(node, SimpleRNN):
        if not steps.is_tunable(node.recurrent_activation):
            return None
        scale = steps.gate_scale(node.recurrent_activation)
    zero = np.zeros_like(arrays[f"U_{node.GATES[0]}"][0])
    u, dtype = node.units, zero.dtype

    def rows(gates: str, scaled: str = "") -> Array:
        M = np.empty((len(gates) * u, u + 1 + node.input_size), dtype)
        for place, gate in enumerate(gates):
            part = M[place * u : (place + 1) * u]
            part[:, :u], part[:, u + 1 :] = arrays[f"U_{gate}"].T, arrays[f"W_{gate}"].T
            part[:, u] = arrays.get(f"b_{gate}", zero) + arrays.get(f"bU_{gate}", zero)
            if gate in scaled and scale != 1.0:
                part *= dtype.type(scale)
        return M

    M_h = W_h = None
    if isinstance(node, LSTM):
        M = rows("ifoc", scaled="ifo")
    elif isinstance(node, GRU):
        M = rows("zr", scaled="zr")
        U_h = arrays["U_h"].T
        bU_h = arrays.get("bU_h", zero)[:, None]
        M_h = np.ascontiguousarray(np.concatenate([U_h, bU_h], axis=1) if node.reset_after else U_h)
        W_h = np.ascontiguousarray(np.concatenate([arrays.get("b_h", zero)[:, None], arrays["W_h"].T], axis=1))
    else:
        M = rows("h")
    finite = bool(np.isfinite(M[:, : node.units]).all() and (M_h is None or np.isfinite(M_h).all()))
    return Layout(M, _for_one_row(M), M_h, W_h, finite)


def _for_one_row(M: Array) -> Array:
    return np.asfortranarray(M) if M.size < SMALL else M


# Numbers in the operands of one portion of the time steps: 512 kB of float32, within the cache of a core. So beside
# input and output a float32 sequence of any length needs 4 · max(PORTION, k·B) bytes, where k counts what one step of
# one row takes: the operand, K; for a GRU also u, the part of the candidate; for one row taken apart g·u more.
PORTION = 2**17


class Runner:
    """A node's tuned loop with its buffers, for one number of rows. Not to be shared between threads."""

    def __init__(self, node: Cell, layout: Layout, batch: int) -> None:
        self.batch = batch
        self._node, self._layout, self._one_row = node, layout, batch == 1
        self._u, self._dtype = node.units, layout.M.dtype
        self._W_h, self._state_names = layout.W_h, node.OUTPUTS[1:]
        self._apart = self._one_row and (isinstance(node, GRU) or len(layout.M) * node.input_size >= WIDE)
        self._loop = self._make_loop(self._apart)
        self._masked_into = tuple(np.empty_like(s) for s in self._loop.carried)
        self._W_apart, self._b_apart = self._apart_arrays() if self._apart else (layout.M, None)
        self._columns = self._u + 1 + (0 if self._apart else node.input_size)
        # What a step of a row needs beside input and output: its operand, and what is computed before the loop.
        self._numbers = (
            self._columns + (self._u if self._W_h is not None else 0) + (len(layout.M) if self._apart else 0)
        )
        self._portion = max(1, PORTION // (self._numbers * max(1, batch)))
        self._kept_operands: Array | None = None
        if self._one_row:
            self._single_loop = self._make_loop(apart=False)
            a = np.ones(layout.M.shape[1], self._dtype)
            self._single_operand = a, a[: self._u], a[self._u + 1 :], a[self._u :]

    def _apart_arrays(self) -> tuple[Array, Array | None]:
        """W (m, n), and None; for a GRU W (3u, n) with the candidate, and 0 | 0 | b_h (3u,)."""
        W, W_h = self._layout.M[:, self._u + 1 :], self._W_h
        if W_h is None:
            return W, None
        return np.concatenate([W, W_h[:, 1:]]), np.concatenate([np.zeros(len(W), self._dtype), W_h[:, 0]])

    def _make_loop(self, apart: bool) -> steps.Loop:
        node, M_h = self._node, self._layout.M_h
        M = self._layout.M_one_row if self._one_row else self._layout.M
        if apart:
            M = M[:, : self._u + 1]
            if isinstance(node, GRU) and node.reset_after:
                M, M_h = np.concatenate([M, cast(Array, M_h)]), None
            M = _for_one_row(np.ascontiguousarray(M))
        if isinstance(node, LSTM):
            return steps.lstm(node, M, self.batch)
        if isinstance(node, GRU):
            return steps.gru(node, M, M_h, self.batch)
        return steps.simple_rnn(node, M, self.batch)

    def own(self, batch: int) -> Runner:
        return Runner(self._node, self._layout, batch)

    def run(
        self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None = None
    ) -> Result:
        """As `states.Loop.run`, for x of `batch` rows."""
        if x.shape[:2] == (1, 1) and mask is None and into is None:
            return self._single(x, state, sequence)
        return self._steps(x, mask, state, sequence, into)

    def _single(self, x: Array, state: State | None, sequence: bool) -> Result:
        """One step of one row, as streaming takes them: no loop, results in arrays of their own."""
        a, h, x_t, inputs = self._single_operand
        step, carried = self._single_loop
        copyto(x_t, x[0, 0])
        if state is None:
            for place in (h, *carried):
                place.fill(0)
        else:
            copyto(h, state.states[0][0])
            if carried:
                copyto(carried[0], state.states[1][0])
        new = tuple([np.empty((1, self._u), self._dtype) for _ in self._state_names])
        h_new = new[0]
        xz = None if self._W_h is None else self._W_h.dot(inputs)
        step(a, xz, h_new[0], tuple([s[0] for s in new[1:]]), state is None and self._layout.finite)
        return Result(h_new[None] if sequence else None, State(new, h_new), None)

    def _steps(self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None) -> Result:
        u, steps = self._u, x.shape[1]
        if sequence and into is None:
            into = np.empty((self.batch, steps, u), self._dtype)
        operands = self._operands(min(steps, self._portion))
        h = operands[0, :u]
        self._enter(h, self._loop.carried, state)
        first = state is None and self._layout.finite
        for start in range(0, steps, self._portion):
            part = slice(start, start + self._portion)
            x_part = x[:, part]
            a = operands[: x_part.shape[1] + 1]
            copyto(a[0, :u], h)
            xz = self._take_inputs(a, x_part)
            hs = a[1:, :u]
            if mask is None:
                self._unmasked(a, xz, hs, first)
            else:
                self._masked(a, xz, hs, first, mask[:, part])
            h, first = hs[-1], False
            if into is not None:
                copyto(into[:, part], hs if self._one_row else hs.transpose(2, 0, 1))
            del xz  # or it would be held while the next is made
        last = tuple([self._outward(s) for s in (h, *self._loop.carried)])
        output = last[0] if mask is None else self._hide_masked(mask, last[0], state, into)
        return Result(into, State(last, output), None)

    def _hide_masked(self, mask: Array, h: Array, state: State | None, into: Array | None) -> Array:
        """The last output; puts what was put out before where the outputs `into` hold an h that is not shown."""
        if self._node.zero_output_for_mask:
            shown, before = mask, np.zeros_like(h)
        else:
            shown, before = np.logical_or.accumulate(mask, axis=1), np.zeros_like(h) if state is None else state.output
        if into is not None:
            copyto(into, before[:, None], where=~shown[:, :, None])
        return np.where(shown[:, -1:], h, before)

    def _enter(self, h: Array, carried: steps.Carried, state: State | None) -> None:
        """Puts the states (B, u) where the loop reads them."""
        if state is None:
            for place in (h, *carried):
                place.fill(0)
        else:
            for place, s in zip((h, *carried), state.states, strict=True):
                copyto(place, s[0] if self._one_row else s.T)

    def _outward(self, s: Array) -> Array:
        """(u,) or (u, B) → (B, u), in memory of its own."""
        return s[None].copy() if self._one_row else s.T.copy()

    def _operands(self, steps: int) -> Array:
        """Room for the operands of so many steps and the h after them: (steps + 1, K), or (steps + 1, K, B)."""
        shape = (steps + 1, self._columns) if self._one_row else (steps + 1, self._columns, self.batch)
        a = self._kept_operands
        if a is None or a.shape != shape:
            a = np.empty(shape, self._dtype)
            a[:, self._u] = 1
            self._kept_operands = a
        return a

    def _take_inputs(self, a: Array, x: Array) -> Array | None:
        """Puts x (B, T, n) into the operands, or multiplies it apart from them; gives what the loop takes as xz."""
        if self._apart:
            return self._inputs_apart(x[0])
        copyto(a[:-1, self._u + 1 :], x[0] if self._one_row else x.transpose(1, 2, 0))
        if self._W_h is None:
            return None
        inputs = a[:-1, self._u :]
        return inputs @ self._W_h.T if self._one_row else np.matmul(self._W_h, inputs)

    def _inputs_apart(self, x: Array) -> Array:
        """x·W of one row x (T, n): (T, m); for a GRU (T, 3u), with x·W_h + b_h at the end."""
        W, b = self._W_apart, self._b_apart
        xz: Array = x * W[:, 0] if x.shape[1] == 1 else x @ W.T  # NumPy has no fast product for a single column
        return xz if b is None else np.add(xz, b, xz)

    def _unmasked(self, a: Array, xz: Array | None, hs: Array, first: bool) -> None:
        """Takes the steps from the operands `a`; `hs` are the places of h in them, from the second on."""
        step, carried = self._loop
        for a_t, xz_t, h_t in zip(a, repeat(None) if xz is None else xz, hs, strict=False):
            step(a_t, xz_t, h_t, carried, first)
            first = False

    def _masked(self, a: Array, xz: Array | None, hs: Array, first: bool, mask: Array) -> None:
        """The same; a masked step leaves the states as they are."""
        step, carried = self._loop
        whole, some = np.all(mask, axis=0), np.any(mask, axis=0)
        for t, h_t in enumerate(hs):
            xz_t = None if xz is None else xz[t]
            if whole[t]:
                step(a[t], xz_t, h_t, carried, first)
            elif some[t]:
                step(a[t], xz_t, h_t, self._masked_into, first)
                copyto(h_t, a[t, : self._u], where=~mask[:, t])
                for s, s_new in zip(carried, self._masked_into, strict=True):
                    copyto(s, s_new, where=mask[:, t])
            else:
                copyto(h_t, a[t, : self._u])
            first = first and not some[t]
