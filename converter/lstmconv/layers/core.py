"""Dense, Embedding, Masking, and the layers that do nothing at inference."""

from __future__ import annotations

from lstmconv_runtime.graph import INTS
from lstmconv_runtime.nodes import Cast, Dense, Elementwise, Embedding, ExpandDims, Reduce, Where

from ..builder import Layer, Tensor
from ..calls import Call
from ..errors import InvalidFileError
from ..weights import Spec
from .activations import read_activation


def dense(layer: Layer, call: Call) -> Tensor:
    """act(x @ kernel + bias) on the last axis; passes its mask on."""
    config = layer.config
    units, use_bias = config.integer("units"), config.flag("use_bias", True)
    config.only("lora_rank", None)
    config.only("quantization_config", None)
    x = call.one(layer)
    activation = read_activation(config, "activation", layer.build, len(layer.build.shape(x)))
    size = last_size(layer, x)
    specs = [Spec("kernel", (size, units))] + [Spec("bias", (units,))] * use_bias
    arrays = layer.weights.take(layer.where, specs)
    node = Dense(
        name=layer.name_for(), x=x.value, weights=layer.stored(), input_size=size, units=units, use_bias=use_bias,
        activation=activation,
    )  # fmt: skip
    renamed = {"W": arrays["kernel"]} | ({"b": arrays["bias"]} if use_bias else {})
    return Tensor(layer.add(node, renamed), call.previous_mask(layer))


def embedding(layer: Layer, call: Call) -> Tensor:
    """Rows of a table; with mask_zero, id 0 is masked. Ids that come as floats are cut to whole numbers."""
    config = layer.config
    input_dim, output_dim = config.integer("input_dim", most=2**31), config.integer("output_dim")
    mask_zero = config.flag("mask_zero", False)
    config.only("lora_rank", None)
    config.only("quantization_config", None)
    config.ignore(
        "embeddings_initializer", "embeddings_regularizer", "embeddings_constraint", "input_length", "weights"
    )
    x = call.one(layer)
    ids = x.value
    if layer.build.dtype(ids) not in INTS:
        ids = layer.add(Cast(name=layer.name_for("ids"), x=ids, dtype="int32"))
    mask = None
    if mask_zero:
        zero = layer.build.constant(layer.where, f"{layer.name}.zero", 0, layer.build.dtype(x))
        mask = layer.add(Elementwise(name=layer.name_for("mask"), op="not_equal", args=(x.value, zero)))
    arrays = layer.weights.take(layer.where, [Spec("embeddings", (input_dim, output_dim))])
    node = Embedding(
        name=layer.name_for(), x=ids, weights=layer.stored(), input_size=input_dim, units=output_dim, dtype=layer.dtype
    )
    return Tensor(layer.add(node, {"E": arrays["embeddings"]}), mask)


def masking(layer: Layer, call: Call) -> Tensor:
    """Masks the steps whose features all equal mask_value, and writes zeros there."""
    x = call.one(layer)
    dtype = layer.build.dtype(x)
    if dtype == "bool":
        raise layer.unsupported("an input of bool", "E_UNSUPPORTED_DTYPE")
    value = layer.config.number("mask_value", 0.0)
    last = len(layer.build.shape(x)) - 1
    constant = layer.build.constant(layer.where, f"{layer.name}.mask_value", value, dtype)
    differs = layer.add(Elementwise(name=layer.name_for("differs"), op="not_equal", args=(x.value, constant)))
    mask = layer.add(Reduce(name=layer.name_for("mask"), x=differs, op="any", axes=(last,), keepdims=False))
    valid = layer.add(ExpandDims(name=layer.name_for("valid"), x=mask, axis=last))
    if layer.build.semantics.masking_selects:
        zero = layer.build.constant(layer.where, f"{layer.name}.zero", 0, dtype)
        made = layer.add(Where(name=layer.name_for(), condition=valid, a=x.value, b=zero))
    else:
        factor = layer.build.cast(layer.where, valid, dtype)
        made = layer.add(Elementwise(name=layer.name_for(), op="multiply", args=(x.value, factor)))
    return Tensor(made, mask)


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
