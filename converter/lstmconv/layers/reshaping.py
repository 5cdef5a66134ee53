"""Flatten, Reshape, Permute, RepeatVector, padding, cropping and repeating. None of these layers passes a mask on."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime.nodes import ExpandDims, Pad, Repeat, Reshape, Slice, Transpose

from ..builder import Layer, Tensor
from ..calls import Call
from .compose import expanded
from .shapes import channels_last, shape_of


def flatten(layer: Layer, call: Call) -> Tensor:
    """(B, …) → (B, product of the rest); `channels_first` moves axis 1 to the end before."""
    data_format = layer.config.choice("data_format", ("channels_last", "channels_first", None), "channels_last")
    x = call.one(layer)
    rank, value = len(layer.build.shape(x)), x.value
    if rank == 1:
        return Tensor(layer.add(ExpandDims(name=layer.name_for(), x=value, axis=1)))
    if data_format == "channels_first" and rank > 2:
        value = layer.add(Transpose(name=layer.name_for("last"), x=value, axes=(0, *range(2, rank), 1)))
    return Tensor(layer.add(Reshape(name=layer.name_for(), x=value, shape=(0, -1))))


def reshape(layer: Layer, call: Call) -> Tensor:
    """(B, …) → (B, *target_shape), one −1 taking what is left."""
    target = layer.config.integers("target_shape", least=-1)
    if 0 in target:
        raise layer.unsupported(f"target_shape {list(target)} has an axis of size 0")
    if target.count(-1) > 1:
        raise layer.config.bad("target_shape", "a list of sizes with at most one -1")
    x = call.one(layer)
    return Tensor(layer.add(Reshape(name=layer.name_for(), x=x.value, shape=(0, *target))))


def permute(layer: Layer, call: Call) -> Tensor:
    """The axes after the batch in another order."""
    dims = layer.config.integers("dims")
    if sorted(dims) != list(range(1, len(dims) + 1)):
        raise layer.config.bad("dims", "an order of the axes 1, 2, …")
    x = call.one(layer)
    shape_of(layer, x, len(dims) + 1)
    return Tensor(layer.add(Transpose(name=layer.name_for(), x=x.value, axes=(0, *dims))))


def repeat_vector(layer: Layer, call: Call) -> Tensor:
    """(B, features) → (B, n, features)."""
    count = layer.config.integer("n")
    x = call.one(layer)
    shape_of(layer, x, 2)
    step = expanded(layer, "step", x.value, 1)
    return Tensor(layer.add(Repeat(name=layer.name_for(), x=step, axis=1, count=count)))


def zero_padding(layer: Layer, call: Call) -> Tensor:
    """ZeroPadding1D, ZeroPadding2D."""
    space, config = int(layer.class_name[-2]), layer.config
    channels_last(layer)
    padding = config.raw("padding", 1)
    if space == 1:
        pairs = [_pair(layer, "padding", padding)]
    elif type(padding) is list and len(padding) == 2:
        pairs = [_pair(layer, "padding", item) for item in padding]
    else:
        pairs = [_pair(layer, "padding", padding)] * 2
    x = call.one(layer)
    shape_of(layer, x, space + 2)
    amounts = (0, 0, *(amount for pair in pairs for amount in pair), 0, 0)
    return Tensor(layer.add(Pad(name=layer.name_for(), x=x.value, amounts=amounts)))


def cropping1d(layer: Layer, call: Call) -> Tensor:
    """Without the first and the last steps."""
    before, after = _pair(layer, "cropping", layer.config.raw("cropping", [1, 1]))
    x = call.one(layer)
    shape_of(layer, x, 3)
    return Tensor(layer.add(Slice(name=layer.name_for(), x=x.value, axis=1, start=before, stop=-after or None, step=1)))


def up_sampling1d(layer: Layer, call: Call) -> Tensor:
    """Each step `size` times in a row."""
    size = layer.config.integer("size", 2)
    x = call.one(layer)
    shape_of(layer, x, 3)
    return Tensor(layer.add(Repeat(name=layer.name_for(), x=x.value, axis=1, count=size)))


def _pair(layer: Layer, key: str, value: Any) -> tuple[int, int]:
    """One number for both ends, or a list of two."""
    pair = [value, value] if type(value) is int else value
    if type(pair) is not list or len(pair) != 2 or not all(type(n) is int and 0 <= n <= 2**20 for n in pair):
        raise layer.config.bad(key, "a whole number, or two, of at least 0, for each axis")
    return pair[0], pair[1]
