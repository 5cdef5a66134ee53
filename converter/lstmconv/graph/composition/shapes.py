"""Ranks, axes and sizes of what a layer is given, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lstmconv_runtime.format.graph import Activation, Shape, Value
from lstmconv_runtime.format.nodes import Transpose

from ..building import Layer, Tensor


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


def is_channels_first(layer: Layer) -> bool:
    """Whether the layer has its channels before its space."""
    formats = ("channels_last", "channels_first", None)
    return layer.config.choice("data_format", formats, "channels_last") == "channels_first"


@dataclass(frozen=True)
class Space:
    """The axes of space of a layer's input, and where its channels are.

    Attributes:
        axes: how many there are.
        first: the channels come before them.
        before: axes before both: the batch; of a ConvLSTM the batch and time.
    """

    axes: int
    first: bool
    before: int = 1

    @property
    def rank(self) -> int:
        return self.before + self.axes + 1

    @property
    def places(self) -> tuple[int, ...]:
        """The axes of space, counted from the front."""
        start = self.before + self.first
        return tuple(range(start, start + self.axes))

    @property
    def channels(self) -> int:
        """The axis of the channels."""
        return self.before if self.first else self.rank - 1

    def to_last(self, layer: Layer, x: Value) -> Value:
        """x with its channels at the end."""
        order = (*range(self.before), *self.places, self.channels)
        return layer.add(Transpose(name=layer.name_for("input"), x=x, axes=order)) if self.first else x

    def to_last_state(self, layer: Layer, state: Value) -> Value:
        """A state, which has no time, with its channels at the end."""
        return Space(self.axes, self.first).to_last(layer, state)

    @property
    def result(self) -> str:
        """The part of the layer that makes what `from_last` takes: the layer itself, where that has nothing to do."""
        return "channels_last" if self.first else ""

    def from_last(self, layer: Layer, y: Value, part: str = "") -> Value:
        """y, made with its channels at the end, with them where the layer has them; y may be without time."""
        if not self.first:
            return y
        rank = len(layer.build.shape(y))
        start = rank - 1 - self.axes
        order = (*range(start), rank - 1, *range(start, rank - 1))
        return layer.add(Transpose(name=layer.name_for(part), x=y, axes=order))

    def activation_at_last(self, activation: Activation) -> Activation:
        """An activation of (B, channels, *space) as one of (B, *space, channels): its axis is another there."""
        constants = dict(activation.constants)
        if not self.first or constants.get("axis") is None:
            return activation
        rank = self.axes + 2
        moved = (0, rank - 1, *range(1, rank - 1))[int(constants["axis"] or 0) % rank]
        return Activation(activation.name, tuple({**constants, "axis": float(moved)}.items()))


def read_space(layer: Layer, x: Tensor, before: int = 1) -> Space:
    """The space of a layer whose class tells by its name how many axes it has.

    Raises:
        UnsupportedError: the input has another rank, or the data_format is none.
    """
    axes = next(int(c) for c in layer.class_name if c.isdigit())
    space = Space(axes, is_channels_first(layer), before)
    shape_of(layer, x, space.rank)
    return space
