"""The face of the runtime: what goes in, what comes out, what is refused."""

from __future__ import annotations

import concurrent.futures
import copy
import io
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lstmconv_runtime as lr
import numpy as np
import pytest
from lstmconv_runtime import model as model_module
from lstmconv_runtime import programs
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.bundle import Probe
from lstmconv_runtime.format.graph import LINEAR
from lstmconv_runtime.recurrent.cells import lstm_step
from outputs import single


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def batch(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def sine(build: Any) -> Any:
    return build.sine()


@pytest.fixture(scope="module")
def two(build: Any) -> Any:
    """Two inputs, two outputs."""
    nodes = [
        build.input(None, 2, name="left"),
        build.input(3, name="right"),
        build.recurrent("GRU", "gru", "left", 2, 3, return_sequences=False),
        n.Concatenate(name="both", args=("gru", "right"), axis=1),
        build.dense("y", "both", 6, 1),
        build.dense("z", "both", 6, 2),
    ]
    return nodes


# --- predict ----------------------------------------------------------------------------------------------------------


def test_predict_is_the_textbook(sine: Any) -> None:
    """Every gate written out in float64 over the bundle's own tensors."""
    arrays = {k: v.astype(np.float64) for k, v in sine.bundle.graph.arrays.items()}
    p = {k.removeprefix("lstm/"): v for k, v in arrays.items() if k.startswith("lstm/")}
    x = batch(4, 6, 2)
    h = c = np.zeros((4, 3))
    for t in range(6):
        made = lstm_step(p, x[:, t].astype(np.float64), h, c, np.tanh, sigmoid)
        h, c = made["h"], made["c"]
    np.testing.assert_allclose(sine.predict(x), h @ arrays["dense/W"] + arrays["dense/b"], rtol=0, atol=2e-6)


def test_rows_do_not_depend_on_each_other(sine: Any) -> None:
    x = batch(7, 5, 2)
    whole = sine.predict(x)
    np.testing.assert_allclose(sine.predict(x, batch_size=3), whole, rtol=0, atol=1e-6)
    np.testing.assert_allclose(sine.predict(x[2:3]), whole[2:3], rtol=0, atol=1e-6)
    x[3, 1, 0] = np.nan
    spoiled = sine.predict(x)
    assert np.isnan(spoiled[3]).all()
    np.testing.assert_allclose(np.delete(spoiled, 3, 0), np.delete(whole, 3, 0), rtol=0, atol=1e-6)


def test_outputs_of_parts(build: Any) -> None:
    """Several outputs, one of them with the time steps as rows of the batch; and one that is the same for any batch."""
    nodes = [
        build.input(None, 2),
        build.recurrent("GRU", "gru", "x", 2, 3),
        n.FoldTime(name="folded", x="gru"),
        n.Constant(name="k", shape=(1, 2), dtype="float32"),
    ]
    x = batch(70, 4, 2)
    model = build.model(nodes, outputs=["gru", "folded"])
    whole = model.predict(x)
    for options in ({"batch_size": 16}, {"batch_size": 33}, {"batch_size": 64, "threads": 3}, {"threads": 2}):
        for part, array in zip(model.predict(x, **options), whole, strict=True):
            np.testing.assert_allclose(part, array, rtol=0, atol=1e-6)
            assert part.dtype == array.dtype
    constant = build.model(nodes, outputs=["gru", "k"])
    assert constant.predict(x, batch_size=16)[1].shape == (1, 2)


def test_layout_of_the_input_does_not_matter(sine: Any) -> None:
    x = batch(4, 6, 2)
    expected = sine.predict(x)
    read_only = x.copy()
    read_only.flags.writeable = False
    backwards = np.ascontiguousarray(x[:, ::-1])[:, ::-1]
    odd = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view("<f4").reshape(x.shape)
    forms: list[Any] = [
        read_only, backwards, odd, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x.astype(">f4"),
        x.astype(np.float64), x.tolist(), memoryview(x), [x], (x,), {"x": x},
    ]  # fmt: skip
    for form in forms:
        assert np.array_equal(sine.predict(form), expected), type(form)


def test_a_dtype_may_spell_its_byte_order_out(sine: Any) -> None:
    x = batch(3, 4, 2)
    spelled = x.view(x.dtype.newbyteorder("<" if sys.byteorder == "little" else ">"))
    assert memoryview(spelled).format != memoryview(x).format
    assert np.array_equal(sine.predict(spelled), sine.predict(x))
    assert np.array_equal(sine.stream(batch=3).step(spelled[:, 0]), sine.stream(batch=3).step(x[:, 0]))


def test_the_input_is_not_changed(sine: Any) -> None:
    x = batch(2, 3, 2)
    before = x.copy()
    sine.predict(x)
    assert np.array_equal(x, before)


def test_the_input_is_not_given_out(build: Any) -> None:
    same = build.model([build.input(2), n.Activate(name="a", x="x", activation=LINEAR)])
    x = batch(2, 2)
    y = same.predict(x)
    assert not np.shares_memory(x, y)
    y[:] = 0
    assert x.any()


def test_outputs_can_be_written_without_touching_the_weights(build: Any) -> None:
    nodes = [build.input(2), n.Constant(name="k", shape=(1, 2), dtype="float32")]
    model = build.model(nodes, outputs=["k"])
    y = model.predict(batch(1, 2))
    y[:] = 7
    assert not (model.predict(batch(1, 2)) == 7).any()


def test_whole_numbers_and_half_precision_are_taken(sine: Any) -> None:
    x = np.arange(12).reshape(2, 3, 2)
    expected = sine.predict(x.astype(np.float32))
    for dtype in ("int8", "uint16", "int64", "float16", "float64"):
        assert np.array_equal(sine.predict(x.astype(dtype)), expected)
    assert np.array_equal(sine.predict(x % 2 == 1), sine.predict((x % 2).astype(np.float32)))


def test_no_rows(sine: Any) -> None:
    y = sine.predict(np.zeros((0, 5, 2), np.float32))
    assert y.shape == (0, 1)


@pytest.mark.parametrize(
    ("x", "code"),
    [
        (np.zeros((2, 3, 3)), "E_INPUT"),
        (np.zeros((2, 3)), "E_INPUT"),
        (np.zeros((2, 3, 2, 1)), "E_INPUT"),
        (np.float32(1), "E_INPUT"),
        (np.zeros((2, 3, 2), complex), "E_INPUT"),
        (np.zeros((2, 3, 2), object), "E_INPUT"),
        (np.full((2, 3, 2), "1"), "E_INPUT"),
        (np.zeros((2, 3, 2), "M8[s]"), "E_INPUT"),
        (np.full((2, 3, 2), 1e300), "E_INPUT_OVERFLOW"),
        (np.zeros((2, 0, 2)), "E_NO_STEPS"),
        ({"y": np.zeros((2, 3, 2))}, "E_INPUT"),
        ({}, "E_INPUT"),
        ([np.zeros((2, 3, 2))] * 2, "E_INPUT"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_inputs_that_do_not_fit(sine: Any, x: Any, code: str) -> None:
    with pytest.raises(lr.InputError) as caught:
        sine.predict(x)
    assert caught.value.code == code
    assert isinstance(caught.value, ValueError)


def test_whole_numbers_of_any_kind(sine: Any) -> None:
    x = batch(5, 3, 2)
    expected = sine.predict(x)
    for two in (2, np.int64(2), np.uint8(2), np.array(2)):
        np.testing.assert_allclose(sine.predict(x, batch_size=two, threads=two), expected, rtol=0, atol=1e-6)
        assert sine.stream(batch=two).step(x[:2, 0]).shape == (2, 1)
    for bad in (0, -1, 2.0, np.float32(2), "2", True, np.True_, np.array([2]), [2]):
        with pytest.raises(lr.InputError, match="whole number"):
            sine.predict(x, batch_size=bad)
        with pytest.raises(lr.InputError, match="whole number"):
            sine.predict(x, threads=bad)
        with pytest.raises(lr.InputError, match="whole number"):
            sine.stream(batch=bad)


def test_infinities_give_no_warning(sine: Any) -> None:
    x = batch(2, 3, 2)
    x[0, 0, 0], x[1, 0, 0] = np.inf, -1e30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sine.predict(x).shape == (2, 1)


def test_several_inputs_and_outputs(build: Any, two: Any) -> None:
    left, right = batch(4, 5, 2), batch(4, 3)
    listed = build.model(two, outputs=["y", "z"])
    y, z = listed.predict([left, right])
    assert (y.shape, z.shape) == ((4, 1), (4, 2))
    named = build.model(two, outputs=["y", "z"], output_keys=("first", "second"))
    made = named.predict({"right": right, "left": left})
    assert np.array_equal(made["first"], y)
    assert np.array_equal(made["second"], z)
    for bad in ([left], {"left": left}, {"left": left, "right": right, "more": left}, left, [left, right[:3]]):
        with pytest.raises(lr.InputError):
            listed.predict(bad)


def test_float64_engine(sine: Any, build: Any) -> None:
    exact = build.model(sine.nodes, outputs=["dense"], dtype="float64")
    x = batch(3, 5, 2)
    y = exact.predict(x)
    assert y.dtype == np.float64
    np.testing.assert_allclose(sine.predict(x), y, rtol=0, atol=2e-6)
    with pytest.raises(lr.InputError):
        build.model(sine.nodes, outputs=["dense"], dtype="float16")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_models(build: Any, dtype: str) -> None:
    nodes = [
        build.input(None, 2, dtype=dtype),
        build.recurrent("LSTM", "lstm", "x", 2, 3, return_sequences=False),
        build.dense("dense", "lstm", 3, 1),
    ]
    x = batch(2, 4, 2)
    y = build.model(nodes).predict(x)
    assert y.dtype == (np.float16 if dtype == "float16" else np.float32)
    exact = build.model(nodes, dtype="float64").predict(x)
    np.testing.assert_allclose(y, exact, rtol=0, atol=2e-2)


# --- trace, verify, load, pickle, threads -----------------------------------------------------------------------------


def test_trace_shows_the_equations(build: Any) -> None:
    nodes = [build.input(None, 2), *build.mask("x"), build.recurrent("LSTM", "lstm", "x", 2, 3, mask="mask")]
    model = build.model(nodes)
    x = batch(3, 5, 2)
    x[1, 2:4] = 0
    g = model.trace(x)["lstm"]
    assert set(g) == {"i", "f", "o", "c_tilde", "c", "h", "output"}
    assert g.i.shape == (3, 5, 3)
    before = np.concatenate([np.zeros((3, 1, 3)), g.c[:, :-1]], axis=1)
    valid = (x != 0).any(-1)
    stepped = g.f * before + g.i * g.c_tilde
    np.testing.assert_allclose(g.c, np.where(valid[..., None], stepped, before), atol=1e-6)
    np.testing.assert_allclose(g.output, model.predict(x), atol=1e-6)
    with pytest.raises(AttributeError, match="c_tilde"):
        _ = g.candidate


def test_trace_of_a_backward_node_is_aligned_with_the_input(build: Any) -> None:
    forward = build.model([build.input(None, 2), build.recurrent("GRU", "gru", "x", 2, 3)])
    backward = build.model([build.input(None, 2), build.recurrent("GRU", "gru", "x", 2, 3, go_backwards=True)])
    x = batch(2, 5, 2)
    turned = np.ascontiguousarray(x[:, ::-1])
    np.testing.assert_allclose(backward.predict(x), forward.predict(turned), atol=1e-6)
    np.testing.assert_allclose(backward.trace(x)["gru"].z[:, ::-1], forward.trace(turned)["gru"].z, atol=1e-6)


def test_verify(sine: Any, build: Any) -> None:
    result = sine.verify()
    assert result.ok
    assert [probe.oracle for probe in result.probes] == ["by hand"]
    probe = sine.bundle.probes[0]
    wrong = Probe("o", probe.inputs, (probe.outputs[0] + np.float32(1e-4),))
    assert not lr.Model(build.bytes(sine.bundle.graph, [probe, wrong])).verify().ok


def test_load_takes_paths_bytes_and_files(sine: Any, build: Any, tmp_path: Path) -> None:
    data = build.bytes(sine.bundle.graph)
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    x = batch(2, 3, 2)
    expected = single(sine.predict(x))
    for source in (path, str(path), data, bytearray(data), io.BytesIO(data)):
        assert np.array_equal(single(lr.load(source).predict(x)), expected)
    with pytest.raises(lr.BundleError):
        lr.load(io.StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(OSError, match="nothing"):
        lr.load(tmp_path / "nothing")


def test_a_model_pickles(sine: Any) -> None:
    x = batch(2, 3, 2)
    assert np.array_equal(pickle.loads(pickle.dumps(sine)).predict(x), sine.predict(x))


def test_threads_share_a_model(sine: Any) -> None:
    xs = [batch(3, 20, 2, seed=seed) for seed in range(40)]
    expected = [sine.predict(x) for x in xs]
    with ThreadPoolExecutor(8) as pool:
        for made, one in zip(pool.map(sine.predict, xs), expected, strict=True):
            assert np.array_equal(made, one)


def test_no_thread_is_started_unasked(
    build: Any, monkeypatch: pytest.MonkeyPatch, concurrently: Callable[[], list[int]]
) -> None:
    """Not even where the environment keeps matrix products to one processor: that says what this process is to use."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    model = build.model([build.input(None, 2), build.recurrent("LSTM", "a", "x", 2, 256)])
    model.predict(batch(200, 2, 2))
    model.predict(batch(200, 2, 2), batch_size=50)
    assert concurrently() == []


def test_threads_are_as_many_as_the_work_and_the_processors(
    build: Any, monkeypatch: pytest.MonkeyPatch, concurrently: Callable[[], list[int]]
) -> None:
    monkeypatch.setattr(model_module, "processors", lambda: 3)
    wide = build.model([build.input(None, 2), build.recurrent("LSTM", "a", "x", 2, 256)])
    narrow = build.model([build.input(None, 2), build.recurrent("LSTM", "a", "x", 2, 8)])
    for model, rows, threads in ((wide, 200, 2), (wide, 200, 16), (wide, 33, 16), (wide, 31, 2), (narrow, 4000, 2)):
        x = batch(rows, 2, 2)
        np.testing.assert_allclose(model.predict(x, threads=threads), model.predict(x), rtol=0, atol=1e-6)
    assert concurrently() == [2, 3, 2]  # and none for few rows, or for many that are little work


@pytest.fixture
def concurrently(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """The numbers of threads that were asked for."""
    asked: list[int] = []

    class Counted(ThreadPoolExecutor):
        def __init__(self, threads: int) -> None:
            asked.append(threads)
            super().__init__(threads)

    monkeypatch.setattr(concurrent.futures, "ThreadPoolExecutor", Counted)
    return lambda: asked


def test_processors_are_those_of_this_process() -> None:
    assert 1 <= model_module.processors() <= (os.cpu_count() or 1)


def test_a_copy_of_a_model_is_the_model(sine: Any) -> None:
    assert copy.copy(sine) is sine
    assert copy.deepcopy([sine])[0] is sine


def test_what_a_model_is_made_of_is_read_only(build: Any) -> None:
    """Weights that are computed with as they are stored, others, and the probes."""
    for dtype in (None, "float64"):
        model = lr.Model(build.bytes(build.sine().bundle.graph, build.sine().bundle.probes), dtype=dtype)
        probe = model.bundle.probes[0]
        for array in (*model.bundle.graph.arrays.values(), *probe.inputs.values(), *probe.outputs):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0


def test_what_a_graph_is_made_of_stays_writeable(build: Any) -> None:
    graph = build.graph([build.input(None, 2), build.recurrent("LSTM", "a", "x", 2, 3), build.dense("d", "a", 3, 1)])
    data = bytearray(build.bytes(graph))
    model = lr.load(data)
    made = single(model.predict(batch(2, 3, 2)))
    programs.prepare(graph)
    data[-4:] = b"\0\0\0\0"
    for array in graph.arrays.values():
        array[...] = 0
    assert np.array_equal(single(model.predict(batch(2, 3, 2))), made)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(batch(2, 3, 2)), made)


def test_the_mean_of_nothing(build: Any) -> None:
    """As Keras's: NaN, and no warning, which NumPy's mean gives whatever its error state is."""
    pooled = n.Reduce(name="y", x="x", op="mean", axes=(1,), keepdims=False)
    model = build.model([build.input(None, 2), pooled])
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        assert np.isnan(model.predict(np.zeros((2, 0, 2)))).all()
    x = batch(2, 3, 2)
    assert np.array_equal(model.predict(x), x.mean(axis=1))


def test_nothing_global_changes(sine: Any) -> None:
    errors, filters = np.geterr(), list(warnings.filters)
    sine.predict(batch(2, 3, 2))
    sine.trace(batch(2, 3, 2))
    sine.verify()
    assert np.geterr() == errors
    assert warnings.filters == filters
