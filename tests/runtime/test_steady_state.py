"""What the time loops do per step, in facts that no clock is needed for: array operations, matrix products, memory.

The numbers are those of the loops as they are. One that rises is a loss of speed that no other test sees; one that
falls is a gain. Either way, a change here is a decision: make it on purpose and say why in the commit.
"""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lstmconv_runtime import loops, recurrence
from lstmconv_runtime.graph import Array
from lstmconv_runtime.recurrence import PORTION, Prepared, Runner, zero_state

UNITS, FEATURES = 256, 2
GATE = 4 * UNITS  # bytes of one gate of one row: well above what views and tuples need
LOOSE = 700  # bytes of Python objects that live during one step
BUFFER = 4 * 8192  # bytes NumPy takes while it adds arrays of different shapes: np.getbufsize() numbers at most


def cell(build: Any, kind: str, units: int = UNITS, **options: Any) -> tuple[Any, Prepared]:
    """A recurrent node and its arrays, laid out."""
    node = build.recurrent(kind, "cell", "x", FEATURES, units, **options)
    graph = build.graph([build.input(None, FEATURES), node])
    return node, recurrence.prepare(node, graph.node_arrays(node))


def inputs(batch: int, steps: int) -> Array:
    return np.random.default_rng(0).standard_normal((batch, steps, FEATURES)).astype(np.float32)


KINDS = {
    # name: (kind, options, ufunc calls per step, matrix products per step)
    # LSTM: x·W added; σ of three gates in exp, add, divide; tanh of the candidate; f c + i c~ in three; o tanh(c).
    "LSTM": ("LSTM", {}, {"add": 3, "multiply": 3, "tanh": 2, "exp": 1, "divide": 1}, 1),
    # GRU: x·W added to the gates and to the candidate; σ in three; r times; tanh; the blend in four.
    # Reset after: the candidate's own bias besides. Reset before: one more matrix product instead.
    "GRU, reset after": (
        "GRU", {"reset_after": True}, {"add": 5, "multiply": 3, "subtract": 1, "tanh": 1, "exp": 1, "divide": 1}, 1
    ),
    "GRU, reset before": (
        "GRU", {"reset_after": False}, {"add": 4, "multiply": 3, "subtract": 1, "tanh": 1, "exp": 1, "divide": 1}, 2
    ),
    "SimpleRNN": ("SimpleRNN", {}, {"add": 1, "tanh": 1}, 1),
}  # fmt: skip


class Watched(np.ndarray[Any, Any]):
    """A matrix that counts its products; so do its slices."""

    products = 0

    def dot(self, *args: Any) -> Any:
        Watched.products += 1
        return self.view(np.ndarray).dot(*args)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", KINDS)
def test_operations_per_step(build: Any, monkeypatch: pytest.MonkeyPatch, name: str, batch: int) -> None:
    kind, options, ufuncs, products = KINDS[name]
    counted: Counter[str] = Counter()

    def counting(ufunc: str) -> Callable[..., Any]:
        call = getattr(np, ufunc)

        def counted_call(*args: Any, **kwargs: Any) -> Any:
            counted[ufunc] += 1
            return call(*args, **kwargs)

        return counted_call

    for ufunc in ("add", "subtract", "multiply", "divide", "tanh", "exp", "minimum"):
        monkeypatch.setattr(loops, ufunc, counting(ufunc))
    node, p = cell(build, kind, **options)
    runner = Runner(node, p._replace(U=p.U.view(Watched), U_one_row=p.U_one_row.view(Watched)), batch)

    def operations(steps: int) -> Counter[str]:
        counted.clear()
        Watched.products = 0
        runner.run(inputs(batch, steps), None, zero_state(node, batch, (), p.U.dtype), sequence=True)
        return Counter({**counted, "product": Watched.products})

    few, many = operations(10), operations(30)
    assert {key: (many[key] - few[key]) / 20 for key in many} == {**ufuncs, "product": products}


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", KINDS)
def test_a_step_allocates_no_array(build: Any, name: str, batch: int) -> None:
    """Not even one that it frees again, which the memory of a whole run would not show."""
    kind, options, *_ = KINDS[name]
    node, p = cell(build, kind, **options)
    runner = Runner(node, p, batch)
    rise = [0]
    step = runner._step

    def watched(x_t: Array, states: tuple[Array, ...], new: tuple[Array, ...]) -> None:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        step(x_t, states, new)
        rise.append(tracemalloc.get_traced_memory()[1] - before)

    runner._step = watched
    x, state = inputs(batch, 20), zero_state(node, batch, (), p.U.dtype)
    tracemalloc.start()
    try:
        for sequence in (False, True):
            runner.run(x, None, state, sequence)
    finally:
        tracemalloc.stop()
    assert len(rise) == 41
    assert max(rise) < min(LOOSE, GATE * batch)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", KINDS)
def test_more_steps_need_no_more_than_their_own_arrays(
    build: Any, name: str, batch: int, sequence: bool, masked: bool
) -> None:
    """Ten times the steps: the input product of the portion and the outputs grow; nothing else."""
    kind, options, *_ = KINDS[name]
    node, p = cell(build, kind, units=32, **options)
    runner = Runner(node, p, batch)

    def peak(steps: int) -> int:
        x, state = inputs(batch, steps), zero_state(node, batch, (), p.U.dtype)
        mask = np.ones((batch, steps), bool) if masked else None
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            result = runner.run(x, mask, state, sequence)
            assert (result.sequence is None) != sequence
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()

    peak(50)  # what is made once
    few, many = peak(50), peak(500)
    row = 4 * batch * 450  # bytes of one number per row and further step
    feature_major = 0 if batch == 1 else FEATURES  # x is copied to put the batch last, the outputs to put it first
    outputs = node.units * (1 if batch == 1 else 2) if sequence else 0
    assert many - few <= row * (len(p.U) + feature_major + outputs) + BUFFER + 2000


def test_a_long_sequence_needs_the_memory_of_a_portion(build: Any) -> None:
    """100,000 steps, whose input product at once would be 12.8 MB: two portions of it, and little else."""
    units, steps = 8, 100_000
    lstm = build.recurrent("LSTM", "lstm", "x", FEATURES, units, return_sequences=False)
    model = build.model([build.input(None, FEATURES), lstm, build.dense("dense", "lstm", units, 1)])
    x = inputs(1, steps)
    model.predict(x[:, :50])
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        y = model.predict(x)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert y.shape == (1, 1)
    portions = 2 * 4 * PORTION  # the last one is still held while the next is computed
    assert portions < 4 * 4 * units * steps
    assert peak <= portions + BUFFER + 100_000


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("batch", "steps"), [(4, 20_000), (500, 160)])
def test_a_sequence_is_held_once(build: Any, batch: int, steps: int, masked: bool) -> None:
    """Beside the outputs of every step (10 MB) there are only those of a portion of the steps, of a block of rows."""
    units = 32
    node, p = cell(build, "LSTM", units=units)
    x, state = inputs(batch, steps), zero_state(node, batch, (), p.U.dtype)
    mask = np.ones((batch, steps), bool) if masked else None
    recurrence.run(node, p, x[:, :5], mask, state, sequence=True)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        result = recurrence.run(node, p, x, mask, state, sequence=True)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert result.sequence is not None
    assert result.sequence.nbytes == 4 * batch * steps * units
    portion = 4 * PORTION * (len(p.U) + FEATURES + units) // len(p.U)  # its input product, inputs and outputs
    assert portion < result.sequence.nbytes
    assert peak <= result.sequence.nbytes + portion + BUFFER + 10 * 4 * batch * len(p.U)


def test_parts_of_a_batch_are_written_into_one_array(build: Any) -> None:
    lstm = build.recurrent("LSTM", "lstm", "x", FEATURES, 32)
    model = build.model([build.input(None, FEATURES), lstm])
    x = inputs(640, 100)
    model.predict(x[:32])
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        y = model.predict(x, batch_size=32)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert isinstance(y, np.ndarray)
    part = y.nbytes // 20
    assert peak <= y.nbytes + 2 * part + 4 * 2 * PORTION
