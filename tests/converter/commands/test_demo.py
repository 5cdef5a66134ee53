"""The demo: the data, a small run of it, and what it says without TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lstmconv.bundles.compare import Deviation, OutputComparison, Pair
from lstmconv.commands import demo
from lstmconv.errors import FileAccessError
from lstmconv.parity.report import Report
from lstmconv_runtime import load

FILES = {"sine.keras", "sine.safetensors", "sine.onnx", "predict1.png", "predict2.png"}

BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from pathlib import Path
from lstmconv.commands import demo
from lstmconv.errors import LstmconvError
from lstmconv_runtime import load
try:
    demo.run(Path(sys.argv[1]))
except LstmconvError as error:
    print(error.exit_code, error)
"""


def test_data() -> None:
    data = demo.noisy_sine()
    assert data.x_train.shape == (3596, 5, 1)
    assert data.x_test.shape == (400, 5, 1)
    assert data.x_train.dtype == data.y_train.dtype == np.float32
    np.testing.assert_array_equal(data.x_test[1:, -1, 0], data.y_test[:-1, 0])  # the target is the next value
    exact = np.sin(data.t_test * 2 * np.pi / 80)
    assert 0.01 < np.abs(data.y_test[:, 0] - exact).max() < 0.051
    np.testing.assert_array_equal(data.y_test, demo.noisy_sine().y_test)


def test_without_tensorflow_one_line_says_what_to_install(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(out)], capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    expected = "2 the demo needs tensorflow, which is not installed: pip install 'lstmconv[parity]'\n"
    assert done.stdout == expected
    assert done.stderr == ""
    assert not out.exists()


def report(runtime_error: float, difference: float) -> Report:
    pairs = (Pair("Keras", "runtime", difference, difference),)
    errors = (Deviation("Keras", 1e-7, 1e-8), Deviation("runtime", runtime_error, 1e-8))
    output = OutputComparison("y", (4, 1), "float32", 1.0, 1e-8, 1e-5, 1e-5, False, pairs, errors)
    return Report({}, ("Keras", "runtime"), {}, (output,), (0.0,), ())


def test_what_the_demo_promises() -> None:
    assert demo.unmet(report(1.5e-7, 1e-6)) == []
    assert "Keras and runtime differ by 1.10e-06" in demo.unmet(report(1e-7, 1.1e-6))[0]
    assert "more than 1.5 times Keras's" in demo.unmet(report(1.6e-7, 1e-7))[0]
    assert demo.unmet(report(1e-7, float("nan")))
    missing = replace(report(1e-7, 1e-7), missing={"onnxruntime": "why"})
    assert demo.unmet(missing) == ["onnxruntime did not run: why"]


def test_a_small_demo(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorflow").zeros(1)
    pytest.importorskip("matplotlib")
    capfd.readouterr()  # what TensorFlow says of the machine when it starts
    out = tmp_path / "new" / "demo"
    for _ in range(2):  # the second run replaces the files of the first
        made = demo.build_demo(out, epochs=1, units=8)
        assert {path.name for path in out.iterdir()} == FILES
        assert made.ok
        assert demo.unmet(made) == []
    assert made.engines == ("Keras", "runtime", "onnxruntime", "our ONNX")
    for name in ("predict1.png", "predict2.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    lines = capfd.readouterr().err.splitlines()
    assert sum(line.startswith("epoch  1/1   loss") for line in lines) == 2
    assert all(line.startswith(("training", "epoch", "trained", "exported", "drew")) for line in lines)


def test_the_last_step_is_the_prediction(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("matplotlib")
    demo.build_demo(tmp_path, epochs=1, units=4)
    x = demo.noisy_sine().x_test
    steps = demo.predictions_by_step(tmp_path / "sine.safetensors", x)
    assert len(steps) == 5
    y = load(tmp_path / "sine.safetensors").predict(x)
    assert isinstance(y, np.ndarray)
    np.testing.assert_allclose(steps[-1], y[:, 0], rtol=0, atol=1e-6)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("matplotlib")
    (tmp_path / "demo").write_text("")
    with pytest.raises(FileAccessError, match="cannot write"):
        demo.build_demo(tmp_path / "demo")
