"""Runs a graph: arrays are prepared once, then a loop over the nodes makes every value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import recurrence
from .errors import InputError
from .graph import Array, Graph, Node, Type, Value, infer_types
from .layers import LAYERS
from .nodes import GRU, LSTM, Cast, Constant, ConvLSTM, Input, SimpleRNN
from .precision import compute_dtype, round_to, rounder
from .recurrence import Recurrent, State

RECURRENT = (LSTM, GRU, SimpleRNN, ConvLSTM)


@dataclass(frozen=True)
class Program:
    """A graph ready to run."""

    graph: Graph
    types: dict[Value, Type]
    prepared: dict[str, Any]  # by node name: arrays in their compute dtype, fused for recurrent nodes
    precision: str | None

    def dtype(self, value: Value) -> np.dtype[np.generic]:
        """NumPy dtype the value is held in."""
        return compute_dtype(self.types[value].dtype, self.precision)


def prepare(graph: Graph, precision: str | None = None) -> Program:
    """Checks the graph and lays its arrays out for running.

    Raises:
        GraphError: the graph breaks a rule.
    """
    types = infer_types(graph)
    prepared: dict[str, Any] = {}
    for node in graph.nodes:
        held = types[node.makes()[0]].dtype
        dtype = compute_dtype(held, precision)
        arrays = {name: _read_only(array, dtype) for name, array in graph.node_arrays(node).items()}
        rounding = rounder(held, precision)
        if rounding and not isinstance(node, Constant):
            arrays = {name: round_to(array, rounding) for name, array in arrays.items()}
        prepared[node.name] = recurrence.prepare(node, arrays) if isinstance(node, RECURRENT) else arrays
    return Program(graph, types, prepared, precision)


def _read_only(array: Array, dtype: np.dtype[np.generic]) -> Array:
    array = array.astype(dtype, copy=False)
    array.flags.writeable = False
    return array


def run(
    program: Program, inputs: Mapping[Value, Array], gates: dict[str, dict[str, Array]] | None = None
) -> dict[Value, Array]:
    """Every value of the graph, for arrays already checked and cast to the types of the Input nodes.

    Args:
        gates: filled with the gates of each recurrent node, (B, T, u) each, time-aligned with the node's input.
    """
    values: dict[Value, Array] = dict(inputs)
    for node in program.graph.nodes:
        if isinstance(node, Input):
            continue
        for value, made in zip(node.makes(), evaluate(program, node, values, gates), strict=True):
            rounding = rounder(program.types[value].dtype, program.precision)
            values[value] = round_to(made, rounding) if rounding else made
    return values


def evaluate(
    program: Program, node: Node, values: Mapping[Value, Array], gates: dict[str, dict[str, Array]] | None = None
) -> tuple[Array, ...]:
    """The outputs of one node from the values it reads."""
    p = program.prepared[node.name]
    if isinstance(node, RECURRENT):
        return _recurrent(program, node, p, values, gates)
    if isinstance(node, Constant):
        return (p["value"],)
    if isinstance(node, Cast):
        return (cast(values[node.x], program.dtype(node.name)),)
    return (LAYERS[type(node)](node, p, values),)


def cast(x: Array, dtype: np.dtype[np.generic]) -> Array:
    """x as dtype: NumPy's rules, which agree with Keras: floats to integers are cut, to bool is x ≠ 0."""
    with np.errstate(invalid="ignore", over="ignore"):
        return x.astype(dtype, copy=False)


def initial_state(program: Program, node: Recurrent, values: Mapping[Value, Array], batch: int) -> State:
    """The state before the first step: what the graph gives, zeros where it gives nothing."""
    space = tuple(size or 0 for size in program.types[f"{node.name}:h"].shape[1:-1])
    zero = recurrence.zero_state(node, batch, space, program.dtype(node.name))
    given = (node.h0, *((node.c0,) if isinstance(node, LSTM | ConvLSTM) else ()))
    states = tuple(z if name is None else values[name] for z, name in zip(zero.states, given, strict=True))
    return State(states, zero.output)


def _recurrent(
    program: Program,
    node: Recurrent,
    p: recurrence.Prepared,
    values: Mapping[Value, Array],
    gates: dict[str, dict[str, Array]] | None,
) -> tuple[Array, ...]:
    x, mask = values[node.x], None if node.mask is None else values[node.mask]
    if x.shape[1] == 0:
        raise InputError(f"node '{node.name}' ({type(node).__name__}): the sequence has no time steps", "E_NO_STEPS")
    if mask is not None:
        mask = np.broadcast_to(mask, x.shape[:2])
    if node.go_backwards:
        x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
    state = initial_state(program, node, values, x.shape[0])
    result = recurrence.run(node, p, x, mask, state, sequence=node.return_sequences, gates=gates is not None)
    if gates is not None and result.gates is not None:
        gates[node.name] = {k: g[:, ::-1] if node.go_backwards else g for k, g in result.gates.items()}
    y = result.sequence if node.return_sequences else result.state.output
    assert y is not None
    return (y, *result.state.states)


EXECUTES: Mapping[type[Node], Callable[..., Any]] = {
    **LAYERS,
    **dict.fromkeys(RECURRENT, _recurrent),
    Constant: evaluate,
    Cast: cast,
    Input: run,
}
