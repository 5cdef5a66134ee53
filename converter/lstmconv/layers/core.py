"""Dense, Embedding, Masking, and the layers that do nothing at inference."""

from __future__ import annotations

from lstmconv_runtime.nodes import Dense

from ..builder import Layer, Tensor
from ..calls import Call
from ..errors import InvalidFileError
from ..weights import Spec
from .activations import read_activation


def dense(layer: Layer, call: Call) -> Tensor:
    """act(x @ kernel + bias) on the last axis; passes its mask on."""
    config = layer.config
    units, use_bias = config.integer("units"), config.flag("use_bias", True)
    activation = read_activation(config, "activation", layer.build)
    config.only("lora_rank", None)
    config.only("quantization_config", None)
    x = call.one(layer)
    size = last_size(layer, x)
    specs = [Spec("kernel", (size, units))] + [Spec("bias", (units,))] * use_bias
    arrays = layer.weights.take(layer.where, specs)
    node = Dense(
        name=layer.name_for(), x=x.value, weights=layer.stored(), input_size=size, units=units, use_bias=use_bias,
        activation=activation,
    )  # fmt: skip
    renamed = {"W": arrays["kernel"]} | ({"b": arrays["bias"]} if use_bias else {})
    return Tensor(layer.add(node, renamed), call.previous_mask(layer))


def last_size(layer: Layer, x: Tensor) -> int:
    """Size of the last axis, which must be known."""
    shape = layer.build.shape(x)
    if len(shape) < 2 or shape[-1] is None:
        raise InvalidFileError(f"{layer.where}: the size of its input's last axis is not known: {shape}", "E_GRAPH")
    return shape[-1]


def identity(layer: Layer, call: Call) -> Tensor:
    """Dropout, noise and the like: nothing at inference; they pass their mask on."""
    layer.config.ignore("rate", "stddev", "noise_shape", "l1", "l2", "data_format")
    x = call.one(layer)
    return Tensor(x.value, call.previous_mask(layer))
