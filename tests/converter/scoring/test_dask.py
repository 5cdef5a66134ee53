"""Dask: what a cluster makes is what one process makes, each row once, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import lstmconv_runtime
import numpy as np
import pytest
from lstmconv.errors import UnsupportedError, UsageError
from lstmconv.scoring import map_blocks, map_partitions, score_frame
from lstmconv_runtime import InputError
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from vector_files import read_vector

pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
HERE = Path(__file__).parent
FILES = 24


def bundle(name: str = "gru-sequences-state") -> bytes:
    """x (any, any, 2) → two outputs."""
    return to_bytes(Bundle(read_vector(name).graph, {"framework": "keras"}, {}, ()))


class Cluster(NamedTuple):
    process: subprocess.Popen[str]
    address: str
    workers: list[int]


def started(*args: str) -> Cluster:
    """A cluster in a process of its own, with the scheduler in it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "DASK_LOGGING__DISTRIBUTED": "critical"}
    command = [sys.executable, str(HERE / "dask_cluster.py"), *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert process.stdout is not None
    address, *pids = process.stdout.readline().split()
    return Cluster(process, address, [int(pid) for pid in pids])


def end(cluster: Cluster) -> None:
    """Ends it with its workers; those of a scheduler that was killed end by themselves, but later."""
    cluster.process.terminate()
    try:
        cluster.process.wait(20)
    except subprocess.TimeoutExpired:
        cluster.process.kill()
    for pid in cluster.workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = started()
    yield made
    end(made)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """m.safetensors, and in/ with FILES inputs; one/ holds what one process makes of them."""
    (tmp_path / "m.safetensors").write_bytes(bundle())
    (tmp_path / "in").mkdir()
    for number in range(FILES):
        x = np.random.default_rng(number).standard_normal((700 + number, 9, 2)).astype("float32")
        np.save(tmp_path / "in" / f"x{number:02}.npy", x)
    monkeypatch.chdir(tmp_path)
    assert score("one/").wait() == 0
    return tmp_path


def score(out: str, *args: str, batch: int = 50) -> subprocess.Popen[str]:
    """`lstmconv run` on in/, of small batches, because they take longer."""
    command = [sys.executable, "-m", "lstmconv", "run", "m.safetensors", "in/x*.npy", "-o", out, "--to", "npz",
               "--batch-size", str(batch), *args]  # fmt: skip
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def ended(process: subprocess.Popen[str], code: int) -> str:
    _, error = process.communicate(timeout=120)
    assert process.returncode == code, error
    return error


def wait_for(out: str, files: int, process: subprocess.Popen[str]) -> None:
    """Until so many outputs are there."""
    started_at = time.monotonic()
    while len(list(Path(out).glob("*.npz"))) < files:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - started_at < 60
        time.sleep(0.01)


def assert_the_same(out: str) -> None:
    """Every file is there once, with the bytes that one process wrote, and nothing else."""
    assert sorted(os.listdir(out)) == sorted(os.listdir("one"))
    for name in os.listdir("one"):
        assert (Path(out) / name).read_bytes() == (Path("one") / name).read_bytes(), name
    manifest = json.loads((Path(out) / "_manifest.json").read_text())
    assert manifest["rows"] == sum(700 + number for number in range(FILES))
    assert len(manifest["partitions"]) == FILES


# --- the command ------------------------------------------------------------------------------------------------------


def test_a_cluster_of_this_machine(folder: Path) -> None:
    """And an input that is corrupt: named, the rest scored, and done by the next run."""
    good = Path("in/x07.npy").read_bytes()
    modified = os.stat("in/x07.npy").st_mtime_ns
    Path("in/x07.npy").write_bytes(good[:-3])
    line = ended(score("two/", "--dask", "--jobs", "2"), 1)
    assert "lstmconv: error: in/x07.npy: x07.npy: float32 (707, 9, 2) takes " in line
    assert line.splitlines()[-1].endswith(f"1 of {FILES} inputs could not be scored; --resume does what is left")
    assert len(list(Path("two").glob("*.npz"))) == FILES - 1
    Path("in/x07.npy").write_bytes(good)
    os.utime("in/x07.npy", ns=(modified, modified))
    ended(score("two/", "--dask=local", "--resume"), 0)
    assert_the_same("two")


def test_a_worker_that_is_killed(folder: Path, cluster: Cluster) -> None:
    process = score("two/", "--dask", cluster.address)
    wait_for("two", 3, process)
    os.kill(cluster.workers[0], signal.SIGKILL)
    ended(process, 0)
    assert_the_same("two")


def test_a_scheduler_that_is_killed(folder: Path) -> None:
    cluster = started()
    try:
        process = score("two/", "--dask", cluster.address, batch=10)
        wait_for("two", 3, process)
        cluster.process.kill()
        line = ended(process, 6)
        assert line == "lstmconv: error: the Dask scheduler is gone; --resume does what is left [E_SCHEDULER]\n"
    finally:
        end(cluster)
    time.sleep(0.5)
    done = {path: path.stat().st_mtime_ns for path in Path("two/_lstmconv").glob("*.npz.json")}
    assert 3 <= len(done) < FILES
    ended(score("ten/", batch=10), 0)
    ended(score("two/", "--jobs", "2", "--resume", batch=10), 0)
    for path in Path("ten").iterdir():
        assert (Path("two") / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_scheduler_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstmconv.scoring.on_dask.PATIENCE", 1)
    from lstmconv.errors import FileAccessError
    from lstmconv.scoring.on_dask import cluster as open_cluster

    for address in ("tcp://127.0.0.1:9", "udp://127.0.0.1:9"):
        with pytest.raises(FileAccessError, match=f"no Dask scheduler answers at {address}"), open_cluster(address, 1):
            pytest.fail("it was opened")
    assert "--dask is for a folder of outputs" in ended(score("y.npz", "--dask"), 2)


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    from lstmconv.errors import MissingPackageError

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'lstmconv\[dask\]'"):
        map_blocks(lstmconv_runtime.load(bundle()), None)


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_blocks_of_arrays() -> None:
    model = lstmconv_runtime.load(bundle())
    x = np.random.default_rng(0).standard_normal((50, 9, 2)).astype("float32")
    made = map_blocks(model, da.from_array(x, chunks=(12, 4, 1)))
    wanted: Any = model.predict(x)
    assert [array.shape for array in made] == [array.shape for array in wanted]
    assert made[0].chunks[0] == (12, 12, 12, 12, 2)
    for array, expected in zip(made, wanted, strict=True):
        found = array.compute(scheduler="threads")
        assert found.dtype == array.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_several_inputs() -> None:
    model = lstmconv_runtime.load(bundle("masked-gru-initial-state"))
    vector = read_vector("masked-gru-initial-state")
    x = {name: da.from_array(array, chunks=2) for name, array in zip(model.input_names, vector.inputs, strict=True)}
    for array, expected in zip(map_blocks(model, x), vector.outputs, strict=True):
        np.testing.assert_allclose(array.compute(scheduler="threads"), expected, rtol=0, atol=1e-6)
    odd = {**x, model.input_names[1]: x[model.input_names[1]][:4]}
    with pytest.raises(UsageError, match="has 4 rows, the first one 6"):
        map_blocks(model, odd)


def test_arrays_that_do_not_fit() -> None:
    model = lstmconv_runtime.load(bundle())
    with pytest.raises(InputError, match="needs the shape"):
        map_blocks(model, da.zeros((4, 5, 3)))
    unknown = da.zeros((4, 5, 2), chunks=2)
    with pytest.raises(UsageError, match="the number of rows of each block has to be known"):
        map_blocks(model, unknown[unknown[:, 0, 0] == 0])
    fixed = lstmconv_runtime.load(bundle("gru-stateful"))
    with pytest.raises(UnsupportedError, match="rechunk them into one block"):
        map_blocks(fixed, da.zeros((6, 5, 2), chunks=3))
    x = np.ones((6, 5, 2), "float32")
    for array, expected in zip(map_blocks(fixed, da.from_array(x, chunks=-1)), fixed.predict(x), strict=True):
        np.testing.assert_allclose(array.compute(scheduler="threads"), expected, rtol=0, atol=1e-6)


def test_the_model_is_loaded_once_in_each_process(cluster: Cluster) -> None:
    """With one thread for its matrix products."""
    from distributed import Client

    model = lstmconv_runtime.load(bundle())
    x = np.random.default_rng(0).standard_normal((64, 9, 2)).astype("float32")
    with Client(cluster.address) as client:
        for _ in range(2):
            made = map_blocks(model, da.from_array(x, chunks=(4, -1, -1)))[0].compute(scheduler=client)
            np.testing.assert_allclose(made, model.predict(x)[0], rtol=0, atol=1e-6)
        found = client.run(_state_of_worker)
    assert set(found.values()) == {(1, (1,))} or set(found.values()) == {(1, (1,)), (0, (1,))}


def _state_of_worker() -> tuple[int, tuple[int, ...]]:
    import threadpoolctl
    from lstmconv.scoring.dask_collections import _models

    threads = {each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"}
    return len(_models), tuple(sorted(threads))


# --- data frames ------------------------------------------------------------------------------------------------------


def test_partitions_of_data_frames() -> None:
    """Groups lie across partitions, and come together before windows are cut."""
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    model = lstmconv_runtime.load(bundle("gru-last"))
    random = np.random.default_rng(0)
    rows = 300
    frame = pd.DataFrame(
        {"id": random.integers(0, 6, rows), "t": np.arange(rows), "a": random.standard_normal(rows),
         "b": random.standard_normal(rows)}
    )  # fmt: skip
    options: dict[str, Any] = {"window": 5, "stride": 2, "group_by": "id", "time": "t"}
    wanted = score_frame(model, frame, ["a", "b"], **options)
    # Where another test has left a client, Dask would choose a shuffle that its own threads cannot do.
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        lazy = map_partitions(model, dd.from_pandas(frame, npartitions=4), ["a", "b"], **options)
    assert list(lazy.columns) == list(wanted.columns)
    made = lazy.compute(scheduler="threads").sort_values("t")
    pd.testing.assert_frame_equal(made, wanted, check_dtype=False, rtol=0, atol=1e-6)
    by_group = dd.from_pandas(frame.sort_values(["id", "t"]).set_index("id", drop=False), npartitions=3)
    made = map_partitions(model, by_group, ["a", "b"], whole_groups=True, **options).compute(scheduler="threads")
    assert sorted(made["t"]) == sorted(wanted["t"])
    with pytest.raises(UsageError, match="the frame has several partitions, and a shuffle keeps no order"):
        map_partitions(model, dd.from_pandas(frame, npartitions=4), ["a", "b"], window=5)
