"""Calls of models, layers and operations, which add their nodes to the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lstmconv_runtime.format.graph import DTYPES

from ..errors import Hint, InvalidFileError, UnsupportedError, printable
from ..reading.form import Serialised, name_of
from ..reading.layer_weights import NoWeights
from .building import Layer, StoredArray, Tensor
from .call import Call, flatten, is_given, leaves, map_tensors
from .functional import Numbers, run_calls
from .keras_classes import CLASSES, HANDLERS
from .keras_functions import OPERATIONS
from .layer_config import Config
from .opening import KerasModel, described, entries, is_operation, model_inputs


def call_model(model: KerasModel, inputs: Sequence[Tensor]) -> Any:
    """The outputs of a model for the tensors of its inputs, in the model's order."""
    if model.class_name == "Sequential":
        return _call_sequential(model, inputs)
    return _call_functional(model, inputs)


def _call_sequential(model: KerasModel, inputs: Sequence[Tensor]) -> Any:
    if len(inputs) != 1:
        raise InvalidFileError(f"{model.where}: a Sequential model takes one input, got {len(inputs)}", "E_GRAPH")
    result: Any = inputs[0]
    for item in model.config["layers"]:
        if item["class_name"] == "InputLayer":
            continue
        result = call_layer(model, name_of(item), Call([result]))
    return result


def call_layer(model: KerasModel, name: str, call: Call) -> Any:
    """One call of a layer or of a nested model, by its name in the file."""
    if name in model.inner:
        return call_nested(model.inner[name], call)
    if name not in model.layers:
        raise InvalidFileError(f"{model.where}: calls '{printable(name)}', which is not a layer", "E_GRAPH")
    return run_layer(model.layers[name], call)


def call_nested(inner: KerasModel, call: Call) -> Any:
    """One call of a model used as a layer; a mask given by hand goes to its inputs.

    Raises:
        UnsupportedError: another argument is given by hand.
    """
    build = inner.build

    def unsupported(why: str) -> UnsupportedError:
        return UnsupportedError(f"{inner.where}: {why}", "E_UNSUPPORTED_STRUCTURE")

    def tensor(leaf: Any) -> Any:
        if not isinstance(leaf, StoredArray):
            return leaf
        return Tensor(build.stored_array(inner.where, inner.prefix.rstrip("."), leaf, leaf.dtype))

    call = call.map(tensor)
    for key, value in call.kwargs.items():
        if (key not in ("training", "mask") and is_given(value)) or (key == "training" and value not in (None, False)):
            raise unsupported(f"called with the argument '{printable(key)}'")
    inputs = _given_inputs(inner, call)
    masks = list(leaves(call.kwargs.get("mask")))
    if masks not in ([], [None]) and len(masks) != len(inputs):
        raise unsupported("its masks do not pair up with its inputs")
    for index, mask in enumerate(masks):
        if mask is not None and not isinstance(mask, Tensor):
            raise unsupported(f"a mask that is {printable(mask)}, not a tensor")
        if mask is not None:
            inputs[index] = Tensor(inputs[index].value, build.cast(inner.where, mask.value, "bool"))
    declared = _as_declared(inner, inputs)
    # Keras puts the mask on the tensor itself, where whoever reads it later finds it.
    build.masks.update((x.value, x.mask) for x, mask in zip(declared, masks, strict=False) if mask is not None)
    return call_model(inner, declared)


def _given_inputs(inner: KerasModel, call: Call) -> list[Tensor]:
    """The inputs of a call of a model, in the order of the model's own; by name or by key where they come as a dict.

    Raises:
        UnsupportedError: they are not tensors, or a dict with other keys.
    """
    given = call.args[0] if len(call.args) == 1 else call.args
    if isinstance(given, dict):
        inputs = model_inputs(inner)
        names = [key or name for name, _, key in inputs]
        if sorted(given) != sorted(names):
            raise UnsupportedError(
                f"{inner.where}: called with a dict of {printable(', '.join(sorted(given)))}, not of its inputs "
                f"{printable(', '.join(names))}",
                "E_UNSUPPORTED_STRUCTURE",
            )
        given = [given[name] for name in names]
    found = list(leaves(given))
    for leaf in found:
        if not isinstance(leaf, Tensor):
            raise UnsupportedError(
                f"{inner.where}: called with {printable(leaf)}, which is not a tensor", "E_UNSUPPORTED_STRUCTURE"
            )
    return found


def _as_declared(inner: KerasModel, inputs: list[Tensor]) -> list[Tensor]:
    """The inputs as the inner model's own Input layers declare them: in their dtypes, as Keras 3 casts them, and before
    it those that are arrays.

    Raises:
        UnsupportedError: an input of another rank, which Keras reshapes or refuses.
    """
    declared = model_inputs(inner)
    if len(declared) != len(inputs):
        return inputs  # call_model says what is wrong
    build, made = inner.build, []
    for tensor, (name, config, _) in zip(inputs, declared, strict=True):
        dtype, shape = config.get("dtype"), config.get("batch_shape", config.get("batch_input_shape"))
        if type(shape) is list and len(shape) != len(build.shape(tensor)):
            raise UnsupportedError(
                f"{inner.where}: its input '{printable(name)}' has rank {len(shape)}, and is called with one of rank "
                f"{len(build.shape(tensor))}",
                "E_UNSUPPORTED_STRUCTURE",
            )
        casts = build.semantics.modern or tensor.value in build.fixed
        known = casts and type(dtype) is str and dtype in DTYPES
        value = build.cast(inner.where, tensor.value, str(dtype)) if known else tensor.value
        made.append(Tensor(value, tensor.mask))
    return made


def run_layer(layer: Layer, call: Call) -> Any:
    """One call of a layer; where obstacles are collected, its first input stands in for a result that is refused."""
    if layer.build.obstacles is None:
        return _run_layer(layer, call)
    if "stand-in" not in layer.parts:
        try:
            return _run_layer(layer, call)
        except UnsupportedError as error:
            layer.build.obstacles.append(error)
        except InvalidFileError:
            if not layer.build.obstacles:
                raise
    return next(flatten(call.args), None)


def _run_layer(layer: Layer, call: Call) -> Any:
    """Arrays made constants and inputs cast as Keras casts them; options and arguments checked afterwards."""
    casts = not CLASSES[layer.class_name].keeps_dtype

    def tensor(leaf: Any) -> Any:
        if isinstance(leaf, StoredArray):
            return layer.constant(leaf, casts)
        return layer.build.as_masked(leaf) if isinstance(leaf, Tensor) else leaf

    call = call.map(tensor)
    if casts:
        call = Call([map_tensors(layer.cast, a) for a in call.args], call.kwargs)
    training = call.option(None, "training")
    if training not in (None, False, True):
        raise layer.unsupported(f"called with training={printable(training)}")
    if training:
        _check_training(layer)
    result = HANDLERS[layer.class_name](layer, call)
    call.done(layer)
    layer.config.done()
    layer.calls += 1
    return result


RANDOM = ("rate", "stddev", "dropout", "recurrent_dropout")


def _check_training(layer: Layer) -> None:
    """A call with training=True computes at every prediction what others compute in training.

    Raises:
        UnsupportedError: the result would depend on chance, or on the batch.
    """
    config, build = layer.config, layer.build
    random = any(key in config and config.raw(key) not in (0, 0.0, None) for key in RANDOM)
    if random and build.deterministic:
        note = f"{layer.where} is called with training=True: converted without its dropout"
        if note not in build.warnings:
            build.warnings.append(note)
    elif random or layer.parts or "layer" in config or layer.class_name == "BatchNormalization":
        what = "called with training=True, its result depends on chance or on the batch"
        if random:
            raise layer.unsupported(what, "E_TRAINING", Hint("{} converts it without its dropout", "deterministic"))
        raise layer.unsupported(what)


def run_operation(model: KerasModel, item: Serialised, call: Call) -> Any:
    """One call of a keras.ops function."""
    name = f"{model.prefix}{name_of(item)}"
    class_name, values, module = described(f"operation '{printable(name)}'", {**item, "registered_name": None})
    where = f"operation '{printable(name)}' ({printable(module, 60)}.{printable(class_name, 60)})"
    key = (str(module).rpartition(".")[2], class_name)
    if key not in OPERATIONS:
        raise UnsupportedError(f"{where}: this operation is not supported", "E_UNSUPPORTED_OPERATION")
    config = Config(where, values)
    layer = Layer(name, class_name, config, NoWeights(), model.build, "float32")
    result = OPERATIONS[key](layer, call)
    call.done(layer)
    config.done()
    return result


def first_calls(model: KerasModel) -> dict[str, Numbers]:
    """The numbers of the first call of each model inside."""
    if not model.build.semantics.modern:
        return dict.fromkeys(model.inner, Numbers(1, 1))
    return {name: Numbers(0, int(inner.class_name == "Functional")) for name, inner in model.inner.items()}


def _call_functional(model: KerasModel, inputs: Sequence[Tensor]) -> Any:
    ends, _ = entries(model, "input_layers")
    if len(ends) != len(inputs):
        raise InvalidFileError(f"{model.where}: takes {len(ends)} inputs, got {len(inputs)}", "E_GRAPH")
    given = {name: tensor for (_, (name, _, _)), tensor in zip(ends, inputs, strict=True)}
    items = model.config["layers"]
    operations = {name_of(item): item for item in items if is_operation(item)}

    def run(name: str, call: Call) -> Any:
        return run_operation(model, operations[name], call) if name in operations else call_layer(model, name, call)

    outputs, is_dict = entries(model, "output_layers")
    ran = run_calls(
        model.where,
        [item for item in items if name_of(item) not in given],
        [ref for _, ref in outputs],
        given,
        first_calls(model),
        run,
    )
    model.build.ran.setdefault(model.prefix, []).append(ran)
    if is_dict:
        return {str(key): ran.tensor(ran.outside(ref)) for key, ref in outputs}
    made = [ran.tensor(ran.outside(ref)) for _, ref in outputs]
    return made[0] if len(made) == 1 else made
