"""Pooling over windows and over all of space. None of these layers passes a mask on."""

from __future__ import annotations

from lstmconv_runtime.format.graph import FLOATS
from lstmconv_runtime.format.nodes import Pool

from ..building import Layer, Tensor
from ..call import Call
from ..composition.compose import elementwise, expanded, reduced, scalar, where
from ..composition.shapes import Space, read_space


def pooling(layer: Layer, call: Call) -> Tensor:
    """MaxPooling1D/2D/3D, AveragePooling1D/2D/3D; padded places do not count."""
    x, config = call.one(layer), layer.config
    space = read_space(layer, x)
    size = config.integers("pool_size", 2, length=space.axes)
    strides = size if config.raw("strides") is None else config.integers("strides", length=space.axes)
    padding = config.choice("padding", ("valid", "same"), "valid") or "valid"
    op, given = "max" if layer.class_name.startswith("Max") else "mean", space.to_last(layer, x.value)
    node = Pool(name=layer.name_for(space.result), x=given, op=op, size=size, strides=strides, padding=padding)
    return Tensor(space.from_last(layer, layer.add(node)))


def global_pooling(layer: Layer, call: Call) -> Tensor:
    """GlobalMaxPooling1D/2D/3D, GlobalAveragePooling1D/2D/3D. The mean over time counts only the steps of its mask."""
    x, keepdims = call.one(layer), layer.config.flag("keepdims", False)
    space = read_space(layer, x)
    if layer.class_name == "GlobalAveragePooling1D":
        mask = call.mask(layer, 1)
        if mask is not None:
            return _masked_mean(layer, x, mask, space, keepdims)
    op = "max" if "Max" in layer.class_name else "mean"
    if op == "mean" and layer.build.dtype(x) not in FLOATS:
        raise layer.unsupported(f"the mean of {layer.build.dtype(x)} numbers")
    return Tensor(reduced(layer, "", op, x.value, space.places, keepdims))


def _masked_mean(layer: Layer, x: Tensor, mask: str, space: Space, keepdims: bool) -> Tensor:
    """Σ x over the steps of the mask / their number: NaN where there is none."""
    dtype = layer.build.dtype(x)
    steps = expanded(layer, "steps", mask, space.channels)  # (B, T, 1), or (B, 1, T)
    kept = where(layer, "kept", steps, x.value, scalar(layer, "zero", 0.0, dtype))
    total = reduced(layer, "total", "sum", kept, space.places, keepdims)
    count = reduced(layer, "count", "sum", layer.build.cast(layer.where, steps, dtype), space.places, keepdims)
    return Tensor(elementwise(layer, "", "divide", total, count))
