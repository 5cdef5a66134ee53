"""Ranks, axes and sizes of what a layer is given, checked."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime.graph import Shape

from ..builder import Layer, Tensor


def shape_of(layer: Layer, x: Tensor, rank: int) -> Shape:
    """The shape of an input that must have this rank, batch included.

    Raises:
        UnsupportedError: it has another.
    """
    shape = layer.build.shape(x)
    if len(shape) != rank:
        raise layer.unsupported(f"an input of rank {len(shape)}; only rank {rank} is supported")
    return shape


def known_size(layer: Layer, x: Tensor, axis: int = -1) -> int:
    """The size of one axis, which the config must tell."""
    shape = layer.build.shape(x)
    size = shape[axis] if -len(shape) <= axis < len(shape) else None
    if size is None:
        raise layer.unsupported(f"the size of axis {axis} of its input {shape} is not known", "E_UNSUPPORTED_STRUCTURE")
    return size


def place(layer: Layer, key: str, axis: Any, rank: int) -> int:
    """An axis counted from the front.

    Raises:
        InvalidFileError: no such axis.
        UnsupportedError: the batch.
    """
    if type(axis) is not int or not -rank <= axis < rank:
        raise layer.config.bad(key, f"an axis of an input of rank {rank}")
    if axis % rank == 0:
        raise layer.unsupported(f"{key} {axis}, the batch: it would mix the rows")
    return axis % rank


def places(layer: Layer, key: str, default: int, rank: int) -> tuple[int, ...]:
    """An axis or a list of axes, counted from the front, ascending."""
    value = layer.config.raw(key, default)
    given = value if type(value) is list else [value]
    axes = sorted(place(layer, key, axis, rank) for axis in given)
    if not axes or len(set(axes)) != len(axes):
        raise layer.config.bad(key, "a list of different axes")
    return tuple(axes)


def channels_last(layer: Layer) -> None:
    """Refuses a layer with its channels before its space."""
    layer.config.only("data_format", "channels_last", None)
