"""Where two engines part: every value of the runtime's graph beside the output of the Keras layer of the same name, and
beside the same value of our ONNX file.

The converter names a node after the layer whose result it is, so a name in both is the same value. Nodes that are parts
of a layer, such as `bi.forward`, have no counterpart in Keras and are skipped, and so are layers called more than once
and values of another shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from lstmconv_runtime import Model, programs
from lstmconv_runtime.difference import difference
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import Input

from ..bundles.compare import Reference
from ..bundles.keras_oracle import ROWS, functional
from ..bundles.rounding import still_program
from .engines import EngineMissing, engine_of_keras, engine_of_our_onnx, import_quietly


@dataclass(frozen=True)
class NodeDifference:
    """One node: how far the runtime's value lies from Keras's, and how far rounding explains."""

    node: str
    op: str
    largest: float
    allowed: float

    @property
    def agrees(self) -> bool:
        return self.largest <= self.allowed and self.largest < inf


def node_differences(
    model: Any, runtime: Model, inputs: Mapping[str, Array], truth: Reference
) -> tuple[NodeDifference, ...]:
    """The nodes that have a counterpart in Keras, in the order they run.

    The runtime's values are those of its `predict` path; `Model.trace` computes by the reference cells, and would not
    show a mistake of the fused ones.

    Raises:
        EngineMissing: Keras does not give the outputs of its layers for this model.
    """
    expected = keras_values(model, runtime, inputs)
    rows = len(next(iter(inputs.values())))
    largest = dict.fromkeys(expected, 0.0)
    for start in range(0, rows, ROWS):
        chunk = runtime.check_inputs({name: array[start : start + ROWS] for name, array in inputs.items()})
        values = programs.run(runtime.program, chunk)
        for name, array in list(expected.items()):
            part = array[start : start + ROWS]
            if values[name].shape != part.shape:
                del expected[name]
                continue
            largest[name] = max(largest[name], difference(values[name], part).largest)
    return tuple(
        NodeDifference(node.name, type(node).__name__, largest[node.name], truth.allowed(node.name))
        for node in runtime.nodes
        if node.name in expected
    )


def onnx_node_differences(runtime: Model, inputs: Mapping[str, Array], truth: Reference) -> tuple[NodeDifference, ...]:
    """Every value that onnxruntime computes from our ONNX file, as a further output, beside the runtime's.

    Raises:
        EngineMissing: see `engine_of_our_onnx`.
    """
    bundle = runtime.bundle
    values = {value: node for node in runtime.nodes if not isinstance(node, Input) for value in node.makes()}
    graph = replace(bundle.graph, outputs=tuple(values), output_keys=None)
    made = dict(zip(values, engine_of_our_onnx(replace(bundle, graph=graph))(inputs), strict=True))
    expected = programs.run(runtime.program, runtime.check_inputs(dict(inputs)))
    return tuple(
        NodeDifference(
            value, type(node).__name__, difference(made[value], expected[value]).largest, truth.allowed(value)
        )
        for value, node in values.items()
    )


def float64_node_differences(
    runtime: Model, inputs: Mapping[str, Array], truth: Reference
) -> tuple[NodeDifference, ...]:
    """Every value that the runtime computes, beside the float64 evaluation of the graph: for this no other engine is
    needed."""
    still = still_program(runtime.bundle.graph)
    values = {value: node for node in runtime.nodes if not isinstance(node, Input) for value in node.makes()}
    largest = dict.fromkeys(values, 0.0)
    for start in range(0, len(next(iter(inputs.values()))), ROWS):
        chunk = {name: array[start : start + ROWS] for name, array in inputs.items()}
        made = programs.run(runtime.program, runtime.check_inputs(chunk))
        exact = programs.run(still, {name: programs.cast(x, still.dtype(name)) for name, x in chunk.items()}, gates={})
        for value in values:
            largest[value] = max(largest[value], difference(made[value], exact[value]).largest)
    return tuple(
        NodeDifference(value, type(node).__name__, largest[value], truth.allowed(value))
        for value, node in values.items()
    )


def first_divergence(differences: tuple[NodeDifference, ...]) -> NodeDifference | None:
    """The first node in the order of execution whose value is not Keras's."""
    return next((node for node in differences if not node.agrees), None)


def keras_values(model: Any, runtime: Model, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of Keras's layers by name, for the layers that a node of the graph is named after.

    Raises:
        EngineMissing: this model has no layer outputs to show.
    """
    keras = import_quietly("keras")
    names = {node.name for node in runtime.nodes if not isinstance(node, Input)}
    try:
        graph = functional(model)
        calls = [call for level in graph._nodes_by_depth.values() for call in level]
        times = Counter(call.operation.name for call in calls)
        tensors = {
            name: call.output_tensors[0]
            for call in calls
            if (name := call.operation.name) in names and times[name] == 1
        }
        if not tensors:
            raise EngineMissing("no layer of the Keras model has the name of a node")
        probe = keras.Model(graph._inputs_struct, list(tensors.values()))
    except (AttributeError, ValueError, TypeError) as error:
        raise EngineMissing(f"Keras does not show the layers of this model: {error}") from None
    made = engine_of_keras(probe, runtime)(inputs)
    return {name: np.asarray(array) for name, array in zip(tensors, made, strict=True)}
