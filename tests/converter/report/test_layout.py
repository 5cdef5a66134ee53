"""The layout: nodes below what they read, none over another, and the same every time."""

from __future__ import annotations

import itertools
import random

import pytest
from lstmconv.report import layout
from lstmconv.report.layout import GAP_X, Layout, layered


def random_graph(seed: int, count: int = 40) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    chance = random.Random(seed)
    sizes = [(float(chance.randint(60, 240)), 66.0) for _ in range(count)]
    edges = {(chance.randrange(end), end) for end in range(1, count) for _ in range(chance.randint(0, 3))}
    return sizes, sorted(edges)


def check(made: Layout, sizes: list[tuple[float, float]], edges: list[tuple[int, int]]) -> None:
    for start, end in edges:
        assert made.places[start].y < made.places[end].y
    for a, b in itertools.combinations(made.places, 2):
        apart = abs(a.x - b.x) - (a.width + b.width) / 2
        assert abs(a.y - b.y) >= (a.height + b.height) / 2 or apart >= GAP_X - 1e-6
    for place, (width, height) in zip(made.places, sizes, strict=True):
        assert (place.width, place.height) == (width, height)
        assert width / 2 <= place.x + 1e-6 and place.x + width / 2 <= made.width + 1e-6
        assert height / 2 <= place.y and place.y + height / 2 <= made.height
    assert sorted((route.start, route.end) for route in made.routes) == sorted(edges)
    for route in made.routes:
        above, below = made.places[route.start], made.places[route.end]
        assert route.points[0] == (above.x, above.y + above.height / 2)
        assert route.points[-1] == (below.x, below.y - below.height / 2)
        heights = [y for _, y in route.points]
        assert heights == sorted(heights)


@pytest.mark.parametrize("seed", range(10))
def test_random_graphs(seed: int) -> None:
    sizes, edges = random_graph(seed)
    made = layered(sizes, edges)
    check(made, sizes, edges)
    assert layered(sizes, edges) == made


def test_edges_go_around_the_nodes_of_the_layers_they_pass() -> None:
    sizes, edges = [(100.0, 50.0)] * 4, [(0, 1), (1, 2), (2, 3), (0, 3)]
    made = layered(sizes, edges)
    check(made, sizes, edges)
    (long,) = [route for route in made.routes if (route.start, route.end) == (0, 3)]
    for x, y in long.points[1:-1]:
        for place in made.places[1:3]:
            assert abs(y - place.y) > place.height / 2 or abs(x - place.x) >= place.width / 2


def test_a_chain_is_straight() -> None:
    made = layered([(100.0, 50.0), (60.0, 50.0), (140.0, 50.0)], [(0, 1), (1, 2)])
    assert len({round(place.x, 6) for place in made.places}) == 1


def test_a_source_stands_above_its_reader() -> None:
    made = layered([(50.0, 50.0)] * 5, [(0, 1), (1, 2), (2, 4), (3, 4)])
    assert made.places[3].y == made.places[2].y


def test_little() -> None:
    assert layered([], []) == Layout(0.0, 0.0, (), ())
    assert layered([(10.0, 20.0)], []).places[0] == (5.0, 10.0, 10.0, 20.0)


def test_too_many_bends_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MOST_BENDS", 3)
    sizes, edges = random_graph(1)
    made = layered(sizes, edges)
    check(made, sizes, edges)
    assert all(len(route.points) == 2 for route in made.routes)
