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
# Sizes to try: primes, no two of which are alike, large enough for any window and small enough for every limit.
FIRST, SECOND = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049), (1151, 1153, 1163, 1171, 1181, 1187, 1193, 1201)


def dimensions(graph: Graph) -> dict[Value, tuple[Dimension, ...]]:
    """The dimensions of every value: a number, a name, or None where it is neither."""
    for one_time in (False, True):
        names = _names(graph, one_time)
        try:
            tried = [(_types(graph, names, primes), primes) for primes in (FIRST, SECOND)]
        except GraphError:  # the time axes of two inputs have to be the same
            continue
        return _named(infer_types(graph), names, tried)
    return _named(infer_types(graph), _names(graph, False), [])


def _names(graph: Graph, one_time: bool) -> dict[tuple[Value, int], str]:
    """A name for every open axis of every input: one for all batches, one for each other axis or for all times."""
    names: dict[tuple[Value, int], str] = {}
    inputs = [node for node in graph.nodes if isinstance(node, Input)]
    several = sum(len(node.shape) > 1 and node.shape[1] is None for node in inputs) > 1
    for node in inputs:
        for axis, size in enumerate(node.shape):
            if size is None:
                time = "time" if one_time or not several else f"{node.name}.time"
                names[node.name, axis] = "batch" if axis == 0 else time if axis == 1 else f"{node.name}.{axis}"
    return names


def _types(graph: Graph, names: Mapping[tuple[Value, int], str], primes: tuple[int, ...]) -> dict[Value, Type]:
    order = list(dict.fromkeys(names.values()))
    sizes = {name: primes[k] for k, name in enumerate(order)} if len(order) <= len(primes) else {}
    nodes = tuple(
        node.replace(
            shape=tuple(sizes.get(names[node.name, a], n) if n is None else n for a, n in enumerate(node.shape))
        )
        if isinstance(node, Input)
        else node
        for node in graph.nodes
    )
    return infer_types(replace(graph, nodes=nodes))


def _named(
    types: Mapping[Value, Type],
    names: Mapping[tuple[Value, int], str],
    tried: Sequence[tuple[dict[Value, Type], tuple[int, ...]]],
) -> dict[Value, tuple[Dimension, ...]]:
    order = list(dict.fromkeys(names.values()))

    def named(value: Value, axis: int, size: int | None) -> Dimension:
        if size is not None:
            return size
        if (value, axis) in names:
            return names[value, axis]
        for k, name in enumerate(order):
            if tried and all(k < len(primes) and made[value].shape[axis] == primes[k] for made, primes in tried):
                return name
        return None

    return {v: tuple(named(v, axis, size) for axis, size in enumerate(type_.shape)) for v, type_ in types.items()}
