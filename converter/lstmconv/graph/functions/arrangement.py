"""Functions of keras.ops that arrange the numbers of an array anew: split, tile, pad, take, moveaxis."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import FLOATS, Value
from lstmconv_runtime.format.nodes import Concatenate, Pad, Repeat, Reshape, Slice, Squeeze, Transpose
from lstmconv_runtime.format.operation_nodes import Take

from ..building import Layer, StoredArray, Tensor
from ..call import Call, Handler
from ..composition.compose import elementwise, where
from .arguments import argument, inner_axis, operand, rank_of, result, tensor_argument

MOST_COPIES = 1024  # of what tile puts one after the other


def split(layer: Layer, call: Call) -> list[Tensor]:
    """Equal parts, or the parts between the places given."""
    x = tensor_argument(layer, call, 0, "x")
    axis = inner_axis(layer, argument(layer, call, 2, "axis", 0), rank_of(layer, x))
    size = layer.build.shape(x)[axis]
    if size is None:
        raise layer.unsupported(f"it splits axis {axis}, whose size is open")
    parts = argument(layer, call, 1, "indices_or_sections")
    if type(parts) is int and parts > 0 and size % parts == 0:
        inner = [size // parts * part for part in range(1, parts)]
    elif type(parts) is list and all(type(at) is int for at in parts):
        inner = parts
    else:
        raise layer.unsupported(f"parts {parts} of an axis of {size}")
    bounds = [0, *inner, size]
    if sorted(bounds) != bounds:
        raise layer.unsupported(f"parts {parts} of an axis of {size}")
    return [
        result(layer, layer.add(Slice(name=layer.name_for(), x=x.value, axis=axis, start=start, stop=stop, step=1)))
        for start, stop in pairwise(bounds)
    ]


def tile(layer: Layer, call: Call) -> Tensor:
    """Each axis `repeats` times, one copy after the other."""
    x = tensor_argument(layer, call, 0, "x")
    repeats, rank = argument(layer, call, 1, "repeats"), rank_of(layer, x)
    counts = repeats if type(repeats) is list else [repeats]
    if not all(type(count) is int and 1 <= count <= MOST_COPIES for count in counts):
        raise layer.unsupported(f"repeats {repeats}: only whole numbers from 1 to {MOST_COPIES} are")
    counts = [1] * (rank - len(counts)) + counts
    if len(counts) > rank or counts[0] != 1:
        raise layer.unsupported(f"repeats {repeats} of an array of rank {rank}: it would change the batch")
    value = x.value
    for axis, count in enumerate(counts):
        if count > 1 and layer.build.shape(value)[axis] == 1:
            value = layer.add(Repeat(name=layer.name_for(), x=value, axis=axis, count=count))
        elif count > 1:
            value = layer.add(Concatenate(name=layer.name_for(), args=(value,) * count, axis=axis))
    return result(layer, value)


def pad(layer: Layer, call: Call) -> Tensor:
    """Zeros, another number, or the array mirrored, before and after each axis."""
    x = tensor_argument(layer, call, 0, "x")
    widths, mode = argument(layer, call, 1, "pad_width"), argument(layer, call, 2, "mode", "constant")
    rank = rank_of(layer, x)
    if type(widths) is not list or not all(_is_width(width) for width in widths):
        raise layer.unsupported(f"pad_width {widths}: only two whole numbers for each axis are")
    widths = [width if len(width) == 2 else width * 2 for width in widths]
    if len(widths) != rank or widths[0] != [0, 0]:
        raise layer.unsupported(f"pad_width {widths} of an array of rank {rank}: the batch cannot be padded")
    number = argument(layer, call, 3, "constant_values")
    if mode in ("reflect", "symmetric") and number is None:
        return result(layer, _mirrored(layer, x.value, widths, mode))
    if mode != "constant":
        raise layer.unsupported(f"mode {mode}")
    amounts = tuple(amount for width in widths for amount in width)
    filled = number is not None and not (type(number) in (int, float) and number == 0)
    padded = layer.add(Pad(name=layer.name_for("zeros" if filled else ""), x=x.value, amounts=amounts))
    if not filled:
        return result(layer, padded)
    dtype = layer.build.dtype(x)
    if dtype not in FLOATS and type(number) is not int:
        raise layer.unsupported(f"constant_values {number} in an array of {dtype}")
    truth = [elementwise(layer, op, op, x.value, x.value) for op in ("equal", "not_equal")]
    inside = elementwise(layer, "inside", "logical_or", *truth)
    inside = layer.add(Pad(name=layer.name_for("inside"), x=inside, amounts=amounts))
    return result(layer, where(layer, "", inside, padded, operand(layer, number, dtype)))


def _is_width(width: Any) -> bool:
    return type(width) is list and len(width) in (1, 2) and all(type(n) is int and 0 <= n <= 2**20 for n in width)


def _mirrored(layer: Layer, value: Value, widths: list[list[int]], mode: str) -> Value:
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        size = layer.build.shape(value)[axis]
        if size is None or max(before, after) > size - (mode == "reflect"):
            raise layer.unsupported(f"mode {mode}: {before} and {after} places beside an axis of {size}")
        places = np.pad(np.arange(size), (before, after), mode=mode)  # type: ignore[call-overload]
        indices = tuple(int(place) for place in places)
        value = layer.add(Take(name=layer.name_for(), x=value, axis=axis, indices=indices))
    return value


def take(layer: Layer, call: Call) -> Tensor:
    """Places of one axis, which whole numbers in the config name; a list of lists makes several axes of one."""
    x = tensor_argument(layer, call, 0, "x")
    given = argument(layer, call, 1, "indices")
    axis = inner_axis(layer, argument(layer, call, 2, "axis"), rank_of(layer, x))
    indices = _whole_numbers(layer, given)
    size = layer.build.shape(x)[axis]
    if size is not None and indices.size and not (-size <= indices.min() and indices.max() < size):
        raise layer.unsupported(f"indices beyond an axis of {size}")
    if indices.ndim == 0:
        start = int(indices)
        stop = None if start == -1 else start + 1
        step = layer.add(Slice(name=layer.name_for("place"), x=x.value, axis=axis, start=start, stop=stop, step=1))
        return result(layer, layer.add(Squeeze(name=layer.name_for(), x=step, axis=axis)))
    flat = tuple(int(index) for index in indices.flat)
    part = "" if indices.ndim == 1 else "places"
    made = layer.add(Take(name=layer.name_for(part), x=x.value, axis=axis, indices=flat))
    if indices.ndim == 1:
        return result(layer, made)
    after = layer.build.shape(made)[axis + 1 :]
    if None in after:
        raise layer.unsupported("a list of lists, before an axis whose size is open")
    shape = (*(0,) * axis, *indices.shape, *(n for n in after if n is not None))
    return result(layer, layer.add(Reshape(name=layer.name_for(), x=made, shape=shape)))


def _whole_numbers(layer: Layer, given: Any) -> Any:
    """The indices as an array of int64."""
    if isinstance(given, StoredArray):
        given = given.value
    try:
        array = np.array(given)
    except (TypeError, ValueError, OverflowError):
        array = np.array(None)
    if isinstance(given, Tensor) or array.dtype.kind not in "iu" or array.size > 2**16:
        raise layer.unsupported("indices that are not whole numbers in the config")
    return array.astype(np.int64)


def unstack(layer: Layer, call: Call) -> list[Tensor]:
    """The places of an axis, each without it."""
    x = tensor_argument(layer, call, 0, "x")
    axis = inner_axis(layer, argument(layer, call, 2, "axis", 0), rank_of(layer, x))
    size, count = layer.build.shape(x)[axis], argument(layer, call, 1, "num")
    if size is None or count not in (None, size) or size > MOST_COPIES:
        raise layer.unsupported(f"num {count} of an axis of {size}")
    steps = [
        layer.add(Slice(name=layer.name_for("place"), x=x.value, axis=axis, start=place, stop=place + 1, step=1))
        for place in range(size)
    ]
    return [result(layer, layer.add(Squeeze(name=layer.name_for(), x=step, axis=axis))) for step in steps]


def moveaxis(layer: Layer, call: Call) -> Tensor:
    """The axes `source` at the places `destination`; the others keep their order."""
    x = tensor_argument(layer, call, 0, "x")
    rank = rank_of(layer, x)
    ends = []
    for position, name in ((1, "source"), (2, "destination")):
        given = argument(layer, call, position, name)
        listed = given if type(given) is list else [given]
        ends.append([inner_axis(layer, axis, rank) for axis in listed])
    source, destination = ends
    if len(source) != len(destination) or len(set(source)) < len(source) or len(set(destination)) < len(source):
        raise layer.unsupported(f"it moves the axes {source} to {destination}")
    if source == destination:
        return x  # the same tensor in Keras too, with its mask
    order = [axis for axis in range(rank) if axis not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        order.insert(place, axis)
    return result(layer, layer.add(Transpose(name=layer.name_for(), x=x.value, axes=tuple(order))))


OPERATIONS: dict[tuple[str, str], Handler] = {
    ("numpy", "Split"): split,
    ("core", "Unstack"): unstack,
    ("numpy", "Tile"): tile,
    ("numpy", "Pad"): pad,
    ("numpy", "Take"): take,
    ("numpy", "Moveaxis"): moveaxis,
}
