"""Arrays read a few rows at a time: the same numbers and the same refusals as when a file is read whole."""

from __future__ import annotations

import io
import os
import re
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lstmconv.errors import FileAccessError, InvalidFileError, LimitError, LstmconvError, UsageError
from lstmconv.files.arrays import read_inputs
from lstmconv.files.held_rows import HeldRows
from lstmconv.files.rows import FileRows, open_inputs
from lstmconv_runtime import InputError
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import Input


def inputs(*names: str) -> list[Input]:
    return [Input(name=name, shape=(None, 3), dtype="float32") for name in names]


def rows_read(path: Path, names: tuple[str, ...] = ("x",), at_once: int = 3) -> dict[str, Array]:
    """Everything in a file, taken bit by bit, the inputs in turn."""
    with open_inputs(path, inputs(*names)) as given:
        rows = max(array.shape[0] for array in given.values())
        parts: dict[str, list[Array]] = {name: [] for name in given}
        for start in range(0, max(rows, 1), at_once):
            for name, array in given.items():
                parts[name].append(array.take(min(at_once, rows - start)))
        return {name: np.concatenate(found) for name, found in parts.items()}


ARRAYS = [
    np.arange(24, dtype="float32").reshape(8, 3),
    np.arange(24, dtype=">i2").reshape(8, 1, 3),
    np.asfortranarray(np.arange(24.0).reshape(8, 3)),
    np.zeros((0, 3), "float16"),
    np.arange(7) % 2 == 0,
    np.zeros((5, 0, 2)),
]


@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed], ids=lambda save: save.__name__)
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_the_rows_are_those_of_the_array(tmp_path: Path, array: Array, save: Any) -> None:
    path = tmp_path / ("x.npy" if save is np.save else "x.npz")
    save(path, array)
    read = rows_read(path)["x"]
    np.testing.assert_array_equal(read, array)
    assert (read.dtype.kind, read.shape) == (array.dtype.kind, array.shape)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=lambda save: save.__name__)
def test_members_are_read_side_by_side(tmp_path: Path, save: Any) -> None:
    random = np.random.default_rng(0)
    arrays = {"b": random.standard_normal((100_000, 3)), "a": random.standard_normal((100_000, 3))}
    save(tmp_path / "x.npz", **arrays)
    read = rows_read(tmp_path / "x.npz", ("a", "b"), at_once=999)
    assert list(read) == ["a", "b"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)


def test_what_is_held_and_what_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.zeros((4, 3)))
    np.save(tmp_path / "f.npy", np.asfortranarray(np.zeros((4, 3))))
    (tmp_path / "x.csv").write_text("1,2,3\n")
    for name, kind in (("c.npy", FileRows), ("f.npy", HeldRows), ("x.csv", HeldRows)):
        with open_inputs(tmp_path / name, inputs("x")) as given:
            assert type(given["x"]) is kind


def test_names_and_kinds(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros((1, 3)), c=np.zeros((1, 3)))
    np.save(tmp_path / "x.npy", np.zeros((1, 3)))
    with pytest.raises(InputError, match="unknown input 'c'"):
        rows_read(tmp_path / "x.npz", ("a", "b"))
    with pytest.raises(UsageError, match="names a, b"):
        rows_read(tmp_path / "x.npy", ("a", "b"))


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("damage", ["cut", "longer", "touched", "gone"])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, name: str, damage: str) -> None:
    path, array = tmp_path / name, np.ones((100_000, 3))
    (np.save if name == "x.npy" else np.savez)(path, array)
    with open_inputs(path, inputs("x")) as given:
        given["x"].take(10)
        if damage == "cut":
            os.truncate(path, 20_000)
        elif damage == "longer":
            path.write_bytes(path.read_bytes() + b"more")
        elif damage == "touched":
            os.utime(path, ns=(1, 1))
        else:
            path.unlink()  # which keeps it for those who have it open
            assert len(given["x"].take(99_990)) == 99_990
            return
        with pytest.raises(FileAccessError, match=f"^{name}: changed while it was being read$") as failure:
            given["x"].take(99_990)
    assert failure.value.code == "E_CHANGED"


def test_a_damaged_member_is_found_at_its_end(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.ones((9999, 3)))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[300] ^= 1
    (tmp_path / "x.npz").write_bytes(data)
    with open_inputs(tmp_path / "x.npz", inputs("x")) as given:
        given["x"].take(5000)
        with pytest.raises(InvalidFileError, match="Bad CRC-32"):
            given["x"].take(4999)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.zeros((100, 1000))
    np.save(tmp_path / "c.npy", array)
    np.save(tmp_path / "f.npy", np.asfortranarray(array))
    np.savez_compressed(tmp_path / "bomb.npz", array)
    np.savez(tmp_path / "stored.npz", array)
    monkeypatch.setattr("lstmconv.files.arrays.MAX_ARRAY_BYTES", 100_000)
    for name in ("c.npy", "stored.npz"):  # whose bytes are there, more than are held at once
        with open_inputs(tmp_path / name, inputs("x")) as given:
            assert len(given["x"].take(10)) == 10
            with pytest.raises(LimitError, match="20 rows take 160000 bytes; the limit is 100000"):
                given["x"].take(20)
    for name in ("f.npy", "bomb.npz"):
        with pytest.raises(LimitError), open_inputs(tmp_path / name, inputs("x")):
            pass


def test_mutated_files_read_as_they_do_whole(tmp_path: Path) -> None:
    """Whatever the bytes are: the same numbers as when the file is read at once, or an error of ours."""
    rng = np.random.default_rng(0)
    seeds: list[tuple[str, bytes]] = []
    for name, save, array in (
        ("x.npy", np.save, np.zeros((3, 2), "float32")),
        ("x.npz", np.savez, np.ones((4, 3))),
        ("x.npz", np.savez_compressed, np.ones((4, 3))),
    ):
        file = io.BytesIO()
        save(file, array)
        seeds.append((name, file.getvalue()))
    for name, seed in seeds:
        path = tmp_path / name
        for _ in range(150):
            data = bytearray(seed)
            for _ in range(int(rng.integers(1, 4))):
                data[int(rng.integers(len(data)))] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
            path.write_bytes(data[: int(rng.integers(len(data))) if rng.random() < 0.1 else None])
            whole, refused = None, ""
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with suppress(LstmconvError):
                    whole = np.asarray(read_inputs(path, inputs("x")))
                if whole is not None and whole.ndim == 0:
                    continue
                try:
                    (rows,) = rows_read(path, at_once=2).values()
                except LstmconvError as error:
                    refused = str(error)
            if refused:
                # Only here is the size that an archive claims for a member held against its array.
                assert whole is None or re.search(r" takes \d+ bytes, the file has ", refused)
                continue
            np.testing.assert_array_equal(rows, whole)


def test_an_archive_with_a_password(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", b"")
    data = bytearray(file.getvalue())
    for place in (data.index(b"PK\1\2") + 8, 6):
        data[place] |= 1
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(InvalidFileError, match="password"):
        rows_read(tmp_path / "x.npz")
