"""Arguments of functions of keras.ops: tensors, arrays and numbers, and the dtype in which they meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import FLOATS, INTS, Value

from ..building import Layer, StoredArray, Tensor
from ..call import Call


def result(layer: Layer, value: Value) -> Tensor:
    """The output of an operation: it has no mask."""
    return Tensor(value)


def argument(layer: Layer, call: Call, position: int, name: str, default: Any = None) -> Any:
    """An argument of the operation, wherever it was given: in the call or in the constructor."""
    given = call.option(position, name)
    stored = layer.config.raw(name, default) if name in layer.config else default
    return stored if given is None else given


def tensor_argument(layer: Layer, call: Call, position: int, name: str) -> Tensor:
    given = call.option(position, name)
    if isinstance(given, StoredArray):
        return Tensor(layer.build.stored_array(layer.where, layer.name, given, given.dtype))
    if not isinstance(given, Tensor):
        raise layer.unsupported(f"its argument {name} is not a tensor of the graph")
    return given


def joined(layer: Layer, items: Any) -> list[Tensor | StoredArray]:
    """The items that an operation joins: at least one, a tensor of the graph among them."""
    known = type(items) is list and all(isinstance(item, Tensor | StoredArray) for item in items)
    if not known or not any(isinstance(item, Tensor) for item in items):
        raise layer.unsupported("it joins something other than tensors of the graph and arrays")
    made: list[Tensor | StoredArray] = items
    return made


def rank_of_item(layer: Layer, item: Tensor | StoredArray) -> int:
    """The rank of a tensor or an array."""
    return len(layer.build.shape(item)) if isinstance(item, Tensor) else np.ndim(item.value)


def common_dtype(layer: Layer, items: Sequence[Any]) -> str:
    """The dtype Keras computes in: numbers written in Python follow the tensors, whole numbers follow floats.

    So do arrays before Keras 3, which TensorFlow makes of the dtype of the tensor they meet.
    """
    dtypes = [layer.build.dtype(item) for item in items if isinstance(item, Tensor)]
    arrays = [item for item in items if isinstance(item, StoredArray)]
    numbers = [item for item in items if not isinstance(item, Tensor | StoredArray)]
    if layer.build.semantics.modern:
        dtypes += [item.dtype for item in arrays]
    else:
        numbers += [0.0 if item.dtype in FLOATS else 0 for item in arrays if item.dtype != "bool"]
    floats = [dtype for dtype in dtypes if dtype in FLOATS]
    if floats:
        return max(floats, key=FLOATS.index) if set(floats) != {"float16", "bfloat16"} else "float32"
    if any(type(number) is float for number in numbers):
        return "float32"
    whole = {dtype for dtype in dtypes if dtype in INTS}
    if whole:
        return joined_whole(whole)
    return "int32" if any(type(number) is int for number in numbers) else "bool"


def joined_whole(dtypes: set[str]) -> str:
    """The dtype that Keras joins whole numbers in: the smallest that holds them all."""
    signed = [int(dtype.removeprefix("int")) for dtype in dtypes if dtype.startswith("int")]
    unsigned = [int(dtype.removeprefix("uint")) for dtype in dtypes if dtype.startswith("uint")]
    if not signed:
        return f"uint{max(unsigned)}"
    return f"int{max([*signed, *(2 * bits for bits in unsigned)])}"


def operand(layer: Layer, item: Any, dtype: str) -> Value:
    """A tensor, number or array as a value of the given dtype."""
    if isinstance(item, Tensor):
        return layer.build.cast(layer.where, item.value, dtype)
    if isinstance(item, StoredArray):
        return layer.build.stored_array(layer.where, layer.name, item, dtype)
    try:
        array = np.array(item, dtype="float64" if dtype in FLOATS else dtype)
    except (TypeError, ValueError, OverflowError):
        raise layer.unsupported("an argument that is not a number or an array of numbers") from None
    return layer.build.constant(layer.where, f"{layer.name}.constant", array, dtype)


def rank_of(layer: Layer, x: Tensor) -> int:
    return len(layer.build.shape(x))


def inner_axis(layer: Layer, axis: Any, rank: int) -> int:
    """An axis counted from the front, which must not be the batch."""
    if type(axis) is not int or not -rank <= axis < rank or axis % rank == 0:
        raise layer.unsupported(f"axis {axis} of an array of rank {rank}: only axes after the batch are")
    return axis % rank
