"""Pooling over windows and over all of space. None of these layers passes a mask on."""

from __future__ import annotations

from lstmconv_runtime.graph import FLOATS
from lstmconv_runtime.nodes import Pool

from ..builder import Layer, Tensor
from ..calls import Call
from .compose import elementwise, expanded, reduced, scalar, where
from .shapes import channels_last, shape_of


def pooling(layer: Layer, call: Call) -> Tensor:
    """MaxPooling1D/2D, AveragePooling1D/2D; padded places do not count."""
    space, config = int(layer.class_name[-2]), layer.config
    channels_last(layer)
    size = config.integers("pool_size", 2, length=space)
    strides = size if config.raw("strides") is None else config.integers("strides", length=space)
    padding = config.choice("padding", ("valid", "same"), "valid") or "valid"
    x = call.one(layer)
    shape_of(layer, x, space + 2)
    op = "max" if layer.class_name.startswith("Max") else "mean"
    node = Pool(name=layer.name_for(), x=x.value, op=op, size=size, strides=strides, padding=padding)
    return Tensor(layer.add(node))


def global_pooling(layer: Layer, call: Call) -> Tensor:
    """GlobalMaxPooling1D/2D, GlobalAveragePooling1D/2D. The mean over time counts only the steps of its mask."""
    space, keepdims = int(layer.class_name[-2]), layer.config.flag("keepdims", False)
    channels_last(layer)
    x = call.one(layer)
    shape_of(layer, x, space + 2)
    axes = tuple(range(1, space + 1))
    if layer.class_name == "GlobalAveragePooling1D":
        mask = call.mask(layer, 1)
        if mask is not None:
            return _masked_mean(layer, x, mask, keepdims)
    op = "max" if "Max" in layer.class_name else "mean"
    if op == "mean" and layer.build.dtype(x) not in FLOATS:
        raise layer.unsupported(f"the mean of {layer.build.dtype(x)} numbers")
    return Tensor(reduced(layer, "", op, x.value, axes, keepdims))


def _masked_mean(layer: Layer, x: Tensor, mask: str, keepdims: bool) -> Tensor:
    """Σ x over the steps of the mask / their number: NaN where there is none."""
    dtype = layer.build.dtype(x)
    steps = expanded(layer, "steps", mask, 2)  # (B, T, 1)
    kept = where(layer, "kept", steps, x.value, scalar(layer, "zero", 0.0, dtype))
    total = reduced(layer, "total", "sum", kept, (1,), keepdims)
    count = reduced(layer, "count", "sum", layer.build.cast(layer.where, steps, dtype), (1,), keepdims)
    return Tensor(elementwise(layer, "", "divide", total, count))
