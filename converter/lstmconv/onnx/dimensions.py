"""Names for the sizes that a graph leaves open: `batch`, `time`, and others after their input.

Which sizes of values are the same is asked of the graph itself: types are inferred with numbers in the place of the
open sizes, and what comes out as one of these numbers, for two choices of numbers, is that size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lstmconv_runtime.format.graph import Graph, GraphError, Type, Value, infer_types
from lstmconv_runtime.format.nodes import Input

Dimension = int | str | None
Axis = tuple[Value, int]
BATCH = "batch"
# Sizes to try: primes, no two of which are alike, large enough for any window and small enough for every limit.
FIRST, SECOND = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049), (1151, 1153, 1163, 1171, 1181, 1187, 1193, 1201)
# Of the batch and two sides.
ONE_OF_THEM_1 = ((1009, 1, 1013), (1009, 1013, 1))


def dimensions(graph: Graph) -> dict[Value, tuple[Dimension, ...]]:
    """The dimensions of every value: a number, a name, or None where it is neither."""
    names = _names(graph)
    tried = _tried(graph, names)
    if not tried:
        shared = _shared(names, _tied(graph, names))
        tried = _tried(graph, shared)
        if tried:
            names = shared
        else:  # the sizes have more to do with each other than to be the same: one of them may be 1
            tried = _tried(graph, {axis: name if name == BATCH else "" for axis, name in names.items()})
    return _named(infer_types(graph), names, tried)


def _names(graph: Graph) -> dict[Axis, str]:
    """A name for every open axis of every input: one for all batches, another for each other axis."""
    inputs = [node for node in graph.nodes if isinstance(node, Input)]
    several = sum(len(node.shape) > 1 and node.shape[1] is None for node in inputs) > 1
    names: dict[Axis, str] = {}
    for node in inputs:
        for axis, size in enumerate(node.shape):
            if size is None:
                time = f"{node.name}.time" if several else "time"
                names[node.name, axis] = BATCH if axis == 0 else time if axis == 1 else f"{node.name}.{axis}"
    return names


def _shared(names: Mapping[Axis, str], tied: Mapping[Axis, Axis]) -> dict[Axis, str]:
    """The names with one for all axes that are tied; where all times are, it is `time`."""
    times = {first for axis, first in tied.items() if axis[1] == 1}
    shared = {axis: names[first] for axis, first in tied.items()}
    if len(times) == 1:
        shared = {axis: "time" if tied[axis] in times else name for axis, name in shared.items()}
    return {axis: name for axis, name in names.items() if name == BATCH} | shared


def _tied(graph: Graph, names: Mapping[Axis, str]) -> dict[Axis, Axis]:
    """For each axis but the batch the first that has to be of the same size: no graph takes them with different ones,
    not even with 1 on one side, which is broadcast.

    There are at most as many as there are primes, and so at most 2^6 ways to part them.
    """
    axes = [axis for axis, name in names.items() if name != BATCH]
    apart: set[frozenset[Axis]] = set()
    for chosen in range(1, 2 ** len(axes) // 2):  # the last axis is on one side always
        part = {axis for k, axis in enumerate(axes) if chosen >> k & 1}
        sides = {axis: name if name == BATCH else str(axis in part) for axis, name in names.items()}
        if not any(_tried(graph, sides, [numbers]) for numbers in (FIRST, *ONE_OF_THEM_1)):
            continue
        apart |= {frozenset((one, other)) for one in part for other in axes if other not in part}
    return {axis: next(one for one in axes if frozenset((one, axis)) not in apart) for axis in axes}


def _tried(
    graph: Graph, names: Mapping[Axis, str], choices: Sequence[tuple[int, ...]] = (FIRST, SECOND)
) -> list[tuple[dict[Value, Type], dict[str, int]]]:
    """`_types` for each choice of numbers; none where the graph does not take one of them."""
    try:
        return [_types(graph, names, numbers) for numbers in choices]
    except GraphError:
        return []


def _types(
    graph: Graph, names: Mapping[Axis, str], primes: tuple[int, ...]
) -> tuple[dict[Value, Type], dict[str, int]]:
    """The types with a number for each name, and the numbers; none where there are more names."""
    order = list(dict.fromkeys(names.values()))
    sizes = dict(zip(order, primes, strict=False)) if len(order) <= len(primes) else {}
    nodes = tuple(
        node.replace(
            shape=tuple(
                sizes.get(names.get((node.name, a), ""), n) if n is None else n for a, n in enumerate(node.shape)
            )
        )
        if isinstance(node, Input)
        else node
        for node in graph.nodes
    )
    return infer_types(replace(graph, nodes=nodes)), sizes


def _named(
    types: Mapping[Value, Type],
    names: Mapping[Axis, str],
    tried: Sequence[tuple[dict[Value, Type], dict[str, int]]],
) -> dict[Value, tuple[Dimension, ...]]:
    every = set(names.values())

    def named(value: Value, axis: int, size: int | None) -> Dimension:
        if size is not None:
            return size
        if (value, axis) in names:
            return names[value, axis]
        for name in every if tried else ():
            if all(made[value].shape[axis] == sizes.get(name, 0) for made, sizes in tried):
                return name
        return None

    return {v: tuple(named(v, axis, size) for axis, size in enumerate(type_.shape)) for v, type_ in types.items()}
