"""What the time loops do per step, in facts that no clock is needed for: array operations, matrix products, memory.

The numbers are those of the loops as they are. One that rises is a loss of speed that no other test sees; one that
falls is a gain. Either way, a change here is a decision: make it on purpose and say why in the commit.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lstmconv_runtime import engines
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import TANH, Array
from lstmconv_runtime.recurrent import steps
from lstmconv_runtime.recurrent.runner import PORTION, WIDE, Layout, Runner, lay_out
from lstmconv_runtime.recurrent.states import zero_state
from lstmconv_runtime.recurrent.tuned import Tuned

UNITS, FEATURES = 256, 2
GATE = 4 * UNITS  # bytes of one gate of one row: well above what views and tuples need
LOOSE = 700  # bytes of Python objects that live during one step
BUFFER = 4 * 8192  # bytes NumPy takes while it adds arrays of different shapes: np.getbufsize() numbers at most


def cell(build: Any, kind: str, units: int = UNITS, features: int = FEATURES, **options: Any) -> tuple[Any, Layout]:
    """A recurrent node and its arrays, laid out."""
    node = build.recurrent(kind, "cell", "x", features, units, **options)
    graph = build.graph([build.input(None, features), node])
    layout = lay_out(node, graph.node_arrays(node))
    assert layout is not None
    return node, layout


def inputs(batch: int, steps: int, features: int = FEATURES) -> Array:
    return np.random.default_rng(0).standard_normal((batch, steps, features)).astype(np.float32)


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "LSTM": ("LSTM", {}),
    "GRU, reset after": ("GRU", {"reset_after": True}),
    "GRU, reset before": ("GRU", {"reset_after": False}),
    "SimpleRNN": ("SimpleRNN", {}),
}
# LSTM: 1 + e^−x of three gates in two; tanh of the candidate; c~ and c weighed at once, and added; tanh(c) weighed.
LSTM_STEP = {"product": 1, "exp": 1, "add": 2, "tanh": 2, "divide": 2}
# GRU: σ of two gates in three; r times; the candidate's part of x_t added; tanh; the blend in four. Reset after, the
# candidate has a product of its own, because M takes x_t as well; reset before, it has one of r * h.
GRU_STEP = {"product": 2, "exp": 1, "add": 3, "divide": 1, "multiply": 3, "tanh": 1, "subtract": 1}
STEPS: dict[tuple[str, int, int], dict[str, int]] = {
    # (cell, batch, features): operations per step. What is wide or a GRU's, one row takes apart: x·W is added.
    ("LSTM", 4, FEATURES): LSTM_STEP,
    ("LSTM", 1, FEATURES): LSTM_STEP,
    ("LSTM", 1, WIDE // (4 * UNITS)): {**LSTM_STEP, "add": 3},
    ("GRU, reset after", 4, FEATURES): GRU_STEP,
    ("GRU, reset after", 1, FEATURES): {**GRU_STEP, "add": 4, "product": 1},
    ("GRU, reset before", 4, FEATURES): GRU_STEP,
    ("GRU, reset before", 1, FEATURES): {**GRU_STEP, "add": 4},
    ("SimpleRNN", 4, FEATURES): {"product": 1, "tanh": 1},
    ("SimpleRNN", 1, FEATURES): {"product": 1, "tanh": 1},
    ("SimpleRNN", 1, WIDE // UNITS): {"product": 1, "tanh": 1, "add": 1},
}


measures_memory = pytest.mark.skipif(
    sys.gettrace() is not None, reason="what traces the lines keeps books in the memory that is measured"
)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the operations of NumPy's loops that are made from here on."""
    monkeypatch.setenv(engines.VARIABLE, engines.NUMPY)
    counted: Counter[str] = Counter()

    def counting(operation: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted_call(*args: Any, **kwargs: Any) -> Any:
            counted[operation] += 1
            return call(*args, **kwargs)

        return counted_call

    for ufunc in ("add", "subtract", "multiply", "divide", "tanh", "exp", "copyto"):
        monkeypatch.setattr(steps, ufunc, counting(ufunc, getattr(steps, ufunc)))
    product_with = steps.product_with
    monkeypatch.setattr(steps, "product_with", lambda M: counting("product", product_with(M)))
    return counted


@pytest.mark.parametrize("name", KINDS)
def test_operations_of_a_step_of_a_stream(build: Any, counted: Counter[str], name: str) -> None:
    """One row, one step: the same operations as in a loop, none to keep the gates from overflowing."""
    kind, options = KINDS[name]
    stream = build.model(
        [build.input(None, FEATURES), build.recurrent(kind, "a", "x", FEATURES, 8, **options)]
    ).stream()
    x = inputs(1, 3)
    stream.step(x[:, 0])
    counted.clear()
    stream.step(x[:, 1])
    assert counted == STEPS[name, 4, FEATURES]


@measures_memory
@pytest.mark.parametrize("outputs", [["a"], ["d"], ["a", "a:h", "a:c"]])
def test_a_step_of_a_stream_makes_each_array_once(build: Any, outputs: list[str]) -> None:
    """Beside what its operations need: the new h and c, which are kept, and what is given out."""
    units = 1024  # 4 kB an array: well above the objects of Python
    lstm = build.recurrent("LSTM", "a", "x", FEATURES, units, return_sequences=False)
    after = [n.Activate(name="d", x="a", activation=TANH)] if "d" in outputs else []
    model = build.model([build.input(None, FEATURES), lstm, *after], outputs)
    stream, x = model.stream(), inputs(1, 1)[:, 0]
    kept = stream.step(x)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = stream.step(x)
        rise = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert kept is not None
    assert rise <= (2 + len(outputs)) * 4 * units + 2500


@pytest.mark.parametrize(("name", "batch", "features"), STEPS)
def test_operations_per_step(build: Any, counted: Counter[str], name: str, batch: int, features: int) -> None:
    kind, options = KINDS[name]
    node, layout = cell(build, kind, features=features, **options)
    runner = Runner(node, layout, batch)

    def operations(steps: int) -> Counter[str]:
        counted.clear()
        state = zero_state(node, batch, (), layout.M.dtype)
        runner.run(inputs(batch, steps, features), None, state, sequence=True)
        return counted.copy()

    few, many = operations(10), operations(30)
    assert {key: (many[key] - few[key]) / 20 for key in many} == STEPS[name, batch, features]


@measures_memory
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", KINDS)
def test_a_step_allocates_no_array(build: Any, name: str, batch: int) -> None:
    """Not even one that it frees again, which the memory of a whole run would not show."""
    kind, options = KINDS[name]
    node, layout = cell(build, kind, **options)
    runner = Runner(node, layout, batch)
    rise = [0]
    step = runner._loop.step

    def watched(*args: Any) -> None:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        step(*args)
        rise.append(tracemalloc.get_traced_memory()[1] - before)

    runner._loop = runner._loop._replace(step=watched)
    x, state = inputs(batch, 20), zero_state(node, batch, (), layout.M.dtype)
    tracemalloc.start()
    try:
        for sequence in (False, True):
            runner.run(x, None, state, sequence)
    finally:
        tracemalloc.stop()
    assert len(rise) == 41
    assert sorted(rise)[-3] < min(LOOSE, GATE * batch)  # in two of them a thread of the test runner may have a part


@measures_memory
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", KINDS)
def test_more_steps_need_no_more_than_their_own_arrays(
    build: Any, name: str, batch: int, sequence: bool, masked: bool
) -> None:
    """Ten times the steps: the operands of the portion, what is computed before them, and the outputs; nothing else."""
    kind, options = KINDS[name]
    node, layout = cell(build, kind, units=32, **options)
    runner = Runner(node, layout, batch)

    def peak(steps: int) -> int:
        x, state = inputs(batch, steps), zero_state(node, batch, (), layout.M.dtype)
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
    numbers = runner._numbers + (node.units if sequence else 0)
    masks = 450 * (3 * batch + 2) if masked else 0  # bytes: where outputs are shown and where not; steps that are whole
    assert many - few <= row * numbers + masks + BUFFER + 2000


@measures_memory
def test_a_long_sequence_needs_the_memory_of_a_portion(build: Any) -> None:
    """200,000 steps, whose operands at once would be 8.8 MB: a portion of them, and little else."""
    units, steps = 8, 200_000
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
    assert 4 * (units + 1 + FEATURES) * steps / 2 > 4 * PORTION
    assert peak <= 4 * PORTION + BUFFER + 100_000


@measures_memory
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("batch", "steps"), [(4, 20_000), (500, 160)])
def test_a_sequence_is_held_once(build: Any, batch: int, steps: int, masked: bool) -> None:
    """Beside the outputs of every step (10 MB) there are only the operands of a portion, of a block of rows."""
    units = 32
    node, layout = cell(build, "LSTM", units=units)
    loop = Tuned(node, layout)
    x, state = inputs(batch, steps), zero_state(node, batch, (), np.dtype(np.float32))
    mask = np.ones((batch, steps), bool) if masked else None
    loop.run(x[:, :5], None if mask is None else mask[:, :5], state, sequence=True)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        result = loop.run(x, mask, state, sequence=True)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert result.sequence is not None
    assert result.sequence.nbytes == 4 * batch * steps * units
    assert result.sequence.nbytes / 4 > 4 * PORTION
    masks = 3 * batch * steps if masked else 0
    assert peak <= result.sequence.nbytes + 4 * PORTION + masks + BUFFER + 40 * 4 * batch * units


@measures_memory
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
    assert peak <= y.nbytes + 2 * part + 4 * PORTION
