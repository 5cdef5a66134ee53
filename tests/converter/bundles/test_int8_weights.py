"""Bundles with int8 weights: what is rounded and how, what it costs, what stays, and that the bundle proves itself."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import lstmconv
import lstmconv_runtime as lr
import numpy as np
import pytest
from legacy_vectors import FIRST, model_path
from lstmconv.bundles.drift import drift_of
from lstmconv.bundles.int8_weights import int8_candidates, with_int8_weights, within
from lstmconv.errors import LstmconvError, UsageError
from lstmconv_runtime.format.bundle import Bundle, from_bytes, to_bytes
from lstmconv_runtime.format.graph import SIGMOID, TANH, Array, Graph
from lstmconv_runtime.format.nodes import LSTM, Dense, Embedding, Input
from outputs import single
from paths import SINE


def graph(units: int = 24, features: int = 6) -> Graph:
    """ids → table → LSTM → Dense."""
    lstm = LSTM(
        name="lstm", x="table", mask=None, h0=None, c0=None, weights="lstm", input_size=features, units=units,
        use_bias=True, activation=TANH, recurrent_activation=SIGMOID, return_sequences=False, go_backwards=False,
        zero_output_for_mask=False, stateful=False,
    )  # fmt: skip
    dense = Dense(name="d", x="lstm", weights="d", input_size=units, units=3, use_bias=True, activation=TANH)
    table = Embedding(name="table", x="x", weights="table", input_size=50, units=features, dtype="float32")
    nodes = (Input(name="x", shape=(None, None), dtype="int32"), table, lstm, dense)
    random = np.random.default_rng(0)
    arrays: dict[str, Array] = {
        f"{node.name}/{name}": random.normal(0, shape[0] ** -0.5, shape).astype(np.float32)
        for node in nodes
        for name, shape in node.parameters().items()
    }
    return Graph(("x",), ("d",), None, nodes, arrays)


IDS = {"x": np.arange(40, dtype=np.int32).reshape(4, 10)}


def cli(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lstmconv", *map(str, args)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_each_unit_of_each_gate_has_a_scale() -> None:
    full = graph()
    axes = int8_candidates(full)
    assert set(axes) == {f"lstm/{kernel}_{gate}" for kernel in "WU" for gate in "ifco"} | {"d/W"}
    made = with_int8_weights(full, axes, axes)
    W, q, scale = (
        part["lstm/W_f" + end] for part, end in ((full.arrays, ""), (made.arrays, ""), (made.arrays, ".scale"))
    )
    assert (q.dtype.name, q.shape, scale.dtype.name, scale.shape) == ("int8", (6, 24), "float32", (24,))
    np.testing.assert_array_equal(scale, (np.abs(W).max(axis=0) / 127).astype(np.float32))
    assert np.abs(q.astype(int)).max(axis=0).tolist() == [127] * 24
    assert np.abs(W - q * scale.astype(np.float64)).max() <= 0.5001 * scale.max()
    assert made.arrays["lstm/b_f"] is full.arrays["lstm/b_f"]


def test_tables_have_a_scale_for_each_row() -> None:
    full = graph()
    axes = int8_candidates(full, embeddings=True)
    made = with_int8_weights(full, ["table/E"], axes)
    assert made.arrays["table/E.scale"].shape == (50,)
    E = full.arrays["table/E"]
    assert (np.abs(E - made.widened().arrays["table/E"]).max(axis=1) <= np.abs(E).max(axis=1) / 253).all()


def test_what_int8_does_not_hold_stays() -> None:
    """NaN and infinities, scales beyond float32, and matrices that would not be smaller."""
    full = graph(units=1, features=1)
    assert int8_candidates(full) == {}
    odd = graph()
    odd.arrays["lstm/W_i"] = np.full((6, 24), np.nan, np.float32)
    odd.arrays["lstm/U_f"] = np.full((24, 24), np.inf, np.float32)
    odd.arrays["d/W"] = np.full((24, 3), 1e300)
    assert {"lstm/W_i", "lstm/U_f", "d/W"}.isdisjoint(int8_candidates(odd))


def test_a_column_of_zeros_stays_zero() -> None:
    full = graph()
    full.arrays["d/W"][:, 1] = 0
    made = with_int8_weights(full, ["d/W"], int8_candidates(full))
    assert made.arrays["d/W.scale"][1] == 0
    assert not made.widened().arrays["d/W"][:, 1].any()


def test_the_bundle_is_of_format_1_1_and_computes_with_the_widened_weights() -> None:
    full = graph()
    axes = int8_candidates(full)
    made = with_int8_weights(full, axes, axes)
    data = to_bytes(Bundle(made, {}, {}, ()))
    assert len(data) < 0.55 * len(to_bytes(Bundle(full, {}, {}, ())))
    bundle = from_bytes(data)
    assert bundle.format_version == "1.1"
    assert bundle.graph.arrays["lstm/U_o"].dtype == np.int8
    for engine in ("numpy", "kernel") if lr.engine().name == "kernel" else ("numpy",):
        model = lr.load(data, engine=engine)
        exact = lr.load(to_bytes(Bundle(made.widened(), {}, {}, ())), dtype="float64")
        np.testing.assert_allclose(single(model.predict(IDS["x"])), single(exact.predict(IDS["x"])), atol=1e-6)
    assert to_bytes(bundle) == data


@pytest.mark.parametrize("wrong", ["no scale", "a scale alone", "shape", "dtype", "negative", "nan"])
def test_scales_that_do_not_fit_are_refused(wrong: str) -> None:
    full = graph()
    made = with_int8_weights(full, ["d/W"], int8_candidates(full))
    arrays = dict(made.arrays)
    scale = arrays["d/W.scale"]
    if wrong == "no scale":
        del arrays["d/W.scale"]
    elif wrong == "a scale alone":
        arrays["d/W"] = full.arrays["d/W"]
    else:
        arrays["d/W.scale"] = {
            "shape": scale[:2], "dtype": scale.astype(np.float64), "negative": -scale, "nan": scale * np.nan,
        }[wrong]  # fmt: skip
    with pytest.raises(lr.BundleError) as failure:
        from_bytes(to_bytes(Bundle(replace(made, arrays=arrays), {}, {}, ())))
    assert failure.value.code == "E_BUNDLE_CONTRACT"


def test_as_many_matrices_as_the_bound_allows() -> None:
    full = graph()
    axes = int8_candidates(full)

    def cost(tensors: list[str]) -> float:
        return drift_of(full, with_int8_weights(full, tensors, axes), [IDS])[0].relative

    every = cost(list(axes))
    assert within(axes, cost, every) == sorted(axes, key=lambda key: (cost([key]), key))
    some = within(axes, cost, every / 3)
    assert 0 < len(some) < len(axes)
    assert cost(some) <= every / 3
    assert within(axes, cost, 0.0) == []


# --- export -----------------------------------------------------------------------------------------------------------


def test_export(tmp_path: Path) -> None:
    windows = np.random.default_rng(0).normal(size=(500, 5, 1)).astype(np.float32)
    full = lstmconv.export(SINE, tmp_path / "full.safetensors")
    made = lstmconv.export(SINE, tmp_path / "small.safetensors", weights="int8", calibrate=windows)
    model = lr.load(tmp_path / "small.safetensors")
    assert model.verify().ok
    assert made.kept == ("lstm/W_c", "lstm/W_f", "lstm/W_i", "lstm/W_o")  # of one row: they would not be smaller
    probes, own = made.drift
    assert (probes.over, own.over) == ("probes", "calibration")
    exact = single(lr.load(tmp_path / "full.safetensors", dtype="float64").predict(windows))
    moved = single(lr.load(tmp_path / "small.safetensors", dtype="float64").predict(windows)) - exact
    assert own.max_abs == pytest.approx(np.abs(moved).max(), rel=1e-9)
    assert own.rms == pytest.approx(np.sqrt(np.mean(moved**2)), rel=1e-9)
    assert own.relative == pytest.approx(np.abs(moved).max() / np.abs(exact).max(), rel=1e-9)
    assert model.bundle.source["weights"] == "int8"
    assert f"{own.max_abs:.3g}" in model.bundle.source["drift"]
    assert full.graph.nodes == model.bundle.graph.nodes


def test_the_command(tmp_path: Path) -> None:
    out, data = tmp_path / "small.safetensors", tmp_path / "windows.npy"
    np.save(data, np.random.default_rng(0).normal(size=(30, 5, 1)).astype(np.float32))
    process = cli("export", SINE, "-o", out, "--weights", "int8", "--calibrate", data, "--at-most", "1e-3")
    assert (process.returncode, process.stderr) == (0, "")
    lines = process.stdout.splitlines()
    assert [line.split()[:2] for line in lines[3:5]] == [["dense", "probes"], ["dense", "calibration"]]
    assert float(lines[4].split()[-1]) <= 1e-3
    assert lines[5].startswith("Not int8: ")
    report = json.loads(cli("export", SINE, "-o", out, "--weights", "int8", "--force", "--json").stdout)
    assert report["kept"] == ["lstm/W_c", "lstm/W_f", "lstm/W_i", "lstm/W_o"]
    shown = cli("inspect", out).stdout
    assert "int8" in shown
    assert "lstm/U_f.scale" in shown


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"at_most": 1e-3}, "say which"),
        ({"embeddings": True, "weights": "float16"}, "int8"),
        ({"weights": "int8", "at_most": -1.0}, "at_most"),
        ({"weights": "int8", "at_most": float("nan")}, "at_most"),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        lstmconv.export(SINE, tmp_path / "x.safetensors", **options)
    assert list(tmp_path.iterdir()) == []


def test_calibration_data_must_fit(tmp_path: Path) -> None:
    with pytest.raises(lr.InputError, match="needs the shape"):
        lstmconv.export(SINE, tmp_path / "x.safetensors", weights="int8", calibrate=np.zeros((2, 5, 7), np.float32))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("entry", FIRST[::9], ids=lambda entry: f"{entry['env']}-{entry['case']}")
def test_real_models_of_every_age_verify(entry: dict[str, Any], tmp_path: Path) -> None:
    if not entry["file"].endswith((".h5", ".keras")) or "config" in entry:
        pytest.skip("its architecture lies beside it")
    try:
        lstmconv.export(model_path(entry), tmp_path / "full.safetensors")
    except LstmconvError:
        pytest.skip("not converted")
    made = lstmconv.export(model_path(entry), tmp_path / "m.safetensors", weights="int8", embeddings=True)
    assert lr.load(tmp_path / "m.safetensors").verify().ok
    assert all(drift.relative < 0.2 for drift in made.drift)
