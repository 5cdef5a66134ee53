"""Recurrent nodes over a sequence: `prepare` lays the arrays of a node out once, at load; `run` takes a sequence.

B is the batch, T the time steps, n the input size, u the units, g the number of gates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..format.graph import Array
from ..format.nodes import ConvLSTM
from . import plain, runner
from .runner import Layout, Runner, lay_out
from .states import Recurrent, Result, State


class Prepared(NamedTuple):
    """A recurrent node ready to run: by the tuned loop or, where that does not fit, by the plain one."""

    arrays: dict[str, Array]  # as they are stored, one per gate, for `trace`
    layout: Layout | None
    fused: plain.Fused | None  # where there is no layout


def prepare(node: Recurrent, arrays: Mapping[str, Array]) -> Prepared:
    """`arrays` by parameter name, already of the dtype to compute in."""
    layout = lay_out(node, arrays)
    return Prepared(dict(arrays), layout, plain.fuse(node, arrays) if layout is None else None)


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

    A masked step carries every state. Its output repeats the previous output, which is zero before the first valid
    step even where an initial state was given; with `zero_output_for_mask` it is zero.

    Args:
        state: a node with a layout takes None for zeros.
    """
    if gates or p.layout is None:
        assert state is not None
        return plain.run(node, None if gates else p.fused, p.arrays, x, mask, state, sequence)
    assert not isinstance(node, ConvLSTM)
    rows, steps = x.shape[:2]
    if rows <= ROWS:
        return runner.run(node, p.layout, x, mask, state, sequence)
    count = -(-rows // ROWS)
    edges = [*range(0, rows, -(-rows // count)), rows]  # all but the last of one size: they need one Runner
    # One array for all blocks, not one each and then another to join them: the sequence may be most of the memory.
    ys = np.empty((rows, steps, node.units), p.layout.M.dtype) if sequence else None
    results = [
        runner.run(
            node,
            p.layout,
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


def own_run(node: Recurrent, p: Prepared, batch: int) -> Callable[..., Result]:
    """`run` for so many rows, with buffers of its own: for one stream, not to be shared between threads."""
    if p.layout is None or isinstance(node, ConvLSTM):
        return partial(run, node, p)
    return Runner(node, p.layout, batch).run


# Rows that advance together. More, and a step's gates no longer fit the cache: 4096 rows of 64 units take 36 ms at once
# and 28 ms in blocks of 240 (two cores).
ROWS = 240
