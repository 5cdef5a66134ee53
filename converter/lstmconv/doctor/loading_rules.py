"""What Keras 3.15.1 does with a model file: opens it, or refuses it and with which words.

The rules follow the path of its loaders (`keras.src.legacy.saving`, `keras.src.saving`) and were found by loading; the
tests hold them against what it really does. Keras itself is not imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import printable
from ..graph.keras_classes import CLASSES, HANDLERS, OTHERS_OF_KERAS_3
from ..history.dialects.tf_operations import is_tf_operation
from ..history.semantics import version_tuple
from ..reading import ArchiveWeights, KerasFile, LegacyWeights
from ..reading.form import MODELS
from ..upgrading.calls import layer_name

RECURRENT = ("LSTM", "GRU", "SimpleRNN")
WRAPPERS = ("Bidirectional", "TimeDistributed")
BUILT_IN = frozenset({
    "L1", "L2", "L1L2", "OrthogonalRegularizer", "MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm", "Zeros", "Ones",
    "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Orthogonal", "Identity",
    "GlorotUniform", "GlorotNormal", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform",
})  # fmt: skip
NOT_FOUND = "objects could not be loaded. Example error message for object"
ROLES = ("_regularizer", "_constraint", "_initializer")


def refusal(file: KerasFile, config: Any, version: str) -> str | None:
    """The words with which Keras 3.15.1 refuses a file; None where it opens it.

    Args:
        config: as it stands in the file, or beside it: files of weights alone are loaded after `model_from_json` of it.
    """
    container = file.container
    modern = version_tuple(version) >= (3,)
    if modern:
        found = _modern(config, in_h5=container == "legacy-h5")
    elif container in ("weights-h5", "legacy-weights-h5"):
        name = config["class_name"]
        listed = name == "Sequential" and type(config.get("config")) is list
        found = (
            "Expected 'config' to be a dict for Sequential, instead got <class 'list'>"
            if listed
            else f"Could not locate class '{name}'"
        )
    elif container in ("keras-zip", "keras-folder"):
        found = _tf_archive(config) or (NOT_FOUND if _elsewhere(file.weights) else None)
    else:
        found = _legacy(config, version_tuple(version), "tf" in version)
    return None if found is None else printable(found, 2000)


# How the words of Keras begin, and what they mean.
MEANINGS = (
    (
        "pop expected at most 1 argument",
        "the file keeps its layers as a list, as Sequential models did until 2018; today's loader looks for a dict",
    ),
    (
        "Expected 'config' to be a dict",
        "the architecture keeps its layers as a list, as Sequential models did until 2018; today's loader looks for a "
        "dict",
    ),
    (
        "Could not locate class",
        "the file does not say which module a class is from, as today's files do, or it is a class of somebody's own",
    ),
    (
        "Could not deserialize class",
        "the file names a module of the Keras inside TensorFlow 2, which is no longer there",
    ),
    ("Unrecognized keyword arguments", "a layer has options that today's Keras no longer takes: those in braces"),
    (
        "<class 'keras.src.models.sequential.Sequential'> could not be deserialized",
        "a layer has options that today's Keras no longer takes, or is of a class it does not have",
    ),
    (
        "Unknown layer",
        "today's Keras has no layer of this class: it is somebody's own, or from an older Keras; the code of such a "
        "class is not in the file",
    ),
    (
        "Requested the deserialization of a `Lambda` layer",
        "a layer is Python code, which Keras does not run from a file unless it is told that the file is trusted",
    ),
    (
        "Cannot deserialize object",
        "a regularizer, constraint or initializer is somebody's own, whose code is not in it",
    ),
    (
        "Could not interpret",
        "a regularizer, constraint or initializer is somebody's own, whose code is not in the file",
    ),
    (
        "Error when deserializing class",
        "a layer has options that today's Keras no longer takes, or a regularizer, constraint or initializer of "
        "somebody's own",
    ),
    ("Could not deserialize", "a wrapped layer is of a class that today's Keras does not have"),
    (
        "Input 0 with name 'None'",
        "the file gives the input's shape in a way that today's Keras does not read, and the first layer needs it",
    ),
    (
        'Layer "',
        "the states that a recurrent layer starts from are written as more inputs, which today's Keras does not read",
    ),
    (
        NOT_FOUND,
        "the weights of some layers are not under the names where today's Keras looks for them in an archive: the file "
        "was written on Windows, or its layers are numbered on from those of another model",
    ),
    ("Kernel shape must", "a convolution is made for arrays of another form than those it is given in today's Keras"),
    ("Exception encountered when calling", "one of its layers does not take what it is given in today's Keras"),
    ("Invalid Functional model configuration", "a model inside the model is called more than once"),
    ("the config", "what the file says of its layers is not of the form that its Keras wrote"),
)


def meaning(words: str) -> str:
    """The words of `refusal` in plain English."""
    if "missing 1 required positional argument" in words:
        return "the file calls an option of a layer by the name it had in Keras 1"
    return next((text for start, text in MEANINGS if words.startswith(start)), "it cannot read this form of file")


def layers_inside(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every layer of a config of any age with its name, models and wrapped layers included; nothing is checked."""
    inner = config.get("config") if type(config) is dict else None
    layers = inner if type(inner) is list else inner.get("layers") if type(inner) is dict else None
    for item in layers if type(layers) is list else ():
        if type(item) is dict and type(item.get("class_name")) is str:
            yield layer_name(item), item
            yield from layers_inside(item)
            own = item.get("config")
            for key in ("layer", "backward_layer", "cell"):
                wrapped = own.get(key) if type(own) is dict else None
                if type(wrapped) is dict and type(wrapped.get("class_name")) is str:
                    yield f"{layer_name(item)}.{layer_name(wrapped)}", wrapped
                    yield from layers_inside(wrapped)


def _known(class_name: Any) -> bool:
    return class_name in HANDLERS or class_name in OTHERS_OF_KERAS_3


# --- Keras 3 ----------------------------------------------------------------------------------------------------------


def _modern(config: Any, in_h5: bool) -> str | None:
    for _, item in layers_inside(config):
        values, name = item.get("config"), item["class_name"]
        operation = str(item.get("module")).startswith("keras.src.ops")
        bare = in_h5 and not operation and "module" not in item
        if bare and not _known(name) and name not in (*MODELS, *CLASSES):
            return f"Unknown layer: '{name}'"
        if type(values) is not dict:
            continue
        function = values.get("function")
        if name == "Lambda" and type(function) is dict and function.get("class_name") == "__lambda__":
            return "Requested the deserialization of a `Lambda` layer whose `function` is a Python lambda"
        for key, value in values.items():
            if key.endswith(ROLES) and type(value) is dict and value.get("registered_name") is not None:
                return f"Cannot deserialize object of type `{value.get('class_name')}`"
        if item.get("registered_name") not in (None, name) and not operation:
            return f"Could not locate class '{name}'"
    return None


# --- archives of tf.keras 2.12 to 2.15 --------------------------------------------------------------------------------


def _tf_archive(config: Any) -> str | None:
    module = config.get("module")
    if config["class_name"] in ("Functional", "Model"):
        words = f"Could not deserialize class '{config['class_name']}' because its parent module {module}"
        return f"{words} cannot be imported"
    for item in config["config"].get("layers", ()):
        values, name = item.get("config", {}), item.get("class_name")
        if name == "InputLayer":
            continue
        if name in MODELS:
            return _tf_archive(item)
        if name in WRAPPERS and type(values.get("layer")) is dict:
            inner = values["layer"]
            extra = _extra(inner.get("class_name"), inner.get("config", {}), kept=())
            if extra:
                return f"Unrecognized keyword arguments passed to {inner['class_name']}: {extra}"
        extra = _extra(name, values, kept=())
        if extra and CLASSES[str(name)].extra == "named":
            return f"Unrecognized keyword arguments passed to {name}: {extra}"
        if extra or not _known(name):
            return "<class 'keras.src.models.sequential.Sequential'> could not be deserialized properly"
    return None


def _elsewhere(weights: ArchiveWeights | LegacyWeights, path: str = "layers") -> bool:
    """Whether weights of an archive are not where Keras 3 looks: at layers/lstm, layers/lstm_1 and so on."""
    if not isinstance(weights, ArchiveWeights) or weights.windows_paths:
        return isinstance(weights, ArchiveWeights)
    numbers: dict[str, set[int]] = {}
    for name in weights.groups(path):
        stem, _, number = name.rpartition("_")
        counted = number.isascii() and number.isdecimal()
        numbers.setdefault(stem if counted else name, set()).add(int(number[:9]) if counted else 0)
        if weights.has(f"{path}/{name}/layers") and _elsewhere(weights, f"{path}/{name}/layers"):
            return True
    return any(found != set(range(len(found))) for found in numbers.values())


def _extra(class_name: Any, values: dict[str, Any], kept: tuple[str, ...]) -> dict[str, Any]:
    """The options of a layer that Keras 3 does not take."""
    row = CLASSES.get(class_name)
    if row is None or row.options is None:
        return {}
    taken = {*row.options, "name", "trainable", "dtype", "seed", "activity_regularizer", *kept}
    taken |= {"implementation"} if class_name in ("LSTM", "GRU") else set()
    taken |= {"input_length"} if class_name == "Embedding" else set()
    return {key: value for key, value in values.items() if key not in taken and not key.endswith(ROLES)}


# --- .h5 of Keras 1 and 2 ---------------------------------------------------------------------------------------------


def _legacy(config: Any, version: tuple[int, ...], in_tensorflow: bool) -> str | None:
    """A model of a legacy .h5: first every layer is made, then the calls."""
    values = config.get("config")
    if type(values) is list:
        return "pop expected at most 1 argument, got 2"
    sequential = config["class_name"] == "Sequential"
    before_tensorflow = version < (2, 4) and not in_tensorflow
    for item in values.get("layers", ()):
        found = _legacy_layer(item, version, in_tensorflow)
        row = CLASSES.get(str(item.get("class_name")))
        if found is None and sequential and before_tensorflow and row is not None and row.ranked:
            found = row.ranked.format(name=layer_name(item), cls=item["class_name"])
        if found is not None:
            return found
    for item in values.get("layers", ()):
        for call in item.get("inbound_nodes", ()) if not sequential else ():
            if item["class_name"] in (*RECURRENT, "Bidirectional", "RNN") and type(call) is list and len(call) > 1:
                return f'Layer "{layer_name(item)}" expects 1 input(s), but it received {len(call)} input tensors'
        if not sequential and item["class_name"] in MODELS and len(item.get("inbound_nodes", ())) > 1:
            return "Invalid Functional model configuration"
    return None


def _legacy_layer(item: dict[str, Any], version: tuple[int, ...], in_tensorflow: bool) -> str | None:
    name, values = item.get("class_name"), item.get("config")
    if name in MODELS:
        return _legacy(item, version, in_tensorflow)
    if type(values) is not dict or not _known(name) or is_tf_operation(str(name)):
        return f"Unknown layer: '{name}'"
    inner = values.get("cell" if name == "RNN" else "layer")
    if name in (*WRAPPERS, "RNN") and type(inner) is dict:
        return _wrapped(inner)
    if name in RECURRENT and "units" not in values:
        return f"{name}.__init__() missing 1 required positional argument: 'units'"
    for key, value in values.items():
        if key.endswith(ROLES) and type(value) is dict and value.get("class_name") not in BUILT_IN:
            role = key.rpartition("_")[2]
            words = f"Could not interpret {role} identifier: {{'class_name': '{value.get('class_name')}'"
            return words if name in RECURRENT else f"{_not_made(name)} ... {words}"
    extra = _extra(name, values, kept=("batch_input_shape", "input_dtype", "input_dim", "input_shape"))
    if extra and CLASSES[str(name)].extra == "named":
        return f"Unrecognized keyword arguments passed to {name}: {extra}"
    if extra and CLASSES[str(name)].extra == "quoted":
        return _not_made(name)
    return None


def _not_made(name: Any) -> str:
    return f"Error when deserializing class '{name}'"


def _wrapped(inner: dict[str, Any]) -> str | None:
    """A layer inside a wrapper, which today's loader reads by the rules of today's files."""
    name, values = inner.get("class_name"), inner.get("config")
    if type(values) is list:
        return f"Expected 'config' to be a dict for {name}"
    if "module" not in inner:
        return f"Could not locate class '{name}'"
    if not _known(name) and name not in MODELS:
        return f"Could not deserialize '{inner['module']}.{name}' because it is not a KerasSaveable subclass"
    extra = _extra(name, values if type(values) is dict else {}, kept=())
    return f"Unrecognized keyword arguments passed to {name}: {extra}" if name in RECURRENT and extra else None
