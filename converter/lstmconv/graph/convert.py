"""Keras config → graph: Sequential and Functional models, nested models flattened, every call in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from lstmconv_runtime.format.graph import DTYPES, FLOATS, Graph, Node, Value
from lstmconv_runtime.format.nodes import Input

from ..errors import Hint, InvalidFileError, UnsupportedError, printable
from ..reading.form import ModelConfig, Serialised, flat_entries, is_reference, map_entries, name_of
from ..reading.layer_weights import LayerWeights, NoWeights
from .building import Builder, Layer, StoredArray, Tensor
from .call import Call, flatten, is_given, leaves, map_tensors
from .functional import Numbers, Reference, reference, run_calls
from .keras_classes import is_of_keras
from .layer_config import Config
from .layers import ADVICE, HANDLERS, KEEPS_DTYPE, OPERATIONS, handle
from .layers.quantised import INT8_LAYERS
from .replacing import about_lambda, way_out

MODELS = ("Sequential", "Functional", "Model")
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


def convert_config(config: Serialised, weights: LayerWeights, build: Builder) -> Graph:
    """The graph of a model config in today's form (`form.todays`).

    Raises:
        UnsupportedError: a layer, option or structure that is not supported; names it.
        InvalidFileError: the config contradicts itself or the weights.
    """
    model = open_model(config, weights, build, prefix="", depth=0)
    _refuse_nested_outputs(model)
    inputs = model_inputs(model)
    tensors: dict[str, Tensor] = {}
    for name, layer_config, key in inputs:
        tensors[name] = Tensor(_add_input(build, layer_config, key or name))
    rows = {build.shape(tensor)[0] for tensor in tensors.values()} - {None}
    if len(rows) > 1:
        counts = " and ".join(str(count) for count in sorted(count for count in rows if count is not None))
        raise UnsupportedError(
            f"{model.where}: its inputs are for different numbers of rows, {counts}: they cannot be given together",
            "E_UNSUPPORTED_STRUCTURE",
        )
    result = call_model(model, [tensors[name] for name, _, _ in inputs])
    outputs, output_keys = _outputs(model, result)
    graph = Graph(
        inputs=tuple(tensors[name].value for name, _, _ in inputs),
        outputs=tuple(outputs),
        output_keys=output_keys,
        nodes=tuple(build.nodes),
        arrays=build.arrays,
    )
    return prune(graph)


def prune(graph: Graph) -> Graph:
    """The graph without nodes that no output depends on."""
    needed: set[Value] = {*graph.outputs, *graph.inputs}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.makes()):
            needed.update(node.reads())
            kept.append(node)
    kept.reverse()
    names = {f"{node.namespace()}/{name}" for node in kept for name in node.parameters()}
    return Graph(
        graph.inputs, graph.outputs, graph.output_keys, tuple(kept),
        {name: array for name, array in graph.arrays.items() if name in names},
    )  # fmt: skip


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
    return Layer(name, class_name, config, weights, build, compute_dtype(config, class_name in INT8_LAYERS))


def compute_dtype(config: Config, int8: bool = False) -> str:
    """The dtype a layer computes in, from its dtype policy.

    Args:
        int8: the layer may be quantised to int8; then the dtype is that of its inputs and outputs.

    Raises:
        UnsupportedError: quantised, or not floating point.
    """
    policy = config.raw("dtype", "float32")
    if type(policy) is dict and int8:
        policy = _int8_source(policy)
    if type(policy) is dict:
        inner = policy.get("config")
        if policy.get("class_name") not in ("DTypePolicy", "Policy") or type(inner) is not dict:
            raise UnsupportedError(
                f"{config.where}: dtype policy '{printable(policy.get('class_name'))}' is not supported",
                "E_UNSUPPORTED_DTYPE",
            )
        policy = inner.get("name")
    if type(policy) is str and policy.startswith("mixed_"):
        policy = policy[len("mixed_") :]
    if policy is None:
        policy = "float32"
    if policy not in FLOATS:
        raise UnsupportedError(f"{config.where}: dtype '{printable(policy)}' is not supported", "E_UNSUPPORTED_DTYPE")
    return str(policy)


def _int8_source(policy: dict[str, Any]) -> Any:
    """The policy that a QuantizedDTypePolicy of int8 was made from; others as they are."""
    inner = policy.get("config")
    if policy.get("class_name") != "QuantizedDTypePolicy" or type(inner) is not dict:
        return policy
    mode, source = inner.get("mode"), inner.get("source_name")
    if "name" in inner:  # as Keras before 3.4 wrote it: int8_from_float32
        mode, _, source = str(inner["name"]).partition("_from_")
    return source if mode == "int8" and type(source) is str else policy


def _add_input(build: Builder, values: dict[str, Any], name: str) -> Value:
    """The Input node of an InputLayer."""
    config = Config(f"input '{printable(name)}'", values)
    shape: list[int | None] = config.raw("batch_shape") or config.raw("batch_input_shape")
    config.only("sparse", False)
    config.only("ragged", False)
    config.only("optional", False)
    dtype = config.raw("dtype", "float32")
    if type(dtype) is dict:
        dtype = compute_dtype(config)
    if dtype not in DTYPES:
        raise UnsupportedError(f"{config.where}: dtype '{printable(dtype)}' is not supported", "E_UNSUPPORTED_DTYPE")
    config.done()
    return build.add(config.where, Input(name=build.free_name(name), shape=tuple(shape), dtype=dtype))


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
    entries, _ = _entries(model, "input_layers")
    inputs = []
    for key, (name, _, _) in entries:
        item = by_name.get(name)
        if item is None or item["class_name"] != "InputLayer":
            raise UnsupportedError(
                f"{model.where}: its input '{printable(name)}' is not an Input layer", "E_UNSUPPORTED_STRUCTURE"
            )
        inputs.append((name, item["config"], key))
    return inputs


def _entries(
    model: KerasModel, key: Literal["input_layers", "output_layers"]
) -> tuple[list[tuple[str | None, Reference]], bool]:
    """input_layers or output_layers as (dict key, reference) in Keras's order; whether it was a dict of them.

    Structures that are nested deeper are flattened as Keras flattens them, without keys.
    """
    value = model.config[key]
    if isinstance(value, dict) and all(is_reference(item) for item in value.values()):
        return [(k, reference(model.where, value[k])) for k in sorted(value)], True
    return [(None, reference(model.where, item)) for item in flat_entries(value)], False


def _refuse_nested_outputs(model: KerasModel) -> None:
    """A bundle gives back one array, a list of them, or a dict of them, as Keras does; nothing nested deeper.

    Raises:
        UnsupportedError: names the outputs.
    """
    if model.class_name != "Functional":
        return
    value = model.config["output_layers"]
    items = value.values() if isinstance(value, dict) else value
    if not is_reference(value) and not all(map(is_reference, items)):
        names = map_entries(lambda entry: entry[0], value)
        raise UnsupportedError(
            f"{model.where}: its outputs are nested, {printable(names)}: a bundle gives back a list or a dict of them; "
            "rebuild the model with its outputs in one list",
            "E_UNSUPPORTED_STRUCTURE",
        )


def _outputs(model: KerasModel, result: Any) -> tuple[list[Value], tuple[str, ...] | None]:
    if isinstance(result, dict):
        return [result[key].value for key in sorted(result)], tuple(sorted(result))
    return [tensor.value for tensor in flatten(result)], None


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
        if mask is None:
            continue
        if not isinstance(mask, Tensor):
            raise unsupported(f"a mask that is {printable(mask)}, not a tensor")
        value = inputs[index].value
        inputs[index] = Tensor(value, build.cast(inner.where, mask.value, "bool"))
        build.unmasked.discard(value)  # Keras puts the mask on the tensor itself
    return call_model(inner, _as_declared(inner, inputs))


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
    casts = layer.class_name not in KEEPS_DTYPE

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
    result = handle(layer, call)
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
    entries, _ = _entries(model, "input_layers")
    if len(entries) != len(inputs):
        raise InvalidFileError(f"{model.where}: takes {len(entries)} inputs, got {len(inputs)}", "E_GRAPH")
    given = {name: tensor for (_, (name, _, _)), tensor in zip(entries, inputs, strict=True)}
    items = model.config["layers"]
    operations = {name_of(item): item for item in items if is_operation(item)}

    def run(name: str, call: Call) -> Any:
        return run_operation(model, operations[name], call) if name in operations else call_layer(model, name, call)

    outputs, is_dict = _entries(model, "output_layers")
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
