"""Layers that Keras has quantised to int8: Dense, Embedding and EinsumDense, as they compute.

With q(x) = min(max(round(x · s), low), high) and s = high / (max |x| + ε) over the axes that are summed up, which is
worked out anew for every row,

    y = (q(x) · kernel) / (kernel_scale · s)

where the product is one of whole numbers, and exact: in float32 as long as no sum can leave its 24 bits, beyond that
in float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from lstmconv_runtime.format.graph import Array, Value
from lstmconv_runtime.format.nodes import Constant
from lstmconv_runtime.format.operation_nodes import Round

from ...errors import printable
from ..building import Layer
from .compose import elementwise, reduced, scalar

EXACT_IN_FLOAT32 = 2**24
EXACT_IN_INT32 = 2**31


class Quantiser(NamedTuple):
    """What the inputs of a layer are quantised with."""

    low: int
    high: int
    epsilon: float


DEFAULT = Quantiser(-127, 127, 1e-7)  # AbsMaxQuantizer(), which the layers of before Keras 3.13 do not write down


def is_int8(layer: Layer) -> bool:
    """Whether the layer's dtype policy says int8; half precision is refused.

    Raises:
        UnsupportedError: it computes in half precision, whose steps decide what is rounded to what.
    """
    policy = layer.config.raw("dtype")
    if type(policy) is not dict or policy.get("class_name") != "QuantizedDTypePolicy":
        return False  # other policies than that of int8 were refused when the layer was opened
    if layer.dtype not in ("float32", "float64"):
        raise layer.unsupported(f"dtype int8 from {layer.dtype}; only from float32 and float64", "E_UNSUPPORTED_DTYPE")
    return True


def read_quantiser(layer: Layer) -> Quantiser | None:
    """The quantiser of the inputs; None where only the weights are quantised.

    Raises:
        UnsupportedError: another than Keras's AbsMaxQuantizer.
    """
    written = layer.config.raw("quantization_config")
    if written is None:
        return DEFAULT
    quantiser = _object(layer, written, "Int8QuantizationConfig").get("activation_quantizer")
    if quantiser is None:
        return None
    options = _object(layer, quantiser, "AbsMaxQuantizer")
    bounds: Any = options.get("value_range")
    epsilon: Any = options.get("epsilon")
    fits = type(bounds) is list and len(bounds) == 2 and all(type(n) is int for n in bounds)
    if not fits or not -128 <= bounds[0] <= 0 < bounds[1] <= 127 or type(epsilon) not in (int, float):
        raise layer.unsupported(f"quantization_config {printable(written)}")
    if options.get("output_dtype") != "int8" or set(options) - {"value_range", "epsilon", "output_dtype", "axis"}:
        raise layer.unsupported(f"quantization_config {printable(written)}")
    return Quantiser(bounds[0], bounds[1], float(epsilon))


def _object(layer: Layer, item: Any, class_name: str) -> dict[str, Any]:
    config = item.get("config") if type(item) is dict else None
    if type(config) is not dict or item.get("class_name") != class_name or item.get("module") != "keras.quantizers":
        raise layer.unsupported(f"quantization_config {printable(item)}: only {class_name} of Keras is")
    return config


def quantised(layer: Layer, quantiser: Quantiser, x: Value, axes: tuple[int, ...]) -> tuple[Value, Value]:
    """Whole numbers in the dtype of x, and the scale that made them, with the axes it was worked out over of size 1."""
    dtype = layer.build.dtype(x)

    def number(part: str, value: float) -> Value:
        return scalar(layer, part, value, dtype)

    largest = reduced(layer, "largest", "max", elementwise(layer, "absolute", "absolute", x), axes, keepdims=True)
    spread = elementwise(layer, "spread", "add", largest, number("epsilon", quantiser.epsilon))
    high = number("high", quantiser.high)
    scale = elementwise(layer, "scale", "divide", high, spread)
    scaled = elementwise(layer, "scaled", "multiply", x, scale)
    rounded = layer.add(Round(name=layer.name_for("rounded"), x=scaled))
    above = elementwise(layer, "above", "maximum", rounded, number("low", quantiser.low))
    return elementwise(layer, "whole", "minimum", above, high), scale


def product_dtype(layer: Layer, quantiser: Quantiser | None, count: int) -> str:
    """The dtype in which `count` products of int8 add up as exactly as Keras's int32.

    Raises:
        UnsupportedError: they may not even fit int32, where Keras's sum wraps around.
    """
    if quantiser is None:  # Keras multiplies the inputs as they are
        return layer.dtype
    most = 128 * max(-quantiser.low, quantiser.high) * count
    if most >= EXACT_IN_INT32:
        raise layer.unsupported(f"a sum of {count} products of int8 may not fit int32")
    return layer.dtype if most <= EXACT_IN_FLOAT32 else "float64"


def kernel_value(layer: Layer, array: Array, dtype: str) -> Value:
    """The kernel, stored as the int8 it is, as a value of `dtype`; one Constant for all calls of the layer."""
    if "kernel" not in layer.namespace:
        node = Constant(name=layer.name_for("kernel"), shape=array.shape, dtype="int8")
        layer.namespace["kernel"] = layer.add(node, {"value": array.astype(np.int8)})
    return layer.build.cast(layer.where, layer.namespace["kernel"], dtype)


def rescaled(layer: Layer, part: str, whole: Value, kernel_scale: Value, scale: Value | None) -> Value:
    """The sums of whole numbers, back at their size."""
    both = kernel_scale if scale is None else elementwise(layer, "both_scales", "multiply", kernel_scale, scale)
    return elementwise(layer, part, "divide", layer.build.cast(layer.where, whole, layer.dtype), both)
