"""HDF5 files that must be refused, built with h5py or by changing bytes, each beside one that is read.

The letters and numbers are those of the corpus in the design notes.
"""

from __future__ import annotations

import io
import struct
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from lstmconv.errors import LimitError
from lstmconv.reading import ArchiveWeights, parse_keras_file
from lstmconv.reading.hdf5.metered_bytes import MeteredBytes

if TYPE_CHECKING:
    import h5py
else:
    h5py = pytest.importorskip("h5py")

Refusal = Callable[[bytes], tuple[int, str]]
Write = Callable[["h5py.Group"], object]

_KERNEL = np.arange(12, dtype="f4").reshape(3, 4)


def _file(write: Write, **options: object) -> bytes:
    """A `.weights.h5` with one layer; `write` gets the group of its variables."""
    content = io.BytesIO()
    with h5py.File(content, "w", **options) as file:
        write(file.create_group("layers/dense/vars"))
    return content.getvalue()


def _plain() -> bytes:
    return _file(lambda group: group.create_dataset("0", data=_KERNEL))


def _patched(data: bytes, at: int, layout: str, *values: int) -> bytes:
    result = bytearray(data)
    struct.pack_into(layout, result, at, *values)
    return bytes(result)


def test_control(refusal: Refusal) -> None:
    assert refusal(_plain()) == (0, "")


@pytest.mark.parametrize("place", ["vars/0", "vars", "layers", "model_weights", "dense"])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_h01_h02_h03_links(place: str, libver: str, tmp_path: Path, refusal: Refusal) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = _KERNEL
    before = secret.stat().st_atime_ns
    path = {"vars/0": "layers/dense/vars/0", "vars": "layers/dense/vars", "dense": "layers/dense"}.get(place, place)
    for link in (
        h5py.ExternalLink(str(secret), "/x"),
        h5py.SoftLink("/other"),
        h5py.SoftLink("/none"),
        h5py.SoftLink("/" + path),
    ):
        content = io.BytesIO()
        with h5py.File(content, "w", libver=libver) as file:
            file["other"] = _KERNEL
            file.create_group("vars")
            file[path] = link
        assert refusal(content.getvalue()) == (4, "E_H5_LINK")
    assert secret.stat().st_atime_ns == before


def test_h01_link_among_many(refusal: Refusal) -> None:
    def write(group: h5py.Group) -> None:
        for index in range(20):
            group[str(index)] = _KERNEL

    assert refusal(_file(write, libver="latest")) == (0, "")

    def write_link(group: h5py.Group) -> None:
        write(group)
        group["20"] = h5py.SoftLink("/layers")

    for libver in ("earliest", "latest"):
        assert refusal(_file(write_link, libver=libver)) == (4, "E_H5_LINK")


def test_h04_external_data(refusal: Refusal) -> None:
    def write(group: h5py.Group) -> None:
        group.create_dataset("0", shape=(4,), dtype="u1", external=[("/etc/hostname", 0, 4)])

    assert refusal(_file(write)) == (4, "E_H5_EXTERNAL")


@pytest.mark.parametrize("unlimited", [False, True])
def test_h05_h06_virtual_data(unlimited: bool, refusal: Refusal) -> None:
    def write(group: h5py.Group) -> None:
        layout = h5py.VirtualLayout((4,), "f4", maxshape=(None,) if unlimited else None)
        layout[:] = h5py.VirtualSource("/etc/none.h5", "x", (4,))
        group.create_virtual_dataset("0", layout)

    assert refusal(_file(write, libver="latest")) == (4, "E_H5_VIRTUAL")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"compression": "gzip", "shuffle": True}, (0, "")),
        ({"compression": "lzf"}, (3, "E_H5_FILTER")),
        ({"fletcher32": True}, (3, "E_H5_FILTER")),
        ({"scaleoffset": 2}, (3, "E_H5_FILTER")),
    ],
    ids=["gzip", "lzf", "fletcher32", "scaleoffset"],
)
def test_h08_filters(options: dict[str, object], expected: tuple[int, str], refusal: Refusal) -> None:
    assert refusal(_file(lambda group: group.create_dataset("0", data=_KERNEL, **options))) == expected


def test_h07_unknown_filter(refusal: Refusal) -> None:
    data = _file(lambda group: group.create_dataset("0", data=_KERNEL, compression="lzf"))
    at = data.index(struct.pack("<HH", 32000, 8)[:2] + struct.pack("<H", 8))
    assert refusal(_patched(data, at, "<H", 32999)) == (4, "E_H5_FILTER")


def test_h09_h10_h11_h12_what_is_not_stored(refusal: Refusal) -> None:
    for shape in ((2**40,), (3, 4)):
        data = _file(lambda group: group.create_dataset("0", shape, "f4"))  # noqa: B023 (called at once)
        assert refusal(data) == (4, "E_H5_SIZE")
    chunked = _file(lambda group: group.create_dataset("0", (2**40,), "f4", chunks=(2**20,), compression="gzip"))
    assert refusal(chunked) == (4, "E_H5_SIZE")

    def one_chunk_of_many(group: h5py.Group) -> None:
        group.create_dataset("0", (100,), "f4", chunks=(10,))[:10] = 1

    assert refusal(_file(one_chunk_of_many)) == (4, "E_H5_SIZE")

    def zeros(group: h5py.Group) -> None:
        for index in range(3):
            group.create_dataset(str(index), data=np.zeros(2_000_000, "f4"), chunks=(2_000_000,), compression="gzip")

    assert refusal(_file(zeros)) == (5, "E_LIMIT_MEMBER")


def test_h09_declared_and_stored_differ(refusal: Refusal) -> None:
    data = _plain()
    at = data.rindex(struct.pack("<Q", 48))  # the layout's size
    assert refusal(_patched(data, at, "<Q", 44)) == (4, "E_H5_SIZE")
    assert refusal(_patched(data, at, "<Q", 2**63)) == (4, "E_H5_SIZE")
    shape = data.index(struct.pack("<QQ", 3, 4))
    assert refusal(_patched(data, shape, "<QQ", 4, 4)) == (4, "E_H5_SIZE")
    assert refusal(_patched(data, shape, "<QQ", 2**62, 2**62)) == (4, "E_H5_SIZE")


def test_h13_hard_links(refusal: Refusal) -> None:
    def write(group: h5py.Group) -> None:
        group["0"] = _KERNEL
        for index in range(1, 1000):
            group[str(index)] = group["0"]

    assert refusal(_file(write)) == (4, "E_H5_ALIAS")


def test_h14_two_arrays_of_the_same_bytes(refusal: Refusal) -> None:
    def write(group: h5py.Group) -> None:
        group["0"] = _KERNEL
        group["1"] = _KERNEL + 100

    data = _file(write)
    first, second = data.index(_KERNEL.tobytes()), data.index((_KERNEL + 100).tobytes())
    at = data.index(struct.pack("<QQ", second, 48))
    for address in (first, first + 4):
        assert refusal(_patched(data, at, "<Q", address)) == (4, "E_H5_OVERLAP")


def test_h15_cycle(refusal: Refusal) -> None:
    for target in ("/", "/layers", "/layers/dense/vars"):
        data = _file(lambda group: group.__setitem__("again", group[target]))  # noqa: B023 (called at once)
        assert refusal(data) == (4, "E_H5_ALIAS")


def test_h16_deep_groups(refusal: Refusal) -> None:
    for depth, expected in ((50, (0, "")), (2000, (5, "E_LIMIT_DEPTH"))):

        def write(group: h5py.Group, depth: int = depth) -> None:
            for _ in range(depth):
                group = group.create_group("g")

        assert refusal(_file(write)) == expected


@pytest.mark.parametrize(
    "dtype",
    [
        "c8",
        [("a", "f4")],
        "V4",
        "S4",
        h5py.string_dtype(),
        h5py.vlen_dtype(np.float32),
        h5py.ref_dtype,
        h5py.enum_dtype({"a": 1, "b": 2}, "i1"),
        np.dtype(("f4", (2,))),
        np.longdouble,
    ],
    ids=["complex", "compound", "opaque", "string", "vlen", "sequence", "reference", "enum", "array", "float128"],
)
def test_h17_types(dtype: object, refusal: Refusal) -> None:
    data = _file(lambda group: group.create_dataset("0", (2,), dtype))
    assert refusal(data) == (4, "E_H5_DTYPE")


def test_h17_float_that_only_looks_like_half(refusal: Refusal) -> None:
    def write(group: h5py.Group, bias: int) -> None:
        kind = h5py.h5t.IEEE_F16LE.copy()
        kind.set_ebias(bias)
        space = h5py.h5s.create_simple((4,))
        data = h5py.h5d.create(group.id, b"0", kind, space)
        data.write(space, space, np.ones(4, "f4"))

    assert refusal(_file(lambda group: write(group, 15))) == (0, "")
    assert refusal(_file(lambda group: write(group, 16))) == (4, "E_H5_DTYPE")


def test_h17_truth_values(refusal: Refusal) -> None:
    data = _file(lambda group: group.create_dataset("0", data=np.array([True, False, True, True, False, True])))
    at = data.index(bytes([1, 0, 1, 1, 0, 1]))
    assert refusal(data) == (0, "")
    assert refusal(_patched(data, at, "B", 2)) == (4, "E_H5_DTYPE")


def test_h18_shapes(refusal: Refusal) -> None:
    assert refusal(_file(lambda group: group.create_dataset("0", data=np.float32(1)))) == (0, "")
    assert refusal(_file(lambda group: group.create_dataset("0", data=h5py.Empty("f4")))) == (4, "E_H5_SHAPE")
    assert refusal(_file(lambda group: group.create_dataset("0", (3, 0), "f4"))) == (4, "E_H5_SHAPE")
    assert refusal(_file(lambda group: group.create_dataset("0", data=np.ones((1,) * 32, "f4")))) == (4, "E_H5_SHAPE")


def test_h19_superblock(refusal: Refusal) -> None:
    data = _plain()
    user_block = _file(lambda group: group.create_dataset("0", data=_KERNEL), userblock_size=512)
    assert refusal(user_block) == (4, "E_NOT_A_MODEL")
    assert refusal(_patched(data, 24, "<Q", 8)) == (4, "E_H5_SUPERBLOCK")  # base address
    assert refusal(_patched(data, 48, "<Q", 512)) == (4, "E_H5_SUPERBLOCK")  # driver information
    assert refusal(_patched(data, 13, "<B", 4)) == (4, "E_H5_SUPERBLOCK")  # 32-bit addresses
    assert refusal(data + b"x") == (4, "E_H5_SUPERBLOCK")
    assert refusal(data[:-1]) == (4, "E_TRUNCATED")
    assert refusal(_patched(data, 8, "<B", 1)) == (3, "E_H5_SUPERBLOCK")
    assert refusal(_patched(data, 8, "<B", 9)) == (4, "E_H5_SUPERBLOCK")
    assert refusal(data[:60]) == (4, "E_TRUNCATED")


def test_h21_global_heap(refusal: Refusal, legacy: bytes) -> None:
    """libhdf5 2.0.0 spins for ever on some of these."""
    assert refusal(legacy) == (0, "")
    at = legacy.index(b"GCOL")
    started = time.monotonic()
    for size in (0, 1, 2**31, 2**63 - 1, 2**64 - 1):
        assert refusal(_patched(legacy, at + 24, "<Q", size))[0] == 4, size
        refusal(_patched(legacy, at + 8, "<Q", size))
    assert time.monotonic() - started < 1


def test_h22_structures_in_circles(refusal: Refusal) -> None:
    data = _plain()
    tree, node, heap = data.index(b"TREE"), data.index(b"SNOD"), data.index(b"HEAP")
    started = time.monotonic()
    for level in (1, 5, 255):
        looped = _patched(_patched(data, tree + 5, "<BH", level, 65535), tree + 32, "<Q", tree)
        assert refusal(looped)[0] in (4, 5)
    assert refusal(_patched(data, node + 6, "<H", 65535))[0] == 4
    names = struct.unpack_from("<Q", data, heap + 24)[0]
    no_end = data[:names] + b"x" * 88 + data[names + 88 :]
    assert refusal(no_end)[0] == 4
    assert refusal(_patched(data, names + 8, "<4B", *b"\xff\xfe\xfd\xfc"))[0] == 4
    root = struct.unpack_from("<Q", data, 64)[0]
    assert refusal(_patched(data, root + 2, "<H", 65535)) == (5, "E_LIMIT_PARSE")
    # The first message becomes a continuation to the header itself.
    circle = _patched(data, root + 16, "<HHIQQ", 0x10, 16, 0, root, len(data) - root)
    assert refusal(_patched(circle, root + 2, "<H", 1000))[0] in (4, 5)
    assert refusal(_patched(data, root + 18, "<H", 65535))[0] == 4  # a message past its header
    assert time.monotonic() - started < 5


def test_h22_shared_messages(refusal: Refusal) -> None:
    def write(group: h5py.Group) -> None:
        group["kind"] = np.dtype("f4")
        group.create_dataset("0", data=_KERNEL, dtype=group["kind"])

    assert refusal(_file(write)) == (4, "E_H5_INVALID")


def _legacy(write: Callable[[h5py.File], object]) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["model_config"] = '{"class_name": "Sequential", "config": []}'
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = ["a", "b"]
        for name in ("a", "b"):
            root.create_group(name).attrs["weight_names"] = [f"{name}/kernel:0"]
            root[name][f"{name}/kernel:0"] = _KERNEL
        write(file)
    return content.getvalue()


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda file: None, (0, "")),
        (lambda file: file["model_weights/a"].attrs.__delitem__("weight_names"), (4, "E_H5_MISSING")),
        (lambda file: file["model_weights"].__delitem__("a"), (4, "E_H5_MISSING")),
        (lambda file: file["model_weights"].attrs.__delitem__("layer_names"), (4, "E_H5_MISSING")),
        (lambda file: file["model_weights"].attrs.__setitem__("layer_names", ["a", "a"]), (4, "E_H5_ALIAS")),
        (lambda file: file["model_weights"].attrs.__setitem__("layer_names", ["a", "../a"]), (4, "E_H5_MISSING")),
        (lambda file: file["model_weights/a"].attrs.__setitem__("weight_names", ["../b/b"]), (4, "E_H5_MISSING")),
        (lambda file: file["model_weights/a"].attrs.__setitem__("weight_names", ["a/kernel:0"] * 2), (4, "E_H5_ALIAS")),
        (lambda file: file["model_weights/a"].attrs.__setitem__("weight_names", "a/kernel:0"), (4, "E_H5_ATTRIBUTE")),
        (lambda file: file["model_weights/a"].attrs.__setitem__("weight_names", [["a"]]), (4, "E_H5_ATTRIBUTE")),
        (lambda file: file["model_weights"].attrs.__setitem__("layer_names1", ["b"]), (4, "E_H5_ATTRIBUTE")),
        (lambda file: file.attrs.__setitem__("model_config", "{"), (4, "E_CONFIG_JSON")),
        (lambda file: file.attrs.__setitem__("model_config", "[]"), (4, "E_CONFIG_TYPE")),
        (lambda file: file.attrs.__setitem__("model_config", 7), (4, "E_H5_ATTRIBUTE")),
        (lambda file: file.attrs.__setitem__("model_config", " " * (17 * 2**20)), (5, "E_LIMIT_MEMBER")),
        (lambda file: file.attrs.__setitem__("keras_version", "9" * 65), (4, "E_CONFIG_TYPE")),
        (lambda file: file.attrs.__setitem__("nb_layers", 2), (3, "E_KERAS_TOO_OLD")),
        (lambda file: file["model_weights/a"].attrs.__setitem__("weight_names", [1.5]), (4, "E_H5_ATTRIBUTE")),
    ],
    ids=range(18),
)
def test_h23_legacy_attributes(
    write: Callable[[h5py.File], object], expected: tuple[int, str], refusal: Refusal
) -> None:
    assert refusal(_legacy(write)) == expected


def test_h23_missing_piece_of_a_list(refusal: Refusal) -> None:
    def write(file: h5py.File, numbers: tuple[int, int]) -> None:
        root = file["model_weights"]
        del root.attrs["layer_names"]
        for number, name in zip(numbers, ("a", "b"), strict=True):
            root.attrs[f"layer_names{number}"] = [name]

    assert refusal(_legacy(lambda file: write(file, (0, 1)))) == (0, "")
    assert refusal(_legacy(lambda file: write(file, (0, 2)))) == (4, "E_H5_ATTRIBUTE")
    assert refusal(_legacy(lambda file: write(file, (1, 2)))) == (4, "E_H5_ATTRIBUTE")


def test_h23_many_references_to_one_string(refusal: Refusal) -> None:
    """A list of 4000 names is 64 KB in the file, and here 4000 times the same 16 KB."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["layer_names"] = ["y" * 16_384, *("x" for _ in range(3999))]
    data = content.getvalue()
    long = data.index(struct.pack("<I", 16_384) + data[data.index(struct.pack("<I", 16_384)) + 4 :][:12])
    reference = data[long : long + 16]
    short = data.index(struct.pack("<I", 1), long + 16)
    aliased = data[:short] + reference * 3999 + data[short + 16 * 3999 :]
    assert refusal(aliased) == (5, "E_LIMIT_MEMBER")


def test_h24_weights_alone_and_other_hdf5(refusal: Refusal) -> None:
    assert parse_keras_file(_plain(), "m").config is None
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["temperature"] = _KERNEL
    assert refusal(content.getvalue()) == (4, "E_NOT_A_MODEL")


def test_numbers_with_a_gap(refusal: Refusal) -> None:
    def write(group: h5py.Group) -> None:
        group["0"] = _KERNEL
        group["2"] = _KERNEL

    assert refusal(_file(write)) == (4, "E_H5_MISSING")


def test_the_optimizer_is_not_walked() -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["layers/dense/vars/0"] = _KERNEL
        file["optimizer/vars/0"] = h5py.SoftLink("/layers")
        file["metrics/mean/vars/0"] = _KERNEL
        file["layers/optimizer/vars/0"] = _KERNEL
    weights = parse_keras_file(content.getvalue(), "m").weights
    assert isinstance(weights, ArchiveWeights)
    assert weights.arrays("optimizer") == []
    assert weights.unread() == ("layers/dense/vars/0", "layers/optimizer/vars/0")


def test_reading_is_metered() -> None:
    source = MeteredBytes(memoryview(bytes(1000)))
    with pytest.raises(LimitError), source.at_most(100):
        source.read(101)
    with pytest.raises(LimitError):
        deque((source.read(0) for _ in range(10**6)), maxlen=0)
