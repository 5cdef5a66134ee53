"""The engines agree on a real model, and one that is missing is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from legacy_vectors import ENTRIES
from legacy_vectors import model_path as legacy_path
from lstmconv.commands import parity
from lstmconv.errors import FileAccessError, InvalidFileError, MissingPackageError, UsageError
from lstmconv.onnx.nodes import recurrent
from lstmconv.parity.cross_check import cross_check, draw_inputs
from lstmconv.parity.engines import INSTALL, Subject, import_quietly, open_engines
from lstmconv_runtime import InputError


@pytest.fixture(scope="module")
def subject(model_path: Path) -> Subject:
    return Subject.from_file(model_path)


def test_four_engines_agree(subject: Subject) -> None:
    report = cross_check(subject, draw_inputs(subject.runtime.bundle.graph))
    assert report.engines == ("Keras", "runtime", "onnxruntime", "our ONNX")
    assert report.ok
    assert not report.missing
    assert [(d.first, d.second) for d in report.outputs[0].differences] == [
        ("Keras", "runtime"), ("Keras", "onnxruntime"), ("Keras", "our ONNX"), ("runtime", "onnxruntime"),
        ("runtime", "our ONNX"), ("onnxruntime", "our ONNX"),
    ]  # fmt: skip
    assert max(d.absolute for d in report.outputs[0].differences) < 1e-6
    assert isinstance(report.keras_float64, tuple)
    assert max(report.keras_float64) < 1e-14


def test_a_missing_package_is_named(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = cross_check(subject, draw_inputs(subject.runtime.bundle.graph))
    assert report.engines == ("Keras", "runtime")
    why = f"needs onnxruntime, which is not installed: {INSTALL}"
    assert report.missing == {"onnxruntime": why, "our ONNX": why}
    assert report.ok
    assert f"onnxruntime did not run: needs onnxruntime, which is not installed: {INSTALL}" in report.text()


def test_a_failed_onnx_export_is_named(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise NotImplementedError("no such\noperator")

    monkeypatch.setattr(subject.keras, "export", fail)
    engines, missing = open_engines(subject)
    assert set(engines) == {"Keras", "runtime", "our ONNX"}
    assert missing["onnxruntime"] == "Keras's ONNX export of this model fails: NotImplementedError: no such"


def test_a_file_that_keras_does_not_open_is_named(subject: Subject, tmp_path: Path) -> None:
    path = tmp_path / "broken.keras"
    path.write_bytes(b"not a model")
    other = Subject(subject.bundle, path)
    report = cross_check(other, draw_inputs(other.runtime.bundle.graph))
    assert report.engines == ("runtime", "our ONNX")  # which decide
    assert "does not open the file" in report.missing["Keras"]
    assert "does not open the file" in report.missing["onnxruntime"]
    assert "broken.keras" in report.missing["Keras"] and str(tmp_path) not in report.missing["Keras"]
    assert report.ok


def test_a_bundle_alone_is_compared_without_keras(subject: Subject, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(subject.bundle)
    alone = Subject.from_file(path)
    report = cross_check(alone, draw_inputs(alone.runtime.bundle.graph))
    assert report.engines == ("runtime", "our ONNX")
    assert report.missing["Keras"] == "there is no Keras model to run, only a bundle"
    assert report.ok
    assert isinstance(report.onnx_nodes, tuple)
    assert [node.node for node in report.onnx_nodes][:3] == ["lower", "lower:h", "lower:c"]
    assert report.onnx_divergence is None


def test_an_old_file_that_keras_refuses_is_compared_in_what_remains() -> None:
    entry = next(one for one in ENTRIES if one["case"] == "gru" and one["keras"].startswith("2."))
    subject = Subject.from_file(legacy_path(entry))
    report = cross_check(subject, draw_inputs(subject.runtime.bundle.graph))
    assert report.engines == ("runtime", "our ONNX")
    assert set(report.missing) == {"Keras", "onnxruntime"}
    assert report.ok
    assert "AGREE: runtime, our ONNX compute the same model." in report.text()


def test_a_wrong_onnx_file_is_found_at_its_node(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two gates swapped in what is written as ONNX: the report names the layer, and Keras and the runtime agree."""
    original = recurrent._kernels

    def swapped(node: Any, p: Any) -> Any:
        return original(node, {**p, "U_i": p["U_f"], "U_f": p["U_i"]} if node.name == "upper" else p)

    monkeypatch.setattr(recurrent, "_kernels", swapped)
    report = cross_check(subject, draw_inputs(subject.runtime.bundle.graph))
    assert not report.ok
    assert report.divergence is None
    assert report.onnx_divergence is not None
    assert report.onnx_divergence.node == report.as_dict()["first_onnx_divergence"] == "upper"
    assert "The first node whose value differs from the runtime is 'upper' (LSTM)." in report.text()


def test_a_stateful_model_starts_from_zeros_each_time(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    keras = import_quietly("keras")
    model = keras.Sequential(
        [keras.Input(batch_shape=(2, 4, 1), name="x"), keras.layers.LSTM(3, stateful=True, name="lstm")]
    )
    path = tmp_path / "stateful.keras"
    model.save(path)
    subject = Subject.from_file(path)
    inputs = {"x": np.ones((2, 4, 1), np.float32)}
    engines, _ = open_engines(subject)
    first, second = engines["Keras"](inputs)[0], engines["Keras"](inputs)[0]
    np.testing.assert_array_equal(first, second)
    assert cross_check(subject, inputs).outputs[0].verdict == "agree"


def test_dicts_of_inputs_and_outputs(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    keras = import_quietly("keras")
    layers = keras.layers
    late, early = keras.Input((6, 3), name="late"), keras.Input((None,), name="early", dtype="int32")
    masked = layers.Embedding(9, 4, mask_zero=True, name="table")(early)
    outputs = {
        "z": layers.GRU(4, name="gru")(late),
        "a": layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="both")(masked),
    }
    path = tmp_path / "dicts.keras"
    keras.Model({"late": late, "early": early}, outputs).save(path)
    subject = Subject.from_file(path)
    report = cross_check(subject, draw_inputs(subject.runtime.bundle.graph))
    assert report.engines == ("Keras", "runtime", "onnxruntime", "our ONNX")
    assert sorted(output.name for output in report.outputs) == ["a", "z"]
    assert report.verdicts == ("agree", "agree")
    assert isinstance(report.nodes, tuple)
    assert {"gru", "both", "table"} <= {node.node for node in report.nodes}


def test_the_command(model_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    inputs = tmp_path / "x.npz"
    np.savez(inputs, x=np.random.default_rng(0).standard_normal((4, 9, 3)))
    assert parity.run(model_path, inputs, as_json=False) == 0
    captured = capfd.readouterr()
    assert "input  x (4, 9, 3) float32" in captured.out
    assert "AGREE: Keras, runtime, onnxruntime, our ONNX" in captured.out
    assert captured.err == ""
    assert parity.run(model_path, None, as_json=True) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["agree"] is True
    assert found["inputs"] == {"x": {"shape": [8, 20, 3], "dtype": "float32"}}


def test_without_any_engine_the_command_says_what_to_install(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("keras", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match="keras, which is not installed: pip install"):
        parity.run(model_path, None, as_json=False)


def test_inputs_are_read_as_by_run(model_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`--input` takes what `run` takes, refuses what `run` refuses, and calls it by the same names."""
    rows = np.arange(12.0).reshape(4, 3) / 10
    (tmp_path / "x.csv").write_text("a,b,c\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    assert parity.run(model_path, tmp_path / "x.csv", as_json=False, rows_are="steps") == 0
    assert "input  x (1, 4, 3) float32" in capfd.readouterr().out
    np.savez(tmp_path / "two.npz", x=rows, y=rows)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("1, 2, 3")
    failures: tuple[tuple[str, Any, str], ...] = (
        ("x.csv", UsageError, "E_ROWS"),
        ("two.npz", InputError, "E_INPUT"),
        ("objects.npy", InvalidFileError, "E_ARRAY_DTYPE"),
        ("text.npy", InvalidFileError, "E_ARRAY_FILE"),
        ("absent.npy", FileAccessError, "E_IO"),
        ("x.txt", UsageError, "E_SUFFIX"),
    )
    for name, error, code in failures:
        with pytest.raises(error) as failure:
            parity.run(model_path, tmp_path / name, as_json=False)
        assert failure.value.code == code
