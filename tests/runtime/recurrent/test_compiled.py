"""The kernel by itself: each instruction set beside float64, bit for bit in parts, and what it refuses.

Where the kernel is not built, conftest.py leaves this file out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from lstmconv_runtime import engines, load
from lstmconv_runtime.format.graph import Array, Int8Array
from lstmconv_runtime.recurrent import choose
from lstmconv_runtime.recurrent import compiled as compiled_module
from lstmconv_runtime.recurrent.plain import Plain, fuse
from lstmconv_runtime.recurrent.states import Result, State
from lstmconv_runtime.threads import at_most
from paths import VECTORS

assert engines.kernel is not None
SETS = list(engines.kernel.instruction_sets())
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "LSTM": ("LSTM", {}),
    "GRU, reset after": ("GRU", {"reset_after": True}),
    "GRU, reset before": ("GRU", {"reset_after": False}),
    "SimpleRNN": ("SimpleRNN", {}),
}
# (features, units, batch, steps): units beside whole vectors, one of each, rows beside whole tiles, blocks of rows,
# and a last step that two threads share.
SIZES = [(1, 1, 1, 1), (3, 5, 4, 6), (8, 32, 1, 9), (8, 33, 7, 5), (2, 100, 13, 3), (1, 7, 130, 4), (5, 150, 60, 12)]


@pytest.fixture(scope="session")
def engine() -> None:
    """Not once for each engine, as elsewhere: these tests name theirs."""


def cell(build: Any, kind: str, features: int, units: int, **options: Any) -> tuple[Any, dict[str, Array]]:
    node = build.recurrent(kind, "cell", "x", features, units, **options)
    return node, build.graph([build.input(None, features), node]).node_arrays(node)


def compiled(
    node: Any, arrays: dict[str, Array], instruction_set: str, int8: dict[str, Int8Array] | None = None
) -> Any:
    loop = choose.choose(node, arrays, int8 or {}, engines.Engine("kernel", instruction_set), {})
    assert type(loop).__name__ == "Compiled"
    return loop


def as_int8(node: Any, arrays: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Int8Array]]:
    """The kernels of a node as int8, however small they are, and all arrays with what those stand for."""
    int8 = {}
    for name in node.scaled():
        scale = (np.abs(arrays[name]).max(axis=0) / 127).astype(np.float32)
        q = np.rint(arrays[name] / np.where(scale > 0, scale, 1)).astype(np.int8)
        int8[name] = Int8Array(q, scale, -1)
    return {**arrays, **{name: stored.widened() for name, stored in int8.items()}}, int8


@pytest.fixture(params=["float32", "int8"])
def stored(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives the arrays of a node, and those of them that are int8."""
    monkeypatch.setattr(compiled_module, "LARGE", 0)
    return as_int8 if request.param == "int8" else lambda node, arrays: (arrays, {})


def given(node: Any, batch: int, steps: int, masked: bool, started: bool) -> tuple[Array, Array | None, State | None]:
    random = np.random.default_rng(batch + steps)

    def normal(*shape: int) -> Array:
        return random.standard_normal(shape).astype(np.float32)

    mask = random.random((batch, steps)) < 0.6 if masked else None
    states = tuple(normal(batch, node.units) for _ in node.OUTPUTS[1:])
    return normal(batch, steps, node.input_size), mask, State(states, normal(batch, node.units)) if started else None


def parts(result: Result) -> Iterator[Array]:
    assert result.sequence is not None
    yield from (result.sequence, *result.state.states, result.state.output)


def equal(one: Result, other: Result) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(parts(one), parts(other), strict=True))


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_as_exact_as_numpy(
    build: Any, stored: Any, size: tuple[int, ...], kind: str, instruction_set: str
) -> None:
    features, units, batch, steps = size
    for masked, started, zero_masked in product([False, True], repeat=3):
        name, options = KINDS[kind]
        node, arrays = cell(build, name, features, units, zero_output_for_mask=zero_masked, **options)
        arrays, int8 = stored(node, arrays)
        x, mask, state = given(node, batch, steps, masked, started)
        double = {key: array.astype(np.float64) for key, array in arrays.items()}
        exact = Plain(node, fuse(node, double)).run(x.astype(np.float64), mask, state, True)
        made = compiled(node, arrays, instruction_set, int8).run(x, mask, state, True)
        ours = max(float(np.abs(a - b).max()) for a, b in zip(parts(made), parts(exact), strict=True))
        assert ours <= 2e-6 * max(1.0, *(float(np.abs(a).max()) for a in parts(exact)))


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("kind", KINDS)
def test_parts_give_the_bits_of_the_whole(build: Any, stored: Any, kind: str, instruction_set: str) -> None:
    """Rows one by one, steps one by one, one thread or more: the same numbers."""
    name, options = KINDS[kind]
    for features, units, batch, steps in SIZES:
        node, arrays = cell(build, name, features, units, **options)
        arrays, int8 = stored(node, arrays)
        x, mask, state = given(node, batch, steps, True, True)
        assert mask is not None
        assert state is not None
        loop = compiled(node, arrays, instruction_set, int8)
        whole = loop.run(x, mask, state, True)
        for count in (1, 2, 5):
            with at_most(count):
                assert equal(loop.run(x, mask, state, True), whole)
        row = batch // 2
        one = slice(row, row + 1)
        alone = loop.run(x[one], mask[one], State(tuple(s[one] for s in state.states), state.output[one]), True)
        assert all(np.array_equal(a, b[one]) for a, b in zip(parts(alone), parts(whole), strict=True))
        for t in range(steps):
            step = loop.run(x[:, t : t + 1], mask[:, t : t + 1], state, True)
            assert np.array_equal(step.sequence[:, 0], whole.sequence[:, t])
            state = step.state
        assert equal(Result(whole.sequence, state, None), whole)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("kind", KINDS)
def test_int8_with_states_of_any_size(build: Any, kind: str, instruction_set: str, stored: Any) -> None:
    """Large, tiny, subnormal, and no numbers at all: as the equations say of the weights that int8 stands for."""
    name, options = KINDS[kind]
    node, arrays = cell(build, name, 3, 40, **options)
    arrays, int8 = stored(node, arrays)
    double = {key: array.astype(np.float64) for key, array in arrays.items()}
    x, _, state = given(node, 3, 2, False, True)
    assert state is not None
    for size in (8.0, 1e-6, 1e-38, 0.0):
        started = State((state.states[0] * np.float32(size), *state.states[1:]), state.output)
        exact = Plain(node, fuse(node, double)).run(x.astype(np.float64), None, started, True)
        made = compiled(node, arrays, instruction_set, int8).run(x, None, started, True)
        for ours, right in zip(parts(made), parts(exact), strict=True):
            assert np.abs(ours - right).max() <= 2e-6 * max(1.0, float(np.abs(right).max()))
    odd = state.states[0].copy()
    odd[1, 7], odd[2, 3] = np.nan, np.inf
    made = compiled(node, arrays, instruction_set, int8).run(x, None, State((odd, *state.states[1:]), odd), True)
    single = {key: array.astype(np.float32) for key, array in arrays.items()}
    with np.errstate(all="ignore"):
        plain = Plain(node, fuse(node, single)).run(x, None, State((odd, *state.states[1:]), odd), True)
    for ours, expected in zip(parts(made), parts(plain), strict=True):
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(expected))
        np.testing.assert_allclose(ours, expected, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_long_runs_are_taken_in_portions(build: Any, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """So that Python notices an interrupt; with the same bits."""
    name, options = KINDS[kind]
    for zero_masked, started in product([False, True], repeat=2):
        node, arrays = cell(build, name, 3, 21, zero_output_for_mask=zero_masked, **options)
        x, mask, state = given(node, 6, 11, True, started)
        loop = compiled(node, arrays, SETS[0])
        whole, last = loop.run(x, mask, state, True), loop.run(x, None, state, False)
        monkeypatch.setattr(compiled_module, "PORTION", 3 * 6 * loop._products)
        assert equal(loop.run(x, mask, state, True), whole)
        assert np.array_equal(loop.run(x, None, state, False).state.output, last.state.output)
        monkeypatch.undo()


@pytest.mark.parametrize("instruction_set", SETS)
def test_large_calls_are_shared_bit_for_bit(build: Any, instruction_set: str) -> None:
    """Rows among threads, and units among threads, for every kind."""
    for (name, options), (batch, steps) in product(KINDS.values(), [(300, 8), (8, 40), (1, 60)]):
        node, arrays = cell(build, name, 40, 250, **options)
        x, mask, state = given(node, batch, steps, True, True)
        loop = compiled(node, arrays, instruction_set)
        with at_most(1):
            alone = loop.run(x, mask, state, True)
        for count in (2, 3, 16):
            with at_most(count):
                assert equal(loop.run(x, mask, state, True), alone)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("kind", KINDS)
def test_how_arrays_lie_in_memory_changes_nothing(build: Any, kind: str, instruction_set: str) -> None:
    name, options = KINDS[kind]
    node, arrays = cell(build, name, 3, 21, **options)
    x, mask, state = given(node, 6, 5, True, True)
    assert mask is not None
    assert state is not None
    loop = compiled(node, arrays, instruction_set)
    expected = loop.run(x, mask, state, True)

    def unaligned(a: Array) -> Array:
        memory = np.zeros(a.nbytes + 1, np.uint8)
        view = memory[1:].view(a.dtype).reshape(a.shape)
        view[...] = a
        return view

    def strided(a: Array) -> Array:
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]

    for lie in (np.asfortranarray, unaligned, strided, lambda a: np.flip(np.flip(a, 0).copy(), 0)):
        laid = State(tuple(lie(s) for s in state.states), lie(state.output))
        assert equal(loop.run(lie(x), lie(mask), laid, True), expected)
    assert equal(loop.run(x.astype(np.float64), mask, state, True), expected)
    assert equal(loop.run(x.astype(">f4"), mask, state, True), expected)
    one = State(tuple(np.broadcast_to(s[:1], s.shape) for s in state.states), state.output)
    same = State(tuple(s.copy() for s in one.states), state.output)
    assert equal(loop.run(x, mask, one, True), loop.run(x, mask, same, True))
    same_rows = np.broadcast_to(x[:1], x.shape)
    assert equal(loop.run(same_rows, mask, state, True), loop.run(same_rows.copy(), mask, state, True))
    into = np.zeros((6, 9, 21), np.float32)
    result = loop.run(x[:, ::-1], mask[:, ::-1], state, True, into[:, 7:2:-1])
    assert equal(result, loop.run(x[:, ::-1].copy(), mask[:, ::-1].copy(), state, True))
    assert not into[:, :3].any()
    assert not into[:, 8:].any()


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_do(build: Any, kind: str, instruction_set: str) -> None:
    """No rows; no steps, which leave the states as they are."""
    name, options = KINDS[kind]
    node, arrays = cell(build, name, 3, 21, **options)
    loop = compiled(node, arrays, instruction_set)
    x, mask, state = given(node, 0, 4, True, True)
    assert loop.run(x, mask, state, True).sequence.shape == (0, 4, 21)
    x, mask, state = given(node, 5, 0, True, True)
    assert state is not None
    result = loop.run(x, mask, state, True)
    assert result.sequence.shape == (5, 0, 21)
    for made, held in zip((*result.state.states, result.state.output), (*state.states, state.output), strict=True):
        assert np.array_equal(made, held)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["x", "state", "W", "U", "b"])
def test_what_is_not_finite_is_so_where_it_is_in_numpy(build: Any, where: str, kind: str, instruction_set: str) -> None:
    """And numbers so large that gates saturate."""
    name, options = KINDS[kind]
    for odd in (np.nan, np.inf, -np.inf, 1e30, -1e30, 100.0):
        node, arrays = cell(build, name, 3, 21, **options)
        x, _, state = given(node, 4, 5, False, where == "state")
        gate = node.GATES[-1]
        if where == "x":
            x[1, 2, 0] = odd
        elif state is not None:
            state.states[-1][2, 5] = odd
        else:
            arrays = {**arrays, f"{where}_{gate}": arrays[f"{where}_{gate}"].copy()}
            arrays[f"{where}_{gate}"][..., 4] = odd
        with np.errstate(all="ignore"):
            expected = choose.choose(node, arrays, {}, engines.Engine("numpy", None), {}).run(x, None, state, True)
        made = compiled(node, arrays, instruction_set).run(x, None, state, True)
        for ours, numpys in zip(parts(made), parts(expected), strict=True):
            np.testing.assert_allclose(ours, numpys, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("instruction_set", SETS)
def test_sigmoid_and_tanh_are_as_good_as_numpys(build: Any, instruction_set: str) -> None:
    """In ulp, where NumPy's tanh reaches 1.4 and 1 / (1 + e^−x) 3.1: tanh as a SimpleRNN shows it, σ as z of
    a GRU does whose candidate is 0."""
    x = np.concatenate([np.geomspace(1e-30, 120, 200_001), np.linspace(-90, 90, 100_001), [0.0]])
    x = np.concatenate([x, -x]).astype(np.float32)[None, :, None]
    node, arrays = cell(build, "SimpleRNN", 1, 1)
    arrays = {"W_h": np.ones((1, 1), np.float32), "U_h": np.zeros((1, 1), np.float32), "b_h": np.zeros(1, np.float32)}
    made = compiled(node, arrays, instruction_set).run(x, None, None, True).sequence[0, :, 0]
    assert ulps(made, np.tanh(x[0, :, 0].astype(np.float64))) <= 1.4
    node, arrays = cell(build, "GRU", 1, 1)
    arrays = {key: np.zeros_like(array) for key, array in arrays.items()}
    arrays["W_z"] = np.ones((1, 1), np.float32)
    rows = x.reshape(-1, 1, 1)
    ones = State((np.ones((len(rows), 1), np.float32),), np.ones((len(rows), 1), np.float32))
    made = compiled(node, arrays, instruction_set).run(rows, None, ones, True).sequence[:, 0, 0]
    exact = 1 / (1 + np.exp(-rows[:, 0, 0].astype(np.float64)))
    normal = exact > 1e-37
    assert ulps(made[normal], exact[normal]) <= 2.2
    assert np.abs(made[~normal] - exact[~normal]).max() < 1e-37


def ulps(made: Array, exact: Array) -> float:
    return float((np.abs(made - exact) / np.spacing(np.abs(exact).astype(np.float32))).max())


def test_sizes_that_do_not_fit_are_refused(build: Any) -> None:
    """Each argument wrong in each way: before anything is read."""
    assert engines.kernel is not None
    node, arrays = cell(build, "LSTM", 3, 21)
    cell_of = compiled(node, arrays, SETS[0])._cell

    def floats(*shape: int) -> Array:
        return np.zeros(shape, np.float32)

    right: list[Any] = [floats(4, 5, 3), np.ones((4, 5), bool), floats(4, 21), floats(4, 21), floats(4, 21)]
    right += [floats(4, 5, 21), floats(4, 21), floats(4, 21), floats(4, 21), False, 0]
    cell_of.run(*right)
    for place, good in enumerate(right[:9]):
        shape = good.shape
        wrong = [good.astype(np.float64), good.astype(">f4"), good[0], good[None], good.astype(object)]
        for axis in range(1 if place == 0 else 0, len(shape)):
            if (place, axis) != (0, 1):
                wrong += [np.zeros([n + (k == axis) for k, n in enumerate(shape)], good.dtype)]
            wrong += [np.zeros([n - (k == axis) for k, n in enumerate(shape)], good.dtype)]
        if place == 0:
            wrong += [floats(5, 5, 3), floats(4, 6, 3)]
        for one in wrong:
            with pytest.raises((ValueError, BufferError)):
                cell_of.run(*right[:place], one, *right[place + 1 :])
        if place >= 5:
            good.flags.writeable = False
            with pytest.raises((ValueError, BufferError)):
                cell_of.run(*right)
            good.flags.writeable = True
        with pytest.raises(TypeError):
            cell_of.run(*right[:place], 1.0, *right[place + 1 :])
    for place in (0, 6, 7):
        with pytest.raises(TypeError):
            cell_of.run(*right[:place], None, *right[place + 1 :])
    with pytest.raises(ValueError, match="together"):
        cell_of.run(*right[:2], None, *right[3:])
    with pytest.raises(ValueError, match="threads"):
        cell_of.run(*right[:-1], -1)
    with pytest.raises(TypeError):
        cell_of.run(*right[:-1])
    W = np.zeros(3 * 4 * 32, np.float32)
    for options in [("x", 0, 1, 3, 21), (SETS[0], 4, 1, 3, 21), (SETS[0], 0, 1, -1, 21), (SETS[0], 0, 1, 3, 0)]:
        with pytest.raises(ValueError, match="no such"):
            engines.kernel.Cell(*options, W, W, None, W, None, None, None)
    for size in (2**31 - 1, 2**20):
        with pytest.raises(ValueError, match=r"too large|places"):
            engines.kernel.Cell(SETS[0], 0, 1, size, size, W, W, None, W, None, None, None)


def test_int8_as_it_is_multiplied_gives_what_keras_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large node without being asked, and small ones where none is too small for it."""
    by_four = compiled_module._by_four
    laid_out: list[tuple[int, ...]] = []

    def seen(q: Array) -> Array:
        laid_out.append(q.shape)
        return by_four(q)

    monkeypatch.setattr(compiled_module, "_by_four", seen)
    assert load(VECTORS / "bundles" / "int8-large.safetensors", engine="kernel").verify().ok
    assert laid_out == [(3, 180)] * 4 + [(180, 180)] * 4
    monkeypatch.setattr(compiled_module, "LARGE", 0)
    paths = sorted((VECTORS / "bundles").glob("int8-*.safetensors"))
    assert [path.name for path in paths if not load(path, engine="kernel").verify().ok] == []
    assert {(2, 3), (3, 3)} <= set(laid_out)
