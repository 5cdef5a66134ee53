"""Keras 1.x → Keras 2: the options' names, and layers that have gone."""

from __future__ import annotations

from typing import Any

from ...errors import UnsupportedError, printable

# The same option under its new name.
RENAMED = {
    "output_dim": "units", "inner_activation": "recurrent_activation", "bias": "use_bias", "p": "rate",
    "dropout_W": "dropout", "dropout_U": "recurrent_dropout", "nb_filter": "filters",
    "subsample_length": "strides", "subsample": "strides", "border_mode": "padding", "pool_length": "pool_size",
    "stride": "strides", "filter_length": "kernel_size", "atrous_rate": "dilation_rate", "sigma": "stddev",
    "length": "size", "concat_axis": "axis", "dot_axes": "axes", "dim_ordering": "data_format",
}  # fmt: skip

# What training needs; inference does not.
DROPPED = (
    "init", "inner_init", "forget_bias_init", "consume_less", "W_regularizer", "U_regularizer", "b_regularizer",
    "W_constraint", "U_constraint", "b_constraint", "activity_regularizer", "input_dim", "input_length", "input_dtype",
    "beta_init", "gamma_init", "gamma_regularizer", "beta_regularizer", "momentum", "weights", "first",
)  # fmt: skip

CLASSES = {"Convolution1D": "Conv1D", "Convolution2D": "Conv2D", "AtrousConvolution1D": "Conv1D"}
FORMATS = {"tf": "channels_last", "th": "channels_first"}
MERGES = {
    "sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate", "dot": "Dot",
}  # fmt: skip


def to_keras2(item: dict[str, Any]) -> dict[str, Any]:
    """A serialised layer or model of Keras 1 (`form.as_written`) as Keras 2 writes it."""
    name, config = item["class_name"], item["config"]
    if type(config) is list:
        return {**item, "config": [to_keras2(layer) for layer in config]}
    if name in ("Model", "Container"):
        layers = [to_keras2(layer) for layer in config["layers"]]
        return {**item, "class_name": "Model", "config": {**config, "layers": layers}}
    return {**item, **_layer(name, config)}


def _layer(name: str, config: dict[str, Any]) -> dict[str, Any]:
    where = f"layer '{printable(config.get('name'))}' ({printable(name)})"
    if name == "TimeDistributedDense":
        inner = _layer("Dense", config)
        inner = {**inner, "config": {**inner["config"], "name": f"{config.get('name')}_dense"}}
        kept = {key: config[key] for key in ("name", "trainable", "batch_input_shape") if key in config}
        return {"class_name": "TimeDistributed", "config": {**kept, "layer": inner}}
    if name == "Merge":
        return _merge(where, config)
    if name == "Embedding":
        embedding = {key: value for key, value in config.items() if key not in DROPPED or key == "input_dim"}
        embedding.pop("dropout", None)
        return {"class_name": name, "config": embedding}
    if name == "BatchNormalization" and config.get("mode", 0) != 0:
        raise UnsupportedError(f"{where}: mode {printable(config['mode'])} of Keras 1 has no modern equivalent")
    kernel = (config.get("nb_row"), config.get("nb_col"))
    made = {RENAMED.get(key, key): value for key, value in config.items() if key not in DROPPED}
    for key in ("nb_row", "nb_col", "mode"):
        made.pop(key, None)
    if None not in kernel:
        made["kernel_size"] = list(kernel)
    if type(made.get("data_format")) is str:
        made["data_format"] = FORMATS.get(made["data_format"], made["data_format"])
    if type(made.get("layer")) is dict:
        made["layer"] = to_keras2(made["layer"])
    if name in ("Reshape", "Permute", "RepeatVector", "Flatten", "Masking"):
        made.pop("units", None)
    return {"class_name": CLASSES.get(name, name), "config": made}


def _merge(where: str, config: dict[str, Any]) -> dict[str, Any]:
    """Merge(mode=…) → the merge layer of that mode."""
    mode = config.get("mode")
    if type(mode) is not str or mode not in MERGES or config.get("layers"):
        raise UnsupportedError(
            f"{where}: mode {printable(mode)} is not one of {', '.join(MERGES)} in a functional model"
        )
    made: dict[str, Any] = {key: config[key] for key in ("name", "trainable") if key in config}
    if mode == "concat":
        made["axis"] = config.get("concat_axis", -1)
    if mode == "dot":
        made["axes"] = config.get("dot_axes", -1)
    return {"class_name": MERGES[mode], "config": made}
