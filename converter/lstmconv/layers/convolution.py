"""Conv1D and Conv2D, depthwise and separable convolution, ConvLSTM1D and ConvLSTM2D."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lstmconv_runtime.graph import LINEAR, Activation, Array
from lstmconv_runtime.nodes import Conv, ConvLSTM, Dense

from ..builder import Layer, Tensor
from ..calls import Call, Outputs
from ..errors import InvalidFileError
from ..gates import KERAS_LSTM, keras_to_named
from ..weights import Spec
from .activations import read_activation
from .recurrent import initial_states, passed_mask, read_options, zeroed
from .shapes import channels_last, known_size, shape_of


@dataclass(frozen=True)
class Window:
    """The options of a convolution that place its kernel."""

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    dilation: tuple[int, ...]


def read_window(layer: Layer, space: int, causal: bool = False) -> Window:
    """The options of a window over `space` axes, channels last."""
    config = layer.config
    channels_last(layer)
    paddings = ("valid", "same", "causal") if causal else ("valid", "same")
    return Window(
        kernel_size=config.integers("kernel_size", length=space),
        strides=config.integers("strides", 1, length=space),
        padding=config.choice("padding", paddings, "valid") or "valid",
        dilation=config.integers("dilation_rate", 1, length=space),
    )


def _read_output(layer: Layer) -> tuple[bool, Activation]:
    """use_bias and activation, which is given (batch, *space, filters)."""
    rank = _space(layer) + 2
    return layer.config.flag("use_bias", True), read_activation(layer.config, "activation", layer.build, rank)


def _space(layer: Layer) -> int:
    """1 for Conv1D and its like, 2 for Conv2D."""
    return int(layer.class_name[-2])


def _add_conv(
    layer: Layer, part: str, x: Tensor, window: Window, groups: int, W: Array, b: Array | None, activation: Activation
) -> Tensor:
    """A Conv node for W (*kernel, channels / groups, filters)."""
    node = Conv(
        name=layer.name_for(part),
        x=x.value,
        weights=layer.stored(part),
        channels=W.shape[-2] * groups,
        filters=W.shape[-1],
        kernel_size=window.kernel_size,
        strides=window.strides,
        padding=window.padding,
        dilation=window.dilation,
        groups=groups,
        use_bias=b is not None,
        activation=activation,
    )
    return Tensor(layer.add(node, {"W": W} if b is None else {"W": W, "b": b}))


def conv(layer: Layer, call: Call) -> Tensor:
    """Conv1D, Conv2D; they stop a mask."""
    space = _space(layer)
    window = read_window(layer, space, causal=space == 1)
    filters, groups = layer.config.integer("filters"), layer.config.integer("groups", 1)
    use_bias, activation = _read_output(layer)
    x = call.one(layer)
    shape_of(layer, x, space + 2)
    channels = known_size(layer, x)
    if channels % groups or filters % groups:
        raise InvalidFileError(f"{layer.where}: groups {groups} does not divide its channels and filters", "E_GRAPH")
    specs = [Spec("kernel", (*window.kernel_size, channels // groups, filters))]
    arrays = layer.weights.take(layer.where, specs + [Spec("bias", (filters,))] * use_bias)
    return _add_conv(layer, "", x, window, groups, arrays["kernel"], arrays.get("bias"), activation)


def _depthwise(kernel: Array) -> Array:
    """Keras's (*kernel, channels, multiplier) as a grouped kernel, one channel a group: (*kernel, 1, filters)."""
    return np.ascontiguousarray(kernel.reshape(*kernel.shape[:-2], 1, -1))


def depthwise_conv(layer: Layer, call: Call) -> Tensor:
    """DepthwiseConv1D, DepthwiseConv2D: filter c * multiplier + m reads channel c."""
    space = _space(layer)
    window, multiplier = read_window(layer, space), layer.config.integer("depth_multiplier", 1)
    layer.config.ignore("depthwise_initializer", "depthwise_regularizer", "depthwise_constraint")
    use_bias, activation = _read_output(layer)
    x = call.one(layer)
    shape_of(layer, x, space + 2)
    channels = known_size(layer, x)
    specs = [Spec("kernel", (*window.kernel_size, channels, multiplier))]
    arrays = layer.weights.take(layer.where, specs + [Spec("bias", (channels * multiplier,))] * use_bias)
    W = _depthwise(arrays["kernel"])
    return _add_conv(layer, "", x, window, channels, W, arrays.get("bias"), activation)


def separable_conv(layer: Layer, call: Call) -> Tensor:
    """SeparableConv1D, SeparableConv2D: a depthwise convolution, then a matrix product over the channels."""
    space, config = _space(layer), layer.config
    window, multiplier = read_window(layer, space), config.integer("depth_multiplier", 1)
    filters = config.integer("filters")
    for kernel in ("depthwise", "pointwise"):
        config.ignore(f"{kernel}_initializer", f"{kernel}_regularizer", f"{kernel}_constraint")
    use_bias, activation = _read_output(layer)
    x = call.one(layer)
    shape_of(layer, x, space + 2)
    channels = known_size(layer, x)
    specs = [
        Spec("depthwise_kernel", (*window.kernel_size, channels, multiplier)),
        Spec("pointwise_kernel", (*(1,) * space, channels * multiplier, filters)),
        *[Spec("bias", (filters,))] * use_bias,
    ]
    arrays = layer.weights.take(layer.where, specs)
    depthwise = _depthwise(arrays["depthwise_kernel"])
    inner = _add_conv(layer, "depthwise", x, window, channels, depthwise, None, LINEAR)
    node = Dense(
        name=layer.name_for(), x=inner.value, weights=layer.stored(), input_size=channels * multiplier, units=filters,
        use_bias=use_bias, activation=activation,
    )  # fmt: skip
    named = {"W": arrays["pointwise_kernel"].reshape(channels * multiplier, filters)}
    return Tensor(layer.add(node, named | ({"b": arrays["bias"]} if use_bias else {})))


def conv_lstm(layer: Layer, call: Call) -> Outputs:
    """ConvLSTM1D, ConvLSTM2D: masks, states and time as in the other recurrent layers."""
    space, config = _space(layer), layer.config
    config.ignore("dropout", "recurrent_dropout", "unit_forget_bias")
    window, filters = read_window(layer, space), config.integer("filters")
    use_bias, activation = _read_output(layer)
    recurrent_activation = read_activation(config, "recurrent_activation", layer.build, space + 2, "sigmoid")
    options = read_options(layer)
    x, mask = call.one(layer), call.mask(layer, 2)
    shape = shape_of(layer, x, space + 3)
    channels = known_size(layer, x)
    if None in shape[2:]:
        raise InvalidFileError(f"{layer.where}: the space of its input {shape} is not known", "E_GRAPH")
    if mask is not None and len(layer.build.shape(mask)) != 2:
        raise layer.unsupported("a mask that is not (batch, time)")
    states = initial_states(layer, call)
    if states and len(states) != 2:
        raise InvalidFileError(f"{layer.where}: needs 2 initial states, got {len(states)}", "E_GRAPH")
    specs = [
        Spec("kernel", (*window.kernel_size, channels, 4 * filters)),
        Spec("recurrent_kernel", (*window.kernel_size, filters, 4 * filters)),
        *[Spec("bias", (4 * filters,))] * use_bias,
    ]
    arrays = layer.weights.child("cell").take(layer.where, specs)
    node = ConvLSTM(
        name=layer.name_for(),
        x=x.value,
        mask=mask,
        h0=states[0] if states else None,
        c0=states[1] if states else None,
        weights=layer.stored(),
        channels=channels,
        filters=filters,
        kernel_size=window.kernel_size,
        strides=window.strides,
        padding=window.padding,
        dilation=window.dilation,
        use_bias=use_bias,
        activation=activation,
        recurrent_activation=recurrent_activation,
        return_sequences=options.return_sequences,
        go_backwards=options.go_backwards,
        zero_output_for_mask=options.zero_output_for_mask and not options.zeroes_unturned,
        stateful=options.stateful,
    )
    named = keras_to_named(KERAS_LSTM, arrays["kernel"], arrays["recurrent_kernel"], arrays.get("bias"))
    value = zeroed(layer, layer.add(node, named), mask, options)
    output = Tensor(value, passed_mask(layer, call, options))
    return [output, *(Tensor(state) for state in node.makes()[1:])] if options.return_state else output
