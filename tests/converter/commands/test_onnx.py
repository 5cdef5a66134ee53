"""`lstmconv onnx` as its users meet it."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from legacy_vectors import ENTRIES, config_path, model_path
from paths import SINE

onnx = pytest.importorskip("onnx")


def cli(*args: object) -> subprocess.CompletedProcess[str]:
    """Runs `lstmconv ARGS` in a process of its own."""
    command = [sys.executable, "-m", "lstmconv", *map(str, args)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def assert_fails(process: subprocess.CompletedProcess[str], exit_code: int, code: str) -> str:
    """One line that ends in the error's code, and nothing else. Gives the line."""
    assert process.returncode == exit_code, process.stderr
    assert re.fullmatch(rf"lstmconv: error: [ -~]+ \[{code}\]\n", process.stderr), process.stderr
    assert process.stdout == ""
    return process.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(SINE, tmp_path / "sine.keras")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_lies_beside_its_model(folder: Path) -> None:
    process = cli("onnx", "sine.keras")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith("sine.onnx: ONNX, opset 14\n  inputs     input_layer\n  outputs    dense\n")
    assert onnx.load(folder / "sine.onnx").producer_name == "lstmconv"


def test_json_for_programs(folder: Path) -> None:
    process = cli("onnx", "sine.keras", "-o", "step.onnx", "--states", "--json")
    found = json.loads(process.stdout)
    assert found["onnx"] == "step.onnx"
    assert found["inputs"] == ["input_layer", "past.lstm.h", "past.lstm.c"]
    assert found["outputs"] == ["dense", "present.lstm.h", "present.lstm.c"]
    assert found["operators"]["LSTM"] == 1


def test_it_is_quick(folder: Path) -> None:
    """Start-up, the file, its checks and its probes; in time of the processor, for others may use it too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert cli("onnx", "sine.keras").returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


def test_what_fails_says_why_and_leaves_nothing(folder: Path) -> None:
    (folder / "sine.onnx").write_bytes(b"mine")
    (folder / "broken.safetensors").write_bytes(b'\x10\0\0\0\0\0\0\0{"lstmconv": 1}')
    backwards = next(one for one in ENTRIES if one["case"] == "bidirectional" and config_path(one) is None)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "--force replaces it" in assert_fails(cli("onnx", "sine.keras"), 6, "E_EXISTS")
    assert_fails(cli("onnx", "sine.keras", "-o", "sine.pb"), 2, "E_SUFFIX")
    assert_fails(cli("onnx", "absent.keras"), 6, "E_IO")
    assert_fails(cli("onnx", "broken.safetensors"), 4, "E_BUNDLE_FORMAT")
    assert "cannot stream" in assert_fails(
        cli("onnx", model_path(backwards), "-o", "b.onnx", "--states"), 3, "E_STREAM"
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_old_weights_with_their_architecture(folder: Path) -> None:
    entry = next(one for one in ENTRIES if config_path(one) is not None)
    process = cli("onnx", model_path(entry), "--config", config_path(entry), "-o", "old.onnx")
    assert process.returncode == 0, process.stderr
    assert "--config" in assert_fails(cli("onnx", model_path(entry), "-o", "new.onnx"), 3, "E_NEEDS_CONFIG")
