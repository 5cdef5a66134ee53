"""Arrays in files: what is written reads back, and what is damaged is refused before it costs anything."""

from __future__ import annotations

import io
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lstmconv.errors import InvalidFileError, LimitError, UsageError
from lstmconv.files.arrays import check_number, parse_npy, parse_npz, read_inputs, write_npz
from lstmconv.files.csv_table import parse_csv
from lstmconv_runtime.format.nodes import Input


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def given(*shape: int | None, dtype: str = "float32", name: str = "x") -> Input:
    return Input(name=name, shape=shape, dtype=dtype)


ARRAYS = [
    np.arange(6, dtype="float32").reshape(1, 2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(4, dtype=">i4"),
    np.zeros((0, 5, 1), "float16"),
    np.array(True),
    np.zeros((2, 0)),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_npy_reads_what_numpy_writes(array: Any) -> None:
    read = parse_npy(npy(array), "x.npy")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype
    assert read.shape == array.shape


class Bomb:
    """What a pickle does when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("it was unpickled",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a .npy array"),
        (b"\x93NUMPY\x01\x00", "not a .npy array"),
        (b"\x93NUMPY\x03\x00", "its format 3.0"),
        (b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16, "not a .npy array"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "not a .npy array"),
        (npy(np.zeros(3))[:-1], "takes 24 bytes, the file has 23"),
        (npy(np.zeros(3)) + b"x", "takes 24 bytes, the file has 25"),
        (npy(np.zeros(3)).replace(b"(3,)", b"(9,)"), "takes 72 bytes, the file has 24"),
        (npy(np.zeros(3)).replace(b"(3,), ", b"(-3,),"), "its shape is"),
        (npy(np.array([Bomb()]), allow_pickle=True), "not numbers"),
        (npy(np.array(["a"])), "not numbers"),
        (npy(np.array(["2000-01-01"], "datetime64[D]")), "not numbers"),
        (npy(np.array([1j])), "not numbers"),
        (npy(np.zeros(1, [("a\n", "f4")])), "not numbers"),
    ],
)
def test_npy_refuses(data: bytes, message: str) -> None:
    with pytest.raises(InvalidFileError, match=message) as caught:
        parse_npy(data, "x.npy")
    assert str(caught.value).isprintable()


def test_a_huge_claim_costs_nothing() -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000000000000), }"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with pytest.raises(InvalidFileError, match="takes 8000000000000000000000000 bytes"):
        parse_npy(data, "x.npy")


def test_npz_reads_what_numpy_writes() -> None:
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, a=np.arange(3), b=np.ones((2, 2), "float32"))
        read = parse_npz(file.getvalue(), "x.npz")
        assert list(read) == ["a", "b"]
        np.testing.assert_array_equal(read["a"], np.arange(3))


def archive(*members: tuple[str, bytes], **options: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as made:
        for name, data in members:
            made.writestr(name, data)
    return file.getvalue()


def test_npz_refuses() -> None:
    whole = archive(("a.npy", npy(np.zeros(3))))
    for data, message in (
        (b"", "not an .npz archive"),
        (b"PK\3\4" + bytes(50), "not an .npz archive"),
        (whole[:-30], "not an .npz archive"),
        (whole.replace(npy(np.zeros(3))[-24:], bytes(23) + b"\1"), "not an .npz archive"),  # the checksum
        (archive(("a.txt", b"")), "array 'a.txt': is no .npy member"),
        (archive(("a.npy", b"nothing")), "array 'a': not a .npy array"),
        (archive(("a.npy", npy(np.array([Bomb()]), allow_pickle=True))), "not numbers"),
    ):
        with pytest.raises(InvalidFileError, match=message):
            parse_npz(data, "x.npz")


def test_npz_with_a_name_twice() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = archive(("a.npy", npy(np.zeros(1))), ("a.npy", npy(np.ones(1))))
    with pytest.raises(InvalidFileError, match="is there twice"):
        parse_npz(data, "x.npz")


def test_npz_is_stored_or_deflated() -> None:
    data = archive(("a.npy", npy(np.zeros(1))), compression=zipfile.ZIP_LZMA)
    with pytest.raises(InvalidFileError, match="compressed in a way"):
        parse_npz(data, "x.npz")


def test_mutated_files_are_refused_or_read() -> None:
    """Whatever the bytes are, there is an array or an error of ours."""
    rng = np.random.default_rng(0)
    seeds = [
        (parse_npz, archive(("a.npy", npy(np.zeros(3))), ("b.npy", npy(np.ones((2, 2)))))),
        (parse_npz, archive(("a.npy", npy(np.zeros(30))), compression=zipfile.ZIP_DEFLATED)),
        (parse_npy, npy(np.zeros((3, 2), "float32"))),
        (parse_csv, b"a,b\n1,2.5\n-3,4e10\n"),
    ]
    for parse, seed in seeds:
        for _ in range(1000):
            data = bytearray(seed)
            for _ in range(int(rng.integers(1, 4))):
                data[int(rng.integers(len(data)))] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
            with suppress(InvalidFileError, LimitError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                parse(bytes(data[: int(rng.integers(len(data))) if rng.random() < 0.1 else None]), "x")


def test_npz_over_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstmconv.files.arrays.MAX_ARRAY_BYTES", 100_000)
    bomb = archive(("a.npy", npy(np.zeros(100_000))), compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2000
    with pytest.raises(LimitError):
        parse_npz(bomb, "x.npz")


def test_several_inputs_come_by_name(tmp_path: Path) -> None:
    inputs = [given(None, 2, name="a"), given(None, 2, name="b")]
    np.savez(tmp_path / "x.npz", a=np.zeros((1, 2)), b=np.ones((1, 2)))
    read = read_inputs(tmp_path / "x.npz", inputs)
    assert isinstance(read, dict)
    assert set(read) == {"a", "b"}
    with pytest.raises(UsageError, match="names a, b"):
        read_inputs(tmp_path / "x.npy", inputs)


def test_a_single_input_may_have_any_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", np.ones((1, 2)))
    np.testing.assert_array_equal(read_inputs(tmp_path / "x.npz", [given(None, 2)]), [[1, 1]])


def test_one_array_per_npy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"2 outputs, which a \.npy cannot hold"):
        check_number(2, tmp_path / "y.npy")
    check_number(2, tmp_path / "y.npz")


def test_npz_takes_any_name_and_is_reproducible() -> None:
    arrays = {"file": np.zeros(2), "lstm/i": np.ones((1, 2), "float32"), "ä:h": np.array(1)}
    first, second = io.BytesIO(), io.BytesIO()
    write_npz(arrays, first)
    write_npz(arrays, second)
    assert first.getvalue() == second.getvalue()
    first.seek(0)
    read = np.load(first, allow_pickle=False)
    assert set(read) == set(arrays)
    np.testing.assert_array_equal(read["lstm/i"], [[1, 1]])


@pytest.mark.parametrize("name", ["..", "../x", "a/../b", "/x", "a//b", "..\\x", ""])
def test_npz_names_stay_in_the_folder(name: str) -> None:
    with pytest.raises(InvalidFileError, match="cannot be the name"):
        write_npz({name: np.zeros(1)}, io.BytesIO())
