"""Bundles with float16 weights: what is rounded, what it costs, and that the bundle still proves itself."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import lstmconv
import lstmconv_runtime
import numpy as np
import pytest
from lstmconv.bundles.drift import Drift, drift_of
from lstmconv.bundles.half_weights import with_half_weights
from lstmconv.commands.export import export_report, export_text
from lstmconv.errors import UnsupportedError, UsageError
from lstmconv_runtime.format.bundle import Bundle, from_bytes, to_bytes
from lstmconv_runtime.format.graph import TANH, Array, Graph
from lstmconv_runtime.format.nodes import Constant, Dense, Elementwise, Embedding, Input
from outputs import as_list, single
from paths import SINE


def graph(W: Any = 0.1, k: float = 0.1) -> Graph:
    """x · W, and whether x is k."""
    nodes = (
        Input(name="x", shape=(None, 2), dtype="float32"),
        Dense(name="d", x="x", weights="d", input_size=2, units=1, use_bias=False, activation=TANH),
        Constant(name="k", shape=(), dtype="float32"),
        Elementwise(name="same", op="equal", args=("x", "k")),
    )
    arrays: dict[str, Array] = {"d/W": np.full((2, 1), W, "float32"), "k/value": np.array(k, "float32")}
    return Graph(("x",), ("d", "same"), None, nodes, arrays)


def cli(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lstmconv", *map(str, args)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_weights_are_rounded_and_constants_are_not() -> None:
    half = with_half_weights(graph())
    assert {name: array.dtype.name for name, array in half.arrays.items()} == {"d/W": "float16", "k/value": "float32"}
    model = lstmconv_runtime.load(to_bytes(Bundle(half, {}, {}, ())))
    assert model.program.prepared["d"]["W"].dtype == np.float32
    y, same = as_list(model.predict(np.array([[0.1, 1]], "float32")))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(same, [[True, False]])  # 0.1 as float16 is another number
    np.testing.assert_allclose(y, np.tanh(1.1 * float(np.float16(0.1))), rtol=1e-6)


def test_whole_numbers_and_wider_floats() -> None:
    wide = with_half_weights(replace(graph(), arrays={**graph().arrays, "d/W": np.full((2, 1), 1 / 3)}))
    assert wide.arrays["d/W"].dtype == np.float16
    again = with_half_weights(wide)
    np.testing.assert_array_equal(again.arrays["d/W"], wide.arrays["d/W"])


@pytest.mark.parametrize("weight", [65520.0, -1e30])
def test_a_weight_that_overflows_is_named(weight: float) -> None:
    with pytest.raises(UnsupportedError, match=r"'d/W' holds -?\d.*float16 ends at 65504") as failure:
        with_half_weights(graph(weight))
    assert (failure.value.code, failure.value.exit_code) == ("E_WEIGHT_OVERFLOW", 3)


@pytest.mark.parametrize("weight", [65519.0, math.inf, math.nan, 0.0, 1e-30])
def test_what_float16_can_hold_is_accepted(weight: float) -> None:
    half = with_half_weights(graph(weight)).arrays["d/W"]
    np.testing.assert_array_equal(half, np.full((2, 1), 65504 if weight == 65519 else weight, "float16"))


def test_the_drift_is_that_of_the_weights_alone() -> None:
    x = np.array([[1, 1], [3, 2]], "float32")
    full = graph()
    drift, none = drift_of(full, with_half_weights(full), [{"x": x}, {"x": x / 2}])
    sums = x.astype(np.float64).sum(1)
    exact, rounded = np.tanh(sums * float(np.float32(0.1))), np.tanh(sums * float(np.float16(0.1)))
    assert drift.output == "d"
    assert drift.max_abs == pytest.approx(np.abs(exact - rounded).max(), rel=1e-12)
    assert drift.relative == pytest.approx(drift.max_abs / np.abs(exact).max(), rel=1e-12)
    assert none == Drift("same", 0.0, 0.0, 0.0)


def test_drift_without_bound_is_told(tmp_path: Path) -> None:
    full = graph(1.0)
    spoiled = replace(full, arrays={**full.arrays, "d/W": np.full((2, 1), np.nan, "float16")})
    made = lstmconv.Conversion(
        full,
        {"framework": "keras", "version": "3", "weights": "float16"},
        {},
        (),
        drift_of(full, spoiled, [{"x": np.ones((1, 2), "f4")}]),
    )
    report = json.loads(json.dumps(export_report(made, tmp_path), allow_nan=False))
    assert report["drift"][0] == {"output": "d", "over": "probes", "max_abs": None, "rms": None, "relative": None}
    assert export_text(report).splitlines()[3].split() == ["d", "probes", "unbounded", "unbounded", "unbounded"]


def test_a_table_of_ids_drifts_too() -> None:
    nodes = (
        Input(name="x", shape=(None, 1), dtype="int32"),
        Embedding(name="e", x="x", weights="e", input_size=3, units=1, dtype="float32"),
    )
    full = Graph(("x",), ("e",), None, nodes, {"e/E": np.array([[1], [0.1], [2]], "float32")})
    (drift,) = drift_of(full, with_half_weights(full), [{"x": np.array([[0], [1], [2]], "int32")}])
    assert drift.max_abs == abs(float(np.float32(0.1)) - float(np.float16(0.1)))
    assert drift.relative == drift.max_abs / 2


# --- export -----------------------------------------------------------------------------------------------------------


def test_export(tmp_path: Path) -> None:
    full = lstmconv.export(SINE, tmp_path / "full.safetensors")
    half = lstmconv.export(SINE, tmp_path / "half.safetensors", weights="float16")
    assert full.drift == ()
    assert "weights" not in full.source
    assert half.source == {**full.source, "weights": "float16"}
    bundle = from_bytes((tmp_path / "half.safetensors").read_bytes())
    assert {array.dtype.name for array in bundle.graph.arrays.values()} == {"float16"}
    assert bundle.graph.nodes == full.graph.nodes  # the graph, and so what it computes in, is the same
    assert bundle.source == half.source
    assert bundle.probes[0].oracle.endswith("float64")
    model = lstmconv_runtime.load(tmp_path / "half.safetensors")
    assert max(probe.max_abs for probe in model.verify().probes) < 1e-6
    assert model.verify().ok
    exact = lstmconv_runtime.load(tmp_path / "full.safetensors")
    seen = max(np.abs(single(model.predict(p.inputs)) - single(exact.predict(p.inputs))).max() for p in bundle.probes)
    (drift,) = half.drift
    assert drift.output == "dense"
    assert drift.max_abs == pytest.approx(seen, abs=1e-6)
    assert 1e-6 < drift.relative < 1e-2


class InMemory:
    """What `export` needs of a Keras model."""

    def __init__(self, folder: Path) -> None:
        lstmconv.export(SINE, folder / "oracle.safetensors", force=True)
        self._model = lstmconv_runtime.load(folder / "oracle.safetensors")

    def save(self, path: Path) -> None:
        shutil.copy(SINE, path)

    def predict(self, x: Array, verbose: int) -> Any:
        return self._model.predict(x)


def test_export_of_a_model_in_memory(tmp_path: Path) -> None:
    """Its own predictions are those of other weights, and prove nothing about the rounded ones."""
    made = lstmconv.export(InMemory(tmp_path), tmp_path / "half.safetensors", weights="float16")
    assert made.source["weights"] == "float16"
    model = lstmconv_runtime.load(tmp_path / "half.safetensors")
    assert model.verify().ok
    assert "float64" in model.bundle.probes[0].oracle


def test_other_dtypes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='weights must be None, "float16" or "int8", got bfloat16'):
        lstmconv.export(SINE, tmp_path / "x.safetensors", weights="bfloat16")
    assert list(tmp_path.iterdir()) == []
    process = cli("export", SINE, "-o", tmp_path / "x.safetensors", "--weights", "int4")
    assert process.returncode == 2
    assert process.stderr.endswith("[E_USAGE]\n")


def test_the_command_shows_the_drift(tmp_path: Path) -> None:
    out = tmp_path / "half.safetensors"
    process = cli("export", SINE, "-o", out, "--weights", "float16")
    assert (process.returncode, process.stderr) == (0, "")
    lines = process.stdout.splitlines()
    assert lines[0].startswith(f"wrote {out}: 3 nodes, 101 parameters")
    assert lines[1] == "The weights are stored as float16. What that moves, in float64:"
    assert lines[2].split() == ["output", "over", "the", "largest", "difference", "rms", "relative"]
    assert lines[3].split()[0] == "dense"
    first = out.read_bytes()
    report = json.loads(cli("export", SINE, "-o", out, "--weights", "float16", "--force", "--json").stdout)
    assert out.read_bytes() == first  # the same input gives the same bytes
    assert report["source"]["weights"] == "float16"
    assert f"{report['drift'][0]['max_abs']:.3g}" == lines[3].split()[2]
    assert "drift" not in json.loads(cli("export", SINE, "-o", tmp_path / "full.safetensors", "--json").stdout)


def test_inspect_shows_how_weights_are_stored(tmp_path: Path) -> None:
    out = tmp_path / "half.safetensors"
    lstmconv.export(SINE, out, weights="float16")
    text = cli("inspect", out).stdout
    assert "weights float16" in text.splitlines()[1]
    assert "lstm/W_f  (1, 4)  float16" in text
    assert "dense        Dense  (any, 1)     float32" in text
