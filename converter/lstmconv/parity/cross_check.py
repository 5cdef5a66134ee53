"""One model, the same inputs, every engine: the report."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from lstmconv_runtime import programs
from lstmconv_runtime.difference import difference
from lstmconv_runtime.format.graph import FLOATS, Array, Graph
from lstmconv_runtime.format.nodes import Input

from ..bundles.compare import Reference, compare_outputs, reference
from ..bundles.probes import Draw, drawn
from .divergence import NodeDifference, node_differences, onnx_node_differences
from .engines import ENGINES, NOT_WANTED, EngineMissing, Subject, keras_in_float64, open_engines
from .report import Report

ROWS, STEPS = 8, 20  # of drawn inputs, where the model leaves them open


def draw_inputs(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Random inputs that fit a graph: ids where a table is looked up, masked steps where a mask is made.

    Raises:
        InputError: none were found.
    """
    return drawn(programs.prepare(graph), Draw(ROWS, STEPS, 1.0, empty_row=True), np.random.default_rng(seed))


def cross_check(subject: Subject, inputs: Mapping[str, Array]) -> Report:
    """Runs every engine that is there on the same inputs, and compares.

    Args:
        inputs: arrays by the names of the model's inputs.

    Raises:
        InputError: an array does not fit the model.
    """
    given = engine_inputs(subject, inputs)
    return compared(subject, given, reference(subject.runtime.bundle.graph, given))


def engine_inputs(subject: Subject, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Inputs as every engine is given them.

    Raises:
        InputError: an array does not fit the model.
    """
    held = subject.runtime.check_inputs(dict(inputs))
    dtypes = {node.name: node.dtype for node in subject.runtime.nodes if isinstance(node, Input)}
    return {name: _as_keras_reads(array, dtypes[name]) for name, array in held.items()}


def compared(
    subject: Subject, given: Mapping[str, Array], truth: Reference, wanted: Collection[str] = tuple(ENGINES)
) -> Report:
    """The report on what `engine_inputs` gave, and its `reference`.

    Args:
        wanted: which engines to run, where they are there.
    """
    graph = subject.runtime.bundle.graph
    engines, missing = open_engines(subject, wanted)
    results: dict[str, list[Array]] = {}
    for name, evaluate in engines.items():
        try:
            results[name] = evaluate(given)
        except EngineMissing as reason:
            missing[name] = str(reason)
    return Report(
        inputs={name: (array.shape, array.dtype.name) for name, array in given.items()},
        engines=tuple(results),
        missing=missing,
        outputs=compare_outputs(subject.runtime.output_names, graph.outputs, results, truth),
        keras_float64=_keras_float64(subject, given, truth) if "Keras" in wanted else NOT_WANTED,
        nodes=_nodes(subject, given, truth) if "Keras" in wanted else NOT_WANTED,
        onnx_nodes=_onnx_nodes(subject, given, truth) if "our ONNX" in wanted else NOT_WANTED,
    )


def _as_keras_reads(array: Array, dtype: str) -> Array:
    """An input in its dtype; float64 rounded to float32, as Keras's `predict` does with arrays whatever the model."""
    if dtype == "float64":
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
    return array.astype("float32" if dtype == "bfloat16" else dtype)


def _keras_float64(subject: Subject, inputs: Mapping[str, Array], truth: Reference) -> tuple[float, ...] | str:
    graph = subject.runtime.bundle.graph
    if not all(truth.dtypes[name] in FLOATS for name in graph.outputs):
        return "an output is not floating point"
    try:
        made = keras_in_float64(subject)(inputs)
    except EngineMissing as reason:
        return str(reason)
    return tuple(difference(a, b).largest for a, b in zip(made, truth.outputs, strict=True))


def _nodes(subject: Subject, inputs: Mapping[str, Array], truth: Reference) -> tuple[NodeDifference, ...] | str:
    try:
        return node_differences(subject.keras, subject.runtime, inputs, truth)
    except EngineMissing as reason:
        return str(reason)


def _onnx_nodes(subject: Subject, inputs: Mapping[str, Array], truth: Reference) -> tuple[NodeDifference, ...] | str:
    try:
        return onnx_node_differences(subject.runtime, inputs, truth)
    except EngineMissing as reason:
        return str(reason)
