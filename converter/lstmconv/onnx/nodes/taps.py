"""Convolution, its transpose and means over windows by matrix products, tap by tap.

For float64: the standard has these operators in it, and no engine does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from lstmconv_runtime.format.graph import Array, Shape
from lstmconv_runtime.format.nodes import Pool

from ...errors import UnsupportedError
from ..writer import Size, Tensor, Writer, first_axis_last, last_axis_first
from .padding import Ints, amounts, padded


def convolved(
    w: Writer, x: Tensor, W: Array, space: Shape, strides: Ints, padding: str, dilation: Ints, groups: int
) -> Tensor:
    """y[p] = Σ over taps k of x[p · stride + k · dilation] @ W[k]: in float64 no engine has a convolution.

    x is (B, *space, channels); grouped kernels are written as full ones, with zeros.
    """
    size, axes, inner, filters = W.shape[:-2], len(space), W.shape[-2], W.shape[-1]
    per = filters // groups
    full = np.zeros((*size, inner * groups, filters), W.dtype)
    for group in range(groups):
        rows, columns = slice(group * inner, (group + 1) * inner), slice(group * per, (group + 1) * per)
        full[..., rows, columns] = W[..., columns]
    pads = amounts(space, size, strides, dilation, padding)
    if pads is None:
        to_last, to_first = first_axis_last(axes + 2), last_axis_first(axes + 2)
        x = padded(w, w.transpose(x, to_first), space, size, strides, dilation, w.number(0.0, "float64"))
        x = w.transpose(x, to_last)
    elif any(map(any, pads)):
        x = w("Pad", x, w.ints(0, *(a for a, _ in pads), 0, 0, *(b for _, b in pads), 0))
    y = None
    for tap in product(*map(range, size)):
        part = x
        for axis, (t, k, d, stride) in enumerate(zip(tap, size, dilation, strides, strict=True)):
            behind = (k - 1 - t) * d  # places of x after the last that this tap meets
            part = w.cut(part, 1 + axis, t * d, -behind if behind else None, stride)
        term = w("MatMul", part, w.array(full[tap], "W"))
        y = term if y is None else w("Add", y, term)
    assert y is not None
    return y


def transposed(w: Writer, x: Tensor, W: Array, sizes: Sequence[Size], strides: Ints, dilation: Ints) -> Tensor:
    """z[p] = Σ x[q] @ W[k] over all q · stride + k · dilation = p.

    It is the convolution of x, with zeros between its places and around it, with the kernel from its end.

    Args:
        x: (B, *space, channels), of these sizes.
        W: (*size, channels, filters).
    """
    size, axes = W.shape[:-2], len(strides)
    for axis, stride in enumerate(strides, start=1):
        if stride == 1:
            continue
        rank = axes + 3
        after = [0] * rank
        after[axis + 1] = stride - 1
        x = w("Pad", w.unsqueeze(x, axis + 1), w.ints(*[0] * rank, *after))
        n = sizes[axis]
        longer = n * stride if isinstance(n, int) else w("Mul", n, w.ints(stride))
        later = [w.size(x, place) for place in range(axis + 2, rank)]
        x = w.cut(w.reshape(x, [*[0] * axis, longer, *later]), axis, 0, 1 - stride)
    reach = [(k - 1) * d for k, d in zip(size, dilation, strict=True)]
    x = w("Pad", x, w.ints(0, *reach, 0, 0, *reach, 0))
    turned = W[tuple(slice(None, None, -1) for _ in size)]
    return convolved(w, x, turned, (None,) * axes, (1,) * axes, "valid", dilation, 1)


def means(w: Writer, x: Tensor, channels: Size, space: Shape, node: Pool) -> Tensor:
    """The mean of each window of x (B, *space, channels); padded places do not count."""
    if not isinstance(channels, int):
        raise UnsupportedError(
            f"node '{node.name}' (Pool): a mean in float64 over channels whose number is open", "E_UNSUPPORTED_ONNX"
        )
    ones = (1,) * len(node.size)
    eye = np.broadcast_to(np.eye(channels), (*node.size, channels, channels))
    inside = w("Expand", w.number(1.0, "float64"), w("Shape", x))

    def summed(part: Tensor) -> Tensor:
        return convolved(w, part, eye, space, node.strides, node.padding, ones, 1)

    return w("Div", summed(x), summed(inside))
