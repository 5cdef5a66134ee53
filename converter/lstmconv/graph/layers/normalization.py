"""Normalisation by stored statistics, by those of the input, and by numbers in the config. All pass their mask on."""

from __future__ import annotations

from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import FLOATS, Array, Shape, Value
from lstmconv_runtime.format.nodes import BatchNorm, GroupNorm, LayerNorm

from ...errors import InvalidFileError
from ...reading.layer_weights import Spec
from ..building import Layer, Tensor
from ..call import Call
from ..composition.compose import elementwise, of_unit_length, reduced, scalar
from ..composition.shapes import known_size, place, places

KERAS_EPSILON = 1e-7  # keras.config.epsilon(), the least standard deviation of Normalization


def _ignore_training(layer: Layer, *names: str) -> None:
    for name in names:
        layer.config.ignore(f"{name}_initializer", f"{name}_regularizer", f"{name}_constraint")


def _wide(layer: Layer, x: Tensor) -> Value:
    """x in float32 at least, where Keras normalises half precision."""
    half = layer.build.dtype(x) in ("float16", "bfloat16")
    return layer.build.cast(layer.where, x.value, "float32") if half else x.value


def _narrow(layer: Layer, call: Call, x: Tensor, made: Value) -> Tensor:
    """What was made of x, back in its dtype, then in that of the layer; with the mask."""
    back = layer.build.cast(layer.where, made, layer.build.dtype(x))
    return layer.cast(Tensor(back, call.previous_mask(layer)))


def batch_normalization(layer: Layer, call: Call) -> Tensor:
    """By the moving statistics, whatever the mask."""
    config = layer.config
    _ignore_training(layer, "gamma", "beta", "moving_mean", "moving_variance")
    config.ignore("momentum", "synchronized", "renorm_clipping", "renorm_momentum")
    renorm = config.flag("renorm", False)  # statistics of its own for training, beside those of inference
    epsilon, scale, center = config.number("epsilon", 1e-3), config.flag("scale", True), config.flag("center", True)
    x = call.one(layer)
    axes = places(layer, "axis", -1, len(layer.build.shape(x)))
    if len(axes) != 1:
        raise layer.unsupported(f"axis {list(axes)}; only one axis is supported")
    size = known_size(layer, x, axes[0])
    specs = [
        *[Spec("gamma", (size,))] * scale,
        *[Spec("beta", (size,))] * center,
        Spec("mean", (size,), trainable=False),
        Spec("variance", (size,), trainable=False),
    ]
    extra = ("moving_stddev", "renorm_mean", "renorm_stddev") if renorm else ()
    arrays = layer.weights.take(layer.where, [*specs, *(Spec(name, (size,), trainable=False) for name in extra)])
    node = BatchNorm(
        name=layer.name_for(), x=_wide(layer, x), weights=layer.stored(), axis=axes[0], size=size, epsilon=epsilon,
        scale=scale, center=center,
    )  # fmt: skip
    return _narrow(layer, call, x, layer.add(node, {spec.name: arrays[spec.name] for spec in specs}))


def layer_normalization(layer: Layer, call: Call) -> Tensor:
    """Over the axes of each example. Computes in the dtype of its input, then casts to its own."""
    config = layer.config
    _ignore_training(layer, "gamma", "beta")
    epsilon, rms = config.number("epsilon", 1e-3), config.flag("rms_scaling", False)
    scale, center = config.flag("scale", True) or rms, config.flag("center", True) and not rms
    x = _floats_alone(layer, call.one(layer))
    rank = len(layer.build.shape(x))
    axes = places(layer, "axis", -1, rank)
    sizes = tuple(known_size(layer, x, axis) for axis in axes)
    # Keras sorts the axes as they are written, negative ones first, and reads the arrays in row-major order.
    written = config.raw("axis", -1)
    stored = tuple(known_size(layer, x, axis) for axis in (sorted(written) if type(written) is list else [written]))
    arrays = layer.weights.take(layer.where, [Spec("gamma", stored)] * scale + [Spec("beta", stored)] * center)
    node = LayerNorm(
        name=layer.name_for(), x=_wide(layer, x), weights=layer.stored(), axes=axes, shape=sizes, epsilon=epsilon,
        scale=scale, center=center, rms=rms,
    )  # fmt: skip
    made = layer.add(node, {name: array.reshape(sizes) for name, array in arrays.items()})
    return _narrow(layer, call, x, made)


def rms_normalization(layer: Layer, call: Call) -> Tensor:
    """x / √(mean(x²) + ε) · scale, over the axes of each example. Passes no mask on.

    The scale is broadcast against the last axes, whichever `axis` says.
    """
    epsilon = layer.config.number("epsilon", 1e-6)
    x = call.one(layer)
    axes = places(layer, "axis", -1, len(layer.build.shape(x)))
    written = layer.config.raw("axis", -1)
    stored = tuple(known_size(layer, x, axis) for axis in (sorted(written) if type(written) is list else [written]))
    array = layer.weights.take(layer.where, [Spec("scale", stored)])["scale"]
    constant = layer.build.constant(layer.where, f"{layer.name}.scale", array, layer.dtype)
    value = _wide(layer, x)
    scale = layer.build.cast(layer.where, constant, layer.build.dtype(value))
    made = root_mean_square_normalized(layer, value, axes, epsilon, scale)
    if layer.build.shape(made) != layer.build.shape(x):
        raise layer.unsupported(f"axis {written}: its scale does not fit the last axes of its input")
    return Tensor(layer.build.cast(layer.where, made, layer.build.dtype(x)))


def root_mean_square_normalized(
    layer: Layer, x: Value, axes: tuple[int, ...], epsilon: float, scale: Value | None
) -> Value:
    """x / √(mean(x²) + ε) · scale."""
    mean = reduced(layer, "mean", "mean", elementwise(layer, "squares", "square", x), axes, keepdims=True)
    shifted = elementwise(layer, "shifted", "add", mean, scalar(layer, "epsilon", epsilon, layer.build.dtype(x)))
    inverse = elementwise(layer, "inverse", "rsqrt", shifted)
    made = elementwise(layer, "" if scale is None else "normalized", "multiply", x, inverse)
    return made if scale is None else elementwise(layer, "", "multiply", made, scale)


def group_normalization(layer: Layer, call: Call) -> Tensor:
    """Over groups of channels. Computes in the dtype of its input, then casts to its own."""
    config = layer.config
    _ignore_training(layer, "gamma", "beta")
    epsilon, scale, center = config.number("epsilon", 1e-3), config.flag("scale", True), config.flag("center", True)
    groups = config.integer("groups", 32, least=-1)
    x = _floats_alone(layer, call.one(layer))
    axis = place(layer, "axis", config.raw("axis", -1), len(layer.build.shape(x)))
    size = known_size(layer, x, axis)
    groups = size if groups == -1 else groups
    if groups == 0 or size % groups:
        raise config.bad("groups", f"a divisor of its {size} channels")
    arrays = layer.weights.take(layer.where, [Spec("gamma", (size,))] * scale + [Spec("beta", (size,))] * center)
    node = GroupNorm(
        name=layer.name_for(), x=_wide(layer, x), weights=layer.stored(), axis=axis, size=size, groups=groups,
        epsilon=epsilon, scale=scale, center=center,
    )  # fmt: skip
    return _narrow(layer, call, x, layer.add(node, arrays))


def unit_normalization(layer: Layer, call: Call) -> Tensor:
    """x · min(1 / √Σ x², 10¹²): length 1 over its axes."""
    x = call.one(layer)
    axes = places(layer, "axis", -1, len(layer.build.shape(x)))
    return Tensor(of_unit_length(layer, "", x.value, axes, 1e12), call.previous_mask(layer))


def normalization(layer: Layer, call: Call) -> Tensor:
    """(x − mean) / max(√variance, ε), or with `invert` mean + x · max(√variance, ε)."""
    config = layer.config
    x = _float(layer, call.one(layer))
    shape = layer.build.shape(x)
    axis, invert = config.raw("axis", -1), config.flag("invert", False)
    kept = () if axis is None or axis == [] else places(layer, "axis", -1, len(shape))
    sizes = tuple(known_size(layer, x, place) for place in kept)
    if (config.raw("mean") is None) != (config.raw("variance") is None):
        raise InvalidFileError(f"{layer.where}: it has only one of mean and variance", "E_CONFIG_TYPE")
    if config.raw("mean") is None:
        specs = [Spec(name, sizes, trainable=False) for name in ("mean", "variance")]
        arrays = layer.weights.take(layer.where, [*specs, Spec("count", (), trainable=False, kinds="iuf")])
        mean, variance = arrays["mean"], arrays["variance"]
    else:
        given = (_numbers(layer, key, sizes).astype("float32") for key in ("mean", "variance"))
        mean, variance = (np.broadcast_to(array, sizes) for array in given)
    deviation = np.sqrt(variance.astype("float64" if layer.dtype == "float64" else "float32"))
    deviation = np.maximum(deviation, deviation.dtype.type(KERAS_EPSILON))
    centre = layer.build.constant(layer.where, f"{layer.name}.mean", _along(mean, kept, shape), layer.dtype)
    spread = layer.build.constant(layer.where, f"{layer.name}.deviation", _along(deviation, kept, shape), layer.dtype)
    if invert:
        made = elementwise(layer, "", "add", centre, elementwise(layer, "scaled", "multiply", x.value, spread))
    else:
        made = elementwise(layer, "", "divide", elementwise(layer, "centred", "subtract", x.value, centre), spread)
    return Tensor(made, call.previous_mask(layer))


def rescaling(layer: Layer, call: Call) -> Tensor:
    """x · scale + offset, numbers or lists of them for the last axes."""
    x = _float(layer, call.one(layer))
    scale, offset = _numbers(layer, "scale"), _numbers(layer, "offset", default=0.0)
    if layer.dtype == "float64":  # numbers written in Python reach Keras as float32
        scale, offset = scale.astype("float32"), offset.astype("float32")
    factor = layer.build.constant(layer.where, f"{layer.name}.scale", scale, layer.dtype)
    shift = layer.build.constant(layer.where, f"{layer.name}.offset", offset, layer.dtype)
    scaled = elementwise(layer, "scaled", "multiply", x.value, factor)
    made = elementwise(layer, "", "add", scaled, shift)
    if len(layer.build.shape(made)) != len(layer.build.shape(x)):
        raise layer.unsupported("scale or offset has more axes than its input")
    return Tensor(made, call.previous_mask(layer))


def _floats_alone(layer: Layer, x: Tensor) -> Tensor:
    """x, where it is floating point: Keras would cut the result to the integers that it is given."""
    if layer.build.dtype(x) not in FLOATS:
        raise layer.unsupported(f"an input of {layer.build.dtype(x)}", "E_UNSUPPORTED_DTYPE")
    return x


def _float(layer: Layer, x: Tensor) -> Tensor:
    """Integers as the dtype the layer computes in; floats as they are."""
    if layer.build.dtype(x).startswith(("int", "uint", "bool")):
        return Tensor(layer.build.cast(layer.where, x.value, layer.dtype), x.mask)
    return x


def _numbers(layer: Layer, key: str, sizes: tuple[int, ...] | None = None, default: Any = None) -> Array:
    """A number, a list of numbers, or a serialised array of the config; it must broadcast to `sizes`."""
    value = layer.config.raw(key, default)
    if type(value) is dict and value.get("class_name") == "__numpy__" and type(value.get("config")) is dict:
        value = value["config"].get("value")
    try:
        array = np.array(value, dtype="float64")
        if sizes is not None:
            np.broadcast_to(array, sizes)
    except (TypeError, ValueError, OverflowError):
        raise layer.config.bad(key, "a number or a list of numbers that fits the input") from None
    if not np.isfinite(array).all() or array.size > 2**24:
        raise layer.config.bad(key, "a number or a list of finite numbers")
    return array


def _along(array: Array, axes: tuple[int, ...], shape: Shape) -> Array:
    """An array over `axes`, shaped to broadcast against `shape` without leading axes of size 1."""
    if not axes:
        return array.reshape(())
    sizes = [1] * len(shape)
    for axis, size in zip(axes, array.shape, strict=True):
        sizes[axis] = size
    return array.reshape(sizes[axes[0] :])
