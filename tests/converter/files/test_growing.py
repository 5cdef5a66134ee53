"""Files that grow batch by batch: the bytes that NumPy and `write_npz` would write at once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lstmconv.errors import FileAccessError, InvalidFileError, UsageError
from lstmconv.files.arrays import read_inputs, write_npz
from lstmconv.files.csv_table import csv_text
from lstmconv.files.growing import growing_file, standard_output
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import Input


def grow(path: Path, arrays: dict[str, Array], at_once: int, rows: int) -> None:
    with growing_file(path, tuple(arrays), rows, force=False) as output:
        for start in range(0, max(rows, 1), at_once):
            count = min(at_once, rows - start)
            each = {name: len(array) // rows if rows else 0 for name, array in arrays.items()}
            parts = {name: a[start * each[name] : (start + count) * each[name]] for name, a in arrays.items()}
            output.add(parts, count)


def at_once(path: Path, arrays: dict[str, Array]) -> bytes:
    file: Any = io.BytesIO()
    if path.suffix == ".npz":
        write_npz(arrays, file)
    elif path.suffix == ".npy":
        (array,) = arrays.values()
        np.save(file, array)
    else:
        (array,) = arrays.values()
        file.write(csv_text(array).encode())
    made: bytes = file.getvalue()
    return made


ARRAYS: dict[str, Array] = {
    "long": np.random.default_rng(0).standard_normal((7, 5, 2)).astype("float32"),
    "none": np.zeros((0, 3)),
    "bool": np.arange(7).reshape(7, 1) % 2 == 0,
    "folded": np.arange(21.0),  # three rows of the output for each of the input
    "view": np.arange(42, dtype="int8").reshape(7, 6)[:, ::2],
}


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("name", ARRAYS)
def test_one_array(tmp_path: Path, name: str, size: int, suffix: str) -> None:
    path, arrays = tmp_path / f"y{suffix}", {name: ARRAYS[name]}
    grow(path, arrays, size, 0 if name == "none" else 7)
    assert path.read_bytes() == at_once(path, arrays)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("size", [2, 7])
def test_several_arrays(tmp_path: Path, size: int) -> None:
    path, arrays = tmp_path / "y.npz", {"b": ARRAYS["long"], "a/c": ARRAYS["bool"], "file": ARRAYS["folded"]}
    grow(path, arrays, size, 7)
    assert path.read_bytes() == at_once(path, arrays)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_rows_that_nobody_has_counted(tmp_path: Path) -> None:
    """The same bytes; and what has no rows, beside others."""
    arrays = {"long": ARRAYS["long"], "scalar": np.array(2.5), "bool": ARRAYS["bool"]}
    for path, held in ((tmp_path / "y.npy", {"long": ARRAYS["long"]}), (tmp_path / "y.npz", arrays)):
        with growing_file(path, tuple(held), None, force=False) as output:
            for start in (0, 3, 6):
                parts = {name: a[start : start + 3] if a.ndim else a for name, a in held.items() if a.ndim or not start}
                output.add(parts, 3)
        assert path.read_bytes() == at_once(path, held)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".NPY"])
def test_what_is_written_reads_back(tmp_path: Path, suffix: str) -> None:
    path, x = tmp_path / f"y{suffix}", np.arange(6, dtype="float32").reshape(2, 3)
    grow(path, {"y": x}, 1, 2)
    np.testing.assert_array_equal(read_inputs(path, [Input(name="x", shape=(None, 3), dtype="float32")]), x)


@pytest.mark.parametrize("names", [("y",), ("y", "z")])
def test_a_failure_leaves_nothing(tmp_path: Path, names: tuple[str, ...]) -> None:
    arrays = {name: np.zeros((2, 3)) for name in names}

    def fail() -> None:
        with growing_file(tmp_path / "y.npz", names, 4, force=False) as output:
            output.add(arrays, 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_refused_before_anything_is_computed(tmp_path: Path) -> None:
    for path, names, error in (
        ("y.npy", ("y", "z"), UsageError),
        ("y.npz", ("../y",), InvalidFileError),
        ("absent/y.npy", ("y",), FileAccessError),
    ):
        with pytest.raises(error), growing_file(tmp_path / path, names, 1, force=False):
            pytest.fail("it was opened")
    assert list(tmp_path.iterdir()) == []


def test_several_outputs_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with standard_output(("a\n", "b")) as output:
        output.add({"a\n": np.array([1]), "b": np.array([2])}, 1)
        output.add({"a\n": np.array([3]), "b": np.array([4])}, 1)
    assert capsys.readouterr().out == "# a\\n\n1\n3\n# b\n2\n4\n"


def test_one_output_is_printed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with standard_output(("a",)) as output:
        output.add({"a": np.array([[1, 2]])}, 1)
        assert capsys.readouterr().out == "1,2\n"
