"""Numbers as pictures: a scale of colours, and a PNG of it in a data address."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from lstmconv_runtime.format.graph import Array

LEVELS = 255  # of a scale: 0 … 254; the palette's last colour is what is not a number
NOT_A_NUMBER = 255
GREY = (128, 128, 128)

# Anchors of two scales, evenly apart. From dark to light, so that more is lighter, also in grey; and from blue over
# near white to red, so that 0 is pale and its two sides are told apart by people who do not tell red from green.
RISING = ((24, 15, 61), (45, 63, 122), (32, 113, 141), (47, 160, 129), (137, 200, 87), (250, 232, 85))
AROUND_0 = (
    (20, 54, 120),
    (58, 120, 190),
    (158, 200, 228),
    (247, 246, 243),
    (243, 178, 141),
    (205, 84, 68),
    (113, 14, 34),
)


def palette(anchors: Sequence[tuple[int, int, int]]) -> bytes:
    """256 colours (RGB): LEVELS of them from one anchor to the next in straight lines, then GREY."""
    at = np.linspace(0, len(anchors) - 1, LEVELS)
    channels = [np.interp(at, range(len(anchors)), channel) for channel in zip(*anchors, strict=True)]
    colours: bytes = np.rint(np.array(channels).T).astype(np.uint8).tobytes()
    return colours + bytes(GREY)


def levels(values: Array, low: float, high: float) -> Array:
    """Numbers as uint8: low is 0 and high is LEVELS − 1, what is beyond is cut off, and NaN is NOT_A_NUMBER."""
    with np.errstate(all="ignore"):  # NaN, and scales that are too wide for float64
        part = np.clip(values.astype(np.float64), low, high) / 2 - low / 2
        made = np.rint(part / (high / 2 - low / 2) * (LEVELS - 1))
    return np.where(np.isnan(values), NOT_A_NUMBER, np.nan_to_num(made)).astype(np.uint8)


def png(indices: Array, colours: bytes) -> bytes:
    """A PNG (ISO/IEC 15948) of indices into a palette.

    Args:
        indices: uint8 (rows, columns), from top to bottom.
        colours: RGB of each index.
    """
    height, width = indices.shape
    lines = np.zeros((height, width + 1), np.uint8)  # each after the number of its filter, 0: none
    lines[:, 1:] = indices
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits, of a palette
    chunks = ((b"IHDR", header), (b"PLTE", colours), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def data_address(image: bytes) -> str:
    """A PNG as the address of a picture."""
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"
