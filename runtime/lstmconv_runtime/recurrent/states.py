"""What the loops over time share: their protocol, the states they carry, and what they give back.

B is the batch, T the time steps, n the input size, u the units.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from ..format.graph import Array
from ..format.nodes import GRU, LSTM, ConvLSTM, SimpleRNN

Recurrent: TypeAlias = LSTM | GRU | SimpleRNN | ConvLSTM


class State(NamedTuple):
    """What is carried from one time step to the next."""

    states: tuple[Array, ...]  # h and, for an LSTM, c: (B, u)
    output: Array  # the previous output, (B, u)


class Given(NamedTuple):
    """What a loop is run on; see `Loop.run`."""

    x: Array
    mask: Array | None
    state: State | None
    sequence: bool


class Result(NamedTuple):
    sequence: Array | None  # (B, T, u), in processing order; None unless asked for
    state: State
    gates: dict[str, Array] | None  # (B, T, u) each, in processing order; None unless asked for

    @property
    def outputs(self) -> tuple[Array, ...]:
        """The outputs of the node: y, and the last states."""
        return (self.state.output if self.sequence is None else self.sequence, *self.state.states)


class Loop(Protocol):
    """A recurrent node ready to run, in one of the ways `choose` knows. Safe from many threads."""

    def run(
        self, x: Array, mask: Array | None, state: State | None, sequence: bool, into: Array | None = None
    ) -> Result:
        """Runs the node over x (B, T, n), already in processing order, from `state`, which is left as it was.

        A masked step carries every state. Its output repeats the previous output, which is zero before the first valid
        step even where an initial state was given; with `zero_output_for_mask` it is zero.

        Args:
            mask: (B, T), True where a step is valid.
            state: None for zeros; a ConvLSTM, whose state has the space of its input, is given one.
            sequence: give back the outputs of every step.
            into: where they are put (B, T, u); None for a new array.
        """

    def own(self, batch: int) -> Loop:
        """The same for so many rows, with buffers of its own: for one stream, not to be shared between threads."""


def zero_state(node: Recurrent, batch: int, space: tuple[int, ...], dtype: np.dtype[np.generic]) -> State:
    """The state before the first step; `space` is () but for convolutions."""
    width = node.filters if isinstance(node, ConvLSTM) else node.units
    zeros = tuple(np.zeros((batch, *space, width), dtype) for _ in node.OUTPUTS[1:])
    return State(zeros, np.zeros((batch, *space, width), dtype))
