"""Pictures of numbers, read back by what the PNG specification says."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from lstmconv.report.raster import AROUND_0, LEVELS, NOT_A_NUMBER, RISING, levels, palette, png


def read_png(image: bytes) -> tuple[Any, bytes]:
    """Indices and palette."""
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(image):
        (size,), kind = struct.unpack(">I", image[at : at + 4]), image[at + 4 : at + 8]
        body = image[at + 8 : at + 8 + size]
        assert struct.unpack(">I", image[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + size
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height, *kind_of_it = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert kind_of_it == [8, 3, 0, 0, 0]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:], chunks[b"PLTE"]


def test_a_picture_reads_back() -> None:
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4)
    read, colours = read_png(png(indices, palette(RISING)))
    np.testing.assert_array_equal(read, indices)
    assert colours == palette(RISING)


def test_levels() -> None:
    values = np.array([0.0, 0.5, 1.0, -3.0, np.inf, -np.inf, np.nan])
    assert levels(values, 0.0, 1.0).tolist() == [0, 127, LEVELS - 1, 0, LEVELS - 1, 0, NOT_A_NUMBER]
    assert levels(np.array([-2.0, 0.0, 2.0]), -2.0, 2.0).tolist() == [0, 127, 254]


def test_more_is_lighter_and_0_is_pale() -> None:
    def light(colours: bytes) -> Any:
        return np.frombuffer(colours, np.uint8).reshape(256, 3)[:LEVELS] @ np.array([0.2126, 0.7152, 0.0722])

    assert (np.diff(light(palette(RISING))[::4]) > 0).all()
    assert light(palette(AROUND_0)).argmax() == LEVELS // 2
