"""Arithmetic of sliding windows, shared by convolution, pooling and shape inference.

The rule for ``same`` is TensorFlow's: the output has ceil(n / stride) places, and the padding that this needs is split
in halves, the larger one after.
"""

from __future__ import annotations


def dilated(size: int, dilation: int) -> int:
    """Places a window of `size` taps covers when its taps are `dilation` apart."""
    return (size - 1) * dilation + 1


def padding_amounts(n: int, size: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """Zeros to put before and after an axis of length n for padding ``valid``, ``same`` or ``causal``."""
    if padding == "valid":
        return 0, 0
    reach = dilated(size, dilation)
    if padding == "causal":
        return reach - 1, 0
    total = max((-(-n // stride) - 1) * stride + reach - n, 0)
    return total // 2, total - total // 2


def output_size(n: int | None, size: int, stride: int, dilation: int, padding: str) -> int | None:
    """Number of places a window takes on an axis of length n; negative or 0 where it does not fit."""
    if n is None:
        return None
    if padding in ("same", "causal"):
        return -(-n // stride)
    return -(-(n - dilated(size, dilation) + 1) // stride)


def transposed_size(n: int | None, size: int, stride: int, dilation: int, crop: tuple[int, int]) -> int | None:
    """Number of places a transposed convolution makes of n, without those cropped before and after."""
    if not n:  # unknown, or no places, which make none
        return n
    return (n - 1) * stride + dilated(size, dilation) - sum(crop)
