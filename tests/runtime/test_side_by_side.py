"""Nodes that run at the same time give what they give one after the other, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lstmconv_runtime import engines, programs
from lstmconv_runtime.side_by_side import side_by_side
from lstmconv_runtime.threads import at_most


def halves(build: Any, kind: str, units: int, **second: Any) -> list[Any]:
    settings = {"go_backwards": True, **second}
    first = build.recurrent(kind, "f", "x", 8, units)
    return [build.input(None, 8), first, build.recurrent(kind, "b", settings.pop("x", "x"), 8, units, **settings)]


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("rows", [1, 5, 150])
def test_two_halves_give_the_bits_of_each(build: Any, kind: str, rows: int) -> None:
    graph = build.graph(halves(build, kind, 90), ["f", "b"])
    program = programs.prepare(graph)
    joined = side_by_side(program)
    assert len(joined.steps) == (1 if engines.engine().name == "kernel" else 2)
    x = np.random.default_rng(0).standard_normal((rows, 60, 8)).astype(np.float32)
    apart = programs.run(program, {"x": x}, keep=False)
    for count in (1, 2, 3):
        with at_most(count):
            together = programs.run(joined, {"x": x}, keep=False)
        assert all(np.array_equal(together[name], apart[name]) for name in ("f", "b"))


def test_a_node_that_reads_the_other_comes_after_it(build: Any) -> None:
    nodes = [build.input(None, 8), build.recurrent("LSTM", "f", "x", 8, 8), build.recurrent("LSTM", "b", "f", 8, 8)]
    program = programs.prepare(build.graph(nodes, ["b"]))
    assert len(side_by_side(program).steps) == 2


def test_a_batch_without_rows_beside_one_with(build: Any) -> None:
    """One block in all, which is the second's: neither may be taken for the only call."""
    nodes = [
        build.input(None, 8), build.input(None, 8, name="z"),
        build.recurrent("LSTM", "f", "x", 8, 150), build.recurrent("LSTM", "b", "z", 8, 150),
    ]  # fmt: skip
    program = programs.prepare(build.graph(nodes, ["f", "b"]))
    z = np.random.default_rng(0).standard_normal((1, 300, 8)).astype(np.float32)
    given = {"x": z[:0], "z": z}
    apart, together = (programs.run(one, given, keep=False) for one in (program, side_by_side(program)))
    assert together["f"].shape == (0, 300, 150)
    assert np.array_equal(together["b"], apart["b"])
