"""The nodes with windows over space: convolution, its transpose, pooling. Ours are channels last, those of ONNX first."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import inf

import numpy as np
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import Array, Shape
from lstmconv_runtime.format.windows import dilated, padding_amounts

from .graph_writer import GraphWriter
from .writer import Size, Tensor, Writer, first_axis_last, last_axis_first

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


def convolve(
    w: Writer,
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    space: Shape,
    size: Ints,
    strides: Ints,
    padding: str,
    dilation: Ints,
    groups: int,
) -> Tensor:
    """Cross-correlation of x (B, *space, channels) with a kernel (filters, channels / groups, *size): channels last."""
    rank = 2 + len(size)
    x = w.transpose(x, last_axis_first(rank))
    pads = amounts(space, size, strides, dilation, padding)
    if pads is None:
        x = padded(w, x, space, size, strides, dilation, w.number(0.0, "float32"))
        pads = [(0, 0)] * len(size)
    y = w(
        "Conv", x, kernel, *([] if bias is None else [bias]), kernel_shape=list(size), strides=list(strides),
        dilations=list(dilation), group=groups, pads=_pads(pads),
    )  # fmt: skip
    return w.transpose(y, first_axis_last(rank))


def _pads(pads: list[tuple[int, int]]) -> list[int]:
    return [before for before, _ in pads] + [after for _, after in pads]


def channels_first(W: Array) -> Array:
    """(*size, channels, filters) → (filters, channels, *size)."""
    return W.transpose(W.ndim - 1, W.ndim - 2, *range(W.ndim - 2))


def convolution(
    w: Writer,
    x: Tensor,
    W: Array,
    space: Shape,
    strides: Ints,
    padding: str,
    dilation: Ints,
    groups: int,
    dtype: str,
) -> Tensor:
    """Cross-correlation of x (B, *space, channels) with W (*size, channels / groups, filters): channels last."""
    if dtype == "float64":
        return _by_taps(w, x, W, space, strides, padding, dilation, groups)
    kernel = w.array(channels_first(W), "W")
    return convolve(w, x, kernel, None, space, W.shape[:-2], strides, padding, dilation, groups)


def conv(w: GraphWriter, node: n.Conv) -> Tensor:
    """act(x ⋆ W + b)."""
    p, rule = w.parameters(node), (node.strides, node.padding, node.dilation, node.groups)
    x, space = w.tensors[node.x], w.shape_of(node.x)[1:-1]
    if w.dtype(node.x) == "float64":
        y = _by_taps(w, x, p["W"], space, *rule)
        y = w("Add", y, w.array(p["b"], "b")) if node.use_bias else y
    else:
        kernel = w.weight(node, channels_first(p["W"]), "W")
        bias = w.weight(node, p["b"], "b") if node.use_bias else None
        y = convolve(w, x, kernel, bias, space, node.kernel_size, *rule)
    return w.act(y, node.activation, node)


def _by_taps(
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


def conv_transpose(w: GraphWriter, node: n.ConvTranspose) -> Tensor:
    """act(transposed x ⋆ W + b); where places follow what is made, they hold b alone."""
    p, rank = w.parameters(node), 2 + len(node.kernel_size)
    x = w.transpose(w.tensors[node.x], last_axis_first(rank))
    kernel = w.weight(node, p["W"].transpose(rank - 2, rank - 1, *range(rank - 2)), "W")
    crops = [(before, max(after, 0)) for before, after in node.crops()]
    y = w(
        "ConvTranspose", x, kernel, kernel_shape=list(node.kernel_size), strides=list(node.strides),
        dilations=list(node.dilation), pads=_pads(crops),
    )  # fmt: skip
    more = [max(-after, 0) for _, after in node.crops()]
    if any(more):
        y = w("Pad", y, w.ints(*[0] * rank, 0, 0, *more))
    y = w.transpose(y, first_axis_last(rank))
    y = w("Add", y, w.weight(node, p["b"], "b")) if node.use_bias else y
    return w.act(y, node.activation, node)


def pool(w: GraphWriter, node: n.Pool) -> Tensor:
    """The maximum or mean of each window; padded places do not count."""
    rank, space, dtype = 2 + len(node.size), w.shape_of(node.x)[1:-1], w.dtype(node.x)
    ones = (1,) * len(node.size)
    x = w.transpose(w.tensors[node.x], last_axis_first(rank))
    pads = amounts(space, node.size, node.strides, ones, node.padding)
    outside = None
    if pads is None and node.op == "mean":  # how much of each window lies inside
        shape = w("Shape", x)
        inside = w("Expand", w.number(1.0, dtype), shape)
        outside = padded(w, inside, space, node.size, node.strides, ones, w.number(0.0, dtype))
    if pads is None:
        fill = -inf if node.op == "max" else 0.0
        x = padded(w, x, space, node.size, node.strides, ones, w.number(fill, dtype))
        pads = [(0, 0)] * len(node.size)

    def pooled(op: str, part: Tensor, **more: int) -> Tensor:
        return w(op, part, kernel_shape=list(node.size), strides=list(node.strides), pads=_pads(pads), **more)

    if node.op == "max":
        y = pooled("MaxPool", x)
    elif outside is None:
        y = pooled("AveragePool", x, count_include_pad=0)
    else:
        y = w("Div", pooled("AveragePool", x), pooled("AveragePool", outside))
    return w.transpose(y, first_axis_last(rank))


WINDOWS: dict[type[n.Node], Callable[..., Tensor]] = {
    n.Conv: conv,
    n.ConvTranspose: conv_transpose,
    n.Pool: pool,
}
