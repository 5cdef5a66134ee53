"""Files, zip archives and JSON texts that must be refused, with the code each must be refused with.

The letters and numbers are those of the corpus in the design notes: F files, Z zip, C configs.
"""

from __future__ import annotations

import io
import json
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from lstmconv.errors import FileAccessError, InvalidFileError, LimitError, LstmconvError
from lstmconv.files.read_bytes import read_bytes
from lstmconv.reading import parse_keras_file, read_keras_file
from lstmconv.reading.strict_json import parse_json

Refusal = Callable[[bytes], tuple[int, str]]


def _members(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        return {name: source.read(name) for name in source.namelist()}


def _zip(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of duplicate names
        for name, content in members:
            archive.writestr(name, content)
    return result.getvalue()


def _with(archive: bytes, **changed: bytes | None) -> bytes:
    """The archive with members (dots written as two underscores) replaced, added, or, when None, left out."""
    members: dict[str, bytes | None] = dict(_members(archive))
    members |= {name.replace("__", "."): content for name, content in changed.items()}
    return _zip([(name, content) for name, content in members.items() if content is not None])


def _central(archive: bytes, name: bytes) -> int:
    """Where the central directory's entry for `name` starts."""
    at = archive.rindex(name) - 46
    assert archive[at : at + 4] == b"PK\1\2"
    return at


def _patched(archive: bytes, at: int, layout: str, *values: int) -> bytes:
    result = bytearray(archive)
    struct.pack_into(layout, result, at, *values)
    return bytes(result)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"\x17random", "no kind"),
        (bytes(100_000), "zeros"),
        (b"\x80\x04\x95pickle", "pickle"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x08\x07\x12\x07pytorch", "ONNX"),
        (b"\x08\x01\x12\x07pytorch", "ONNX"),
        (bytes.fromhex("080112f0d8010ad50d12a80d0a5e0a10"), "SavedModel"),  # as TensorFlow 2.13 starts one
        (b'{"class_name": "Sequential"}', "config takes it"),
        (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
        (_zip([("archive/data.pkl", b"")]), "PyTorch"),
        (_zip([("a.npy", b""), ("b.npy", b"")]), ".npz"),
        (_zip([("m/saved_model.pb", b"")]), "SavedModel"),
        (_zip([("model.keras", b"")]), "unpack"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_f01_f02_f06_f07_says_what_it_is_instead(data: bytes, word: str) -> None:
    with pytest.raises(InvalidFileError, match=word) as caught:
        parse_keras_file(data, "model.keras")
    assert caught.value.code == "E_NOT_A_MODEL"


def test_f03_f04_f05_f11_special_files(tmp_path: Path, archive: bytes) -> None:
    def code(path: Path | str) -> str:
        with pytest.raises((FileAccessError, LimitError, InvalidFileError)) as caught:
            read_keras_file(path)
        return caught.value.code

    assert code(tmp_path) == "E_NOT_REGULAR"
    (tmp_path / "saved_model.pb").touch()
    assert code(tmp_path) == "E_NOT_A_MODEL"
    os.mkfifo(tmp_path / "fifo")
    assert code(tmp_path / "fifo") == "E_NOT_REGULAR"
    assert code("/dev/zero") == "E_NOT_REGULAR"
    assert code(tmp_path / "none") == "E_IO"
    assert code("a\0b") == "E_IO"
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    assert code(tmp_path / "dangling") == "E_IO"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert code(tmp_path / "loop") == "E_IO"
    with open(tmp_path / "sparse", "wb") as sparse:
        sparse.truncate(5 * 2**30)
    assert code(tmp_path / "sparse") == "E_LIMIT_SIZE"
    (tmp_path / "model").write_bytes(archive)
    (tmp_path / "link").symlink_to(tmp_path / "model")
    assert read_keras_file(tmp_path / "link").size == len(archive)
    if os.geteuid() != 0:
        (tmp_path / "model").chmod(0)
        assert code(tmp_path / "model") == "E_IO"


def test_f08_the_name_does_not_matter(archive: bytes, legacy: bytes) -> None:
    assert parse_keras_file(archive, "x.h5").container == "keras-zip"
    assert parse_keras_file(legacy, "x.keras").container == "legacy-h5"


def test_f09_cut_short(archive: bytes, legacy: bytes, refusal: Refusal) -> None:
    for data in (archive, legacy):
        for end in [len(data) * part // 16 for part in range(1, 16)] + [len(data) - 1]:
            assert refusal(data[:end]) == (4, "E_TRUNCATED"), end


def test_f10_file_that_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"x" * 100)
    read = os.read

    def read_and_grow(descriptor: int, size: int) -> bytes:
        with open(path, "ab") as more:
            more.write(b"y" * 10)
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", read_and_grow)
    with pytest.raises(FileAccessError) as caught:
        read_bytes(path)
    assert caught.value.code == "E_CHANGED"
    assert stat.S_ISREG(path.stat().st_mode)


def test_z01_z02_z21_missing_members(archive: bytes, refusal: Refusal) -> None:
    assert refusal(_with(archive)) == (0, "")
    assert refusal(_with(archive, config__json=None)) == (4, "E_ZIP_MISSING")
    assert refusal(_with(archive, model__weights__h5=None)) == (4, "E_ZIP_MISSING")
    assert refusal(_zip([("model.keras", archive)])) == (4, "E_NOT_A_MODEL")
    assert refusal(_zip([])) == (4, "E_NOT_A_MODEL")  # Z19
    other = {"model__weights__h5": None, "model__weights__npz": b"PK"}
    assert refusal(_with(archive, **other)) == (3, "E_NPZ_WEIGHTS")
    without_metadata = parse_keras_file(_with(archive, metadata__json=None), "m")
    assert without_metadata.keras_version is None
    assert len(without_metadata.warnings) == 1


def test_z03_duplicates(archive: bytes, refusal: Refusal) -> None:
    members = [*_members(archive).items(), ("config.json", b"{}")]
    assert refusal(_zip(members)) == (4, "E_ZIP_DUPLICATE")


def test_z04_z13_names(archive: bytes, refusal: Refusal) -> None:
    long_name = _zip([("config.json_.txt", b"{}"), *_members(archive).items()])
    assert refusal(long_name) == (0, "")
    assert refusal(long_name.replace(b"config.json_.txt", b"config.json\0.txt")) == (4, "E_ZIP_NAME")
    local = archive.index(b"config.json")
    assert refusal(archive[:local] + b"C" + archive[local + 1 :]) == (4, "E_ZIP_NAME")


def test_z05_other_members_are_named_and_left_alone(archive: bytes) -> None:
    members = [("../../etc/x", b"a"), ("/abs", b"a"), ("C:\\x\x1b[31m", b"a"), *_members(archive).items()]
    file = parse_keras_file(_zip(members), "m")
    assert len(file.warnings) == 3
    assert all(warning.isprintable() for warning in file.warnings)
    many = parse_keras_file(_zip([*((f"assets/{i}", b"") for i in range(99)), *_members(archive).items()]), "m")
    assert many.warnings[-1] == "94 more members of the archive were not read"


def test_z06_z07_bombs(archive: bytes, refusal: Refusal) -> None:
    members = _members(archive)
    assert refusal(_zip(list(members.items()), zipfile.ZIP_DEFLATED)) == (0, "")
    for name, size in (("config.json", 2**24 + 1), ("metadata.json", 2**24 + 1), ("model.weights.h5", 40 * 2**20)):
        bomb = _zip(list({**members, name: bytes(size)}.items()), zipfile.ZIP_DEFLATED)
        assert refusal(bomb) == (5, "E_LIMIT_MEMBER"), name
    asset = _zip([*members.items(), ("assets/x", bytes(2**24 + 1))], zipfile.ZIP_DEFLATED)
    assert refusal(asset) == (0, "")


def test_z08_overlap(refusal: Refusal, archive: bytes) -> None:
    members = list(_members(archive).items())
    entry = _central(archive, b"metadata.json")
    other = _central(archive, b"config.json")
    local = struct.unpack_from("<I", archive, other + 42)[0]
    assert refusal(_patched(archive, entry + 42, "<I", local))[0] == 4
    # One local header named twice: David Fifield's quoted overlap in its simplest form.
    same = _zip([*members, ("config.json", b"{}")])
    last = same.rindex(b"config.json") - 46
    first = struct.unpack_from("<I", same, same.index(b"PK\1\2") + 42)[0]
    assert refusal(_patched(same, last + 42, "<I", first)) == (4, "E_ZIP_OVERLAP")
    # A gap: the central directory starts four bytes late.
    end = len(archive) - 22
    start = struct.unpack_from("<I", archive, end + 16)[0]
    gap = bytearray(archive[:start] + b"gap!" + archive[start:])
    struct.pack_into("<I", gap, len(gap) - 22 + 16, start + 4)
    assert refusal(bytes(gap)) == (4, "E_ZIP_OVERLAP")


def test_z09_checksum(archive: bytes, refusal: Refusal) -> None:
    at = archive.index(b"\x89HDF") + 500
    assert refusal(_patched(archive, at, "<B", archive[at] ^ 1)) == (4, "E_ZIP_CRC")


def test_z10_z11_z12_sizes(archive: bytes, refusal: Refusal) -> None:
    entry = _central(archive, b"config.json")
    size = struct.unpack_from("<I", archive, entry + 24)[0]
    for field in (20, 24):
        for value in (size + 1, size - 1, 0xFFFFFFFE, 0xFFFFFFFF, 0):
            assert refusal(_patched(archive, entry + field, "<I", value)) == (4, "E_ZIP_SIZE"), (field, value)
    packed = _zip(list(_members(archive).items()), zipfile.ZIP_DEFLATED)
    entry, local = _central(packed, b"config.json"), packed.index(b"config.json") - 30
    for value in (size + 1, size - 1):
        both = _patched(_patched(packed, entry + 24, "<I", value), local + 22, "<I", value)
        assert refusal(both) == (4, "E_ZIP_SIZE")


def test_z14_z15_encryption_and_methods(archive: bytes, refusal: Refusal) -> None:
    entry, local = _central(archive, b"config.json"), archive.index(b"config.json") - 30
    encrypted = _patched(_patched(archive, entry + 8, "<H", 1), local + 6, "<H", 1)
    assert refusal(encrypted) == (3, "E_ZIP_ENCRYPTED")
    for method in (12, 14, 93, 99):
        unknown = _patched(_patched(archive, entry + 10, "<H", method), local + 8, "<H", method)
        assert refusal(unknown) == (4, "E_ZIP_METHOD")


def test_z16_z17_bytes_around(archive: bytes, refusal: Refusal) -> None:
    assert refusal(b"#!/bin/sh\n" + bytes(2000) + archive) == (4, "E_ZIP_PREFIX")
    assert refusal(b"PK\3\4" + archive)[0] == 4
    assert refusal(archive + b"x") == (4, "E_ZIP_SUFFIX")
    comment = _patched(archive, len(archive) - 2, "<H", 5) + b"hello"
    assert refusal(comment) == (4, "E_ZIP_SUFFIX")


def test_z18_many_members(refusal: Refusal) -> None:
    assert refusal(_zip([(str(index), b"") for index in range(10_001)])) == (5, "E_LIMIT_MEMBERS")


def test_z20_two_end_records(archive: bytes, refusal: Refusal) -> None:
    end = len(archive) - 22
    count, size, start = struct.unpack_from("<H2I", archive, end + 10)

    def with_64(count: int, size: int, start: int, record: int) -> bytes:
        wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
        return archive[:end] + wide + struct.pack("<4sIQI", b"PK\6\7", 0, record, 1) + archive[end:]

    assert refusal(with_64(count, size, start, end)) == (0, "")
    assert refusal(with_64(count - 1, size, start, end)) == (4, "E_ZIP_END")
    assert refusal(with_64(count, size - 1, start + 1, end)) == (4, "E_ZIP_END")
    assert refusal(with_64(count, size, start, 0)) == (4, "E_ZIP_END")


def test_wide_local_headers_and_pipes(archive: bytes, refusal: Refusal) -> None:
    """What zipfile writes with force_zip64, as Keras does for large weights, and to a pipe."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.content = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.content += data
            return len(data)

    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        for target in (io.BytesIO(), Pipe()):
            with zipfile.ZipFile(target, "w", method) as written:
                for name, content in _members(archive).items():
                    with written.open(name, "w", force_zip64=True) as member:
                        member.write(content)
            data = bytes(target.content) if isinstance(target, Pipe) else target.getvalue()
            assert refusal(data) == (0, "")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "E_CONFIG_JSON"),
        (b"{", "E_CONFIG_JSON"),
        (b"]", "E_CONFIG_JSON"),
        (b'{"a": 1} x', "E_CONFIG_JSON"),
        (b"\xef\xbb\xbf{}", "E_CONFIG_JSON"),
        ("{}".encode("utf-16"), "E_CONFIG_JSON"),
        (b'{"a": "\xe9"}', "E_CONFIG_JSON"),
        (rb'{"a": "\ud800"}', "E_CONFIG_JSON"),
        (rb'{"\udfff": 1}', "E_CONFIG_JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "E_CONFIG_JSON"),
        (b'{"a": 1e999}', "E_CONFIG_JSON"),
        (b'{"a": [NaN]}', "E_CONFIG_JSON"),
        (b'{"a": -Infinity}', "E_CONFIG_JSON"),
        (b'{"units": 1, "units": 2}', "E_CONFIG_DUPKEY"),
        (b"[" * 100_000, "E_LIMIT_DEPTH"),
        (b"[" * 65 + b"]" * 65, "E_LIMIT_DEPTH"),
        (b"[" + b"0," * 1_000_001 + b"0]", "E_LIMIT_NODES"),
        (b" " * (2**24 + 1), "E_LIMIT_MEMBER"),
    ],
    ids=range(18),
)
def test_c01_c02_c03_c04_json(text: bytes, code: str) -> None:
    with pytest.raises(LstmconvError) as caught:
        parse_json(text, "config")
    assert caught.value.code == code


def test_json_that_is_right() -> None:
    value = {"a": [1, -2.5, True, None, 'é"[]{},\\'], "compile_config": {"x": float("inf")}, "b": "😀"}
    assert parse_json(json.dumps(value).encode(), "config") == value
    assert parse_json(b"[" * 64 + b"]" * 64, "config")


@pytest.mark.parametrize("config", [b"[]", b"null", b'"text"', b"1", b"{}", b'{"class_name": 1, "config": {}}'])
def test_c05_top_level(config: bytes, archive: bytes, refusal: Refusal) -> None:
    assert refusal(_with(archive, config__json=config)) == (4, "E_CONFIG_TYPE")


def test_c23_metadata(archive: bytes, refusal: Refusal) -> None:
    assert refusal(_with(archive, metadata__json=b"[]")) == (4, "E_CONFIG_TYPE")
    assert refusal(_with(archive, metadata__json=b'{"keras_version": 3}')) == (4, "E_CONFIG_TYPE")
    odd = parse_keras_file(_with(archive, metadata__json=b'{"keras_version": "3.x; rm -rf"}'), "m")
    assert odd.keras_version == "3.x; rm -rf"
