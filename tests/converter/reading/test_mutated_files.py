"""Damaged files of every kind: whatever the damage, reading ends in arrays or in one of our errors, and soon."""

from __future__ import annotations

import io
import random
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

_INTERESTING = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_SLOWEST = 1.0  # seconds; typical is a millisecond


def _mutated(data: bytes, chance: random.Random) -> bytes:
    result = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(result) - 8)
        kind = chance.randrange(6)
        if kind == 0:
            result[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            struct.pack_into("<Q", result, at // 8 * 8, chance.choice(_INTERESTING))
        elif kind == 2:
            struct.pack_into("<H", result, at // 2 * 2, chance.choice(_INTERESTING) & 0xFFFF)
        elif kind == 3:  # an address that leads somewhere else
            struct.pack_into("<Q", result, at // 8 * 8, chance.randrange(len(result)) // 8 * 8)
        elif kind == 4:
            source, length = chance.randrange(len(result)), chance.randrange(64)
            result[at : at + length] = result[source : source + length]
        else:
            del result[at : at + chance.randrange(1, 16)]
    return bytes(result)


def _dense(data: bytes) -> list[int]:
    """Where the bytes are that steer a reader: most of a small HDF5 file is zeros."""
    return [at for at, byte in enumerate(data) if byte]


@pytest.mark.parametrize("name", ["recurrent.h5", "bidirectional.h5", "recurrent.keras", "weights inside", "latest"])
def test_only_our_errors(name: str, vectors: Path, refusal: Callable[[bytes], tuple[int, str]]) -> None:
    if name == "latest":
        data = _latest()
    elif name == "weights inside":
        with zipfile.ZipFile(vectors / "recurrent.keras") as archive:
            data = archive.read("model.weights.h5")
    else:
        data = (vectors / name).read_bytes()
    chance, seen = random.Random(name), set()
    steering = _dense(data)
    for number in range(200):
        if number % 2:
            damaged = _mutated(data, chance)
        else:
            flipped = bytearray(data)
            flipped[chance.choice(steering)] ^= 1 << chance.randrange(8)
            damaged = bytes(flipped)
        started = time.monotonic()
        seen.add(refusal(damaged)[0])
        assert time.monotonic() - started < _SLOWEST, number
    assert seen <= {0, 3, 4, 5}
    assert 4 in seen


def _latest() -> bytes:
    """What h5py writes with its newest file format: other headers, heaps and trees."""
    h5py = pytest.importorskip("h5py")
    content = io.BytesIO()
    with h5py.File(content, "w", libver="latest") as file:
        file.attrs["layer_names"] = [f"layer{index}" for index in range(12)]
        for index in range(10):
            file.attrs[f"other{index}"] = "x" * index
        for index in range(12):
            file.create_group(f"layer{index}").attrs["weight_names"] = ["kernel"]
            file[f"layer{index}/kernel"] = [1.0, 2.0]
    return content.getvalue()
