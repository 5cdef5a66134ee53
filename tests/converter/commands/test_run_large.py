"""`lstmconv run` on inputs larger than it may hold: memory, batches, progress, and what is left behind on failure."""

from __future__ import annotations

import os
import pty
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lstmconv_runtime
import numpy as np
import pytest
from lstmconv.commands.progress import Progress, clock_time, progress_line
from lstmconv.scoring.prediction import BATCH_BYTES, MOST_ROWS, rows_at_once
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from lstmconv_runtime.format.graph import LINEAR, SIGMOID, TANH, Array, Graph, Node
from lstmconv_runtime.format.nodes import LSTM, Dense, Input

FEATURES, STEPS, UNITS = 256, 100, 64
Process = subprocess.CompletedProcess[str]


def bundle_bytes(features: int = FEATURES, units: int = UNITS, **shape: Any) -> bytes:
    """x (any, any, features) → the outputs of every step, and a number per step."""
    given = {"batch": None, "steps": None, **shape}
    nodes: tuple[Node, ...] = (
        Input(name="x", shape=(given["batch"], given["steps"], features), dtype="float32"),
        LSTM(
            name="lstm", x="x", mask=None, h0=None, c0=None, weights="lstm", input_size=features, units=units,
            use_bias=True, activation=TANH, recurrent_activation=SIGMOID, return_sequences=True, go_backwards=False,
            zero_output_for_mask=False, stateful=False,
        ),
        Dense(name="y", x="lstm", weights="y", input_size=units, units=1, use_bias=True, activation=LINEAR),
    )  # fmt: skip
    random = np.random.default_rng(0)
    arrays: dict[str, Array] = {
        f"{node.name}/{name}": (random.standard_normal(size) / 16).astype("float32")
        for node in nodes
        for name, size in node.parameters().items()
    }
    outputs = ("lstm", "y")
    return to_bytes(Bundle(Graph(("x",), outputs, None, nodes, arrays), {"framework": "by hand"}, {}, ()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with m.safetensors, and x.npy and x.npz of 50 rows and 5 steps."""
    (tmp_path / "m.safetensors").write_bytes(bundle_bytes())
    x = np.random.default_rng(1).standard_normal((50, 5, FEATURES)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    np.savez_compressed(tmp_path / "x.npz", x)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def unchanged(folder: Path) -> Iterator[None]:
    """After the test the folder holds what it held."""
    before = sorted(os.listdir("."))
    yield
    assert sorted(os.listdir(".")) == before


def run(*args: object, patch: str = "", **options: Any) -> Process:
    """`lstmconv run m.safetensors ARGS` in a process of its own, which does `patch` first and prints its peak memory.

    In `patch`, `before(n, action)` does something before the prediction of batch n.
    """
    code = f"""
import os, signal, sys
from lstmconv_runtime import Model
from lstmconv.__main__ import main
predict, batches = Model.predict_by_name, []
def before(number, action):
    def patched(*args, **options):
        batches.append(args)
        if len(batches) == number:
            action()
        return predict(*args, **options)
    Model.predict_by_name = patched
{patch}
code = main()
status = open("/proc/self/status").read()  # `getrusage` counts what the parent had when it forked
print("peak", int(status.partition("VmHWM:")[2].split()[0]) * 1024, "batches", len(batches))
sys.exit(code)
"""
    given = {"capture_output": True, "text": True, "timeout": 120, **options}
    command = [sys.executable, "-c", code, given.pop("command", "run"), "m.safetensors", *map(str, args)]
    return subprocess.run(command, check=False, **given)


def peak(process: Process) -> int:
    found = re.search(r"^peak (\d+) ", process.stdout, re.MULTILINE)
    assert process.returncode == 0, process.stderr
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_memory_does_not_grow_with_the_input(folder: Path, kind: str) -> None:
    """200 MB in and 50 MB out, two outputs, with no more memory than the batches of the documented size need."""
    rows = 200 * 2**20 // (4 * STEPS * FEATURES)
    x = np.random.default_rng(0).standard_normal((rows, STEPS, FEATURES), dtype="float32")
    (np.save if kind == "npy" else np.savez)(f"large.{kind}", x)
    # One thread: those of a matrix product spin while they wait for each other, on a machine that is busy for long.
    options: dict[str, Any] = {"env": {**os.environ, "OPENBLAS_NUM_THREADS": "1"}}
    at_rest = peak(run("x.npy", "-o", "small.npz", "--threads", 1, **options))
    rise = peak(run(f"large.{kind}", "-o", "y.npz", "--threads", 1, **options)) - at_rest
    assert rise < BATCH_BYTES * 3 // 2  # the values of a batch, and what is made and freed on the way
    assert Path("y.npz").stat().st_size > rows * STEPS * (UNITS + 1) * 4
    some = slice(rows - 3, rows)
    with np.load("y.npz") as made:
        for name, wanted in zip(("lstm", "y"), lstmconv_runtime.load("m.safetensors").predict(x[some]), strict=True):
            np.testing.assert_allclose(made[name][some], wanted, rtol=0, atol=1e-6)


def test_the_memory_of_a_trace_does_not_grow_with_the_input(folder: Path) -> None:
    """60 MB in and 250 MB out."""
    rows = 60 * 2**20 // (4 * STEPS * FEATURES)
    x = np.random.default_rng(0).standard_normal((rows, STEPS, FEATURES), dtype="float32")
    np.save("large.npy", x)
    options: dict[str, Any] = {"env": {**os.environ, "OPENBLAS_NUM_THREADS": "1"}, "command": "trace"}
    at_rest = peak(run("x.npy", "-o", "small.npz", **options))
    rise = peak(run("large.npy", "-o", "t.npz", **options)) - at_rest
    assert rise < BATCH_BYTES * 5 // 2  # a trace, and the values it is made of
    size = Path("t.npz").stat().st_size
    assert size > rows * STEPS * UNITS * 7 * 4
    assert (
        peak(run("large.npy", "-o", "some.npz", "--rows", f"{rows - 3}:", **options)) - at_rest < BATCH_BYTES * 5 // 2
    )
    wanted = lstmconv_runtime.load("m.safetensors").trace(x[rows - 3 :])
    with np.load("t.npz") as made, np.load("some.npz") as some:
        assert list(made) == list(some)
        for name in made:
            node, _, gate = name.partition("/")
            expected = wanted[node][gate] if gate else wanted[node]
            np.testing.assert_allclose(made[name][-3:], expected, rtol=0, atol=1e-6)
            np.testing.assert_allclose(some[name], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("given", ["x.npy", "x.npz"])
@pytest.mark.parametrize("options", ["", "--batch-size 1", "--batch-size 7 --threads 2", "--batch-size 9999 -q"])
def test_batches_do_not_matter(folder: Path, given: str, options: str) -> None:
    process = run(given, "-o", "y.npz", *options.split(), patch="before(0, None)")
    assert process.returncode == 0, process.stderr
    wanted = lstmconv_runtime.load("m.safetensors").predict(np.load("x.npy"))
    with np.load("y.npz") as made:
        assert list(made) == ["lstm", "y"]
        for array, expected in zip(made.values(), wanted, strict=True):
            np.testing.assert_allclose(array, expected, rtol=0, atol=1e-6)
    batches = {"--batch-size 1": 50, "--batch-size 7 --threads 2": 8}.get(options, 1)
    assert process.stdout.endswith(f"batches {batches}\n")


def test_no_rows(folder: Path) -> None:
    np.save("none.npy", np.zeros((0, 5, FEATURES), "float32"))
    assert run("none.npy", "-o", "y.npz").returncode == 0
    with np.load("y.npz") as made:
        assert [array.shape for array in made.values()] == [(0, 5, UNITS), (0, 5, 1)]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("option", ["--batch-size 0", "--threads 0", "--batch-size many"])
def test_numbers_below_one(folder: Path, option: str) -> None:
    process = run("x.npy", "-o", "y.npz", *option.split())
    assert process.returncode == 2
    assert process.stderr.endswith("[E_USAGE]\n")


# --- failures on the way ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("name", "exit_code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_between_batches_leaves_nothing(folder: Path, name: str, exit_code: int) -> None:
    patch = f"before(4, lambda: os.kill(os.getpid(), signal.{name}))"
    process = run("x.npy", "-o", "y.npz", "--batch-size", 10, patch=patch)
    assert (process.returncode, process.stderr) == (exit_code, "")
    assert process.stdout.endswith("batches 4\n")


@pytest.mark.usefixtures("unchanged")
def test_a_full_disk_leaves_nothing(folder: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    process = run(
        "x.npy", "-o", "y.npz", "--batch-size", 10, preexec_fn=limit, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    )
    assert process.returncode == 6
    assert re.fullmatch(r"lstmconv: error: cannot write 'y.npz': File too large \[E_IO\]\n", process.stderr)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("given", ["x.npy", "stored.npz"])
def test_an_input_that_is_cut_short_meanwhile(folder: Path, given: str) -> None:
    np.savez("stored.npz", np.load("x.npy"))
    try:
        patch = f"before(2, lambda: os.truncate('{given}', 90000))"
        process = run(given, "-o", "y.npz", "--batch-size", 10, patch=patch)
        assert process.returncode == 6
        assert process.stderr == f"lstmconv: error: {given}: changed while it was being read [E_CHANGED]\n"
    finally:
        Path("stored.npz").unlink()


@pytest.mark.usefixtures("unchanged")
def test_what_does_not_fit_is_known_before_the_first_batch(folder: Path) -> None:
    for name, array, code in (
        ("wide.npy", np.zeros((5, 4, 3)), "E_INPUT"),
        ("flat.npy", np.zeros(5), "E_INPUT"),
        ("one.npy", np.array(1.0), "E_INPUT"),
    ):
        np.save(name, array)
        process = run(name, "-o", "y.npz", patch="before(0, None)")
        Path(name).unlink()
        assert process.returncode == 2
        assert process.stderr.endswith(f"got {array.shape} [{code}]\n")
        assert process.stdout.endswith("batches 0\n")


# --- how much at once -------------------------------------------------------------------------------------------------


class Shape:
    def __init__(self, *shape: int) -> None:
        self.shape = shape


@pytest.mark.parametrize(
    ("rows", "steps", "at_once"),
    [
        (10**6, 1, MOST_ROWS),
        (10**6, 1000, BATCH_BYTES // (4 * (1000 * (FEATURES + UNITS + 1) + 2 * UNITS))),
        (10**6, 10**6, 1),
        (0, 1000, BATCH_BYTES // (4 * (1000 * (FEATURES + UNITS + 1) + 2 * UNITS))),
    ],
)
def test_rows_at_once(rows: int, steps: int, at_once: int) -> None:
    model = lstmconv_runtime.load(bundle_bytes())
    given: Any = {"x": Shape(rows, steps, FEATURES)}
    assert rows_at_once(model, given, rows) == at_once


def test_a_model_of_a_fixed_number_of_rows_gets_them_at_once() -> None:
    given: Any = {"x": Shape(5000, 4, FEATURES)}
    assert rows_at_once(lstmconv_runtime.load(bundle_bytes(batch=5000)), given, 5000) == 5000


# --- progress ---------------------------------------------------------------------------------------------------------


def on_terminal(*args: object, patience: float = 0.0) -> str:
    """What a run shows on a terminal as its standard error."""
    outer, inner = pty.openpty()
    patch = f"from lstmconv.commands import progress; progress.PATIENCE = {patience}; progress.INTERVAL = 0"
    process = run(*args, patch=patch, capture_output=False, stdout=subprocess.PIPE, stderr=inner)
    os.close(inner)
    assert process.returncode == 0
    shown = b""
    try:
        while part := os.read(outer, 65536):
            shown += part
    except OSError:  # the other end is closed, and everything is read
        pass
    os.close(outer)
    return shown.decode()


def test_progress_is_shown_on_a_terminal(folder: Path) -> None:
    shown = on_terminal("x.npy", "-o", "y.npz", "--batch-size", 10)
    lines = [line.removesuffix("\x1b[K") for line in shown.split("\r")]
    assert re.fullmatch(r"\[########-{12}\]  40%  20 of 50 rows  [\d,.]+ rows/s  0:\d\d left", lines[2])
    assert len(lines) == 6
    assert lines[-1] == ""  # it is gone at the end


def test_progress_is_not_shown(folder: Path) -> None:
    assert on_terminal("x.npy", "-o", "y1.npz", "--batch-size", 10, patience=2.0) == ""  # the work is soon done
    assert on_terminal("x.npy", "-o", "y2.npz", "--batch-size", 10, "--quiet") == ""
    patch = "from lstmconv.commands import progress; progress.PATIENCE = 0"
    assert run("x.npy", "-o", "y3.npz", "--batch-size", 10, patch=patch).stderr == ""  # no terminal


def test_the_line_of_the_progress() -> None:
    assert progress_line(1000, 4000, 2.0) == "[#####---------------]  25%  1,000 of 4,000 rows  500 rows/s  0:06 left"
    assert progress_line(1, 4, 2.0) == "[#####---------------]  25%  1 of 4 rows  0.5 rows/s  0:06 left"
    assert [clock_time(seconds) for seconds in (0, 59.6, 754, 3723)] == ["0:00", "1:00", "12:34", "1:02:03"]


def test_the_line_comes_after_two_seconds_and_not_too_often(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    clock: Callable[[], float] = lambda: now[0]  # noqa: E731
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(100, clock=clock) as bar:
        for seconds, done, drawn in ((1.9, 10, False), (2.0, 11, True), (2.05, 12, False), (2.2, 13, True)):
            now[0] = seconds
            bar.update(done)
            assert (f"{done} of 100 rows" in capsys.readouterr().err) == drawn
