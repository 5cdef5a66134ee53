"""Keras config → graph: Sequential and Functional models, nested models flattened, every call in order."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime.format.graph import DTYPES, Graph, Value
from lstmconv_runtime.format.nodes import Input

from ..errors import UnsupportedError, printable
from ..reading.form import Serialised, is_reference, map_entries
from ..reading.layer_weights import LayerWeights
from .building import Builder, Inside, Tensor
from .call import flatten
from .calling import call_model, call_nested, run_layer
from .dtype_policy import compute_dtype
from .layer_config import Config
from .opening import KerasModel, model_inputs, open_layer, open_model
from .prune import prune


def convert_config(config: Serialised, weights: LayerWeights, build: Builder) -> Graph:
    """The graph of a model config in today's form (`form.todays`).

    Raises:
        UnsupportedError: a layer, option or structure that is not supported; names it.
        InvalidFileError: the config contradicts itself or the weights.
    """
    build.inside = Inside(open_layer, open_model, run_layer, call_nested)
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
