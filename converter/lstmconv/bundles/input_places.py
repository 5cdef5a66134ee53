"""Where the numbers of an input go: into which tables as ids, and what they are compared with to make a mask.

Nodes that move numbers run on the places instead of the numbers: each number of an input is its own number, counted
from 1, and 0 is none of them. What reaches a table or a comparison says which places of the input it came from, through
any reshaping, slicing, folding of time and joining, whatever was done to the numbers on the way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from lstmconv_runtime import programs
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.elementwise import COMPARISONS
from lstmconv_runtime.format.graph import Array, Graph, Node, Value
from lstmconv_runtime.layers.by_node import LAYERS

MOVES = (
    n.Concatenate, n.Reshape, n.ExpandDims, n.Squeeze, n.Transpose, n.Slice, n.Flip, n.Pad, n.Repeat, n.FoldTime,
    n.UnfoldTime,
)  # fmt: skip
MOST_WAYS = 8  # that lead to one value


@dataclass(frozen=True)
class Places:
    """What the numbers of one input are for, place by place.

    Attributes:
        limit: one more than the largest id that a place may hold; 0 where it is no id.
        compared: the number that a place is compared with; NaN where it is with none.
    """

    limit: Array
    compared: Array


def input_places(program: programs.Program, shapes: Mapping[Value, tuple[int, ...]]) -> dict[Value, Places]:
    """By input name, for inputs of these shapes.

    Raises:
        InputError: the graph takes no inputs of these shapes.
    """
    graph = program.graph
    if not any(isinstance(node, n.Embedding) or _makes_mask(node) for node in graph.nodes):
        return {name: Places(np.zeros(shape, np.int64), np.full(shape, np.nan)) for name, shape in shapes.items()}
    zeros = {name: np.zeros(shape, program.dtype(name)) for name, shape in shapes.items()}
    with np.errstate(all="ignore"):
        sizes = {value: array.shape for value, array in programs.run(program, zeros).items()}
    counts = [math.prod(shape) for shape in shapes.values()]
    starts = [1 + sum(counts[:index]) for index in range(len(counts))]
    ways: dict[Value, list[Array]] = {
        name: [np.arange(start, start + count).reshape(shape)]
        for (name, shape), start, count in zip(shapes.items(), starts, counts, strict=True)
    }
    limit, compared = np.zeros(1 + sum(counts), np.int64), np.full(1 + sum(counts), np.nan)
    for node in graph.nodes:
        if isinstance(node, n.Embedding):
            for places in ways.get(node.x, ()):
                known = limit[places]
                limit[places] = np.where(known > 0, np.minimum(known, node.input_size), node.input_size)
        elif _makes_mask(node):
            for arg, other in zip(node.args, reversed(node.args), strict=True):
                number = _number(graph, other)
                for places in ways.get(arg, ()) if number is not None else ():
                    compared[places] = number
        elif not isinstance(node, n.Input) and any(value in ways for value in node.reads()):
            made = _ways(node, ways, sizes)
            if made:
                ways[node.name] = made[:MOST_WAYS]
    return {
        name: Places(limit[start : start + count].reshape(shape), compared[start : start + count].reshape(shape))
        for (name, shape), start, count in zip(shapes.items(), starts, counts, strict=True)
    }


def _makes_mask(node: Node) -> TypeGuard[n.Elementwise]:
    return isinstance(node, n.Elementwise) and node.op == "not_equal"


def _ways(node: Node, ways: Mapping[Value, list[Array]], sizes: Mapping[Value, tuple[int, ...]]) -> list[Array]:
    """The ways to the value of a node; none where it makes other numbers of those it reads."""
    if isinstance(node, n.Cast):
        return ways[node.x]
    if isinstance(node, MOVES):
        count = max(len(ways.get(value, ())) for value in node.reads())
        made = []
        for index in range(count):
            given = {value: _way(ways.get(value), index, sizes[value]) for value in node.reads()}
            made.append(LAYERS[type(node)](node, {}, given))
        return made
    sources: tuple[Value, ...] = ()
    if isinstance(node, n.Where):
        sources = (node.a, node.b)
    elif isinstance(node, n.Elementwise) and node.op not in COMPARISONS:
        sources = node.args
    elif isinstance(node, n.Activate) and node.activation.name in ("linear", "relu"):
        sources = (node.x,)
    return [np.broadcast_to(way, sizes[node.name]) for source in sources for way in ways.get(source, ())]


def _way(found: list[Array] | None, index: int, size: tuple[int, ...]) -> Array:
    return np.zeros(size, np.int64) if not found else found[min(index, len(found) - 1)]


def _number(graph: Graph, value: Value) -> float | None:
    """The number of a Constant of one place, or None."""
    node = next((node for node in graph.nodes if node.name == value), None)
    if not isinstance(node, n.Constant) or math.prod(node.shape) != 1:
        return None
    return float(graph.arrays[f"{node.namespace()}/value"].reshape(()))
