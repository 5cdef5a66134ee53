"""Serialised models and layers → objects that can be called, each with the place of its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, cast

from ..errors import Hint, InvalidFileError, UnsupportedError, printable
from ..reading.form import MODELS, ModelConfig, Serialised, flat_entries, is_reference, name_of
from ..reading.layer_weights import LayerWeights
from .building import Builder, Layer
from .dtype_policy import compute_dtype
from .functional import Reference, reference
from .keras_classes import ADVICE, CLASSES, HANDLERS, is_of_keras
from .layer_config import Config
from .replacing import about_lambda, way_out

LAYER_MODULES = (None, "keras.layers", "keras", "keras.models", "keras.src.models.functional", "keras.src.models.model",
                 "keras.src.models.sequential", "keras.src.engine.functional")  # fmt: skip


@dataclass
class KerasModel:
    """A model of the file: its layers, and how they call each other."""

    where: str
    prefix: str  # of the names its layers get in the graph
    class_name: str
    config: ModelConfig
    weights: LayerWeights
    build: Builder
    depth: int = 0
    layers: dict[str, Layer] = field(default_factory=dict)  # by name in the file
    inner: dict[str, KerasModel] = field(default_factory=dict)


def described(where: str, item: Serialised, hint: Hint | None = None) -> tuple[str, dict[str, Any], str | None]:
    """class_name, config and module of a serialised object.

    Args:
        hint: what can be done about a custom object.

    Raises:
        UnsupportedError: a custom object.
    """
    name, module, registered = item["class_name"], item.get("module"), item.get("registered_name")
    if registered not in (None, name):
        raise UnsupportedError(
            f"{where}: class '{printable(name, 60)}' is registered as '{printable(registered, 60)}': a custom class",
            "E_CUSTOM_OBJECT",
            hint,
        )
    return name, item["config"], module


def open_model(item: Serialised, weights: LayerWeights, build: Builder, prefix: str, depth: int) -> KerasModel:
    """A serialised Sequential or Functional model, its layers not yet called."""
    where = f"model '{printable(prefix.rstrip('.'))}'" if prefix else "the model"
    name, config, module = described(where, item)
    if name not in MODELS or module not in LAYER_MODULES:
        raise UnsupportedError(
            f"{where}: class '{printable(name, 60)}' is not Sequential or Functional; the forward pass of a subclassed "
            "model is Python code, which is not in the file",
            "E_UNSUPPORTED_LAYER",
        )
    kind = "Sequential" if name == "Sequential" else "Functional"
    model = KerasModel(where, prefix, kind, cast(ModelConfig, config), weights, build, depth)
    _open_layers(model)
    return model


def _open_layers(model: KerasModel) -> None:
    """Makes the Layer objects, each with the place of its weights."""
    items = [item for item in model.config["layers"] if not is_operation(item)]
    for item in items:
        described(f"layer '{printable(name_of(item))}'", item)
    places = model.weights.members("layers", items)
    for item, place in zip(items, places, strict=True):
        name = name_of(item)
        layer_name = f"{model.prefix}{name}"
        if item["class_name"] in MODELS:
            model.inner[name] = open_model(item, place, model.build, f"{layer_name}.", model.depth + 1)
        elif item["class_name"] != "InputLayer":
            model.layers[name] = open_layer(item, layer_name, place, model.build)


def is_operation(item: Serialised) -> bool:
    """True for a `keras.ops` function that the functional graph holds beside its layers."""
    return (item.get("module") or "").startswith("keras.src.ops")


def open_layer(item: Serialised, name: str, weights: LayerWeights, build: Builder) -> Layer:
    """A serialised layer.

    Raises:
        UnsupportedError: no handler, or a custom class.
    """
    try:
        return _open_layer(item, name, weights, build)
    except UnsupportedError as error:
        if build.obstacles is None:
            raise
        build.obstacles.append(error)
        return Layer(name, item["class_name"], Config("", {}), weights, build, "float32", parts={"stand-in": True})


def _open_layer(item: Serialised, name: str, weights: LayerWeights, build: Builder) -> Layer:
    class_name, values, module = described(f"layer '{printable(name)}'", item, way_out(name))
    where = f"layer '{printable(name)}' ({printable(class_name, 60)})"
    if module not in LAYER_MODULES or not is_of_keras(class_name):
        origin = f" of module '{printable(module, 60)}'" if module is not None else ""
        raise UnsupportedError(
            f"{where}: a custom class{origin}, not one of Keras's own: what it computes is code, which is not in the "
            "file",
            "E_CUSTOM_OBJECT",
            way_out(name),
        )
    if class_name == "Lambda":
        raise UnsupportedError(
            f"{where}: what it computes is code, which is not run: {about_lambda(values)}",
            "E_UNSUPPORTED_LAYER",
            way_out(name),
        )
    if class_name in ADVICE:
        raise UnsupportedError(
            f"{where}: this layer of Keras is not supported, as {ADVICE[class_name]}", "E_UNSUPPORTED_LAYER"
        )
    if class_name not in HANDLERS:
        raise UnsupportedError(
            f"{where}: this layer of Keras is not supported; `lstmconv doctor --layers` lists those that are",
            "E_UNSUPPORTED_LAYER",
        )
    config = Config(where, values)
    return Layer(name, class_name, config, weights, build, compute_dtype(config, CLASSES[class_name].int8))


def model_inputs(model: KerasModel) -> list[tuple[str, dict[str, Any], str | None]]:
    """Name of each input layer in the file, its config, and the key it is passed under, in the model's order."""
    by_name = {name_of(item): item for item in model.config["layers"]}
    if model.class_name == "Sequential":
        if not model.config["layers"]:
            raise InvalidFileError(f"{model.where}: it has no layers", "E_GRAPH")
        first = model.config["layers"][0]
        if first["class_name"] == "InputLayer":
            return [(name_of(first), first["config"], None)]
        values = first["config"]
        shape = values.get("batch_input_shape", values.get("batch_shape")) or model.config.get("build_input_shape")
        if shape is None:
            raise InvalidFileError(f"{model.where}: it was never built, so it has no input shape", "E_GRAPH")
        name = f"{name_of(first)}_input" if model.depth == 0 else "input"
        dtype = "int32" if first["class_name"] == "Embedding" and "batch_input_shape" in values else "float32"
        return [(name, {"batch_shape": shape, "dtype": dtype, "name": name}, None)]
    ends, _ = entries(model, "input_layers")
    inputs = []
    for key, (name, _, _) in ends:
        item = by_name.get(name)
        if item is None or item["class_name"] != "InputLayer":
            raise UnsupportedError(
                f"{model.where}: its input '{printable(name)}' is not an Input layer", "E_UNSUPPORTED_STRUCTURE"
            )
        inputs.append((name, item["config"], key))
    return inputs


def entries(
    model: KerasModel, key: Literal["input_layers", "output_layers"]
) -> tuple[list[tuple[str | None, Reference]], bool]:
    """input_layers or output_layers as (dict key, reference) in Keras's order; whether it was a dict of them.

    Structures that are nested deeper are flattened as Keras flattens them, without keys.
    """
    value = model.config[key]
    if isinstance(value, dict) and all(is_reference(item) for item in value.values()):
        return [(k, reference(model.where, value[k])) for k in sorted(value)], True
    return [(None, reference(model.where, item)) for item in flat_entries(value)], False
