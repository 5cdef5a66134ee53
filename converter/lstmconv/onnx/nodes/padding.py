"""What is put around the axes of space before a window goes over them."""

from __future__ import annotations

from lstmconv_runtime.format.graph import Shape
from lstmconv_runtime.format.windows import dilated, padding_amounts

from ..writer import Size, Tensor, Writer

Ints = tuple[int, ...]


def amounts(space: Shape, size: Ints, strides: Ints, dilation: Ints, padding: str) -> list[tuple[int, int]] | None:
    """What is put before and after each axis of space; None where it hangs on a size that only the run knows."""
    found = []
    for n_, k, s, d in zip(space, size, strides, dilation, strict=True):
        if n_ is None and padding == "same" and s > 1:
            return None
        found.append(padding_amounts(n_ or 1, k, s, d, padding) if n_ is not None or padding != "same" else _unit(k, d))
    return found


def _unit(size: int, dilation: int) -> tuple[int, int]:
    """Of `same` with stride 1, where the length of the axis plays no part."""
    total = dilated(size, dilation) - 1
    return total // 2, total - total // 2


def padded(w: Writer, x: Tensor, space: Shape, size: Ints, strides: Ints, dilation: Ints, fill: Tensor) -> Tensor:
    """x (B, channels, *space) with what `same` adds, for sizes that only the run knows.

    total = max((⌈n / s⌉ − 1)·s + reach − n, 0), half before (rounded down), the rest after.
    """
    before: list[Size] = [0, 0]
    after: list[Size] = [0, 0]
    for axis, (n_, k, s, d) in enumerate(zip(space, size, strides, dilation, strict=True)):
        if n_ is not None:
            first, last = padding_amounts(n_, k, s, d, "same")
            before.append(first)
            after.append(last)
            continue
        one, stride, places = w.ints(1), w.ints(s), w.size(x, 2 + axis)
        steps = w("Mul", w("Div", w("Sub", places, one), stride), stride)  # (⌈n / s⌉ − 1)·s of n ≥ 1
        total = w("Max", w("Sub", w("Add", steps, w.ints(dilated(k, d))), places), w.ints(0))
        half = w("Div", total, w.ints(2))
        before.append(half)
        after.append(w("Sub", total, half))
    return w("Pad", x, w.shape([*before, *after]), fill)
