"""4 GB of sequences through a cluster of two workers that may have 1.5 GB each, one of which is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from lstmconv_runtime.format.graph import LINEAR, SIGMOID, TANH, Array, Graph, Node
from lstmconv_runtime.format.nodes import LSTM, Dense, Input

pytest.importorskip("distributed")
STEPS, FEATURES, UNITS = 100, 64, 8
FILES, ROWS = 16, 10_000  # of 256 MB
WORKER_BYTES = 1_500_000_000
HERE = Path(__file__).parent


def bundle_bytes() -> bytes:
    """x (any, 100, 64) → y (any, 1)."""
    nodes: tuple[Node, ...] = (
        Input(name="x", shape=(None, STEPS, FEATURES), dtype="float32"),
        LSTM(
            name="lstm", x="x", mask=None, h0=None, c0=None, weights="lstm", input_size=FEATURES, units=UNITS,
            use_bias=True, activation=TANH, recurrent_activation=SIGMOID, return_sequences=False, go_backwards=False,
            zero_output_for_mask=False, stateful=False,
        ),
        Dense(name="y", x="lstm", weights="y", input_size=UNITS, units=1, use_bias=True, activation=LINEAR),
    )  # fmt: skip
    random = np.random.default_rng(0)
    arrays: dict[str, Array] = {
        f"{node.name}/{name}": (random.standard_normal(size) / 8).astype("float32")
        for node in nodes
        for name, size in node.parameters().items()
    }
    return to_bytes(Bundle(Graph(("x",), ("y",), None, nodes, arrays), {"framework": "by hand"}, {}, ()))


def peak(pid: int) -> int:
    """The most memory that a process has held, in bytes; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        return 0


def children(pid: int) -> set[int]:
    """Every process below another one."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found |= {child, *children(child)}
    return found


@pytest.mark.long
def test_four_gigabytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.safetensors").write_bytes(bundle_bytes())
    random = np.random.default_rng(1)
    for number in range(FILES):
        np.save(tmp_path / f"x{number:02}.npy", random.standard_normal((ROWS, STEPS, FEATURES), dtype="float32"))
    size = sum(path.stat().st_size for path in tmp_path.glob("x*.npy"))
    assert size > 4_000_000_000
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lstmconv", "run", "m.safetensors", "x*.npy"]
    started = time.monotonic()
    subprocess.run([*command, "-o", "one/"], cwd=tmp_path, env=environment, check=True)
    alone = time.monotonic() - started

    cluster = subprocess.Popen(
        [sys.executable, str(HERE / "dask_cluster.py"), str(WORKER_BYTES)], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env=environment,
    )  # fmt: skip
    try:
        assert cluster.stdout is not None
        address, *workers = cluster.stdout.readline().split()
        started = time.monotonic()
        process = subprocess.Popen([*command, "-o", "two/", "--dask", address], cwd=tmp_path, env=environment)
        peaks: dict[int, int] = {}
        killed = False
        while process.poll() is None:
            for pid in children(cluster.pid):
                peaks[pid] = max(peaks.get(pid, 0), peak(pid))
            if not killed and len(list((tmp_path / "two").glob("x*.npy"))) >= FILES // 3:
                os.kill(int(workers[0]), signal.SIGKILL)
                killed = True
            time.sleep(0.05)
        together = time.monotonic() - started
    finally:
        cluster.terminate()
        cluster.wait(30)
    assert (process.returncode, killed) == (0, True)
    for name in os.listdir(tmp_path / "one"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes(), name
    assert json.loads((tmp_path / "two" / "_manifest.json").read_text())["rows"] == FILES * ROWS
    with capsys.disabled():
        print(
            f"\n{size / 1e9:.1f} GB: one process {alone:.0f} s, two workers {together:.0f} s, of which one was killed; "
            f"the largest process below the scheduler held {max(peaks.values()) / 1e6:.0f} MB"
        )
    assert max(peaks.values()) < WORKER_BYTES
