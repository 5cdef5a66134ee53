"""The gates of recurrent nodes over one sequence, as much of them as a page can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from lstmconv_runtime import Gates, Model
from lstmconv_runtime.format.graph import Array

from .gate_scales import color_limits

MOST_NODES = 12
MOST_STEPS = 200  # and units, of one map: 1.8 million numbers in all at most, 4 MB on the page
MOST_UNITS = 128


@dataclass(frozen=True)
class GateMap:
    """One gate of one node.

    Attributes:
        values: (steps shown, units shown).
        least, mean, most: (steps shown,), over all units of a step; NaN where none of them is finite.
    """

    gate: str
    low: float
    high: float
    values: Array
    least: Array
    mean: Array
    most: Array


@dataclass(frozen=True)
class NodeGates:
    """The gates of a recurrent node.

    Attributes:
        steps, units: how many there are.
        shown_steps, shown_units: which of them are shown, evenly apart.
        space: true where a unit is a filter at a place.
        masked: whether it reads a mask, so that some steps may not count.
    """

    node: str
    steps: int
    units: int
    shown_steps: tuple[int, ...]
    shown_units: tuple[int, ...]
    space: bool
    maps: tuple[GateMap, ...]
    masked: bool = False


@dataclass(frozen=True)
class Traced:
    """One sequence, and the gates of the recurrent nodes for it.

    Attributes:
        origin: where the sequence comes from, in words.
        row, rows: which of the batch, counted from 0, and of how many.
        inputs: by name, without the batch axis.
        nodes: the first MOST_NODES that are recurrent.
        recurrent: how many are.
    """

    origin: str
    row: int
    rows: int
    inputs: dict[str, Array]
    nodes: tuple[NodeGates, ...]
    recurrent: int


def traced(model: Model, inputs: Mapping[str, Array], row: int, rows: int, origin: str) -> Traced:
    """The gates of one sequence.

    Args:
        inputs: rows of the model's inputs, `row` among them.
        rows: how many there are in all, where `inputs` are the first of them.
    """
    chosen = {name: array[row] for name, array in inputs.items()}
    given, at, count = dict(inputs), row, len(next(iter(inputs.values())))
    if model.splits:
        given, at, count = {name: array[row : row + 1] for name, array in inputs.items()}, 0, 1
    found = {name: held for name, held in model.trace(given).items() if isinstance(held, Gates)}
    masked = {node.name for node in model.nodes if getattr(node, "mask", None) is not None}
    nodes = [
        replace(node_gates(name, held, at, count), masked=name in masked)
        for name, held in list(found.items())[:MOST_NODES]
    ]
    return Traced(origin, row, rows, chosen, tuple(nodes), len(found))


def node_gates(node: str, held: Mapping[str, Any], row: int, rows: int) -> NodeGates:
    """The gates of one node for one row of a batch.

    Where time steps have become rows of the batch, as inside TimeDistributed, the first of a row's own is taken.
    """
    arrays = {gate: array for gate, array in held.items() if gate != "output"}
    batch = len(next(iter(arrays.values())))
    at = row * (batch // rows) if batch >= rows else 0
    maps, space = [], False
    for gate, array in arrays.items():
        space = array.ndim > 3
        values = array[at].reshape(array.shape[1], -1).astype(np.float64)  # (steps, units)
        steps, units = _evenly(values.shape[0], MOST_STEPS), _evenly(values.shape[1], MOST_UNITS)
        rowwise = np.where(np.isfinite(values[list(steps)]), values[list(steps)], np.nan)
        low, high = _limits(gate, values)
        maps.append(
            GateMap(
                gate, low, high, values[np.ix_(steps, units)], *(_over(rowwise, how) for how in ("min", "mean", "max"))
            )
        )
        count, width = values.shape
    return NodeGates(node, count, width, steps, units, space, tuple(maps))


def _limits(gate: str, values: Array) -> tuple[float, float]:
    """The scale of a gate: 0 … 1 for what a sigmoid gives; what may be negative, evenly around 0 as far as it goes."""
    low, high = color_limits(gate, values)
    farthest = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    return (low, high) if low == 0 or not farthest else (-farthest, farthest)


def _evenly(count: int, most: int) -> tuple[int, ...]:
    """Numbers from 0, evenly apart: all below `count`, or every k-th."""
    return tuple(range(0, count, max(1, -(-count // most))))


def _over(values: Array, how: str) -> Array:
    """The least, mean or largest number of each row that is finite; NaN where there is none."""
    empty = np.asarray(np.isnan(values).all(axis=1))
    filled = np.where(empty[:, None], 0.0, values)
    made = np.nanmin(filled, 1) if how == "min" else np.nanmax(filled, 1) if how == "max" else np.nanmean(filled, 1)
    return np.where(empty, np.nan, made)
