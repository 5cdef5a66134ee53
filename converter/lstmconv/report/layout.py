"""Places for the nodes of a directed graph in layers, after Sugiyama, Tagawa and Toda (1981).

1. A node's layer is one below the lowest that it reads; what reads nothing stands right above its first reader.
2. An edge over several layers gets a bend in each of those between.
3. Each layer is put into the order of the mean place of its neighbours, downwards and upwards in turn.
4. x: every node as near to the mean of its neighbours as those beside it allow, in the sense of least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

SWEEPS = 8
GAP_X, GAP_Y = 28.0, 38.0  # between neighbours of a layer, and between layers
BEND = 10.0  # the width that an edge takes in a layer it passes
MOST_BENDS = 20_000  # more would take longer than a reader waits: long edges are then drawn across


class Place(NamedTuple):
    """The middle of a node, and its size."""

    x: float
    y: float
    width: float
    height: float


class Route(NamedTuple):
    """An edge: from which node to which, and the points it goes through from the bottom of one to the top of the
    other."""

    start: int
    end: int
    points: tuple[tuple[float, float], ...]


class Layout(NamedTuple):
    width: float
    height: float
    places: tuple[Place, ...]
    routes: tuple[Route, ...]


def layered(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Layout:
    """Places for nodes of these sizes.

    Args:
        sizes: width and height of each node.
        edges: pairs of nodes; the first comes before the second in `sizes`.
    """
    if not sizes:
        return Layout(0.0, 0.0, (), ())
    layer = _layers(len(sizes), edges)
    widths = [width for width, _ in sizes]
    chains = _bend(edges, layer, widths)
    links = sorted({pair for chain in chains for pair in pairwise(chain)})
    order = _ordered(layer, links)
    x = _across(order, widths, links)
    left = min(place - width / 2 for place, width in zip(x, widths, strict=True))
    x = [place - left for place in x]
    middles, halves = _down(order, sizes)
    places = tuple(
        Place(x[node], middles[layer[node]], width, height) for node, (width, height) in enumerate(sizes)
    )  # fmt: skip
    routes = []
    for chain in chains:
        first, last = chain[0], chain[-1]
        points = [(x[first], places[first].y + places[first].height / 2)]
        for node in chain[1:-1]:
            middle, half = middles[layer[node]], halves[layer[node]]
            points += [(x[node], middle - half), (x[node], middle + half)]
        routes.append(Route(first, last, (*points, (x[last], places[last].y - places[last].height / 2))))
    right = max(place + width / 2 for place, width in zip(x, widths, strict=True))
    return Layout(right, middles[-1] + halves[-1], places, tuple(routes))


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    layer, reads = [0] * count, [False] * count
    for start, end in sorted(edges, key=lambda edge: edge[1]):
        layer[end], reads[end] = max(layer[end], layer[start] + 1), True
    for node in range(count):
        readers = [layer[end] for start, end in edges if start == node]
        if not reads[node] and readers:
            layer[node] = min(readers) - 1
    return layer


def _bend(edges: Sequence[tuple[int, int]], layer: list[int], widths: list[float]) -> list[list[int]]:
    """Each edge as a chain of nodes in neighbouring layers; bends are appended to `layer` and `widths`."""
    bends = sum(layer[end] - layer[start] - 1 for start, end in edges)
    chains = []
    for start, end in edges:
        chain = [start]
        for between in range(layer[start] + 1, layer[end]) if bends <= MOST_BENDS else ():
            chain.append(len(layer))
            layer.append(between)
            widths.append(BEND)
        chains.append([*chain, end])
    return chains


def _neighbours(count: int, links: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for start, end in links:
        above[end].append(start)
        below[start].append(end)
    return above, below


def _ordered(layer: Sequence[int], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    order: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    for node, number in enumerate(layer):
        order[number].append(node)
    above, below = _neighbours(len(layer), links)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        place = {node: at for row in order for at, node in enumerate(row)}
        for row in order if down else reversed(order):
            beside = above if down else below
            row.sort(key=lambda node: _mean([place[other] for other in beside[node]], place[node]))
            place.update((node, at) for at, node in enumerate(row))
    return order


def _mean(numbers: Sequence[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _across(order: Sequence[Sequence[int]], widths: Sequence[float], links: Sequence[tuple[int, int]]) -> list[float]:
    """The middle of every node."""
    above, below = _neighbours(len(widths), links)
    x = [0.0] * len(widths)
    for row in order:
        for node, place in zip(row, _spread([0.0] * len(row), [widths[node] for node in row]), strict=True):
            x[node] = place
    for sweep in range(SWEEPS):
        for row in order if sweep % 2 == 0 else reversed(order):
            wanted = [_mean([x[other] for other in (*above[node], *below[node])], x[node]) for node in row]
            for node, place in zip(row, _spread(wanted, [widths[node] for node in row]), strict=True):
                x[node] = place
    return x


def _spread(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Places from left to right, GAP_X apart at least, that minimise Σ (place − wanted)².

    Less the least distance from the first, places only must not fall: that is isotonic regression, solved by pooling
    adjacent violators (Ayer et al. 1955).
    """
    offsets = [0.0]
    for left, right in pairwise(widths):
        offsets.append(offsets[-1] + (left + right) / 2 + GAP_X)
    pools: list[tuple[float, int]] = []  # mean and number
    for place, offset in zip(wanted, offsets, strict=False):
        mean, number = place - offset, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, number = (before * count + mean * number) / (count + number), count + number
        pools.append((mean, number))
    bases = [mean for mean, number in pools for _ in range(number)]
    return [base + offset for base, offset in zip(bases, offsets, strict=False)]


def _down(order: Sequence[Sequence[int]], sizes: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Of each layer the y of its middle, and half its height."""
    middles, halves, top = [], [], 0.0
    for row in order:
        height = max((sizes[node][1] for node in row if node < len(sizes)), default=0.0)
        middles.append(top + height / 2)
        halves.append(height / 2)
        top += height + GAP_Y
    return middles, halves
