"""Bilinear up-sampling, written in the small steps there are."""

from __future__ import annotations

from lstmconv_runtime.format.graph import Value
from lstmconv_runtime.format.nodes import Concatenate, Reshape, Slice, Transpose

from ..building import Layer, Tensor
from .compose import elementwise, expanded, scalar
from .shapes import Space, known_size

MOST = 32  # places made of one; each is some nodes of the graph
SWAPPED = (0, 2, 1, 3)  # rows and columns


def bilinear(layer: Layer, x: Value, space: Space, sizes: tuple[int, ...]) -> Value:
    """x, an image, with sizes[0] rows and sizes[1] columns for each of its own.

    A place of the result lies at (place + ½) / size − ½ of x, where x goes in a straight line from place to place, and
    stays as it is before the first and after the last. Columns first, as TensorFlow does.

    Raises:
        UnsupportedError: the sizes are large, or the file comes from a Keras that laid the places out otherwise.
    """
    if not layer.build.semantics.resizes_from_centres:
        raise layer.unsupported("interpolation bilinear of Keras before 2.4, which lays out the places otherwise")
    if max(sizes) > MOST:
        raise layer.unsupported(f"size {list(sizes)} with interpolation bilinear: at most {MOST} is supported")
    value = space.to_last(layer, x)
    channels = known_size(layer, Tensor(value))
    value = _columns(layer, value, sizes[1], channels, "columns")
    turned = layer.add(Transpose(name=layer.name_for("turned"), x=value, axes=SWAPPED))
    turned = _columns(layer, turned, sizes[0], channels, "rows")
    value = layer.add(Transpose(name=layer.name_for(space.result), x=turned, axes=SWAPPED))
    return space.from_last(layer, value)


def _columns(layer: Layer, x: Value, size: int, channels: int, part: str) -> Value:
    """x (B, H, W, channels) → (B, H, W · size, channels)."""
    if size == 1:
        return x
    before = _neighbour(layer, x, part, ahead=False)
    after = _neighbour(layer, x, part, ahead=True)
    columns = []
    for index in range(size):
        way = (index + 0.5) / size - 0.5  # from x to the place after it; where negative, from x back
        start, end, way = (x, after, way) if way >= 0 else (before, x, way + 1)
        column = x if way == 0 else _between(layer, start, end, way, part)
        columns.append(expanded(layer, part, column, 3))
    joined = layer.add(Concatenate(name=layer.name_for(part), args=tuple(columns), axis=3))
    return layer.add(Reshape(name=layer.name_for(part), x=joined, shape=(0, 0, -1, channels)))


def _between(layer: Layer, start: Value, end: Value, way: float, part: str) -> Value:
    """start + (end − start) · way."""
    share = scalar(layer, f"{part}.way", way, layer.build.dtype(start))
    distance = elementwise(layer, part, "subtract", end, start)
    return elementwise(layer, part, "add", start, elementwise(layer, part, "multiply", distance, share))


def _neighbour(layer: Layer, x: Value, part: str, ahead: bool) -> Value:
    """x (B, H, W, C) with the next column in the place of each, or the one before; the outermost stays."""

    def cut(start: int, stop: int | None) -> Value:
        return layer.add(Slice(name=layer.name_for(part), x=x, axis=2, start=start, stop=stop, step=1))

    parts = (cut(1, None), cut(-1, None)) if ahead else (cut(0, 1), cut(0, -1))
    return layer.add(Concatenate(name=layer.name_for(part), args=parts, axis=2))
