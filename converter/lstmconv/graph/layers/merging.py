"""Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot."""

from __future__ import annotations

from functools import reduce

from lstmconv_runtime.format.graph import FLOATS, Value
from lstmconv_runtime.format.nodes import (
    Concatenate,
    Elementwise,
    ExpandDims,
    MatMul,
    Reduce,
    Reshape,
    Squeeze,
    Transpose,
    Where,
)

from ...errors import InvalidFileError
from ..building import Layer, Tensor
from ..call import Call
from ..composition.compose import as_added, of_unit_length, quotient_dtype

OPS = {
    "Add": "add",
    "Subtract": "subtract",
    "Multiply": "multiply",
    "Average": "add",
    "Maximum": "maximum",
    "Minimum": "minimum",
}


def pairwise(layer: Layer, op: str, values: list[Value], part: str = "") -> Value:
    """op over the values from left to right; the result takes the layer's name."""

    def join(a: Value, b: Value) -> Value:
        joined.append(b)
        a, b = promoted(layer, [a, b])
        if op == "add":
            b = as_added(layer, a, b)
        name = layer.name_for(part if len(joined) == len(values) - 1 else f"{part}.{op}".lstrip("."))
        return layer.add(Elementwise(name=name, op=op, args=(a, b)))

    joined: list[Value] = []
    return reduce(join, values)


def promoted(layer: Layer, values: list[Value]) -> list[Value]:
    """Values of several dtypes in the one Keras computes in: whole numbers follow the floats."""
    dtypes = {layer.build.dtype(value) for value in values}
    floats = dtypes.intersection(FLOATS)
    if len(dtypes) == 1 or len(floats) != 1 or "bool" in dtypes:
        return values  # where they still differ, the node they go to refuses them
    (dtype,) = floats
    return [layer.build.cast(layer.where, value, dtype) for value in values]


def merge(layer: Layer, call: Call) -> Tensor:
    """The merge layers that act place by place; lower ranks get axes of size 1 after the batch."""
    tensors = call.many(layer)
    if layer.class_name == "Subtract" and len(tensors) != 2:
        raise InvalidFileError(f"{layer.where}: takes exactly 2 inputs, got {len(tensors)}", "E_GRAPH")
    rank = max(len(layer.build.shape(tensor)) for tensor in tensors)
    values = []
    for tensor in tensors:
        value = tensor.value
        if value in layer.build.fixed and not layer.build.shape(value):
            raise layer.unsupported("a number in the place of a tensor")
        for _ in range(rank - len(layer.build.shape(value))):
            value = layer.add(ExpandDims(name=layer.name_for("expanded"), x=value, axis=1))
        values.append(value)
    looks_at_masks = layer.class_name in ("Multiply", "Maximum", "Minimum")
    if looks_at_masks and any(tensor.mask for tensor in tensors) and layer.build.semantics.merge_mask == "any":
        if rank != 3:
            raise layer.unsupported(f"masked inputs of rank {rank}")
        masks, values = [tensor.mask for tensor in tensors], promoted(layer, values)
        return (
            _multiply_masked(layer, values, masks) if layer.class_name == "Multiply" else _choose(layer, values, masks)
        )
    average = layer.class_name == "Average"
    value = pairwise(layer, OPS[layer.class_name], values, "sum" if average else "")
    if average:
        dtype = quotient_dtype(layer.build.dtype(value))
        value = layer.build.cast(layer.where, value, dtype)
        count = layer.build.constant(layer.where, f"{layer.name}.count", len(values), dtype)
        value = layer.add(Elementwise(name=layer.name_for(), op="divide", args=(value, count)))
    return Tensor(value, merged_mask(layer, tensors))


def _multiply_masked(layer: Layer, values: list[Value], masks: list[Value | None]) -> Tensor:
    """Multiply since Keras 3.4: a masked step counts as 1; 0 where every input is masked."""
    one = layer.build.constant(layer.where, f"{layer.name}.one", 1, layer.dtype)
    factors = [x if mask is None else where_valid(layer, mask, x, one) for x, mask in zip(values, masks, strict=True)]
    present = [mask for mask in masks if mask is not None]
    if len(present) < len(masks):
        return Tensor(pairwise(layer, "multiply", factors))
    mask = pairwise(layer, "logical_or", present, "mask")
    zero = layer.build.constant(layer.where, f"{layer.name}.zero", 0, layer.dtype)
    product = pairwise(layer, "multiply", factors, "product")
    return Tensor(where_valid(layer, mask, product, zero, part=""), mask)


def _choose(layer: Layer, values: list[Value], masks: list[Value | None]) -> Tensor:
    """Maximum and Minimum since Keras 3.4: a masked step takes no part; the output is masked where all inputs are."""
    op = OPS[layer.class_name]
    output, output_mask = values[0], masks[0]
    for index, (x, mask) in enumerate(zip(values[1:], masks[1:], strict=True)):
        if mask is not None:
            x = where_valid(layer, mask, x, output)
        if output_mask is not None:
            output = where_valid(layer, output_mask, output, x)
        both = mask is not None and output_mask is not None
        output_mask = pairwise(layer, "logical_or", [output_mask, mask], "mask") if both else None  # type: ignore[list-item]
        name = layer.name_for("" if index == len(values) - 2 else op)
        output = layer.add(Elementwise(name=name, op=op, args=(output, x)))
    return Tensor(output, output_mask)


def where_valid(layer: Layer, mask: Value, a: Value, b: Value, part: str = "valid") -> Value:
    """a at the steps of a mask (B, T), b elsewhere; a, b (B, T, features)."""
    condition = layer.add(ExpandDims(name=layer.name_for("expanded_mask"), x=mask, axis=2))
    return layer.add(Where(name=layer.name_for(part), condition=condition, a=a, b=b))


def merged_mask(layer: Layer, tensors: list[Tensor]) -> Value | None:
    """The mask of an elementwise merge: any, if all inputs have one; before Keras 3.4, all of those there are."""
    masks = [tensor.mask for tensor in tensors if tensor.mask is not None]
    strict = layer.build.semantics.merge_mask == "all"
    if not masks or (len(masks) < len(tensors) and not strict):
        return None
    return pairwise(layer, "logical_and" if strict else "logical_or", masks, "mask")


def concatenate(layer: Layer, call: Call) -> Tensor:
    """The inputs one after the other along `axis`."""
    tensors = call.many(layer)
    rank = len(layer.build.shape(tensors[0]))
    axis = layer.config.raw("axis", -1)
    if type(axis) is not int or not -rank <= axis < rank or axis % rank == 0:
        raise layer.unsupported(f"axis {axis} of arrays of rank {rank}")
    axis %= rank
    mask = _concatenated_mask(layer, tensors, axis, rank)
    args = tuple(promoted(layer, [tensor.value for tensor in tensors]))
    node = Concatenate(name=layer.name_for(), args=args, axis=axis)
    return Tensor(layer.add(node), mask)


def _concatenated_mask(layer: Layer, tensors: list[Tensor], axis: int, rank: int) -> Value | None:
    """Concatenate.compute_mask: along time the masks one after the other; along features any of them (before Keras 3.4,
    all), where an input without a mask counts as all true."""
    masks = [tensor.mask for tensor in tensors]
    if all(mask is None for mask in masks):
        return None
    if rank != 3:
        raise layer.unsupported(f"masked inputs of rank {rank}")
    if axis == 2:
        present = [mask for mask in masks if mask is not None]
        if layer.build.semantics.merge_mask == "all":
            return pairwise(layer, "logical_and", present, "mask")
        return pairwise(layer, "logical_or", present, "mask") if len(present) == len(masks) else None
    filled = tuple(tensor.mask or all_true(layer, tensor.value) for tensor in tensors)
    return layer.add(Concatenate(name=layer.name_for("mask"), args=filled, axis=1))


def all_true(layer: Layer, x: Value) -> Value:
    """A mask (B, T) that is true everywhere, for x (B, T, features): equal or not equal to itself."""
    same = [layer.add(Elementwise(name=layer.name_for(op), op=op, args=(x, x))) for op in ("equal", "not_equal")]
    always = pairwise(layer, "logical_or", same, "always")
    return layer.add(Reduce(name=layer.name_for("always"), x=always, op="any", axes=(2,), keepdims=False))


def dot(layer: Layer, call: Call) -> Tensor:
    """Dot: the contraction of one axis of each input, batch by batch."""
    tensors = call.many(layer)
    if len(tensors) != 2:
        raise InvalidFileError(f"{layer.where}: takes exactly 2 inputs, got {len(tensors)}", "E_GRAPH")
    x, y = promoted(layer, [tensor.value for tensor in tensors])
    ranks = [len(layer.build.shape(value)) for value in (x, y)]
    axes = layer.config.raw("axes")
    axes = [axes, axes] if type(axes) is int else axes
    if type(axes) is not list or len(axes) != 2 or not all(type(a) is int for a in axes):
        raise layer.config.bad("axes", "one axis, or one for each input")
    axes = [axis % rank for axis, rank in zip(axes, ranks, strict=True)]
    if 0 in axes or not all(2 <= rank <= 3 for rank in ranks):
        raise layer.unsupported(f"axes {axes} of arrays of rank {ranks[0]} and {ranks[1]}")
    if layer.config.flag("normalize", False):
        limit = 1e7 if layer.build.semantics.modern else 1e6
        x, y = (of_unit_length(layer, "normalised", v, (axis,), limit) for v, axis in zip((x, y), axes, strict=True))
    # x → (B, n, k), y → (B, k, m), as batch_dot arranges them
    if ranks[0] == 2:
        x = layer.add(ExpandDims(name=layer.name_for("x"), x=x, axis=1))
    elif axes[0] == 1:
        x = layer.add(Transpose(name=layer.name_for("x"), x=x, axes=(0, 2, 1)))
    if ranks[1] == 2:
        y = layer.add(ExpandDims(name=layer.name_for("y"), x=y, axis=2))
    transpose = ranks[1] == 3 and axes[1] == 2
    squeezed = 2 in ranks
    product = layer.add(MatMul(name=layer.name_for("product" if squeezed else ""), a=x, b=y, transpose_b=transpose))
    if ranks == [2, 2]:  # (B, 1, 1) → (B, 1)
        return Tensor(layer.add(Reshape(name=layer.name_for(), x=product, shape=(0, 1))))
    if squeezed:
        product = layer.add(Squeeze(name=layer.name_for(), x=product, axis=1 if ranks[0] == 2 else 2))
    return Tensor(product)
