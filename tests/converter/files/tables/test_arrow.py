"""Parquet and Arrow: what is written reads back, what is read is what was written, and nothing else is believed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lstmconv.errors import FileAccessError, InvalidFileError, LstmconvError, UsageError
from lstmconv.files.growing import growing_file
from lstmconv.files.rows import open_inputs
from lstmconv_runtime import InputError
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import Input

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
pq = pytest.importorskip("pyarrow.parquet")

KINDS = [".parquet", ".arrow", ".feather"]


def node(*shape: int | None, name: str = "x", dtype: str = "float32") -> Input:
    return Input(name=name, shape=(None, *shape), dtype=dtype)


def read(path: Path, *nodes: Input, at_once: int = 3, rows_are: str | None = None) -> dict[str, Array]:
    with open_inputs(path, list(nodes), rows_are) as given:
        rows = next(iter(given.values())).shape[0]
        parts: dict[str, list[Array]] = {name: [] for name in given}
        for start in range(0, max(rows, 1), at_once):
            for name, array in given.items():
                parts[name].append(array.take(min(at_once, rows - start)))
        return {name: np.concatenate(found) for name, found in parts.items()}


def write(path: Path, table: Any) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=4)
    elif path.suffix == ".feather":
        feather.write_feather(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=4)


ARRAYS: dict[str, Array] = {
    "numbers": np.arange(10, dtype="float32"),
    "one": np.arange(10, dtype="float64").reshape(10, 1),
    "sequences": np.random.default_rng(0).standard_normal((10, 5, 2)).astype("float32"),
    "halves": np.arange(20, dtype="float16").reshape(10, 2),
    "bytes": np.arange(20, dtype="int8").reshape(10, 2),
    "bool": np.arange(20).reshape(10, 2) % 2 == 0,
    "none": np.zeros((0, 3), "float32"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ARRAYS)
def test_what_is_written_reads_back(tmp_path: Path, name: str, kind: str) -> None:
    path, array = tmp_path / f"y{kind}", ARRAYS[name]
    with growing_file(path, ("x",), None, force=False) as output:
        for start in range(0, max(len(array), 1), 4):
            output.add({"x": array[start : start + 4]}, len(array[start : start + 4]))
    found = read(path, node(*array.shape[1:], dtype=str(array.dtype)))["x"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x{kind}"
    a, b = np.arange(60.0).reshape(10, 3, 2), np.arange(10)
    lists = pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(pa.array(a.ravel()), 2), 3)
    write(path, pa.table({"note": ["no"] * 10, "b": b, "a": lists}))
    found = read(path, node(None, 2, name="a"), node(1, name="b"), at_once=7)
    np.testing.assert_array_equal(found["a"], a)
    np.testing.assert_array_equal(found["b"], b[:, None])
    np.testing.assert_array_equal(read(path, node(3, 2))["x"], a)  # the one column of lists, whatever its name
    with pytest.raises(InvalidFileError, match="has no column 'c'; there are note, b, a"):
        read(path, node(None, 2, name="a"), node(1, name="c"))


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_no_fixed_size(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x{kind}"
    write(path, pa.table({"x": pa.array([[[1.0], [2.0]]] * 5)}))
    assert read(path, node(None, 1))["x"].shape == (5, 2, 1)
    write(path, pa.table({"x": pa.array([[1.0, 2.0]] * 5 + [[1.0]])}))
    with pytest.raises(InvalidFileError, match="lists have different lengths"):
        read(path, node(None))


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_single_numbers_are_those_of_a_csv(tmp_path: Path, kind: str) -> None:
    path, rows = tmp_path / f"x{kind}", np.arange(30.0).reshape(10, 3)
    write(path, pa.table({name: rows[:, n] for n, name in enumerate("abc")}))
    np.testing.assert_array_equal(read(path, node(3, 1))["x"], rows[:, :, None])
    np.testing.assert_array_equal(read(path, node(None, 3), rows_are="steps", at_once=1)["x"], rows[None])
    with pytest.raises(UsageError, match="say --rows-are steps"):
        read(path, node(None, 3))
    with pytest.raises(InputError, match="a row, a whole sequence, needs 4 values"):
        read(path, node(4, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("column", "said"),
    [
        (["a", "b"], "holds string, not numbers"),
        ([1.0, None], "a value is missing"),
        ([[1.0], None], "a value is missing"),
        ([[1.0], [None]], "a value is missing"),
    ],
)
def test_what_is_no_number(tmp_path: Path, column: list[Any], said: str, kind: str) -> None:
    path = tmp_path / f"x{kind}"
    write(path, pa.table({"x": column}))
    with pytest.raises(InvalidFileError, match=f"x{kind}: column 'x': {said}"):
        read(path, node(1))


def test_kinds_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "x.arrow").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "empty.parquet").write_bytes(b"")
    (tmp_path / "old.feather").write_bytes(b"FEA1" + bytes(100))
    os.mkfifo(tmp_path / "pipe.parquet")
    for name, error in (
        ("x.parquet", InvalidFileError), ("x.arrow", InvalidFileError), ("empty.parquet", InvalidFileError),
        ("old.feather", InvalidFileError), ("absent.parquet", FileAccessError), ("pipe.parquet", FileAccessError),
    ):  # fmt: skip
        with pytest.raises(error) as failure:
            read(tmp_path / name, node(1))
        assert len(str(failure.value)) < 300
        assert str(failure.value).isprintable()
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, pa.schema({"x": pa.float32()})) as writer:
        writer.write_table(pa.table({"x": np.arange(5, dtype="float32")}))
    (tmp_path / "stream.arrow").write_bytes(stream.getvalue())  # what some call so
    with open_inputs(tmp_path / "stream.arrow", [node(1)]) as given:
        assert given["x"].shape == (None, 1)
        assert len(given["x"].take(99)) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_two_columns_of_one_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x{kind}"
    table = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["x", "x"])
    if kind == ".feather":
        pytest.skip("which its writer refuses")
    write(path, table)
    with pytest.raises(InvalidFileError, match="several columns 'x'"):
        read(path, node(2))


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(tmp_path: Path, kind: str) -> None:
    """Whatever the bytes are: numbers, or an error of ours. In a process of its own, which must not end otherwise."""
    path = tmp_path / f"x{kind}"
    write(path, pa.table({"x": pa.array([[1.0, 2.0]] * 50), "y": ["a"] * 50}))
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
import numpy as np
from lstmconv.errors import LstmconvError
from lstmconv_runtime import InputError
from lstmconv.files.rows import open_inputs
from lstmconv_runtime.format.nodes import Input
path = Path({str(path)!r})
data, random, outcomes = path.read_bytes(), np.random.default_rng(0), {{}}
for number in range(400):
    changed = bytearray(data)
    for place in random.integers(0, len(data), random.integers(1, 4)):
        changed[place] = random.integers(0, 256)
    path.write_bytes(changed[: random.integers(1, len(data))] if number % 5 == 0 else changed)
    try:
        with open_inputs(path, [Input(name="x", shape=(None, 2), dtype="float32")]) as given:
            given["x"].take(given["x"].shape[0] or 50)
        outcome = "read"
    except (LstmconvError, InputError) as error:
        outcome = type(error).__name__
    outcomes[outcome] = outcomes.get(outcome, 0) + 1
print(outcomes)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == 0, process.stderr[-2000:]
    assert "InvalidFileError" in process.stdout


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rows", "reading"):
        monkeypatch.delitem(sys.modules, f"lstmconv.files.tables.{name}", raising=False)
        monkeypatch.delattr(f"lstmconv.files.tables.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LstmconvError, match=r"need pyarrow: pip install 'lstmconv\[tables\]'") as failure:
        read(tmp_path / "x.parquet", node(1))
    assert failure.value.exit_code == 2
