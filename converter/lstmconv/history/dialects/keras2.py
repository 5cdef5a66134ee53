"""Keras 2 (standalone and tf.keras) and the .h5 files of Keras 3 → today's form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...errors import InvalidFileError, UnsupportedError, printable
from ...reading.form import name_of
from .inbound_nodes import todays_call
from .tf_operations import is_tf_operation, keras3_module, todays_operation

# Classes whose own name, which .h5 files of Keras 3 hold, is not the one that Keras gives them elsewhere.
CLASS_NAMES = {"GroupedQueryAttention": "GroupQueryAttention"}
MODELS = ("Model", "Functional", "Sequential")
Options = dict[str, Any]


def to_today(item: dict[str, Any], modern: bool) -> dict[str, Any]:
    """A serialised model (`form.as_written`) in today's form.

    Args:
        modern: the file was written by Keras 3, where only the calls differ.
    """
    if item["class_name"] not in MODELS:
        raise UnsupportedError(
            f"the model: class '{printable(item['class_name'], 60)}' is not Sequential or Functional; the forward pass "
            "of a subclassed model is Python code, which is not in the file",
            "E_UNSUPPORTED_LAYER",
        )
    config = item["config"]
    if type(config) is list:  # Sequential before Keras 2.2.3
        config = {"name": "sequential", "layers": config}
    sequential = item["class_name"] == "Sequential"
    names = {name_of(layer) for layer in config["layers"]}
    layers = [made for layer in config["layers"] for made in layer_entries(layer, names, modern)]
    if sequential:
        layers = [*_input_layer(layers, config), *layers]
    return {
        "class_name": "Sequential" if sequential else "Functional",
        "name": item.get("name"),
        "config": {**config, "layers": layers},
        **({"inbound_nodes": item["inbound_nodes"]} if "inbound_nodes" in item else {}),
    }


def layer_entries(item: dict[str, Any], names: set[str], modern: bool) -> list[dict[str, Any]]:
    """The entries of a model's list of layers that one of the file becomes."""
    class_name, where = item["class_name"], f"layer '{printable(name_of(item), 60)}'"
    calls = [todays_call(where, class_name, item["config"], node, names) for node in item.get("inbound_nodes", [])]
    if is_tf_operation(class_name):
        return todays_operation(where, name_of(item), item, calls)
    if modern and calls and _is_operation(class_name, item["config"]):
        return [{**item, "name": name_of(item), "module": keras3_module(class_name), "inbound_nodes": calls}]
    if class_name in MODELS:
        made = to_today(item, modern)
        made["config"] = {**made["config"], "name": name_of(item)}
    else:
        made = {**item, **layer_to_today(item, modern)}
    return [{**made, "name": name_of(item), "inbound_nodes": calls}]


def _is_operation(class_name: str, config: Options) -> bool:
    """Layers say whether they are trainable, all but a few; operations do not."""
    if class_name in MODELS or class_name.startswith("SpatialDropout") or class_name == "Discretization":
        return False
    return "trainable" not in config


def layer_to_today(item: dict[str, Any], modern: bool) -> dict[str, Any]:
    """class_name and config of one layer in today's form, the layers it wraps included."""
    name, config = CLASS_NAMES.get(item["class_name"], item["class_name"]), dict(item["config"])
    for key in ("layer", "backward_layer", "cell"):
        if config.get(key) is not None:
            inner = config[key]
            config[key] = to_today(inner, modern) if inner["class_name"] in MODELS else layer_to_today(inner, modern)
    if config.get("cells") is not None:
        config["cells"] = [layer_to_today(cell, modern) for cell in config["cells"]]
    if not modern:
        for key in ("time_major", "num_constants"):
            if config.get(key) in (False, None, 0):
                config.pop(key, None)
        if name in CHANGED:
            name, config = CHANGED[name](config)
    made = {"class_name": name, "config": config}
    return {**item, **made}


def _input_layer(layers: list[dict[str, Any]], config: Options) -> list[dict[str, Any]]:
    """The InputLayer that a Sequential model before Keras 3 left out."""
    if not layers or layers[0]["class_name"] == "InputLayer":
        return []
    first, inner = layers[0], layers[0]["config"]
    while "batch_input_shape" not in inner and first["class_name"] in MODELS and inner["layers"]:
        first = inner["layers"][0]  # a model as the first layer
        inner = first["config"]
        if first["class_name"] == "InputLayer":
            return [{"class_name": "InputLayer", "config": {**inner, "name": f"{name_of(layers[0])}_input"}}]
    shape = inner.get("batch_input_shape") or config.get("build_input_shape")
    if shape is None:
        raise InvalidFileError("the model: it was never built, so it has no input shape", "E_GRAPH")
    dtype = inner.get("dtype") if str(inner.get("dtype")).startswith(("int", "uint")) else "float32"
    values = {"batch_shape": shape, "dtype": dtype, "name": f"{name_of(layers[0])}_input"}
    return [{"class_name": "InputLayer", "config": values, "name": values["name"]}]


# --- layers whose options have changed --------------------------------------------------------------------------------


def _gru(config: Options) -> tuple[str, Options]:
    """Without the key, the reset gate is applied before the product, as before Keras 2.1."""
    return "GRU", {"reset_after": False, **config}


def _gru_cell(config: Options) -> tuple[str, Options]:
    return "GRUCell", {"reset_after": False, **config}


def _cudnn_lstm(config: Options) -> tuple[str, Options]:
    return "LSTM", {**config, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}


def _cudnn_gru(config: Options) -> tuple[str, Options]:
    gates = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "reset_after": True}
    return "GRU", {**config, **gates}


def _embedding(config: Options) -> tuple[str, Options]:
    """Keras 2.0 gave the table the dtype of the ids."""
    dtype = config.get("dtype")
    return "Embedding", {**config, "dtype": "float32" if str(dtype).startswith("int") else dtype}


def _leaky_relu(config: Options) -> tuple[str, Options]:
    made = dict(config)
    if "alpha" in made:
        alpha = made.pop("alpha")
        made["negative_slope"] = _number(alpha)
    return "LeakyReLU", made


def _elu(config: Options) -> tuple[str, Options]:
    return "ELU", {**config, "alpha": _number(config.get("alpha", 1.0))}


def _number(value: Any) -> Any:
    """A number that some versions wrote as a serialised 0-d array."""
    return value.get("value") if type(value) is dict and value.get("type") == "ndarray" else value


def _thresholded_relu(config: Options) -> tuple[str, Options]:
    """x where x > theta, else 0, is today's ReLU with a threshold."""
    made = {key: value for key, value in config.items() if key != "theta"}
    return "ReLU", {**made, "threshold": _number(config.get("theta", 1.0))}


def _relu(config: Options) -> tuple[str, Options]:
    made = dict(config)
    for key in ("max_value", "negative_slope", "threshold"):
        if key in made:
            made[key] = _number(made[key])
    return "ReLU", made


def _batch_normalization(config: Options) -> tuple[str, Options]:
    unused = ("renorm", "fused", "virtual_batch_size", "renorm_clipping", "renorm_momentum", "adjustment")
    if config.get("virtual_batch_size") is not None or config.get("renorm") not in (None, False):
        return "BatchNormalization", config  # its handler refuses them by name
    return "BatchNormalization", {key: value for key, value in config.items() if key not in unused}


def _attention(config: Options) -> tuple[str, Options]:
    """`causal` has become an argument of the call."""
    return "Attention", {key: value for key, value in config.items() if key != "causal" or value}


def _additive_attention(config: Options) -> tuple[str, Options]:
    return "AdditiveAttention", _attention(config)[1]


# They took `groups` from the class of all convolutions, wrote it down, and did nothing with it.
UNGROUPED = (
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "Conv1DTranspose", "Conv2DTranspose",
    "Conv3DTranspose",
)  # fmt: skip


def _ungrouped(name: str, config: Options) -> tuple[str, Options]:
    """Without `groups`, unless it says something: then the handler refuses it by name."""
    return name, {key: value for key, value in config.items() if key != "groups" or value != 1}


CHANGED: dict[str, Callable[[Options], tuple[str, Options]]] = {
    "GRU": _gru,
    "GRUCell": _gru_cell,
    "CuDNNLSTM": _cudnn_lstm,
    "CuDNNGRU": _cudnn_gru,
    "Embedding": _embedding,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "ReLU": _relu,
    "ThresholdedReLU": _thresholded_relu,
    "BatchNormalization": _batch_normalization,
    "BatchNormalizationV2": _batch_normalization,
    "Attention": _attention,
    "AdditiveAttention": _additive_attention,
    "BatchNormalizationV1": _batch_normalization,
    **{name: partial(_ungrouped, name) for name in UNGROUPED},
}
