"""Convolution, its transpose, and pooling over one to three axes of space, channels last."""

from __future__ import annotations

from functools import reduce
from itertools import product

import numpy as np

from ..errors import InputError
from ..format.graph import Array
from ..format.windows import output_size, padding_amounts, transposed_size


def pad_space(
    x: Array,
    size: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: str,
    value: float = 0.0,
) -> Array:
    """x (B, *space, channels) with `value` put around it as `padding` says."""
    amounts = [
        padding_amounts(n, k, s, d, padding) for n, k, s, d in zip(x.shape[1:-1], size, strides, dilation, strict=True)
    ]
    if not any(before or after for before, after in amounts):
        return x
    return np.pad(x, [(0, 0), *amounts, (0, 0)], constant_values=value)


def _taps(
    x: Array, size: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> list[tuple[tuple[int, ...], Array]]:
    """For each place of the window, the part of x (B, *space, channels) that this tap meets, strided views.

    Raises:
        InputError: the window is wider than x.
    """
    places = [
        output_size(n, k, s, d, "valid") for n, k, s, d in zip(x.shape[1:-1], size, strides, dilation, strict=True)
    ]
    if any(n is not None and n < 1 for n in places):
        raise InputError(f"a window of {size} does not fit an input of {x.shape[1:-1]}", "E_NO_STEPS")
    taps = []
    for tap in product(*(range(k) for k in size)):
        cuts = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, dilation, (n or 0 for n in places), strides, strict=True)
        )
        taps.append((tap, x[(slice(None), *cuts)]))
    return taps


def convolve(
    x: Array, W: Array, strides: tuple[int, ...], padding: str, dilation: tuple[int, ...], groups: int
) -> Array:
    """Cross-correlation of x (B, *space, channels) with W (*kernel, channels / groups, filters): (B, *places, filters).

    y[p] = Σ over taps k of x[p · stride + k · dilation] @ W[k]
    """
    size = W.shape[:-2]
    x = pad_space(x, size, strides, dilation, padding)
    taps = _taps(x, size, strides, dilation)
    terms = (part @ W[tap] if groups == 1 else _grouped_product(part, W[tap], groups) for tap, part in taps)
    y: Array = next(terms)
    for term in terms:
        y += term
    return y


def _grouped_product(x: Array, W: Array, groups: int) -> Array:
    """x (…, channels) times W (channels / groups, filters), filters split evenly over the groups of channels."""
    inner, filters = W.shape
    if inner == 1:  # depthwise: one channel a group, a product place by place
        return np.repeat(x, filters // groups, axis=-1) * W[0]
    xs = x.reshape(*x.shape[:-1], groups, inner)
    Ws = W.reshape(inner, groups, filters // groups)
    return np.asarray(np.einsum("...gi,igo->...go", xs, Ws)).reshape(*x.shape[:-1], filters)


def convolve_transposed(
    x: Array,
    W: Array,
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    crops: tuple[tuple[int, int], ...],
) -> Array:
    """Transposed convolution of x (B, *space, channels) with W (*kernel, channels, filters): (B, *places, filters).

    y[q · stride + k · dilation − before] = Σ over places q and taps k of x[q] @ W[k]

    Raises:
        InputError: nothing is left once it is cropped.
    """
    size, space = W.shape[:-2], x.shape[1:-1]
    places = [transposed_size(*of_axis) or 0 for of_axis in zip(space, size, strides, dilation, crops, strict=True)]
    if min(space) < 1 or min(places) < 1:
        raise InputError(f"a transposed convolution leaves nothing of an input of {space}", "E_NO_STEPS")
    y = np.zeros((x.shape[0], *places, W.shape[-1]), x.dtype)
    for tap in product(*(range(k) for k in size)):
        cuts = [
            _landing(n, t * d - before, s, out)
            for n, t, d, s, (before, _), out in zip(space, tap, dilation, strides, crops, places, strict=True)
        ]
        from_x, into_y = zip(*cuts, strict=True)
        part = x[(slice(None), *from_x)]
        if part.size:
            y[(slice(None), *into_y)] += part @ W[tap]
    return y


def _landing(n: int, offset: int, stride: int, places: int) -> tuple[slice, slice]:
    """The places q < n that land on a place offset + q · stride of 0 … places − 1, and where they land."""
    first = max(0, -(offset // stride)) if offset < 0 else 0
    count = max(0, min(n, -((offset - places) // stride)) - first)
    start = offset + first * stride
    return slice(first, first + count), slice(start, start + (count - 1) * stride + 1 if count else start, stride)


def pool(x: Array, op: str, size: tuple[int, ...], strides: tuple[int, ...], padding: str) -> Array:
    """Maximum or mean over windows of x (B, *space, channels); padded places do not count."""
    ones = (1,) * len(size)
    if op == "max":
        padded = pad_space(x, size, strides, ones, padding, -np.inf)
        first, *others = (part for _, part in _taps(padded, size, strides, ones))
        return reduce(lambda y, part: np.maximum(y, part, out=y), others, first.copy())
    padded = pad_space(x, size, strides, ones, padding)
    parts = [part for _, part in _taps(padded, size, strides, ones)]
    places = pad_space(np.ones((1, *x.shape[1:-1], 1), x.dtype), size, strides, ones, padding)
    counts = sum(part for _, part in _taps(places, size, strides, ones))
    return np.asarray(sum(parts) / counts)
