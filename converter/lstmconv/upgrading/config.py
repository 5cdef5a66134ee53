"""Today's form of a model, as `dialects` gives it, → the config and the arrays that Keras 3 itself would write.

What today's form leaves open is filled in (modules, dtypes and shapes of tensors), options that Keras 3 does not take
are left out, and what an old formula computed is put into the weights: Keras 3's hard_sigmoid at 1.2·z is the old one
at z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from lstmconv_runtime.format.graph import Array

from ..errors import UnsupportedError, printable
from ..graph.building import Builder, Tensor
from ..graph.dtype_policy import compute_dtype
from ..graph.functional import Reference, tensor_reference
from ..graph.keras_classes import CLASSES
from ..graph.layer_config import Config
from ..graph.opening import is_operation
from ..history.gates import KERAS_GRU, KERAS_LSTM
from ..reading.form import MODELS, Serialised, is_reference, map_entries, name_of
from ..reading.layer_weights import LayerWeights, Spec
from .archive import Path
from .calls import arrays_in_place, layer_name, legal, operation_of
from .merged_arrays import with_rows

# Which gates an activation acts on, by class and option: those of these kernels are multiplied for hard_sigmoid.
_GATES = {"LSTM": KERAS_LSTM, "GRU": KERAS_GRU, "SimpleRNN": ("h",)}
_DENSE = ("Dense", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
HARD_SIGMOID_SCALE = 1.2  # = 0.2 / (1/6): Keras 3 has relu6(x + 3) / 6, older ones clip(0.2 x + 0.5, 0, 1)
PLACEWISE = "a hard_sigmoid that acts on something else than a product with weights"


class Recorded:
    """LayerWeights that keeps every array it hands out, by path."""

    def __init__(self, inner: LayerWeights, arrays: dict[Path, list[Array]], path: Path = ()) -> None:
        self._inner = inner
        self._arrays = arrays
        self._path = path

    def child(self, attribute: str) -> Recorded:
        return Recorded(self._inner.child(attribute), self._arrays, (*self._path, attribute))

    def members(self, attribute: str, items: Sequence[Serialised]) -> list[LayerWeights]:
        names = [str(n) if attribute == "cells" else name_of(item) for n, item in enumerate(items)]
        places = self._inner.members(attribute, items)
        return [
            Recorded(place, self._arrays, (*self._path, attribute, name))
            for name, place in zip(names, places, strict=True)
        ]

    def take(self, where: str, specs: Sequence[Spec]) -> dict[str, Array]:
        arrays = self._inner.take(where, specs)
        if specs:
            self._arrays[self._path] = [arrays[spec.name] for spec in specs if spec.name in arrays]
        return arrays


@dataclass
class Modern:
    """The making of one archive.

    Attributes:
        build: the conversion of the model, whose types and calls say what the config leaves out.
        arrays: by path; those of old formulas are changed in place.
        notes: what has been changed, for the user.
    """

    build: Builder
    arrays: dict[Path, list[Array]]
    notes: list[str] = field(default_factory=list)

    def model(self, item: Mapping[str, Any], prefix: str = "", path: Path = ()) -> dict[str, Any]:
        """A Sequential or Functional model and everything in it.

        Raises:
            UnsupportedError: Keras 3 has nothing that computes the same.
        """
        config = item["config"]
        name = legal(str(config.get("name") or item.get("name") or "model"))
        trainable = config.get("trainable", True) is not False
        if item["class_name"] == "Sequential":
            layers = [made for layer in config["layers"] for made in self._chained(layer, prefix, path)]
            inner = {"name": name, "trainable": trainable, "layers": layers}
            return {"module": "keras", "class_name": "Sequential", "config": inner, "registered_name": None}
        ran = self.build.ran[prefix][0]
        layers = [made for layer in config["layers"] for made in self._called(layer, prefix, path, ran)]
        nested = {layer_name(layer) for layer in config["layers"] if layer["class_name"] in ("Functional", "Model")}

        def place(entry: list[Any], numbered_from_0: bool = False) -> list[Any]:
            found, index, position = entry if numbered_from_0 else ran.outside(tuple(entry[:3]))
            return [legal(found), index + int(found in nested), position]

        inner = {"name": name, "trainable": trainable, "layers": layers}
        for key in ("input_layers", "output_layers"):
            inner[key] = map_entries(place, [config[key]] if is_reference(config[key]) else config[key])
        return {
            "module": "keras.src.models.functional", "class_name": "Functional", "config": inner,
            "registered_name": "Functional",
        }  # fmt: skip

    def _chained(self, item: dict[str, Any], prefix: str, path: Path) -> list[dict[str, Any]]:
        """A layer of a Sequential model, and what must come before it."""
        made = self._layer(item, prefix, path)
        if self._acts_alone(item):
            name = layer_name(item)
            return [self._rescaling(f"{name}_scale", item), made]
        return [made]

    def _called(self, item: dict[str, Any], prefix: str, path: Path, ran: Any) -> list[dict[str, Any]]:
        """A layer or operation of a Functional model with its calls."""
        name = layer_name(item)
        calls = [
            {
                "args": self.argument(call["args"], ran),
                "kwargs": {
                    key: self.argument(value, ran)
                    for key, value in call["kwargs"].items()
                    if key != "training" and value is not None
                },
            }
            for call in item.get("inbound_nodes", [])
        ]
        if is_operation(cast(Serialised, item)):
            return [operation_of(item, calls)]
        arrays: list[dict[str, Any]] = []
        if not self.build.semantics.modern:
            arrays, calls = with_rows(legal(name), item["class_name"], calls, {legal(own) for own, _ in ran.results})
        calls = [{**call, "args": arrays_in_place(item, call["args"])} for call in calls]
        made = self._layer(item, prefix, path)
        if not self._acts_alone(item):
            return [*arrays, {**made, "inbound_nodes": calls}]
        scaled = f"{name}_scale"
        first = {**self._rescaling(scaled, item), "inbound_nodes": calls}
        type_of = [ran.results[name, index][0] for index in range(len(calls))]
        second = [
            {"args": [self.tensor((scaled, index, 0), tensor)], "kwargs": {}} for index, tensor in enumerate(type_of)
        ]
        return [first, {**made, "inbound_nodes": second}]

    def tensor(self, ref: Reference, tensor: Tensor) -> dict[str, Any]:
        """A reference as Keras 3 writes it."""
        type_ = self.build.types[tensor.value]
        history = [legal(ref[0]), ref[1], ref[2]]
        inner = {"shape": list(type_.shape), "dtype": type_.dtype, "keras_history": history}
        return {"class_name": "__keras_tensor__", "config": inner}

    def argument(self, value: Any, ran: Any) -> Any:
        """An argument of a call, references in it numbered as Keras 3 numbers them inside calls."""
        found = tensor_reference("the model", value)
        if found is not None:
            ref = ran.inside(found)
            return self.tensor(ref, ran.tensor(ref))
        if type(value) is list:
            return [self.argument(item, ran) for item in value]
        if type(value) is dict and "class_name" not in value:
            return {key: self.argument(item, ran) for key, item in value.items()}
        return value

    def _layer(self, item: dict[str, Any], prefix: str, path: Path) -> dict[str, Any]:
        """One entry of a model's list of layers, without its calls."""
        name = layer_name(item)
        own = (*path, "layers", name)
        if item["class_name"] in MODELS:
            return {**self.model(item, f"{prefix}{name}.", own), "name": legal(name)}
        if item["class_name"] == "InputLayer":
            return _input_layer(name, item["config"])
        made = self.layer(item, own, f"{prefix}{name}")
        made["config"]["name"] = legal(name)
        return {**made, "name": legal(name)}

    def layer(self, item: dict[str, Any], path: Path, shown: str) -> dict[str, Any]:
        """A layer or a cell, with the layers inside it."""
        class_name, config = item["class_name"], item["config"]
        if class_name == "Bidirectional" and type(config.get("backward_layer")) is not dict:
            config = {**config, **_two_directions(config["layer"])}
        options = CLASSES[class_name].options if class_name in CLASSES else None
        if options is None:
            raise UnsupportedError(f"layer '{printable(shown)}' ({printable(class_name)}): not known to upgrade")
        where = f"layer '{printable(shown)}' ({class_name})"
        made: dict[str, Any] = {"name": legal(str(config["name"]))} if config.get("name") else {}
        if not class_name.startswith("SpatialDropout"):
            made["trainable"] = config.get("trainable", True) is not False
        made["dtype"] = _policy(config, where)
        for key in options:
            if key in config:
                made[key] = self._option(key, config[key], path, shown)
        if class_name == "BatchNormalization" and type(made.get("axis")) is list and len(made["axis"]) == 1:
            made["axis"] = made["axis"][0]
        if class_name == "GRU" or class_name == "GRUCell":
            made.setdefault("reset_after", True)
        if not self.build.semantics.modern:
            self._rescale(class_name, config, path, where)
        return {"module": "keras.layers", "class_name": class_name, "config": made, "registered_name": None}

    def _option(self, key: str, value: Any, path: Path, shown: str) -> Any:
        if key in ("layer", "backward_layer", "cell") and type(value) is dict:
            attribute = "forward_layer" if key == "layer" and _is_bidirectional(self.arrays, path) else key
            own = (*path, attribute)
            if value["class_name"] in MODELS:
                return self.model(value, f"{shown}.", own)
            return self.layer(value, own, f"{shown}.{attribute}")
        if key == "cells":
            return [self.layer(cell, (*path, "cells", str(n)), f"{shown}.cell{n}") for n, cell in enumerate(value)]
        if key in ("activation", "recurrent_activation") and type(value) is dict:
            return _activation_object(value)
        return value

    def _acts_alone(self, item: dict[str, Any]) -> bool:
        """Whether the layer is a hard_sigmoid without weights, of the old formula."""
        inner = item["config"]
        if item["class_name"] == "TimeDistributed" and type(inner.get("layer")) is dict:
            item = inner["layer"]
        return (
            not self.build.semantics.modern
            and item["class_name"] == "Activation"
            and activation_name(item["config"].get("activation")) == "hard_sigmoid"
        )

    def _rescaling(self, name: str, item: dict[str, Any]) -> dict[str, Any]:
        self.notes.append(f"layer '{printable(layer_name(item))}': a Rescaling before it for the old hard_sigmoid")
        config = {"name": legal(name), "trainable": True, "dtype": _policy(item["config"], name)}
        config |= {"scale": HARD_SIGMOID_SCALE, "offset": 0.0}
        made = {"module": "keras.layers", "class_name": "Rescaling", "config": config, "registered_name": None}
        return {**made, "name": legal(name)}

    def _rescale(self, class_name: str, config: dict[str, Any], path: Path, where: str) -> None:
        """Multiplies the weights that a hard_sigmoid of the old formula acts on."""
        activations = [activation_name(config.get(key)) for key in ("recurrent_activation", "activation")]
        if "hard_sigmoid" not in activations or class_name == "Activation":
            return
        kind = "LSTM" if class_name.startswith("ConvLSTM") else class_name.removesuffix("Cell")
        if kind in _GATES:
            inner, outer = (activation == "hard_sigmoid" for activation in activations)
            if outer and kind == "LSTM":
                raise UnsupportedError(f"{where}: activation hard_sigmoid of before Keras 3 acts on the cell state too")
            candidate = {"c", "h"}
            gates = [outer if gate in candidate else inner for gate in _GATES[kind]]
            place = path if class_name.endswith("Cell") else (*path, "cell")
        elif class_name in _DENSE:
            gates, place = [True], path
        else:
            raise UnsupportedError(f"{where}: {PLACEWISE} has no equivalent in Keras 3")
        factors = np.where(gates, HARD_SIGMOID_SCALE, 1.0)
        if place not in self.arrays:
            return
        self.arrays[place] = [
            (array * np.repeat(factors, array.shape[-1] // len(factors))).astype(array.dtype)
            for array in self.arrays[place]
        ]
        self.notes.append(f"{where}: weights multiplied by {HARD_SIGMOID_SCALE} for the old hard_sigmoid")


def _two_directions(layer: dict[str, Any]) -> dict[str, Any]:
    """The layers of both directions, of which old files hold one."""
    config = layer["config"]
    backward = {**config, "go_backwards": not config.get("go_backwards", False)}
    return {
        key: {**layer, "config": {**values, "name": f"{direction}_{config.get('name', 'layer')}"}}
        for key, direction, values in (("layer", "forward", config), ("backward_layer", "backward", backward))
    }


def _is_bidirectional(arrays: Mapping[Path, Any], path: Path) -> bool:
    return any(key[: len(path) + 1] == (*path, "forward_layer") for key in arrays)


def activation_name(value: Any) -> str | None:
    """The name of an activation function, however it is written."""
    if type(value) is dict:
        inner = value.get("config")
        return activation_name(inner.get("activation") if type(inner) is dict else inner)
    return value if type(value) is str else None


def _activation_object(value: dict[str, Any]) -> Any:
    """An activation layer used as a function; a function by its name."""
    if value.get("class_name") == "function":
        return value.get("config")
    made = {
        key: item
        for key, item in value.get("config", {}).items()
        if key in (CLASSES[value["class_name"]].options or ())
    }
    return {"module": "keras.layers", "class_name": value["class_name"], "config": made, "registered_name": None}


def _policy(config: dict[str, Any], where: str) -> dict[str, Any]:
    """The dtype policy of a layer."""
    written = config.get("dtype")
    inner = written.get("config") if type(written) is dict else None
    name = inner.get("name") if type(inner) is dict else written
    if type(name) is not str:
        name = compute_dtype(Config(where, config))
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": None}


def _input_layer(name: str, config: dict[str, Any]) -> dict[str, Any]:
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    dtype = config.get("dtype") or "float32"
    made = {"batch_shape": shape, "dtype": dtype, "sparse": False, "ragged": False, "name": legal(name)}
    return {
        "module": "keras.layers", "class_name": "InputLayer", "config": made, "registered_name": None,
        "name": legal(name), "inbound_nodes": [],
    }  # fmt: skip
