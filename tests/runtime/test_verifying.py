"""What `Model.verify` notices, and what it allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lstmconv_runtime as lr
import numpy as np
import pytest
from lstmconv_runtime import BundleError, VersionError
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.bundle import Bundle, Probe, from_bytes, to_bytes
from lstmconv_runtime.format.graph import Activation, Graph
from outputs import single

SOFTMAX = Activation("softmax", (("axis", -1.0),))


def probed(build: Any, graph: Graph, x: Any, change: Any = None, **fields: Any) -> lr.Model:
    """The graph with one probe of what it computes, and what `change` makes of that."""
    y = single(lr.Model(build.bytes(graph)).predict(x))
    expected = y.copy() if change is None else change(y.copy())
    return lr.Model(build.bytes(graph, [Probe("by hand", {"x": x}, (expected,), **fields)]))


def dense(build: Any, units: int = 4, dtype: str = "float32", scale: float = 1.0) -> Graph:
    graph: Graph = build.graph([build.input(3, dtype=dtype), build.dense("y", "x", 3, units)])
    return replace(graph, arrays={k: (v * scale).astype(np.float32) for k, v in graph.arrays.items()})


def x_of(rows: int = 5, seed: int = 1, dtype: str = "float32") -> Any:
    return np.random.default_rng(seed).standard_normal((rows, 3)).astype(dtype)


def test_a_zeroed_lstm_before_a_wide_softmax_is_noticed(build: Any) -> None:
    """Its 20,000 outputs are all near 5e-5."""
    nodes = [
        build.input(None, 3),
        build.recurrent("LSTM", "lstm", "x", 3, 8, return_sequences=False),
        build.dense("ways", "lstm", 8, 20_000, SOFTMAX),
    ]
    graph = build.graph(nodes)
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    probes = probed(build, graph, x).bundle.probes
    zeroed = {k: np.zeros_like(v) if k.startswith("lstm/") else v for k, v in graph.arrays.items()}
    assert lr.Model(build.bytes(graph, probes)).verify().ok
    result = lr.Model(build.bytes(replace(graph, arrays=zeroed), probes)).verify()
    assert not result.ok
    assert "output 'ways'" in result.probes[0].reason


def test_without_probes_nothing_is_verified(build: Any) -> None:
    result = build.model([build.input(3), build.dense("y", "x", 3, 1)]).verify()
    assert (result.ok, result.probes) == (False, ())


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e12])
def test_one_part_in_a_thousand_is_noticed_at_any_scale(build: Any, scale: float) -> None:
    graph = dense(build, scale=scale)
    assert probed(build, graph, x_of()).verify().ok
    assert probed(build, graph, x_of(), lambda y: y * np.float32(1 + 1e-6)).verify().ok
    assert not probed(build, graph, x_of(), lambda y: y * np.float32(1.001)).verify().ok


def test_a_small_error_everywhere_is_noticed_beside_one_large_number(build: Any) -> None:
    def wrong(y: Any) -> Any:
        y[1:] *= 1.0005
        return y

    x = x_of(400)
    x[0] *= 300
    largest, result = x[0].max(), probed(build, dense(build), x, wrong).verify()
    assert largest > 100
    assert not result.ok
    assert result.probes[0].max_abs <= result.probes[0].allowed
    assert "root mean square" in result.probes[0].reason


@pytest.mark.parametrize(
    ("stored", "made"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (np.inf, -np.inf), (1.0, np.inf)]
)
def test_nan_and_infinity_are_reported_with_their_place(build: Any, stored: float, made: float) -> None:
    graph = build.graph([build.input(2), n.Flip(name="y", x="x", axis=1)])
    x = np.array([[3.0, made]], np.float32)
    model = lr.Model(build.bytes(graph, [Probe("o", {"x": x}, (np.array([[stored, 3.0]], np.float32),))]))
    result = model.verify()
    assert not result.ok
    if np.isfinite([stored, made]).all():
        return
    assert result.probes[0].max_abs == np.inf
    assert "[0, 0]" in result.probes[0].reason


def test_equal_nan_and_infinities_hold(build: Any) -> None:
    graph = build.graph([build.input(3), n.Flip(name="y", x="x", axis=1)])
    assert probed(build, graph, np.array([[np.nan, np.inf, -np.inf]], np.float32)).verify().ok


def test_a_half_before_a_float32_output_is_allowed_its_rounding(build: Any) -> None:
    nodes = [
        build.input(3),
        n.Cast(name="half", x="x", dtype="float16"),
        build.dense("inside", "half", 3, 4),
        n.Cast(name="y", x="inside", dtype="float32"),
    ]
    graph = build.graph(nodes)
    assert probed(build, graph, x_of(), lambda y: y * np.float32(1.001)).verify().ok
    assert not probed(build, graph, x_of(), lambda y: y * np.float32(1.03)).verify().ok
    assert not probed(build, dense(build), x_of(), lambda y: y * np.float32(1.001)).verify().ok


def test_whole_numbers_must_be_equal(build: Any) -> None:
    graph = build.graph([build.input(1, dtype="int64"), n.Flip(name="y", x="x", axis=1)])
    x = np.array([[2**60]])
    assert probed(build, graph, x).verify().ok
    assert not probed(build, graph, x, lambda y: y + 1).verify().ok


# --- allowances that a probe brings -----------------------------------------------------------------------------------


def test_a_stored_allowance_takes_the_place_of_the_rule(build: Any) -> None:
    wrong = lambda y: y * np.float32(1.001)  # noqa: E731
    assert probed(build, dense(build), x_of(), wrong, allowed=((0.1, 0.1),)).verify().ok
    assert not probed(build, dense(build), x_of(), wrong, allowed=((0.1, 1e-6),)).verify().ok
    assert not probed(build, dense(build), x_of(), wrong, allowed=(None,)).verify().ok


def test_an_allowance_makes_format_1_1_and_reads_back(build: Any) -> None:
    plain, with_one = probed(build, dense(build), x_of()), probed(build, dense(build), x_of(), allowed=((1e-3, 1e-4),))
    assert (plain.bundle.format_version, with_one.bundle.format_version) == ("1.0", "1.1")
    assert with_one.bundle.probes[0].allowed == ((1e-3, 1e-4),)
    assert to_bytes(with_one.bundle) == to_bytes(from_bytes(to_bytes(with_one.bundle)))
    nothing = replace(plain.bundle, probes=(replace(plain.bundle.probes[0], allowed=(None,)),))
    assert to_bytes(nothing) == to_bytes(plain.bundle)


def test_an_allowance_in_a_file_of_format_1_0_is_refused(build: Any) -> None:
    from lstmconv_runtime.format import bundle as module

    made = probed(build, dense(build), x_of(), allowed=((1e-3, 1e-4),)).bundle
    as_of_old = pytest.MonkeyPatch()
    as_of_old.setattr(module, "needed_version", lambda *_: (1, 0))
    data = to_bytes(made)
    as_of_old.undo()
    with pytest.raises(VersionError, match=r"holds what came with 1\.1"):
        from_bytes(data)


@pytest.mark.parametrize("allowed", [(), ((1.0, 1.0),) * 2])
def test_allowances_are_one_for_each_output(build: Any, allowed: Any) -> None:
    bundle = probed(build, dense(build), x_of()).bundle
    other = Probe("o", bundle.probes[0].inputs, bundle.probes[0].outputs, allowed or ((1.0, 1.0),))
    data = to_bytes(Bundle(bundle.graph, bundle.source, {}, (replace(other, allowed=allowed), other)))
    if allowed:
        with pytest.raises(BundleError, match="for each output"):
            from_bytes(data)
    else:
        assert [probe.allowed for probe in from_bytes(data).probes] == [(None,), ((1.0, 1.0),)]
