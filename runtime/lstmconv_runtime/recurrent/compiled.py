"""The compiled loop: how the arrays of a node are laid out for `_kernel`, and how it is called.

B is the batch, T the time steps, n the input size, u the units, V the floats of a vector of the processor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, TypeGuard

import numpy as np

from ..format.graph import Activation, Array
from ..format.nodes import GRU, LSTM, SimpleRNN
from ..threads import kernel_threads
from .runner import Cell
from .states import Recurrent, Result, State

empty, FLOAT = np.empty, np.dtype(np.float32)
# Products of one call of the kernel, a second or two: between calls Python notices that it is interrupted.
PORTION = 2**36
ALIGNED = 64  # bytes: a line of the cache, and the largest vector
TILES = 4  # vectors of units that a cell of one gate takes side by side, as others take their gates
LSTM_KIND, GRU_AFTER, GRU_BEFORE, SIMPLE_RNN = range(4)  # as in _kernel.c


def fits(node: Recurrent, arrays: Mapping[str, Array]) -> TypeGuard[Cell]:
    """Whether the kernel computes the node: float32 with Keras's own activations."""
    if not isinstance(node, LSTM | GRU | SimpleRNN) or arrays[f"U_{node.GATES[0]}"].dtype != np.float32:
        return False
    gates = None if isinstance(node, SimpleRNN) else node.recurrent_activation
    return _is(node.activation, "tanh") and (gates is None or _is(gates, "sigmoid"))


def _is(activation: Activation, name: str) -> bool:
    return activation.name == name and not activation.constants


def cell_of(kernel: ModuleType, instruction_set: str, node: Cell, arrays: Mapping[str, Array]) -> Any:
    """The kernel's Cell: the arrays of a node as it reads them. Any number of loops may run on one."""
    kind, packed = _pack(node, arrays, kernel.instruction_sets()[instruction_set])
    finite = all(bool(np.isfinite(arrays[f"U_{gate}"]).all()) for gate in node.GATES)
    return kernel.Cell(instruction_set, kind, finite, node.input_size, node.units, *packed)


class Compiled:
    """A node on the kernel. Nothing in it changes while it runs, so that it serves streams and threads alike."""

    def __init__(self, cell: Any, node: Cell) -> None:
        self._cell = cell
        self._units, self._has_c = node.units, isinstance(node, LSTM)
        self._products = (node.input_size + node.units) * node.units * len(node.GATES)  # of a step of a row
        self._zero_masked = node.zero_output_for_mask

    def own(self, batch: int) -> Compiled:
        return self

    def run(
        self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None = None
    ) -> Result:
        """As `states.Loop.run`."""
        rows, steps, _ = x.shape
        if steps * rows * self._products > PORTION and steps > 1:
            return self._run_in_portions(x, mask, state, sequence, into)
        shape = rows, self._units
        h_new = empty(shape, FLOAT)
        c_new = empty(shape, FLOAT) if self._has_c else None
        h = c = before = shown = None
        # A single step, as streams take them, puts out its h: what is given out beside the state is copied anyway.
        y_is_h = sequence and steps == 1 and mask is None and into is None
        if sequence and into is None and not y_is_h:
            into = empty((rows, steps, self._units), FLOAT)
        if state is not None:
            h = state.states[0]
            if self._has_c:
                c = state.states[1]
        if mask is not None:
            shown, before = empty(shape, FLOAT), None if state is None else state.output
        outputs = into, h_new, c_new, shown, self._zero_masked, kernel_threads.most
        try:
            self._cell.run(x, mask, h, c, before, *outputs)
        except BufferError:  # it lies in memory as the kernel does not read it
            given = ((x, FLOAT), (mask, bool), (h, FLOAT), (c, FLOAT), (before, FLOAT))
            self._cell.run(*(None if a is None else np.array(a, dtype, order="C") for a, dtype in given), *outputs)
        states = (h_new,) if c_new is None else (h_new, c_new)
        y = h_new[:, None] if y_is_h else into
        return Result(y, State(states, h_new if shown is None else shown), None)

    def _run_in_portions(
        self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None
    ) -> Result:
        """A few steps at a time, which gives the same numbers."""
        rows, steps, _ = x.shape
        most = max(1, PORTION // (rows * self._products))
        if sequence and into is None:
            into = empty((rows, steps, self._units), FLOAT)
        for start in range(0, steps, most):
            part = slice(start, start + most)
            given = x[:, part], None if mask is None else mask[:, part]
            state = self.run(*given, state, sequence, None if into is None else into[:, part]).state
        assert state is not None
        return Result(into, state, None)


def _pack(node: Cell, arrays: Mapping[str, Array], lanes: int) -> tuple[int, tuple[Array | None, ...]]:
    """The kind of the cell, and W, U, U_h and b as the kernel reads them."""
    u, zero = node.units, np.zeros(node.units, np.float32)

    def gates(prefix: str, names: str) -> list[Array]:
        return [arrays[f"{prefix}_{gate}"] for gate in names]

    def bias(*names: str) -> Array:
        return sum((arrays[name] for name in names if name in arrays), zero)

    def rows(*columns: Array) -> Array:
        return _by_tile([column[None] for column in columns], lanes)

    if isinstance(node, LSTM):
        b = rows(*(bias(f"b_{gate}") for gate in "ifco"))
        return LSTM_KIND, (_by_tile(gates("W", "ifco"), lanes), _by_tile(gates("U", "ifco"), lanes), None, b)
    if isinstance(node, SimpleRNN):
        (W,), (U,) = gates("W", "h"), gates("U", "h")
        return SIMPLE_RNN, (_by_tiles(W, lanes), _by_tiles(U, lanes), None, _by_tile([bias("b_h")[None]], lanes))
    W = _by_tile(gates("W", "zrh"), lanes)
    z_and_r = bias("b_z", "bU_z"), bias("b_r", "bU_r")
    if node.reset_after:
        return GRU_AFTER, (W, _by_tile(gates("U", "zrh"), lanes), None, rows(*z_and_r, bias("b_h"), bias("bU_h")))
    U = _by_tile(gates("U", "zr"), lanes)
    return GRU_BEFORE, (W, U, _by_tiles(arrays["U_h"], lanes), rows(*z_and_r, bias("b_h", "bU_h"), zero[:u]))


def _by_tile(columns: Sequence[Array], lanes: int) -> Array:
    """Matrices (k, u) of as many gates as (tile, k, gate, V), with zeros beyond u."""
    return _aligned(np.stack([_tiles(column, lanes) for column in columns], axis=2))


def _by_tiles(matrix: Array, lanes: int) -> Array:
    """One matrix (k, u) as (group of `TILES` tiles, k, tile, V): the last group may have fewer."""
    tiles = _tiles(matrix, lanes)  # (tile, k, V)
    groups = [tiles[start : start + TILES].swapaxes(0, 1).ravel() for start in range(0, len(tiles), TILES)]
    return _aligned(np.concatenate(groups))


def _tiles(matrix: Array, lanes: int) -> Array:
    """(k, u) as (tile, k, V)."""
    k, u = matrix.shape
    count = -(-u // lanes)
    padded = np.zeros((k, count * lanes), np.float32)
    padded[:, :u] = matrix
    return padded.reshape(k, count, lanes).swapaxes(0, 1)


def _aligned(array: Array) -> Array:
    """Its numbers in C order, as one axis that begins a line of the cache."""
    memory = np.empty(array.size + ALIGNED // 4, np.float32)
    start = -memory.ctypes.data % ALIGNED // 4
    memory[start : start + array.size] = array.ravel()
    return memory[start : start + array.size]
