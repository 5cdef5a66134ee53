"""Dense, Embedding, Masking, and the layers that do nothing at inference."""

from __future__ import annotations

from lstmconv_runtime.format.graph import INTS, LINEAR, Activation
from lstmconv_runtime.format.nodes import Activate, Cast, Dense, Elementwise, Embedding, ExpandDims, Reduce, Where

from ...errors import InvalidFileError
from ...reading.layer_weights import Spec
from ..building import Layer, Tensor
from ..call import Call
from ..composition.compose import elementwise, product, weight
from ..composition.quantised import is_int8, kernel_value, product_dtype, quantised, read_quantiser, rescaled
from ..composition.shapes import known_size
from .activations import read_activation


def dense(layer: Layer, call: Call) -> Tensor:
    """act(x @ kernel + bias) on the last axis; passes its mask on."""
    config = layer.config
    units, use_bias = config.integer("units"), config.flag("use_bias", True)
    config.only("lora_rank", None)
    x = call.one(layer)
    activation = read_activation(config, "activation", layer.build, len(layer.build.shape(x)))
    if is_int8(layer):
        return _int8_dense(layer, call, units, use_bias, activation)
    config.only("quantization_config", None)
    size = last_size(layer, x)
    specs = [Spec("kernel", (size, units))] + [Spec("bias", (units,))] * use_bias
    arrays = layer.weights.take(layer.where, specs)
    node = Dense(
        name=layer.name_for(), x=x.value, weights=layer.stored(), input_size=size, units=units, use_bias=use_bias,
        activation=activation,
    )  # fmt: skip
    renamed = {"W": arrays["kernel"]} | ({"b": arrays["bias"]} if use_bias else {})
    return Tensor(layer.add(node, renamed), call.previous_mask(layer))


def _int8_dense(layer: Layer, call: Call, units: int, use_bias: bool, activation: Activation) -> Tensor:
    """The inputs quantised row by row, a product of whole numbers, and back."""
    x = call.one(layer)
    size, quantiser = last_size(layer, x), read_quantiser(layer)
    specs = [Spec("kernel", (size, units), trainable=False, kinds="i")] + [Spec("bias", (units,))] * use_bias
    arrays = layer.weights.take(layer.where, [*specs, Spec("kernel_scale", (units,), trainable=False)])
    exact = product_dtype(layer, quantiser, size)
    whole, scale = x.value, None
    if quantiser is not None:
        whole, scale = quantised(layer, quantiser, x.value, (len(layer.build.shape(x)) - 1,))
    kernel = kernel_value(layer, arrays["kernel"], exact)
    sums = product(layer, "sums", layer.build.cast(layer.where, whole, exact), kernel)
    linear = activation == LINEAR
    part = "product" if use_bias else "" if linear else "sum"
    value = rescaled(layer, part, sums, weight(layer, "kernel_scale", arrays["kernel_scale"]), scale)
    if use_bias:
        value = elementwise(layer, "" if linear else "sum", "add", value, weight(layer, "bias", arrays["bias"]))
    if not linear:
        value = layer.add(Activate(name=layer.name_for(), x=value, activation=activation))
    return Tensor(value, call.previous_mask(layer))


def embedding(layer: Layer, call: Call) -> Tensor:
    """Rows of a table; with mask_zero, id 0 is masked. Ids that come as floats are cut to whole numbers."""
    config = layer.config
    input_dim, output_dim = config.integer("input_dim", most=2**31), config.integer("output_dim")
    mask_zero = config.flag("mask_zero", False)
    config.only("lora_rank", None)
    int8 = is_int8(layer)
    if int8:
        read_quantiser(layer)  # ids are not quantised
    else:
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
    if int8:
        specs = [Spec("embeddings", (input_dim, output_dim), trainable=False, kinds="i")]
        arrays = layer.weights.take(layer.where, [*specs, Spec("embeddings_scale", (input_dim,), trainable=False)])
        rows = arrays["embeddings"].astype(layer.dtype) / arrays["embeddings_scale"].astype(layer.dtype)[:, None]
        arrays = {"embeddings": rows}
    else:
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
    if len(shape) < 2:
        raise InvalidFileError(f"{layer.where}: its input has no axis but the batch: {shape}", "E_GRAPH")
    return known_size(layer, x)


def identity(layer: Layer, call: Call) -> Tensor:
    """Dropout, noise and the like: nothing at inference; they pass their mask on."""
    layer.config.ignore("rate", "stddev", "noise_shape", "l1", "l2", "data_format")
    x = call.one(layer)
    return Tensor(x.value, call.previous_mask(layer))
