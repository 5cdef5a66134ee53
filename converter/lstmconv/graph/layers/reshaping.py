"""Flatten, Reshape, Permute, RepeatVector, padding, cropping and repeating. None of these layers passes a mask on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from lstmconv_runtime.format.nodes import ExpandDims, Pad, Repeat, Reshape, Slice, Transpose

from ..building import Layer, Tensor
from ..call import Call
from ..composition.compose import expanded
from ..composition.interpolation import bilinear
from ..composition.shapes import Space, read_space, shape_of

Setting = TypeVar("Setting")


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
    """ZeroPadding1D, ZeroPadding2D, ZeroPadding3D."""
    x = call.one(layer)
    space = read_space(layer, x)
    amounts = [(0, 0)] * space.rank
    for axis, pair in zip(space.places, _pairs(layer, "padding", 1, space.axes), strict=True):
        amounts[axis] = pair
    flat = tuple(amount for pair in amounts for amount in pair)
    return Tensor(layer.add(Pad(name=layer.name_for(), x=x.value, amounts=flat)))


def cropping(layer: Layer, call: Call) -> Tensor:
    """Cropping1D, Cropping2D, Cropping3D: without the first and the last places of each axis of space."""
    x = call.one(layer)
    space = read_space(layer, x)
    pairs = _pairs(layer, "cropping", 0 if space.axes == 2 else 1, space.axes)
    cuts = _busy(space, pairs, (0, 0))
    value = x.value
    for axis, (before, after) in cuts:
        name = layer.name_for("" if axis == cuts[-1][0] else "cropped")
        value = layer.add(Slice(name=name, x=value, axis=axis, start=before, stop=-after or None, step=1))
        if layer.build.shape(value)[axis] == 0:
            raise layer.config.bad("cropping", f"less than the size of axis {axis}")
    return Tensor(value)


def up_sampling(layer: Layer, call: Call) -> Tensor:
    """UpSampling1D, UpSampling2D, UpSampling3D: each place `size` times in a row, or a line drawn between places."""
    x, config = call.one(layer), layer.config
    space = read_space(layer, x)
    sizes = config.integers("size", 2, length=space.axes)
    if space.axes == 2 and config.choice("interpolation", ("nearest", "bilinear"), "nearest") == "bilinear":
        return Tensor(bilinear(layer, x.value, space, sizes))
    value, repeats = x.value, _busy(space, sizes, 1)
    for axis, size in repeats:
        name = layer.name_for("" if axis == repeats[-1][0] else "repeated")
        value = layer.add(Repeat(name=name, x=value, axis=axis, count=size))
    return Tensor(value)


def _busy(space: Space, settings: Sequence[Setting], idle: Setting) -> list[tuple[int, Setting]]:
    """The axes of space where a setting does something, with it; one that does nothing where none does."""
    every = list(zip(space.places, settings, strict=True))
    return [(axis, setting) for axis, setting in every if setting != idle] or every[-1:]


def _pairs(layer: Layer, key: str, default: int, axes: int) -> list[tuple[int, int]]:
    """What is put before and after each axis of space: one number for all, one number or a pair for each axis; for a
    single axis one number or a pair."""
    value = layer.config.raw(key, default)
    each = value if type(value) is list and axes > 1 else [value] * axes
    if len(each) != axes:
        raise layer.config.bad(key, f"a whole number, or a list of {axes}")
    return [_pair(layer, key, item) for item in each]


def _pair(layer: Layer, key: str, value: Any) -> tuple[int, int]:
    """One number for both ends, or a list of two."""
    pair = [value, value] if type(value) is int else value
    if type(pair) is not list or len(pair) != 2 or not all(type(n) is int and 0 <= n <= 2**20 for n in pair):
        raise layer.config.bad(key, "a whole number, or two, of at least 0, for each axis")
    return pair[0], pair[1]
