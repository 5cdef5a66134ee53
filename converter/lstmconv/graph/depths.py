"""The walk over the calls of a Functional model by which Keras orders them and its layers.

A depth-first search from the outputs, then depths counted from the outputs: `map_graph` of `keras.src.ops.function`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

CallId: TypeAlias = tuple[str, int]  # layer, number of the call


class Depths(NamedTuple):
    """What the walk finds of calls that an output depends on; the outputs are at depth 0.

    Attributes:
        of_call, of_layer: their depths; of a layer, that of its deepest call.
        met: which layer was met first, second and so on.
    """

    of_call: dict[CallId, int]
    of_layer: dict[str, int]
    met: dict[str, int]


def depths_of(reads: Mapping[CallId, Sequence[CallId]], outputs: Iterable[CallId]) -> Depths:
    """The depths of calls.

    Args:
        reads: what each call reads, in the order of its arguments; inputs need not be there.
    """
    finished: list[CallId] = []  # each call after those it reads
    met: dict[str, int] = {}
    entered: set[CallId] = set()
    stack = [(call, False) for call in reversed(list(outputs))]
    while stack:
        call, left = stack.pop()
        if left:
            finished.append(call)
        elif call not in entered:
            entered.add(call)
            met.setdefault(call[0], len(met))
            stack.append((call, True))
            stack += [(read, False) for read in reversed(reads.get(call, ()))]
    of_call: dict[CallId, int] = {}
    of_layer: dict[str, int] = {}
    for call in reversed(finished):
        depth = max(of_call.setdefault(call, 0), of_layer.get(call[0], 0))
        of_call[call] = of_layer[call[0]] = depth
        for read in reads.get(call, ()):
            of_call[read] = max(depth + 1, of_call.get(read, 0))
    return Depths(of_call, of_layer, met)
