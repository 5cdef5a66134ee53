"""Keras's activation functions → the runtime's, with every constant written out."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime.format.graph import Activation, Value
from lstmconv_runtime.format.nodes import Activate, PReLU

from ...errors import UnsupportedError, printable
from ...reading.layer_weights import Spec
from ..building import Builder, Layer, Tensor
from ..call import Call
from ..composition.compose import elementwise, reduced, scalar, where
from ..composition.shapes import known_size, places
from ..dtype_policy import compute_dtype
from ..layer_config import Config

# Keras's name → ours, with the constants of the plain function.
PLAIN: dict[str, Activation] = {
    "linear": Activation("linear"),
    "relu": Activation("relu", (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0))),
    "relu6": Activation("relu", (("max_value", 6.0), ("negative_slope", 0.0), ("threshold", 0.0))),
    "leaky_relu": Activation("relu", (("max_value", None), ("negative_slope", 0.2), ("threshold", 0.0))),
    "sigmoid": Activation("sigmoid"),
    "tanh": Activation("tanh"),
    "softmax": Activation("softmax", (("axis", -1.0),)),
    "log_softmax": Activation("log_softmax", (("axis", -1.0),)),
    "softplus": Activation("softplus"),
    "softsign": Activation("softsign"),
    "elu": Activation("elu", (("alpha", 1.0),)),
    "selu": Activation("selu"),
    "celu": Activation("celu", (("alpha", 1.0),)),
    "exponential": Activation("exponential"),
    "gelu": Activation("gelu"),
    "silu": Activation("silu"),
    "swish": Activation("silu"),
    "hard_silu": Activation("hard_silu", (("slope", 1 / 6), ("offset", 0.5))),
    "hard_swish": Activation("hard_silu", (("slope", 1 / 6), ("offset", 0.5))),
    "mish": Activation("mish"),
    "glu": Activation("glu", (("axis", -1.0),)),
    "hard_shrink": Activation("hard_shrink", (("threshold", 0.5),)),
    "soft_shrink": Activation("soft_shrink", (("threshold", 0.5),)),
    "tanh_shrink": Activation("tanh_shrink"),
    "hard_tanh": Activation("hard_tanh"),
    "log_sigmoid": Activation("log_sigmoid"),
    "sparse_plus": Activation("sparse_plus"),
    "sparse_sigmoid": Activation("sparse_sigmoid"),
    "sparsemax": Activation("sparsemax", (("axis", -1.0),)),
    "squareplus": Activation("squareplus", (("b", 4.0),)),
}
NAMES = (*PLAIN, "hard_sigmoid")


def relu_with(max_value: float | None, negative_slope: float, threshold: float) -> Activation:
    return Activation("relu", (("max_value", max_value), ("negative_slope", negative_slope), ("threshold", threshold)))


def read_activation(config: Config, key: str, build: Builder, rank: int, default: str = "linear") -> Activation:
    """The activation of one slot of a layer: a name, or the config of an activation layer used as a function.

    Args:
        rank: of the arrays that it is given; in a cell those of one step.

    Raises:
        UnsupportedError: it is not in the table, computes in another dtype than the layer, changes the size, or works
            along an axis that the arrays do not have, or along the batch.
    """
    made = _read(config, key, build, default)
    if made.name == "glu":
        raise UnsupportedError(
            f"{config.where}: {key} 'glu' halves the layer's last axis; it is supported as a layer of its own",
            "E_UNSUPPORTED_ACTIVATION",
        )
    return with_axis_in(f"{config.where}: {key}", made, rank)


def with_axis_in(where: str, activation: Activation, rank: int) -> Activation:
    """The activation, if the axis it works along is one of arrays of this rank, after the batch.

    Raises:
        UnsupportedError: it is not.
    """
    axis = dict(activation.constants).get("axis")
    if axis is not None and not (-rank < axis < rank and axis != 0):
        raise UnsupportedError(
            f"{where} {activation.name} works along axis {axis:g} of an array of rank {rank}: only axes after the "
            "batch are supported",
            "E_UNSUPPORTED_OPTION",
        )
    return activation


def _read(config: Config, key: str, build: Builder, default: str = "linear") -> Activation:
    value = config.raw(key, default)
    inner = value.get("config") if isinstance(value, dict) else None
    if isinstance(inner, dict) and "dtype" in inner:
        own, outer = compute_dtype(Config(f"{config.where}, {key}", inner)), compute_dtype(config, int8=True)
        if own != outer:
            raise UnsupportedError(
                f"{config.where}: {key} is a layer that computes in {own}, not {outer}", "E_UNSUPPORTED_DTYPE"
            )
    return activation_of(config.where, key, value, build)


def activation_of(where: str, key: str, value: Any, build: Builder) -> Activation:
    if value is None:
        value = "linear"
    if isinstance(value, dict):
        return _activation_object(where, key, value, build)
    if value == "hard_sigmoid":
        return Activation("hard_sigmoid", (("slope", build.semantics.hard_sigmoid_slope), ("offset", 0.5)))
    if type(value) is not str or value not in PLAIN:
        raise UnsupportedError(
            f"{where}: {key} '{printable(value, 60)}' is not one of {', '.join(NAMES)}", "E_UNSUPPORTED_ACTIVATION"
        )
    return PLAIN[value]


def _activation_object(where: str, key: str, value: dict[str, Any], build: Builder) -> Activation:
    """An activation layer, or a function by name, in the place of a string."""
    name = value.get("class_name")
    inner = value.get("config")
    known_module = value.get("module") in (
        None,
        "keras.layers",
        "keras.activations",
        "builtins",
        "keras.src.activations",
    )
    if name == "function" and type(inner) is str and known_module:
        return activation_of(where, key, inner, build)
    if type(name) is str and name in LAYERS and known_module and value.get("registered_name") in (None, name):
        config = Config(f"{where}, {key} ({name})", inner)
        config.ignore("dtype")
        made = LAYERS[name](config, build)
        config.done()
        return made
    raise UnsupportedError(
        f"{where}: {key} is the object '{printable(name)}', which is not a known activation", "E_UNSUPPORTED_ACTIVATION"
    )


def _relu(config: Config, build: Builder) -> Activation:
    max_value = None if config.raw("max_value") is None else config.number("max_value")
    return relu_with(max_value, config.number("negative_slope", 0.0), config.number("threshold", 0.0))


def _leaky_relu(config: Config, build: Builder) -> Activation:
    return relu_with(None, config.number("negative_slope", 0.3), 0.0)


def _elu(config: Config, build: Builder) -> Activation:
    return Activation("elu", (("alpha", config.number("alpha", 1.0)),))


def _softmax(config: Config, build: Builder) -> Activation:
    axis = config.raw("axis", -1)
    if type(axis) is list and len(axis) == 1:
        axis = axis[0]
    if type(axis) is not int:
        raise UnsupportedError(f"{config.where}: axis {printable(axis)} is not one axis", "E_UNSUPPORTED_OPTION")
    return Activation("softmax", (("axis", float(axis)),))


def _activation(config: Config, build: Builder) -> Activation:
    return _read(config, "activation", build)


LAYERS = {"ReLU": _relu, "LeakyReLU": _leaky_relu, "ELU": _elu, "Softmax": _softmax, "Activation": _activation}


def activation_tensor(layer: Layer, x: Tensor, activation: Activation) -> Tensor:
    """act(x) as a node of its own; nothing for linear."""
    if activation.name == "linear":
        return x
    return Tensor(layer.add(Activate(name=layer.name_for(), x=x.value, activation=activation)), x.mask)


def activation_layer(layer: Layer, call: Call) -> Tensor:
    """Activation and the activation layers that act place by place; they pass their mask on."""
    x = call.one(layer)
    activation = LAYERS[layer.class_name](layer.config, layer.build)
    activation = with_axis_in(f"{layer.where}:", activation, len(layer.build.shape(x)))
    return activation_tensor(layer, Tensor(x.value, call.previous_mask(layer)), activation)


def softmax_layer(layer: Layer, call: Call) -> Tensor:
    """Softmax over an axis or several; places outside the mask count as −10⁹ (−3·10⁴ in float16) and come out 0."""
    x = call.one(layer)
    value, dtype, mask = x.value, layer.build.dtype(x), _softmax_mask(layer, call)
    axes = places(layer, "axis", -1, len(layer.build.shape(x)))
    if mask is not None:
        lowest = scalar(layer, "lowest", -3e4 if dtype == "float16" else -1e9, dtype)
        value = where(layer, "masked", mask, value, lowest)
    part = "" if mask is None else "softmax"
    if len(axes) == 1:
        activation = Activation("softmax", (("axis", float(axes[0])),))
        value = layer.add(Activate(name=layer.name_for(part), x=value, activation=activation))
    else:
        value = _softmax_over(layer, part, value, axes)
    if mask is not None:
        value = where(layer, "", mask, value, scalar(layer, "zero", 0.0, dtype))
    return Tensor(value, call.previous_mask(layer))


def _softmax_over(layer: Layer, part: str, x: Value, axes: tuple[int, ...]) -> Value:
    """eˣ / Σ eˣ over several axes, shifted by the maximum."""
    largest = reduced(layer, "largest", "max", x, axes, keepdims=True)
    powers = elementwise(layer, "powers", "exp", elementwise(layer, "shifted", "subtract", x, largest))
    total = reduced(layer, "total", "sum", powers, axes, keepdims=True)
    return elementwise(layer, part, "divide", powers, total)


def _softmax_mask(layer: Layer, call: Call) -> Value | None:
    """The mask as bool: a number given as a mask holds where it is over a half, cut to its dtype."""
    explicit = call.tensor(layer, 1, "mask")
    if explicit is None or layer.build.dtype(explicit) == "bool":
        return call.mask(layer, 1)
    dtype = layer.build.dtype(explicit)
    half = scalar(layer, "half", 0.0 if dtype.startswith(("int", "uint")) else 0.5, dtype)
    return elementwise(layer, "mask", "greater", explicit.value, half)


def prelu(layer: Layer, call: Call) -> Tensor:
    """max(x, 0) + alpha · min(x, 0), alpha shared along `shared_axes`."""
    config = layer.config
    config.ignore("alpha_initializer", "alpha_regularizer", "alpha_constraint")
    x = call.one(layer)
    rank = len(layer.build.shape(x))
    shared = config.raw("shared_axes")
    shared = [shared] if type(shared) is int else [] if shared is None else shared
    if type(shared) is not list or not all(type(axis) is int and 0 < axis < rank for axis in shared):
        raise config.bad("shared_axes", "a list of axes after the batch")
    shape = tuple(1 if axis in shared else known_size(layer, x, axis) for axis in range(1, rank))
    arrays = layer.weights.take(layer.where, [Spec("alpha", shape)])
    node = PReLU(name=layer.name_for(), x=x.value, weights=layer.stored(), shape=shape)
    return Tensor(layer.add(node, arrays), call.previous_mask(layer))
