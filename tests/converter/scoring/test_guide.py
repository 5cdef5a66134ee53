"""The code of docs/scoring.md runs; that of an engine where the engine is installed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import lstmconv
import lstmconv_runtime
import numpy as np
import pytest
from paths import ROOT, SINE

pa = pytest.importorskip("pyarrow")
ds = pytest.importorskip("pyarrow.dataset")
pq = pytest.importorskip("pyarrow.parquet")
GUIDE = (ROOT / "docs" / "scoring.md").read_text(encoding="utf-8")
BLOCKS = [text for _, text in re.findall(r"^```(python)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)]


def block(word: str) -> str:
    """The Python of the guide that has a word in it."""
    (found,) = (text for text in BLOCKS if word in text)
    return str(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the guide speaks of: sine.safetensors, days/ of arrays, log.parquet of rows, windows/ of sequences."""
    lstmconv.export(SINE, tmp_path / "sine.safetensors")
    random = np.random.default_rng(0)
    (tmp_path / "days").mkdir()
    (tmp_path / "windows").mkdir()
    for number in range(3):
        x = random.standard_normal((40, 5, 1)).astype("float32")
        np.save(tmp_path / "days" / f"{number}.npy", x)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 5)
        ids = np.arange(40) + 40 * number
        pq.write_table(pa.table({"id": ids, "x": lists}), tmp_path / "windows" / f"{number}.parquet")
    rows = {"id": np.arange(200) % 7, "t": np.arange(200), "level": np.sin(np.arange(200.0))}
    pq.write_table(pa.table(rows), tmp_path / "log.parquet")
    return tmp_path


def run(folder: Path, *command: str, timeout: int = 300) -> str:
    paths = [str(ROOT / "converter"), str(ROOT / "runtime"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_the_commands_run(folder: Path) -> None:
    lines = [line.removeprefix("$ ") for text in re.findall(r"^```console\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
             for line in text.splitlines()]  # fmt: skip
    assert sum(line.startswith("lstmconv run") for line in lines) >= 5
    for line in lines:
        if "tcp://" not in line:
            run(folder, sys.executable, "-m", *shlex.split(line))
    assert ds.dataset(folder / "scored.parquet").to_table().column_names == ["id", "t", "level", "dense"]


@pytest.mark.parametrize("word", ["score_frame(", "map_blocks(", "map_partitions("])
def test_the_python_runs(folder: Path, word: str) -> None:
    for package in ("pandas", "polars", "distributed"):
        pytest.importorskip(package)
    run(folder, sys.executable, "-c", block(word))


def assert_predicted(folder: Path) -> None:
    given = ds.dataset(folder / "windows").to_table().sort_by("id")
    made = ds.dataset(folder / "predicted", format="parquet").to_table().sort_by("id")
    model = lstmconv_runtime.load(folder / "sine.safetensors")
    wanted = np.asarray(model.predict(np.stack(given["x"].to_numpy()).reshape(-1, 5, 1)))[:, 0]
    assert made["id"].to_pylist() == given["id"].to_pylist()
    np.testing.assert_allclose(made["y"].to_numpy(), wanted, rtol=0, atol=1e-6)


@pytest.mark.long
def test_the_recipe_for_spark(folder: Path) -> None:
    """Starts a Java machine, which takes half a minute."""
    pytest.importorskip("pyspark", reason="NOT RUN: pyspark is not installed (pip install pyspark; it needs Java)")
    run(folder, sys.executable, "-c", block("mapInPandas"))
    assert_predicted(folder)


@pytest.mark.long
def test_the_recipe_for_ray(folder: Path) -> None:
    """Starts a cluster of processes."""
    pytest.importorskip("ray", reason="NOT RUN: Ray is not installed (pip install 'ray[data]')")
    run(folder, sys.executable, "-c", block("map_batches"))
    assert_predicted(folder)
