"""Bidirectional, TimeDistributed and SpectralNormalization."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime.format.graph import Value
from lstmconv_runtime.format.nodes import Concatenate, Elementwise, Flip, FoldTime, UnfoldTime

from ...errors import InvalidFileError, printable
from ...reading.form import MODELS, Serialised
from ...reading.layer_weights import Noted, Spec
from ..building import Layer, Tensor
from ..call import Call, map_tensors
from ..composition.quantised import is_int8

MERGES = {"sum": "add", "ave": "add", "mul": "multiply"}


def bidirectional(layer: Layer, call: Call) -> Any:
    """Two recurrent layers over the same sequence, one of them backwards, and their outputs merged."""
    config = layer.config
    merge_mode = config.choice("merge_mode", ("concat", "sum", "ave", "mul", None), "concat")
    forward, backward = _directions(layer)
    options = [direction.config for direction in (forward, backward)]
    sequences, states = (options[0].flag(key, False) for key in ("return_sequences", "return_state"))
    for key, value in (("return_sequences", sequences), ("return_state", states)):
        if options[1].flag(key, False) != value:
            raise InvalidFileError(f"{layer.where}: its directions disagree on {key}", "E_CONFIG_TYPE")
    if options[0].flag("go_backwards", False) == options[1].flag("go_backwards", False):
        raise InvalidFileError(f"{layer.where}: both directions have the same go_backwards", "E_CONFIG_TYPE")
    x, mask = call.one(layer), call.mask(layer, 2)
    given = call.tensors(layer, 1, "initial_state")
    if len(given) % 2:
        raise InvalidFileError(f"{layer.where}: an odd number of initial states", "E_GRAPH")
    half = len(given) // 2
    made = []
    for direction, initial in ((forward, given[:half]), (backward, given[half:])):
        kwargs = {"initial_state": initial or None, "mask": None if mask is None else Tensor(mask)}
        result = layer.build.inside.run_layer(direction, Call([Tensor(x.value, mask)], kwargs))
        made.append(result if isinstance(result, list) else [result])
    y, y_rev = (layer.build.cast(layer.where, outputs[0].value, layer.dtype) for outputs in made)
    if sequences:
        y_rev = layer.add(Flip(name=layer.name_for("backward.flipped"), x=y_rev, axis=1))
    passes = sequences and layer.build.semantics.recurrent_passes_mask
    output_mask = call.previous_mask(layer) if passes else None
    if merge_mode is None:
        outputs = [Tensor(y, output_mask), Tensor(y_rev, output_mask)]
    else:
        outputs = [Tensor(_merged(layer, str(merge_mode), y, y_rev), output_mask)]
    outputs += [*made[0][1:], *made[1][1:]] if states else []
    return outputs if len(outputs) > 1 else outputs[0]


def _directions(layer: Layer) -> tuple[Layer, Layer]:
    """The forward and the backward layer, opened once."""
    if not layer.parts:
        config = layer.config
        forward: Serialised = config.raw("layer")
        backward: Serialised | None = config.raw("backward_layer")
        if backward is None:
            turned = not forward["config"].get("go_backwards", False)
            backward = {**forward, "config": {**forward["config"], "go_backwards": turned}}
        for part, item in (("forward", forward), ("backward", backward)):
            values = dict(item["config"])
            if layer.build.semantics.bidirectional_zeroes_masked:
                values["zero_output_for_mask"] = values.get("return_sequences", False)
            item = {**item, "config": values}
            place = layer.weights.child(f"{part}_layer")
            layer.parts[part] = layer.build.inside.open_layer(item, f"{layer.name}.{part}", place, layer.build)
    config = layer.config
    config.ignore("layer", "backward_layer")
    return layer.parts["forward"], layer.parts["backward"]


def _merged(layer: Layer, mode: str, y: Value, y_rev: Value) -> Value:
    if mode == "concat":
        axis = len(layer.build.shape(y)) - 1
        return layer.add(Concatenate(name=layer.name_for(), args=(y, y_rev), axis=axis))
    name = layer.name_for("sum" if mode == "ave" else "")
    value = layer.add(Elementwise(name=name, op=MERGES[mode], args=(y, y_rev)))
    if mode == "ave":
        two = layer.build.constant(layer.where, f"{layer.name}.two", 2, layer.dtype)
        value = layer.add(Elementwise(name=layer.name_for(), op="divide", args=(value, two)))
    return value


# Layers that treat the last axis alone, whatever axes come before it: no need to fold time into the batch.
LAST_AXIS = frozenset({"Dense", "Activation", "Dropout"})


def _keeps_state(item: Any) -> bool:
    """True where a serialised layer, or one inside it, carries its states from call to call: here from step to step."""
    if isinstance(item, dict):
        return item.get("stateful") is True or any(_keeps_state(value) for value in item.values())
    return isinstance(item, list) and any(_keeps_state(value) for value in item)


def time_distributed(layer: Layer, call: Call) -> Any:
    """A layer, or a nested model, on every time step by itself: time is folded into the batch around it."""
    x, inside = call.one(layer), layer.build.inside
    item: Serialised = layer.config.raw("layer")
    is_model = item["class_name"] in MODELS
    if not layer.parts:
        place = layer.weights.child("layer")
        if is_model:
            layer.parts["layer"] = layer.build.inside.open_model(item, place, layer.build, f"{layer.name}.", 1)
        else:
            layer.parts["layer"] = layer.build.inside.open_layer(item, f"{layer.name}.layer", place, layer.build)
    inner = layer.parts["layer"]
    if not is_model and is_int8(inner):
        raise layer.unsupported(f"{inner.class_name} quantised to int8: Keras leaves its scales out here")
    mask = call.previous_mask(layer)
    passed = mask if layer.build.semantics.recurrent_passes_mask else None
    if item["class_name"] in LAST_AXIS:
        inner.name = layer.name
        result = layer.build.inside.run_layer(inner, Call([Tensor(x.value)]))
        return Tensor(result.value, passed)
    if _keeps_state(item):
        raise layer.unsupported("a stateful layer inside")
    folded = Tensor(layer.add(FoldTime(name=layer.name_for("folded"), x=x.value)))
    if mask is not None:
        folded = Tensor(folded.value, layer.add(FoldTime(name=layer.name_for("mask"), x=mask)))
    result = (inside.call_nested if is_model else inside.run_layer)(inner, Call([folded]))

    def unfold(tensor: Tensor) -> Tensor:
        return Tensor(layer.add(UnfoldTime(name=layer.name_for(), x=tensor.value, like=x.value)), passed)

    return map_tensors(unfold, result)


# Layers whose first array is what SpectralNormalization normalises: their kernel, or the table of an Embedding.
WITH_KERNEL = ("Dense", "EinsumDense", "Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "Embedding")


def spectral_normalization(layer: Layer, call: Call) -> Tensor:
    """At inference the layer inside with its kernel as it was stored; the result in the dtype of the input."""
    config = layer.config
    item: Serialised = config.raw("layer")
    if not layer.build.semantics.modern:
        raise layer.unsupported("a file of before Keras 3", "E_UNSUPPORTED_LAYER")
    config.integer("power_iterations", 1)
    if item["class_name"] not in WITH_KERNEL:
        name = printable(item["class_name"], 60)
        raise layer.unsupported(f"layer of class '{name}': only {', '.join(WITH_KERNEL)} are")
    if not layer.parts:
        place = Noted(layer.weights.child("layer"))
        layer.parts["layer"] = layer.build.inside.open_layer(item, f"{layer.name}.layer", place, layer.build)
    inner = layer.parts["layer"]
    x = call.one(layer)
    made = layer.build.inside.run_layer(inner, Call([x]))
    kernel = inner.weights.specs[0]
    vector = Spec("vector_u", (1, kernel.shape[-1]), trainable=False)
    layer.weights.take(layer.where, [kernel._replace(copy=True), vector])
    same = layer.build.dtype(made) == layer.build.dtype(x)  # then Keras gives back the very tensor, with its mask
    return made if same else Tensor(layer.build.cast(layer.where, made.value, layer.build.dtype(x)))
