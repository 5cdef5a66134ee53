"""The nodes with windows over space: convolution, its transpose, pooling. Ours have channels last."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import Array, Node, Shape

from ..graph_writer import GraphWriter
from ..writer import Tensor, Writer, first_axis_last, last_axis_first
from . import taps
from .padding import Ints, amounts, padded


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
        return taps.convolved(w, x, W, space, strides, padding, dilation, groups)
    kernel = w.array(channels_first(W), "W")
    return convolve(w, x, kernel, None, space, W.shape[:-2], strides, padding, dilation, groups)


def conv(w: GraphWriter, node: n.Conv) -> Tensor:
    """act(x ⋆ W + b)."""
    p, rule = w.parameters(node), (node.strides, node.padding, node.dilation, node.groups)
    x, space = w.tensors[node.x], w.shape_of(node.x)[1:-1]
    if w.dtype(node.x) == "float64":
        y = taps.convolved(w, x, p["W"], space, *rule)
        y = w("Add", y, w.array(p["b"], "b")) if node.use_bias else y
    else:
        kernel = w.weight(channels_first(p["W"]), "W", node)
        bias = w.weight(p["b"], "b", node) if node.use_bias else None
        y = convolve(w, x, kernel, bias, space, node.kernel_size, *rule)
    return w.act(y, node.activation, node)


def conv_transpose(w: GraphWriter, node: n.ConvTranspose) -> Tensor:
    """act(transposed x ⋆ W + b); where places follow what is made, they hold b alone."""
    p, axes = w.parameters(node), len(node.kernel_size)
    rank, x = 2 + axes, w.tensors[node.x]
    more = [max(-after, 0) for _, after in node.crops()]
    if w.dtype(node.x) == "float64":
        sizes = [w.size_of(node.x, axis) for axis in range(rank)]
        y = taps.transposed(w, x, p["W"], sizes, node.strides, node.dilation)
        for axis, (before, after) in enumerate(node.crops()):
            if before or after > 0:
                y = w.cut(y, 1 + axis, before, -after if after > 0 else None)
    else:
        kernel = w.weight(p["W"].transpose(rank - 2, rank - 1, *range(axes)), "W", node)
        crops = [(before, max(after, 0)) for before, after in node.crops()]
        y = w(
            "ConvTranspose", w.transpose(x, last_axis_first(rank)), kernel, kernel_shape=list(node.kernel_size),
            strides=list(node.strides), dilations=list(node.dilation), pads=_pads(crops),
        )  # fmt: skip
        y = w.transpose(y, first_axis_last(rank))
    if any(more):
        y = w("Pad", y, w.ints(*[0] * (rank + 1), *more, 0))
    y = w("Add", y, w.weight(p["b"], "b", node)) if node.use_bias else y
    return w.act(y, node.activation, node)


def pool(w: GraphWriter, node: n.Pool) -> Tensor:
    """The maximum or mean of each window; padded places do not count."""
    rank, space, dtype = 2 + len(node.size), w.shape_of(node.x)[1:-1], w.dtype(node.x)
    ones = (1,) * len(node.size)
    if dtype == "float64" and node.op == "mean":
        return taps.means(w, w.tensors[node.x], w.size_of(node.x, rank - 1), space, node)
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


WINDOWS: dict[type[Node], Callable[..., Tensor]] = {
    n.Conv: conv,
    n.ConvTranspose: conv_transpose,
    n.Pool: pool,
}
