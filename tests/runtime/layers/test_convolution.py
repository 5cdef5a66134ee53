"""Convolution and its transpose against their definitions, summed place by place in float64."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lstmconv_runtime import InputError
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import LINEAR, GraphError, Type
from lstmconv_runtime.layers.convolution import convolve, convolve_transposed, pool


def plain_transpose(x: Any, W: Any, strides: Any, dilation: Any, crops: Any) -> Any:
    """z[q · stride + k · dilation] += x[q] @ W[k], then cropped, as FORMAT.md defines it."""
    space, size = x.shape[1:-1], W.shape[:-2]
    full = [(a - 1) * s + (k - 1) * d + 1 for a, k, s, d in zip(space, size, strides, dilation, strict=True)]
    z = np.zeros((len(x), *full, W.shape[-1]))
    for q in product(*map(range, space)):
        for k in product(*map(range, size)):
            p = tuple(a * s + b * d for a, b, s, d in zip(q, k, strides, dilation, strict=True))
            z[(slice(None), *p)] += x[(slice(None), *q)] @ W[k]
    for axis, (before, after) in enumerate(crops, 1):
        z = np.pad(z, [(0, max(-after, 0) if a == axis else 0) for a in range(z.ndim)])
        z = z[(slice(None),) * axis + (slice(before, z.shape[axis] - max(after, 0)),)]
    return z


@given(
    axes=st.lists(
        st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3),
                  st.integers(-3, 3)),
        min_size=1, max_size=3,
    ),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_a_transposed_convolution_is_what_the_format_says(axes: list[tuple[int, ...]], seed: int) -> None:
    space, size, strides, dilation, before, after = (tuple(column) for column in zip(*axes, strict=True))
    random, crops = np.random.default_rng(seed), tuple(zip(before, after, strict=True))
    x, W = random.standard_normal((2, *space, 3)), random.standard_normal((*size, 3, 2))
    node = n.ConvTranspose(
        name="y", x="x", weights="", channels=3, filters=2, kernel_size=size, strides=strides, dilation=dilation,
        cropping=tuple(amount for pair in crops for amount in pair), use_bias=False, activation=LINEAR,
    )  # fmt: skip
    try:
        (made,) = node.infer({"x": Type((None, *space, 3), "float64")})
    except GraphError:
        with pytest.raises(InputError):
            convolve_transposed(x, W, strides, dilation, crops)
        return
    y = convolve_transposed(x, W, strides, dilation, crops)
    assert made.shape == (None, *y.shape[1:])
    np.testing.assert_allclose(y, plain_transpose(x, W, strides, dilation, crops), rtol=0, atol=1e-12)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_convolution_over_three_axes_is_its_definition(padding: str) -> None:
    random = np.random.default_rng(0)
    x, W = random.standard_normal((2, 4, 5, 6, 4)), random.standard_normal((2, 3, 2, 2, 6))
    strides, dilation = (2, 1, 3), (1, 2, 1)
    y = convolve(x, W, strides, padding, dilation, 2)
    if padding == "same":  # (n, stride, reach): (4, 2, 2), (5, 1, 5), (6, 3, 2) → 0 + 0, 2 + 2, 0 + 0
        x = np.pad(x, ((0, 0), (0, 0), (2, 2), (0, 0), (0, 0)))
    for p in product(*map(range, y.shape[1:4])):
        expected = np.zeros((2, 6))
        for k in product(range(2), range(3), range(2)):
            place = x[:, p[0] * 2 + k[0], p[1] + k[1] * 2, p[2] * 3 + k[2]]
            for group in range(2):
                part = W[k][:, 3 * group : 3 * group + 3]
                expected[:, 3 * group : 3 * group + 3] += place[:, 2 * group : 2 * group + 2] @ part
        np.testing.assert_allclose(y[:, p[0], p[1], p[2]], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("op", ["max", "mean"])
def test_pooling_does_not_write_into_its_input(op: str) -> None:
    x = np.random.default_rng(0).standard_normal((1, 4, 3, 2, 2))
    before = x.copy()
    y = pool(x, op, (1, 1, 1), (1, 1, 1), "valid")
    y[...] = 0
    pool(x, op, (2, 2, 2), (1, 1, 1), "valid")[...] = 0
    np.testing.assert_array_equal(x, before)


def test_windows_over_three_axes_and_transposed_ones_came_with_format_1_1() -> None:
    def conv(*size: int) -> n.Conv:
        ones = (1,) * len(size)
        return n.Conv(
            name="y", x="x", weights="", channels=1, filters=1, kernel_size=size, strides=ones, padding="same",
            dilation=ones, groups=1, use_bias=False, activation=LINEAR,
        )  # fmt: skip

    def pooled(*size: int) -> n.Pool:
        return n.Pool(name="y", x="x", op="max", size=size, strides=size, padding="same")

    assert [conv(2).since(), conv(2, 2).since(), conv(2, 2, 2).since()] == [(1, 0), (1, 0), (1, 1)]
    assert [pooled(2).since(), pooled(2, 2).since(), pooled(2, 2, 2).since()] == [(1, 0), (1, 0), (1, 1)]
    with pytest.raises(GraphError, match="4 axes"):
        conv(2, 2, 2, 2).infer({"x": Type((None, 4, 4, 4, 4, 1), "float32")})
