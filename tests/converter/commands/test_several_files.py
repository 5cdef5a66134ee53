"""`doctor`, `inspect` and `verify` of several files: all are looked at, and the exit code says the worst."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from legacy_vectors import ENTRIES, model_path, release
from lstmconv.exporting import export
from lstmconv_runtime.format.bundle import from_bytes, to_bytes
from paths import SINE


def run(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lstmconv", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that are in order, and one of each way in which they may not be."""
    shutil.copy(SINE, tmp_path)
    shutil.copy(release("k224") / "lstm.h5", tmp_path / "old.h5")
    shutil.copy(model_path(next(one for one in ENTRIES if one["case"] == "lambda_layer")), tmp_path / "lambda.h5")
    export(SINE, tmp_path / "sine.safetensors")
    bundle = from_bytes((tmp_path / "sine.safetensors").read_bytes())
    wrong = tuple(replace(p, outputs=tuple(y + np.float32(0.01) for y in p.outputs)) for p in bundle.probes)
    (tmp_path / "wrong.safetensors").write_bytes(to_bytes(replace(bundle, probes=wrong)))
    (tmp_path / "no.h5").write_bytes(b"nothing")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def last_table(text: str) -> list[list[str]]:
    return [line.split() for line in text.rpartition("\n\n")[2].splitlines()]


def test_doctor_ends_in_a_table(folder: Path) -> None:
    done = run("doctor", "old.h5", "sine.keras", "sine.safetensors")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Can lstmconv convert it?") == 2
    assert [(line[0], *line[-3:]) for line in last_table(done.stdout)[1:]] == [
        ("old.h5", "yes", "refuses", "yes"), ("sine.keras", "yes", "agrees", "yes"),
        ("sine.safetensors", "hold", "-", "-"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "files", "exit_code"),
    [
        ("doctor", "sine.keras old.h5", 0),
        ("doctor", "sine.keras lambda.h5 old.h5", 1),
        ("doctor", "wrong.safetensors sine.keras", 1),
        ("doctor", "lambda.h5 no.h5 sine.keras", 4),
        ("doctor", "absent.h5 no.h5 sine.keras", 6),
        ("inspect", "sine.keras sine.safetensors", 0),
        ("inspect", "lambda.h5 sine.keras", 3),
        ("inspect", "no.h5 sine.keras absent", 6),
        ("verify", "sine.safetensors sine.safetensors", 0),
        ("verify", "wrong.safetensors sine.safetensors", 1),
        ("verify", "sine.keras wrong.safetensors sine.safetensors", 4),
    ],
)
def test_the_exit_code_says_the_worst(folder: Path, command: str, files: str, exit_code: int) -> None:
    done = run(command, *files.split())
    assert done.returncode == exit_code
    assert [line[0] for line in last_table(done.stdout)[1:]] == files.split()
    told = run(command, *files.split(), "--json")
    assert told.returncode == exit_code
    found = json.loads(told.stdout)
    assert found["exit_code"] == exit_code
    assert len(found["files"]) == len(files.split())
    failed = [one for one in found["files"] if "error" in one]
    assert len(failed) == len(done.stderr.splitlines()) == len(told.stderr.splitlines())
    for one, line in zip(failed, done.stderr.splitlines(), strict=True):
        assert one["file"] in line and line == f"lstmconv: error: {one['error']}"


def test_one_architecture_is_not_that_of_several_files(folder: Path) -> None:
    done = run("doctor", "old.h5", "sine.keras", "--config", "c.json")
    assert done.returncode == 2 and "several are given" in done.stderr
