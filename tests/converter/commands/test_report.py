"""`lstmconv report` as its users meet it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from html_page import read_page
from legacy_vectors import ENTRIES, model_path
from lstmconv.exporting import export
from paths import SINE, VECTORS

ERROR = re.compile(r"lstmconv: error: [ -~]+ \[(E_[A-Z_0-9]+)\]\n")


def report(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lstmconv", "report", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(SINE, tmp_path)
    x = np.random.default_rng(0).normal(size=(9, 5, 1)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_page_beside_the_model(folder: Path) -> None:
    done = report("sine.keras", "--no-engines")
    assert (done.returncode, done.stderr) == (0, "")
    made = Path("sine.report.html").read_bytes()
    assert done.stdout == f"wrote sine.report.html: {len(made):,} bytes\n  compared: runtime: agree\n"
    assert "Sequence 0 of 3 (counted from 0) of the first probe" in read_page(made).text
    assert sorted(os.listdir()) == ["sine.keras", "sine.report.html", "x.npy"]


def test_a_sequence_of_the_user(folder: Path) -> None:
    done = report("sine.keras", "--no-engines", "--input", "x.npy", "--row", 8, "-o", "eight.html", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["report"], told["ok"], told["kind"]) == ("eight.html", True, "keras")
    assert told["bytes"] == Path("eight.html").stat().st_size
    text = read_page(Path("eight.html").read_bytes()).text
    assert "Sequence 8 of 9 (counted from 0) of x.npy." in text
    assert "9 sequences of x.npy" in " ".join(text.split())


def test_reduced_weights(folder: Path) -> None:
    export("sine.keras", "small.safetensors", weights="float16")
    export("sine.keras", "full.safetensors")
    assert report("small.safetensors", "--no-engines").returncode == 0
    weights = read_page(Path("small.report.html").read_bytes()).by_id("weights").text
    assert "Weights are stored as float16" in weights and "--full MODEL" in weights
    for full in ("sine.keras", "full.safetensors"):
        assert report("small.safetensors", "--no-engines", "--full", full, "--force").returncode == 0
        tree = read_page(Path("small.report.html").read_bytes()).by_id("weights")
        drift = [one for one in tree.all("table") if one.children[0].text == "Drift of the outputs"]
        assert len(drift) == 1
        moved = float(next(drift[0].all("td")).text)
        assert 0 < moved < 1e-2
    done = report("full.safetensors", "--full", "sine.keras")
    assert done.returncode == 2 and "as they were" in done.stderr
    done = report("small.safetensors", "--full", VECTORS / "keras_file" / "recurrent.keras", "--force")
    assert done.returncode == 2 and "another model" in done.stderr


def test_a_file_that_cannot_be_converted(folder: Path) -> None:
    path = model_path(next(one for one in ENTRIES if one["case"] == "lambda_layer"))
    done = report(path, "-o", "lambda.html")
    assert done.returncode == 1
    assert "in the way of converting it" in done.stdout
    assert "In the way" in read_page(Path("lambda.html").read_bytes()).text


@pytest.mark.parametrize(
    ("args", "exit_code", "error_code"),
    [
        ("sine.keras -o page.htm", 2, "E_SUFFIX"),
        ("sine.keras --no-engines -o absent/page.html", 6, "E_IO"),
        ("sine.keras -o there.html", 6, "E_EXISTS"),
        ("sine.keras --row 1", 2, "E_USAGE"),
        ("sine.keras --rows-are steps", 2, "E_USAGE"),
        ("sine.keras --input x.npy --row 9 --no-engines", 2, "E_USAGE"),
        ("sine.keras --input sine.keras --no-engines", 2, "E_SUFFIX"),
        ("sine.keras --input wrong.npy --no-engines", 2, "E_INPUT"),
        ("absent.keras", 6, "E_IO"),
        ("x.npy", 4, "E_NOT_A_MODEL"),
    ],
)
def test_failures_write_nothing(folder: Path, args: str, exit_code: int, error_code: str) -> None:
    Path("there.html").write_text("there")
    np.save("wrong.npy", np.zeros((3, 4, 1)))
    before = sorted(os.listdir())
    done = report(*args.split())
    found = ERROR.fullmatch(done.stderr)
    assert found is not None, done.stderr
    assert (done.returncode, found[1], done.stdout) == (exit_code, error_code, "")
    assert sorted(os.listdir()) == before and Path("there.html").read_text() == "there"
