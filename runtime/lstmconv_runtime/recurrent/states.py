"""What the loops over time share: the states they carry, and what they give back."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from ..format.graph import Array
from ..format.nodes import GRU, LSTM, ConvLSTM, SimpleRNN

Recurrent: TypeAlias = LSTM | GRU | SimpleRNN | ConvLSTM


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
