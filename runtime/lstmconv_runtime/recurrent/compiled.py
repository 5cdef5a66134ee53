"""The compiled loop: how the arrays of a node are laid out for `_kernel`, and how it is called.

B is the batch, T the time steps, n the input size, u the units, V the floats of a vector of the processor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias, TypeGuard

import numpy as np

from ..format.graph import Activation, Array, Int8Array
from ..format.nodes import GRU, LSTM, SimpleRNN
from ..threads import kernel_threads
from .runner import Cell
from .states import Given, Recurrent, Result, State

empty, FLOAT = np.empty, np.dtype(np.float32)
# Products of one call of the kernel, a second or two: between calls Python notices that it is interrupted.
PORTION = 2**36
ALIGNED = 64  # bytes: a line of the cache, and the largest vector
TILES = 4  # vectors of units that a cell of one gate takes side by side, as others take their gates
# From so many weights on int8 is multiplied as it is stored: fewer stay in a fast cache as float32, which is as fast.
LARGE = 2**17
LSTM_KIND, GRU_AFTER, GRU_BEFORE, SIMPLE_RNN = range(4)  # as in _kernel.c


def fits(node: Recurrent, arrays: Mapping[str, Array]) -> TypeGuard[Cell]:
    """Whether the kernel computes the node: float32 with Keras's own activations."""
    if not isinstance(node, LSTM | GRU | SimpleRNN) or arrays[f"U_{node.GATES[0]}"].dtype != np.float32:
        return False
    gates = None if isinstance(node, SimpleRNN) else node.recurrent_activation
    return _is(node.activation, "tanh") and (gates is None or _is(gates, "sigmoid"))


def _is(activation: Activation, name: str) -> bool:
    return activation.name == name and not activation.constants


def cell_of(
    kernel: ModuleType, instruction_set: str, node: Cell, arrays: Mapping[str, Array], int8: Mapping[str, Int8Array]
) -> Any:
    """The kernel's Cell: the arrays of a node as it reads them. Any number of loops may run on one."""
    lanes = kernel.instruction_sets()[instruction_set]
    products = (node.input_size + node.units) * node.units * len(node.GATES)
    kind, packed = _pack(node, arrays, int8 if products >= LARGE else {}, lanes)
    finite = all(bool(np.isfinite(arrays[f"U_{gate}"]).all()) for gate in node.GATES)
    return kernel.Cell(instruction_set, kind, finite, node.input_size, node.units, *packed)


class Packed(NamedTuple):
    """The arrays of a node as the kernel reads them, each as one axis; a matrix that has a scale is int8."""

    W: Array
    U: Array
    U_h: Array | None
    b: Array
    W_scale: Array | None
    U_scale: Array | None
    U_h_scale: Array | None


Arguments: TypeAlias = tuple[Any, ...]  # of Cell.run


def _copied(arguments: Arguments) -> Arguments:
    """With what is read in memory as the kernel reads it."""
    dtypes = FLOAT, np.dtype(bool), FLOAT, FLOAT, FLOAT
    # np.array would keep a dtype that spells this machine's byte order out, which the buffer protocol then does too.
    read = (None if a is None else a.astype(dtype, order="C") for a, dtype in zip(arguments[:5], dtypes, strict=True))
    return *read, *arguments[5:]


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
        if x.shape[1] == 1:
            if mask is None and state is not None and into is None:
                return self._step(x, state, sequence)
        elif self.is_long(x):
            return self._run_in_portions(x, mask, state, sequence, into)
        arguments, y = self._arguments(x, mask, state, sequence, into)
        self._call(arguments)
        return self._result(arguments, y)

    def _call(self, arguments: Arguments) -> None:
        try:
            self._cell.run(*arguments)
        except BufferError:  # it lies in memory as the kernel does not read it
            self._cell.run(*_copied(arguments))

    def _step(self, x: Array, state: State, sequence: bool) -> Result:
        """A single step as streams take it, which is over sooner than most of Python's part in it. It puts out its h:
        what is given out beside the state is copied anyway."""
        shape = len(x), self._units
        h_new = empty(shape, FLOAT)
        if self._has_c:
            (h, c), c_new = state.states, empty(shape, FLOAT)
            states: tuple[Array, ...] = h_new, c_new
        else:
            (h,), c, c_new = state.states, None, None
            states = (h_new,)
        self._call((x, None, h, c, None, None, h_new, c_new, None, False, kernel_threads.most))
        return Result(h_new[:, None] if sequence else None, State(states, h_new), None)

    def run_with(self, own: Given, other: Compiled, its: Given) -> tuple[Result, Result]:
        """Two runs that need nothing of each other, side by side; each of them gives what it gives alone."""
        if self.is_long(own.x) or other.is_long(its.x):
            return self.run(*own), other.run(*its)
        (mine, y), (yours, its_y) = self._arguments(*own), other._arguments(*its)
        try:
            self._cell.run_with(other._cell, yours, mine)
        except BufferError:
            self._cell.run_with(other._cell, _copied(yours), _copied(mine))
        return self._result(mine, y), other._result(yours, its_y)

    def is_long(self, x: Array) -> bool:
        return bool(x.shape[0] * x.shape[1] * self._products > PORTION)

    def _arguments(
        self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None = None
    ) -> tuple[Arguments, Array | None]:
        """What the kernel is called with, and y, which is empty as yet."""
        rows, steps, _ = x.shape
        shape = rows, self._units
        h_new = empty(shape, FLOAT)
        c_new = empty(shape, FLOAT) if self._has_c else None
        h = c = before = shown = None
        if sequence and into is None:
            into = empty((rows, steps, self._units), FLOAT)
        if state is not None:
            h = state.states[0]
            if self._has_c:
                c = state.states[1]
        if mask is not None:
            shown, before = empty(shape, FLOAT), None if state is None else state.output
        most = kernel_threads.most
        return (x, mask, h, c, before, into, h_new, c_new, shown, self._zero_masked, most), into

    def _result(self, arguments: Arguments, y: Array | None) -> Result:
        h_new, c_new, shown = arguments[6:9]
        return Result(y, State((h_new, c_new) if self._has_c else (h_new,), h_new if shown is None else shown), None)

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


def _pack(node: Cell, arrays: Mapping[str, Array], int8: Mapping[str, Int8Array], lanes: int) -> tuple[int, Packed]:
    """The kind of the cell, and its arrays as the kernel reads them."""
    zero = np.zeros(node.units, np.float32)

    def matrix(prefix: str, gates: str) -> tuple[Array, Array | None]:
        """The kernels of some gates side by side, and their scales where all of them are int8."""
        names = [f"{prefix}_{gate}" for gate in gates]
        lay_out = _by_tile if len(gates) > 1 else _by_tiles
        if not all(name in int8 for name in names):
            return lay_out([arrays[name] for name in names], lanes), None
        stored = [int8[name] for name in names]
        with_sums = [part for one in stored for part in (one.scale, one.q.sum(axis=0, dtype=np.float32))]
        return lay_out([_by_four(one.q) for one in stored], lanes).view(np.int8), rows(*with_sums)

    def bias(*names: str) -> Array:
        return sum((arrays[name] for name in names if name in arrays), zero)

    def rows(*columns: Array) -> Array:
        return _by_tile([column[None] for column in columns], lanes)

    U_h: tuple[Array | None, Array | None] = None, None
    if isinstance(node, LSTM):
        kind, W, U = LSTM_KIND, matrix("W", "ifco"), matrix("U", "ifco")
        b = rows(*(bias(f"b_{gate}") for gate in "ifco"))
    elif isinstance(node, SimpleRNN):
        kind, W, U, b = SIMPLE_RNN, matrix("W", "h"), matrix("U", "h"), rows(bias("b_h"))
    else:
        W, z_and_r = matrix("W", "zrh"), (bias("b_z", "bU_z"), bias("b_r", "bU_r"))
        if node.reset_after:
            kind, U, b = GRU_AFTER, matrix("U", "zrh"), rows(*z_and_r, bias("b_h"), bias("bU_h"))
        else:
            kind, U, U_h = GRU_BEFORE, matrix("U", "zr"), matrix("U", "h")
            b = rows(*z_and_r, bias("b_h", "bU_h"), zero)
    return kind, Packed(W[0], U[0], U_h[0], b, W[1], U[1], U_h[1])


def _by_tile(columns: Sequence[Array], lanes: int) -> Array:
    """Matrices (k, u) of as many gates as (tile, k, gate, V), with zeros beyond u."""
    k, u = columns[0].shape
    packed = _aligned(columns[0].dtype, -(-u // lanes), k, len(columns), lanes)
    for gate, column in enumerate(columns):
        _fill(packed[:, :, gate].swapaxes(0, 1), column)
    return packed.reshape(-1)


def _by_tiles(columns: Sequence[Array], lanes: int) -> Array:
    """One matrix (k, u) as (group of `TILES` tiles, k, tile, V): the last group may have fewer."""
    (matrix,) = columns
    k, u = matrix.shape
    count = -(-u // lanes)
    packed = _aligned(matrix.dtype, count * k * lanes)
    for start in range(0, count, TILES):
        tiles = min(TILES, count - start)
        group = packed[start * k * lanes : (start + tiles) * k * lanes].reshape(k, tiles, lanes)
        _fill(group, matrix[:, start * lanes : (start + tiles) * lanes])
    return packed


def _fill(tiles: Array, matrix: Array) -> None:
    """Puts (k, u) into (k, tile, V), the last of which may be longer than what is left of it."""
    k, u = matrix.shape
    lanes = tiles.shape[2]
    whole = u // lanes
    tiles[:, :whole] = matrix[:, : whole * lanes].reshape(k, whole, lanes)
    if whole < tiles.shape[1]:
        tiles[:, whole, : u - whole * lanes] = matrix[:, whole * lanes :]


def _by_four(q: Array) -> Array:
    """int8 (k, u) with four numbers of the inner dimension as one of 32 bits, (k / 4, u), and zeros beyond k."""
    k, u = q.shape
    padded = np.zeros((-(-k // 4) * 4, u), np.int8)
    padded[:k] = q
    fours = padded.reshape(-1, 4, u).swapaxes(1, 2)  # (k / 4, u, 4)
    return np.ascontiguousarray(fours).view(np.int32)[:, :, 0]


def _aligned(dtype: np.dtype[Any], *shape: int) -> Array:
    """Zeros that begin a line of the cache."""
    count, itemsize = prod(shape), dtype.itemsize
    memory = np.zeros(count + ALIGNED // itemsize, dtype)
    start = -memory.ctypes.data % ALIGNED // itemsize
    return memory[start : start + count].reshape(shape)
