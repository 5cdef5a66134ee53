"""Convolution over one to three axes of space: plain, depthwise, separable, transposed, and inside an LSTM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lstmconv_runtime.format.graph import LINEAR, Activation, Array, Value
from lstmconv_runtime.format.nodes import Conv, ConvLSTM, ConvTranspose, Dense
from lstmconv_runtime.format.windows import dilated

from ...errors import InvalidFileError
from ...history.gates import KERAS_LSTM, keras_to_named
from ...reading.layer_weights import Spec
from ..building import Layer, Tensor
from ..call import Call, Outputs
from ..composition.shapes import Space, known_size, read_space
from .activations import read_activation
from .recurrent import initial_states, passed_mask, read_options, zeroed


@dataclass(frozen=True)
class Window:
    """The options of a convolution that place its kernel."""

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    dilation: tuple[int, ...]


def read_window(layer: Layer, space: int, causal: bool = False) -> Window:
    """The options of a window over `space` axes."""
    config = layer.config
    paddings = ("valid", "same", "causal") if causal else ("valid", "same")
    return Window(
        kernel_size=config.integers("kernel_size", length=space),
        strides=config.integers("strides", 1, length=space),
        padding=config.choice("padding", paddings, "valid") or "valid",
        dilation=config.integers("dilation_rate", 1, length=space),
    )


def _read_output(layer: Layer, space: Space) -> tuple[bool, Activation]:
    """use_bias, and the activation of what has its channels at the end."""
    activation = read_activation(layer.config, "activation", layer.build, space.axes + 2)
    return layer.config.flag("use_bias", True), space.activation_at_last(activation)


def _add_conv(
    layer: Layer,
    names: tuple[str, str],
    x: Value,
    window: Window,
    groups: int,
    W: Array,
    b: Array | None,
    activation: Activation,
) -> Value:
    """A Conv node for W (*kernel, channels / groups, filters); `names` are the parts of the layer that the node is, and
    that its arrays are."""
    node = Conv(
        name=layer.name_for(names[0]),
        x=x,
        weights=layer.stored(names[1]),
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
    return layer.add(node, {"W": W} if b is None else {"W": W, "b": b})


def conv(layer: Layer, call: Call) -> Tensor:
    """Conv1D, Conv2D, Conv3D; they stop a mask."""
    x = call.one(layer)
    space = read_space(layer, x)
    window = read_window(layer, space.axes, causal=space.axes == 1)
    filters, groups = layer.config.integer("filters"), layer.config.integer("groups", 1)
    use_bias, activation = _read_output(layer, space)
    channels = known_size(layer, x, space.channels)
    if channels % groups or filters % groups:
        raise InvalidFileError(f"{layer.where}: groups {groups} does not divide its channels and filters", "E_GRAPH")
    specs = [Spec("kernel", (*window.kernel_size, channels // groups, filters))]
    arrays = layer.weights.take(layer.where, specs + [Spec("bias", (filters,))] * use_bias)
    given, names = space.to_last(layer, x.value), (space.result, "")
    made = _add_conv(layer, names, given, window, groups, arrays["kernel"], arrays.get("bias"), activation)
    return _with_bias(layer, space, made, use_bias)


def _with_bias(layer: Layer, space: Space, made: Value, biased: bool) -> Tensor:
    """The result of a convolution, its channels where the layer has them.

    Raises:
        UnsupportedError: Keras 3 on TensorFlow, though not on JAX or PyTorch, takes the last axis for the channels when
            it adds a bias, wherever as many places are there.
    """
    value = space.from_last(layer, made)
    shape = layer.build.shape(value)
    filters, last = shape[1], shape[-1]
    if biased and space.first and layer.build.semantics.modern and filters != 1 and last in (filters, None):
        size = "not known" if last is None else f"{last} too"
        raise layer.unsupported(
            f"data_format channels_first with {filters} filters and a bias, where the size of the last axis is {size}: "
            "Keras on TensorFlow adds the bias along the last axis if it has as many places as there are filters"
        )
    return Tensor(value)


def _depthwise(kernel: Array) -> Array:
    """Keras's (*kernel, channels, multiplier) as a grouped kernel, one channel a group: (*kernel, 1, filters)."""
    return np.ascontiguousarray(kernel.reshape(*kernel.shape[:-2], 1, -1))


def depthwise_conv(layer: Layer, call: Call) -> Tensor:
    """DepthwiseConv1D, DepthwiseConv2D: filter c * multiplier + m reads channel c."""
    x = call.one(layer)
    space = read_space(layer, x)
    window, multiplier = read_window(layer, space.axes), layer.config.integer("depth_multiplier", 1)
    layer.config.ignore("depthwise_initializer", "depthwise_regularizer", "depthwise_constraint")
    use_bias, activation = _read_output(layer, space)
    channels = known_size(layer, x, space.channels)
    specs = [Spec("kernel", (*window.kernel_size, channels, multiplier))]
    arrays = layer.weights.take(layer.where, specs + [Spec("bias", (channels * multiplier,))] * use_bias)
    W, given, names = _depthwise(arrays["kernel"]), space.to_last(layer, x.value), (space.result, "")
    made = _add_conv(layer, names, given, window, channels, W, arrays.get("bias"), activation)
    return _with_bias(layer, space, made, use_bias)


def separable_conv(layer: Layer, call: Call) -> Tensor:
    """SeparableConv1D, SeparableConv2D: a depthwise convolution, then a matrix product over the channels."""
    x, config = call.one(layer), layer.config
    space = read_space(layer, x)
    window, multiplier = read_window(layer, space.axes), config.integer("depth_multiplier", 1)
    filters = config.integer("filters")
    for kernel in ("depthwise", "pointwise"):
        config.ignore(f"{kernel}_initializer", f"{kernel}_regularizer", f"{kernel}_constraint")
    use_bias, activation = _read_output(layer, space)
    channels = known_size(layer, x, space.channels)
    specs = [
        Spec("depthwise_kernel", (*window.kernel_size, channels, multiplier)),
        Spec("pointwise_kernel", (*(1,) * space.axes, channels * multiplier, filters)),
        *[Spec("bias", (filters,))] * use_bias,
    ]
    arrays = layer.weights.take(layer.where, specs)
    depthwise, given = _depthwise(arrays["depthwise_kernel"]), space.to_last(layer, x.value)
    inner = _add_conv(layer, ("depthwise", "depthwise"), given, window, channels, depthwise, None, LINEAR)
    node = Dense(
        name=layer.name_for(space.result), x=inner, weights=layer.stored(), input_size=channels * multiplier,
        units=filters, use_bias=use_bias, activation=activation,
    )  # fmt: skip
    named = {"W": arrays["pointwise_kernel"].reshape(channels * multiplier, filters)}
    made = layer.add(node, named | ({"b": arrays["bias"]} if use_bias else {}))
    return _with_bias(layer, space, made, use_bias)


def conv_transpose(layer: Layer, call: Call) -> Tensor:
    """Conv1DTranspose, Conv2DTranspose, Conv3DTranspose; they stop a mask.

    Of n places Keras makes (n − 1) · stride + reach, where the kernel reaches over its dilated size, or over its stride
    if that is larger; with padding ``same`` only the stride is left of the reach. With `output_padding` reach is the
    dilated size, or 1 or 0 as that is odd or even, and `output_padding`. What the reach lacks of the kernel is cropped,
    the larger half after.
    """
    x, config = call.one(layer), layer.config
    space = read_space(layer, x)
    window, filters = read_window(layer, space.axes), config.integer("filters")
    use_bias, activation = _read_output(layer, space)
    channels = known_size(layer, x, space.channels)
    specs = [Spec("kernel", (*window.kernel_size, filters, channels))]
    arrays = layer.weights.take(layer.where, specs + [Spec("bias", (filters,))] * use_bias)
    node = ConvTranspose(
        name=layer.name_for(space.result),
        x=space.to_last(layer, x.value),
        weights=layer.stored(),
        channels=channels,
        filters=filters,
        kernel_size=window.kernel_size,
        strides=window.strides,
        dilation=window.dilation,
        cropping=_crops(layer, window),
        use_bias=use_bias,
        activation=activation,
    )
    named = {"W": np.ascontiguousarray(np.swapaxes(arrays["kernel"], -1, -2))}
    made = layer.add(node, named | ({"b": arrays["bias"]} if use_bias else {}))
    return _with_bias(layer, space, made, use_bias)


def _crops(layer: Layer, window: Window) -> tuple[int, ...]:
    """The cropping of a ConvTranspose node."""
    config, strides = layer.config, window.strides
    if config.raw("output_padding") is None:
        paddings: tuple[int | None, ...] = (None,) * len(strides)
    else:
        paddings = config.integers("output_padding", length=len(strides), least=0)
    crops: list[int] = []
    for size, stride, dilation, padding in zip(window.kernel_size, strides, window.dilation, paddings, strict=True):
        full, same = dilated(size, dilation), window.padding == "same"
        if padding is None:
            reach = stride if same else max(full, stride)
        else:
            reach = (full % 2 if same else full) + padding
        if reach == 0 or (padding or 0) >= stride:
            raise layer.unsupported(f"output_padding {padding} with a stride of {stride} and a kernel of {full}")
        before = max(full - reach, 0) // 2
        crops += [before, full - reach - before]
    return tuple(crops)


def conv_lstm(layer: Layer, call: Call) -> Outputs:
    """ConvLSTM1D, ConvLSTM2D, ConvLSTM3D: masks, states and time as in the other recurrent layers."""
    x, mask, config = call.one(layer), call.mask(layer, 2), layer.config
    space = read_space(layer, x, before=2)
    config.ignore("dropout", "recurrent_dropout", "unit_forget_bias")
    window, filters = read_window(layer, space.axes), config.integer("filters")
    use_bias, activation = _read_output(layer, space)
    recurrent_activation = read_activation(config, "recurrent_activation", layer.build, space.axes + 2, "sigmoid")
    options = read_options(layer)
    shape = layer.build.shape(x)
    channels = known_size(layer, x, space.channels)
    if None in shape[2:]:
        raise InvalidFileError(f"{layer.where}: the space of its input {shape} is not known", "E_GRAPH")
    if mask is not None and len(layer.build.shape(mask)) != 2:
        raise layer.unsupported("a mask that is not (batch, time)")
    states = [space.to_last_state(layer, state) for state in initial_states(layer, call)]
    if states and len(states) != 2:
        raise InvalidFileError(f"{layer.where}: needs 2 initial states, got {len(states)}", "E_GRAPH")
    specs = [
        Spec("kernel", (*window.kernel_size, channels, 4 * filters)),
        Spec("recurrent_kernel", (*window.kernel_size, filters, 4 * filters)),
        *[Spec("bias", (4 * filters,))] * use_bias,
    ]
    arrays = layer.weights.child("cell").take(layer.where, specs)
    node = ConvLSTM(
        name=layer.name_for(space.result),
        x=space.to_last(layer, x.value),
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
        recurrent_activation=space.activation_at_last(recurrent_activation),
        return_sequences=options.return_sequences,
        go_backwards=options.go_backwards,
        zero_output_for_mask=options.zero_output_for_mask and not options.zeroes_unturned,
        stateful=options.stateful,
    )
    named = keras_to_named(KERAS_LSTM, arrays["kernel"], arrays["recurrent_kernel"], arrays.get("bias"))
    value = space.from_last(layer, zeroed(layer, layer.add(node, named), mask, options))
    output = Tensor(value, passed_mask(layer, call, options))
    if not options.return_state:
        return output
    return [output, *(Tensor(space.from_last(layer, state, "state")) for state in node.makes()[1:])]
