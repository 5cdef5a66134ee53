"""The tuned loop for any number of rows: those that advance together, and what is put by for the next call.

B is the batch, T the time steps, u the units.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..format.graph import Array
from ..format.nodes import GRU, LSTM, SimpleRNN
from .runner import Cell, Layout, Runner
from .states import Result, State

# Rows that advance together. More, and a step's gates no longer fit the cache: 4096 rows of 64 units take 36 ms at once
# and 28 ms in blocks of 240 (two cores).
ROWS = 240
# A Runner whose gates are no more numbers than this (1 MB of float32) is put by for the next call: memory that is taken
# and given back at every call costs a fault for every page, which was a quarter of the time of 390 rows of 5 steps.
KEPT = 2**18
SIZES, EACH = 2, 8  # for so many numbers of rows (a block, the last block), and so many threads at once


class Tuned:
    """A node's arrays as the tuned loop takes them, and Runners that are put by."""

    NODES = (LSTM, GRU, SimpleRNN)

    def __init__(self, node: Cell, layout: Layout) -> None:
        self.node, self.layout = node, layout
        self._free: dict[int, list[Runner]] = {}  # by the number of rows

    def own(self, batch: int) -> Runner:
        return Runner(self.node, self.layout, batch)

    def run(
        self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None = None
    ) -> Result:
        """As `states.Loop.run`."""
        rows, steps = x.shape[:2]
        if rows <= ROWS:
            return self._run_block(x, mask, state, sequence, into)
        count = -(-rows // ROWS)
        edges = [*range(0, rows, -(-rows // count)), rows]  # all but the last of one size: they need one Runner
        # One array for all blocks, not one each and then another to join them: the sequence may be most of the memory.
        if sequence and into is None:
            into = np.empty((rows, steps, self.node.units), self.layout.M.dtype)
        results = [
            self._run_block(
                x[start:stop],
                None if mask is None else mask[start:stop],
                state and State(tuple(s[start:stop] for s in state.states), state.output[start:stop]),
                sequence,
                None if into is None else into[start:stop],
            )
            for start, stop in pairwise(edges)
        ]
        states = tuple(np.concatenate(parts) for parts in zip(*(r.state.states for r in results), strict=True))
        output = np.concatenate([r.state.output for r in results])
        return Result(into, State(states, output), None)

    def _run_block(
        self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None
    ) -> Result:
        """On a Runner that nothing else uses meanwhile. Safe from many threads: list operations are."""
        rows, free = len(x), self._free
        try:
            used = free[rows].pop()
        except (KeyError, IndexError):
            used = Runner(self.node, self.layout, rows)
        result = used.run(x, mask, state, sequence, into)
        if len(self.layout.M) * rows <= KEPT:
            if rows not in free and len(free) >= SIZES:
                free.clear()
            idle = free.setdefault(rows, [])
            if len(idle) < EACH:
                idle.append(used)
        return result
