"""`lstmconv run` on many files, tables, streams and folders: each row once, and the bytes of one file at a time."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lstmconv_runtime
import numpy as np
import pytest
from lstmconv.__main__ import main
from lstmconv.files import system
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from lstmconv_runtime.format.graph import LINEAR, SIGMOID, TANH, Array, Graph, Node
from lstmconv_runtime.format.nodes import LSTM, Concatenate, Dense, Input

Process = subprocess.CompletedProcess[Any]


def bundle_bytes() -> bytes:
    """a (any, any, 3) and b (any, 2) → y (any, 1)."""
    nodes: tuple[Node, ...] = (
        Input(name="a", shape=(None, None, 3), dtype="float32"),
        Input(name="b", shape=(None, 2), dtype="float32"),
        LSTM(
            name="lstm", x="a", mask=None, h0=None, c0=None, weights="lstm", input_size=3, units=4,
            use_bias=True, activation=TANH, recurrent_activation=SIGMOID, return_sequences=False, go_backwards=False,
            zero_output_for_mask=False, stateful=False,
        ),
        Concatenate(name="both", args=("lstm", "b"), axis=1),
        Dense(name="y", x="both", weights="y", input_size=6, units=1, use_bias=True, activation=LINEAR),
    )  # fmt: skip
    random = np.random.default_rng(0)
    arrays: dict[str, Array] = {
        f"{node.name}/{name}": random.standard_normal(size).astype("float32")
        for node in nodes
        for name, size in node.parameters().items()
    }
    return to_bytes(Bundle(Graph(("a", "b"), ("y",), None, nodes, arrays), {"framework": "by hand"}, {}, ()))


def one_input(maker: str = "by hand") -> bytes:
    """x (any, 5, 1) → y (any, 5, 4)."""
    nodes: tuple[Node, ...] = (
        Input(name="x", shape=(None, 5, 1), dtype="float32"),
        LSTM(
            name="y", x="x", mask=None, h0=None, c0=None, weights="y", input_size=1, units=4, use_bias=True,
            activation=TANH, recurrent_activation=SIGMOID, return_sequences=True, go_backwards=False,
            zero_output_for_mask=False, stateful=False,
        ),
    )  # fmt: skip
    random = np.random.default_rng(1)
    arrays: dict[str, Array] = {
        f"y/{name}": random.standard_normal(size).astype("float32") for name, size in nodes[1].parameters().items()
    }
    return to_bytes(Bundle(Graph(("x",), ("y",), None, nodes, arrays), {"framework": maker}, {}, ()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """two.safetensors, one.safetensors, and x0.npy to x3.npy of 0, 7, 50 and 3 rows."""
    (tmp_path / "two.safetensors").write_bytes(bundle_bytes())
    (tmp_path / "one.safetensors").write_bytes(one_input())
    random = np.random.default_rng(2)
    for number, rows in enumerate((0, 7, 50, 3)):
        np.save(tmp_path / f"x{number}.npy", random.standard_normal((rows, 5, 1)).astype("float32"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: object, **options: Any) -> Process:
    """`lstmconv run ARGS`; in this process, which takes a tenth of the time, where no options need one of its own."""
    command = [sys.executable, "-m", "lstmconv", "run", *map(str, args)]
    stdin = io.TextIOWrapper(io.BytesIO(options.pop("input", b"")))
    if options:
        given = {"capture_output": True, "timeout": 120, "input": stdin.buffer.read(), **options}
        return subprocess.run(command, check=False, **given)
    out, error = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    patched = patch.object(sys, "argv", ["lstmconv", *command[3:]]), patch.object(sys, "stdin", stdin)
    with patched[0], patched[1], redirect_stdout(out), redirect_stderr(error):
        code = main()
    return subprocess.CompletedProcess(command, code, *(each.buffer.getvalue() for each in (out, error)))


def succeeds(*args: object, **options: Any) -> bytes:
    process = run(*args, **options)
    assert (process.returncode, process.stderr) == (0, b"")
    made: bytes = process.stdout
    return made


def fails(*args: object, **options: Any) -> str:
    process = run(*args, **options)
    assert process.returncode != 0
    line: str = process.stderr.decode()
    assert line.count("\n") == 1, line
    return line


def wanted() -> Array:
    model = lstmconv_runtime.load("one.safetensors")
    return np.concatenate([np.asarray(model.predict(np.load(f"x{number}.npy"))) for number in range(4)])


# --- files ------------------------------------------------------------------------------------------------------------


def test_many_files_are_one_after_the_other(folder: Path) -> None:
    succeeds("one.safetensors", "x0.npy", "x[1-3].npy", "-o", "y.npy")
    np.testing.assert_allclose(np.load("y.npy"), wanted(), rtol=0, atol=1e-6)
    for kind in ("npz", "csv"):
        succeeds("one.safetensors", "x*.npy", "-o", f"y.{kind}", "--batch-size", 4)
    with np.load("y.npz") as made:
        np.testing.assert_allclose(made["y"], wanted(), rtol=0, atol=1e-6)
    assert len(Path("y.csv").read_text().splitlines()) == 60


def test_files_of_no_rows(folder: Path) -> None:
    Path("z0.npy").write_bytes(Path("x0.npy").read_bytes())
    succeeds("one.safetensors", "x0.npy", "z0.npy", "-o", "y.npy")
    assert np.load("y.npy").shape == (0, 5, 4)


def test_what_does_not_fit_is_known_before_the_first_is_computed(folder: Path) -> None:
    np.save("z.npy", np.zeros((3, 4, 1)))
    assert "needs the shape (any, 5, 1), got (3, 4, 1) [E_INPUT]" in fails(
        "one.safetensors", "x2.npy", "z.npy", "-o", "y.npy"
    )
    assert not Path("y.npy").exists()


def test_outputs_of_different_shapes_do_not_go_into_one_array(folder: Path) -> None:
    model = lstmconv_runtime.load("one.safetensors").bundle
    nodes = (Input(name="x", shape=(None, None, 1), dtype="float32"), model.graph.nodes[1])
    graph = Graph(("x",), ("y",), None, nodes, model.graph.arrays)
    Path("open.safetensors").write_bytes(to_bytes(Bundle(graph, {"framework": "by hand"}, {}, ())))
    np.save("z.npy", np.zeros((3, 4, 1)))
    line = fails("open.safetensors", "x2.npy", "z.npy", "-o", "y.npy")
    assert "float32 (any, 5, 4) for some rows and float32 (any, 4, 4) for others" in line
    assert not Path("y.npy").exists()
    succeeds("open.safetensors", "x2.npy", "z.npy", "-o", "y/")
    assert np.load("y/z.npy").shape == (3, 4, 4)


def test_an_input_from_a_file_each(folder: Path) -> None:
    """Of whatever kinds, and in shards; the order in which they are named does not matter."""
    random = np.random.default_rng(3)
    a, b = random.standard_normal((6, 2, 3)).astype("float32"), random.standard_normal((6, 2)).astype("float32")
    y = np.asarray(lstmconv_runtime.load("two.safetensors").predict({"a": a, "b": b}))
    np.save("a.npy", a)
    np.savetxt("b.csv", b, delimiter=",")
    np.savetxt("a.csv", a.reshape(6, 6), delimiter=",")
    for first, second in (("a.npy", "b.csv"), ("a.csv", "b.csv")):
        succeeds("two.safetensors", "--input", f"b={second}", "--input", f"a={first}", "-o", "y.npy", "--force")
        np.testing.assert_allclose(np.load("y.npy"), y, rtol=0, atol=1e-6)
    for number in range(2):
        part = slice(3 * number, 3 * number + 3)
        np.save(f"a-{number}.npy", a[part])
        np.save(f"b-{number}.npy", b[part])
    succeeds("two.safetensors", "--input", "a=a-*.npy", "--input", "b=b-*.npy", "-o", "y.npy", "--force")
    np.testing.assert_allclose(np.load("y.npy"), y, rtol=0, atol=1e-6)
    succeeds("two.safetensors", "--input", "a=a-*.npy", "--input", "b=b-*.npy", "-o", "y/")
    np.testing.assert_allclose(np.load("y/a-1.npy"), y[3:], rtol=0, atol=1e-6)
    assert "different numbers of files: a 2, b 1" in fails(
        "two.safetensors", "--input", "a=a-*.npy", "--input", "b=b.csv"
    )
    assert "different numbers of rows: [3, 6]" in fails("two.safetensors", "--input", "a=a-0.npy", "--input", "b=b.csv")
    assert "--input gives a; the model takes a, b" in fails("two.safetensors", "--input", "a=a.npy")


# --- streams ----------------------------------------------------------------------------------------------------------


def test_standard_input_and_output(folder: Path) -> None:
    succeeds("one.safetensors", "x2.npy", "-o", "y.npy")
    data = Path("x2.npy").read_bytes()
    piped = succeeds("one.safetensors", "-", "-o", "-", "--to", "npy", input=data, timeout=60)  # through real pipes
    assert piped == Path("y.npy").read_bytes()
    assert succeeds("one.safetensors", "-", "-o", "-", "--to", "npy", input=data) == Path("y.npy").read_bytes()
    succeeds("one.safetensors", "-", "-o", "z.npy", "--batch-size", 7, input=data)
    np.testing.assert_allclose(np.load("z.npy"), np.load("y.npy"), rtol=0, atol=1e-6)
    x = np.load("x2.npy").reshape(50, 5)
    text = "".join(",".join(map(str, row)) + "\n" for row in x.tolist())
    assert succeeds("one.safetensors", "-", input=text.encode()) == succeeds("one.safetensors", "x2.npy")
    fortran = io.BytesIO()
    np.save(fortran, np.asfortranarray(np.load("x2.npy")))
    assert (
        succeeds("one.safetensors", "-", "-o", "-", "--to", "npy", input=fortran.getvalue())
        == Path("y.npy").read_bytes()
    )


def test_streams_that_are_refused(folder: Path) -> None:
    data = Path("x2.npy").read_bytes()
    for given, said in (
        (data[:-1], "standard input: not a .npy array: it is too short [E_ARRAY_FILE]"),
        (data + b"1", "standard input: more bytes follow its array [E_ARRAY_FILE]"),
        (data[:40], "[E_ARRAY_FILE]"),
        (b"", "standard input: has no rows of numbers [E_ARRAY_FILE]"),
        (b"PK\3\4 and more", "an .npz archive cannot be read from a stream: name the file [E_STREAM]"),
        (b"PAR1 and more", "a Parquet file cannot be read from a stream: name the file [E_STREAM]"),
    ):
        assert said in fails("one.safetensors", "-", "-o", "y.npy", input=given)
        assert not Path("y.npy").exists()
    assert "can give them as an Arrow stream alone" in fails("two.safetensors", "-", input=data)


def test_numbers_in_bytes_are_not_for_terminals(folder: Path) -> None:
    import pty

    outer, inner = pty.openpty()
    process = run("one.safetensors", "x2.npy", "-o", "-", "--to", "npy", capture_output=False, stdout=inner,
                  stderr=subprocess.PIPE)  # fmt: skip
    os.close(inner)
    os.close(outer)
    assert process.returncode == 2
    assert process.stderr.decode().endswith("send these bytes to a program or a file [E_STREAM]\n")


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder_of_outputs(folder: Path, jobs: int) -> None:
    succeeds("one.safetensors", "x*.npy", "-o", "out/", "--jobs", jobs)
    assert sorted(os.listdir("out")) == ["_manifest.json", "x0.npy", "x1.npy", "x2.npy", "x3.npy"]
    for number in range(4):
        succeeds("one.safetensors", f"x{number}.npy", "-o", "y.npy", "--force")
        assert Path(f"out/x{number}.npy").read_bytes() == Path("y.npy").read_bytes()
    manifest = json.loads(Path("out/_manifest.json").read_text())
    assert manifest["rows"] == 60
    import hashlib

    for record in manifest["partitions"]:
        data = (Path("out") / record["output"]).read_bytes()
        assert (record["bytes"], record["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_resume_does_what_is_left(folder: Path) -> None:
    succeeds("one.safetensors", "x1.npy", "x2.npy", "-o", "out/")
    assert "holds a run already" in fails("one.safetensors", "x*.npy", "-o", "out/")
    before = Path("out/x1.npy").stat()
    Path("out/x2.npy").write_bytes(b"damaged")
    succeeds("one.safetensors", "x*.npy", "-o", "out/", "--resume")
    after = Path("out/x1.npy").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)  # not touched
    np.testing.assert_allclose(
        np.concatenate([np.load(f"out/x{n}.npy") for n in range(4)]), wanted(), rtol=0, atol=1e-6
    )
    np.save("x1.npy", np.zeros((2, 5, 1)))  # an input that is another one now
    succeeds("one.safetensors", "x*.npy", "-o", "out/", "--resume")
    assert len(np.load("out/x1.npy")) == 2
    assert json.loads(Path("out/_manifest.json").read_text())["rows"] == 55
    assert "another settings" in fails("one.safetensors", "x*.npy", "-o", "out/", "--resume", "--batch-size", 3)
    Path("one.safetensors").write_bytes(one_input("another maker"))
    assert "another bundle" in fails("one.safetensors", "x*.npy", "-o", "out/", "--resume")
    succeeds("one.safetensors", "x2.npy", "-o", "out/", "--force")
    assert sorted(os.listdir("out")) == ["_manifest.json", "x2.npy"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_corrupt_input_among_good_ones(folder: Path, jobs: int) -> None:
    good = Path("x1.npy").read_bytes()
    Path("x1.npy").write_bytes(good[:-1])
    process = run("one.safetensors", "x*.npy", "-o", "out/", "--jobs", jobs)
    assert process.returncode == 1
    lines = process.stderr.decode().splitlines()
    assert lines[0].startswith("lstmconv: error: x1.npy: x1.npy: float32 (7, 5, 1) takes 140")
    assert lines[1] == "lstmconv: error: 1 of 4 inputs could not be scored; --resume does what is left"
    assert sorted(os.listdir("out")) == ["_lstmconv", "x0.npy", "x2.npy", "x3.npy"]
    Path("x1.npy").write_bytes(good)
    succeeds("one.safetensors", "x*.npy", "-o", "out/", "--resume")
    np.testing.assert_allclose(
        np.concatenate([np.load(f"out/x{n}.npy") for n in range(4)]), wanted(), rtol=0, atol=1e-6
    )
    assert sorted(os.listdir("out")) == ["_manifest.json", "x0.npy", "x1.npy", "x2.npy", "x3.npy"]


def test_folders_that_are_refused(folder: Path) -> None:
    os.mkdir("other")
    os.mkdir("out")
    np.save("other/x1.npy", np.zeros((1, 5, 1)))
    Path("out/x1.npy").write_text("mine")
    for args, said in (
        (("x1.npy", "other/x1.npy", "-o", "new/"), "two inputs would be written as 'x1.npy'"),
        (("x1.npy", "-o", "out"), "'out/x1.npy' exists; --force replaces it [E_EXISTS]"),
        (("x1.npy", "-o", "."), "is named twice"),
        (("-", "-o", "out"), "standard input has no name"),
        (("x1.npy", "-o", "x2.npy/"), "cannot write in 'x2.npy'"),
        (("x1.npy", "-o", "nowhere"), "that of a folder in / [E_SUFFIX]"),
    ):
        assert said in fails("one.safetensors", *args)
    assert Path("out/x1.npy").read_text() == "mine"
    assert not Path("new").exists()
    assert os.listdir("out") == ["x1.npy"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"run": 1, "partitions": [{"output": "../x1.npy"}]}', "[" * 10**5])
def test_manifests_that_are_damaged(folder: Path, text: str) -> None:
    os.mkdir("out")
    Path("out/_manifest.json").write_text(text)
    for options in (("--resume",), ()):
        assert fails("one.safetensors", "x1.npy", "-o", "out", *options).endswith("[E_MANIFEST]\n")
    succeeds("one.safetensors", "x1.npy", "-o", "out", "--force")
    assert sorted(os.listdir("out")) == ["_manifest.json", "x1.npy"]


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["npz"])
def test_processes_give_the_bytes_of_one(folder: Path, kind: str) -> None:
    """One thread for matrix products in both: the order of its sums may hang on their number."""
    options = {"env": {**os.environ, "OPENBLAS_NUM_THREADS": "1"}}
    for engine in ("numpy", "kernel") if lstmconv_runtime.engine().name != "numpy" else ("numpy",):
        options["env"]["LSTMCONV_ENGINE"] = engine
        succeeds("one.safetensors", "x*.npy", "-o", f"1.{kind}", "--batch-size", 3, "--force", **options)
        succeeds("one.safetensors", "x*.npy", "-o", f"3.{kind}", "--batch-size", 3, "--jobs", 3, "--force", **options)
        assert Path(f"1.{kind}").read_bytes() == Path(f"3.{kind}").read_bytes()


def test_a_number_that_does_not_fit_in_a_process(folder: Path) -> None:
    np.save("z.npy", np.full((9, 5, 1), 1e300))
    line = fails("one.safetensors", "z.npy", "-o", "y.npy", "--jobs", 2)
    assert line.endswith("float32 cannot hold 1e+300 [E_INPUT_OVERFLOW]\n")
    assert not Path("y.npy").exists()


def test_a_process_that_is_killed(folder: Path) -> None:
    """Nothing is left, and the others end."""
    code = """
import os, signal, sys, threading, time
from lstmconv.__main__ import main
from lstmconv.files import system
from lstmconv.scoring import processes
def kill(*given):
    os.kill(int(open(f"/proc/self/task/{os.getpid()}/children").read().split()[-1]), signal.SIGKILL)
submit = processes.Workers._submit
count = [0]
def patched(self, *given):
    future = submit(self, *given)
    count[0] += 1
    if count[0] == 2:
        kill()
    return future
processes.Workers._submit = patched
sys.exit(main())
"""
    command = [sys.executable, "-c", code, "run", "one.safetensors", "x2.npy", "-o", "y.npy", "--jobs", "2",
               "--batch-size", "2"]  # fmt: skip
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 5, process.stderr
    assert "a process that computed was ended" in process.stderr
    assert not Path("y.npy").exists()


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGKILL", -9)])
def test_signals_leave_no_processes(folder: Path, name: str, code: int) -> None:
    """And nothing of the output, but for what a kill leaves, which the next run removes."""
    np.save("x.npy", np.zeros((200_000, 5, 1), "float32"))
    command = [sys.executable, "-m", "lstmconv", "run", "one.safetensors", "x.npy", "-o", "y.npy", "--jobs", "2",
               "--batch-size", "20"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    workers: set[int] = set()
    while len(workers) < 2 or not list(folder.glob(".y.npy*")):
        assert process.poll() is None
        workers = {pid for pid in children(process.pid) if "spawn_main" in command_line(pid)}
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert error == b"" or name == "SIGKILL"  # Python's tracker of semaphores says what it found left
    until = time.monotonic() + 20
    while any(command_line(pid) for pid in workers):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not Path("y.npy").exists()
    assert bool(list(folder.glob(".y.npy*"))) == (name == "SIGKILL")
    succeeds("one.safetensors", "x1.npy", "-o", "y.npy")
    assert not list(folder.glob(".y.npy*"))


def children(pid: int) -> set[int]:
    return {int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()}


def command_line(pid: int) -> str:
    """Of a process that is alive; else nothing."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except OSError:
        return ""


def test_two_runs_do_not_share_a_folder(folder: Path) -> None:
    os.mkdir("out")
    held = system.open_folder("out")
    assert system.lock(held)
    assert fails("one.safetensors", "x1.npy", "-o", "out").endswith("another run is writing here [E_LOCKED]\n")
    os.close(held)
    succeeds("one.safetensors", "x1.npy", "-o", "out")
