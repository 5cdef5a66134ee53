"""The summaries of inspect and verify, for graphs that the command's own test file has not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from lstmconv.bundles.load import is_keras_file, load_bundle
from lstmconv.bundles.probe_report import probe_report, probe_report_text
from lstmconv.bundles.summary import summary
from lstmconv.commands.inspection import inspect_file, inspection_text
from lstmconv.errors import FileAccessError, InvalidFileError
from lstmconv.scoring.tracing import traced_arrays
from lstmconv_runtime import BundleError, Gates, load
from lstmconv_runtime.format.bundle import Bundle, Probe, to_bytes
from lstmconv_runtime.format.graph import TANH, Activation, Graph
from lstmconv_runtime.format.nodes import Activate, Constant, Dense, Elementwise, Input

LEAKY = Activation("relu", (("max_value", None), ("negative_slope", 0.2), ("threshold", 0.0)))


def graph(keys: tuple[str, ...] | None = None) -> Graph:
    """Two inputs; a layer called twice; a constant; two outputs."""
    nodes = (
        Input(name="a", shape=(None, 2), dtype="float32"),
        Input(name="b", shape=(None, 2), dtype="float32"),
        Dense(name="d", x="a", weights="d", input_size=2, units=3, use_bias=True, activation=TANH),
        Dense(name="d.2", x="b", weights="d", input_size=2, units=3, use_bias=True, activation=TANH),
        Constant(name="k", shape=(3,), dtype="float32"),
        Elementwise(name="sum", op="add", args=("d", "k")),
        Activate(name="leaky", x="d.2", activation=LEAKY),
    )
    arrays = {
        "d/W": np.ones((2, 3), "float32"),
        "d/b": np.zeros(3, "float32"),
        "k/value": np.arange(3, dtype="float32"),
    }
    return Graph(("a", "b"), ("sum", "leaky"), keys, nodes, arrays)


def bundle(probes: tuple[Probe, ...] = (), keys: tuple[str, ...] | None = None) -> bytes:
    return to_bytes(Bundle(graph(keys), {"framework": "keras", "version": "3.15.1"}, {}, probes))


X = {"a": np.ones((2, 2), "float32"), "b": np.zeros((2, 2), "float32")}


def test_a_shared_layer_counts_once_and_a_constant_not_at_all() -> None:
    found = summary(graph())
    assert found["parameters"] == 9
    assert [tensor["name"] for tensor in found["tensors"]] == ["d/W", "d/b", "k/value"]
    by_name = {node["name"]: node for node in found["nodes"]}
    assert by_name["d"]["settings"] == {
        "weights": "d", "input_size": 2, "units": 3, "use_bias": True, "activation": {"name": "tanh"},
    }  # fmt: skip
    assert by_name["sum"]["node"] == "Elementwise"
    assert by_name["sum"]["settings"] == {"op": "add"}
    assert by_name["sum"]["reads"] == ["d", "k"]
    assert by_name["k"]["parameters"] == 0


def test_output_keys_and_activation_constants_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "two.safetensors"
    path.write_bytes(bundle(keys=("first", "second")))
    found = inspect_file(path)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    text = inspection_text(found)
    assert "output      sum as 'first' (any, 3) float32" in text
    assert "activation=relu(max_value None, negative_slope 0.2, threshold 0.0)" in text


def test_a_name_from_a_file_is_shown_as_ascii(tmp_path: Path) -> None:
    node = Input(name="ünï\u202e", shape=(None, 2), dtype="float32")
    path = tmp_path / "x.safetensors"
    path.write_bytes(to_bytes(Bundle(Graph((node.name,), (node.name,), None, (node,), {}), {}, {"a\n": "\x1b"}, ())))
    assert inspection_text(inspect_file(path)).replace("\n", "").isprintable()
    assert inspection_text(inspect_file(path)).isascii()


def test_outputs_by_name() -> None:
    assert list(load(bundle()).predict_by_name(X)) == ["sum", "leaky"]
    assert list(load(bundle(keys=("one", "two"))).predict_by_name(X)) == ["one", "two"]


def test_a_flat_trace() -> None:
    gates = Gates({"i": np.zeros(1), "output": np.ones(1)})
    assert set(traced_arrays({"lstm": gates, "dense": np.ones(1)})) == {"lstm/i", "lstm/output", "dense"}


def test_no_probes_prove_nothing() -> None:
    report = probe_report(load(bundle()))
    assert report["ok"] is False
    assert "no probes" in probe_report_text(report, "x")


def test_probes_that_hold_and_that_do_not() -> None:
    good = Probe("keras 3", X, tuple(load(bundle()).predict_by_name(X).values()))
    bad = Probe("keras 3", X, tuple(np.full((2, 3), np.inf, "float32") for _ in range(2)))
    report = probe_report(load(bundle((good, bad))))
    assert [probe["ok"] for probe in report["probes"]] == [True, False]
    assert report["ok"] is False
    assert json.dumps(report, allow_nan=False)
    assert probe_report_text(report, "x").endswith("x: NOT VERIFIED: 1 of 2 probes do not hold")


def test_bundles_are_read_from_regular_files(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(bundle())
    assert load_bundle(tmp_path / "good").input_names == ("a", "b")
    (tmp_path / "model.keras").write_bytes(b"PK\3\4")
    with pytest.raises(InvalidFileError, match="lstmconv export"):
        load_bundle(tmp_path / "model.keras")
    (tmp_path / "bad").write_bytes(b"x" * 100)
    with pytest.raises(BundleError, match="bad: "):
        load_bundle(tmp_path / "bad")
    with pytest.raises(FileAccessError):
        load_bundle(Path("/dev/zero"))
    assert not is_keras_file(bundle())
