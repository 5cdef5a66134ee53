"""Probes: inputs and the outputs an oracle computed for them, kept in the bundle so that any copy of it can be checked.

They exercise what the model has: masked steps, ids at both ends of a table, saturated gates, a single time step.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping

import numpy as np
from lstmconv_runtime import engine
from lstmconv_runtime.bundle import Probe, canonical, graph_to_json
from lstmconv_runtime.errors import InputError
from lstmconv_runtime.graph import FLOATS, Array, Graph, Node, Value, infer_types
from lstmconv_runtime.nodes import Cast, Constant, Conv, Elementwise, Embedding, Input, Pool, Reshape, Slice

from .errors import UnsupportedError

Oracle = Callable[[Mapping[str, Array]], list[Array]]
MAX_ELEMENTS = 200_000  # of one probe's inputs: a bundle should not be mostly probes

# rows, time steps where the model leaves them open, scale of the numbers
PROBES = ((3, 7, 1.0), (1, 1, 1.0), (2, 5, 20.0))


def make_probes(graph: Graph, oracle_name: str, oracle: Oracle) -> tuple[Probe, ...]:
    """Probes for a graph; the oracle takes arrays by input name and gives the outputs in the graph's order."""
    seed = int.from_bytes(hashlib.sha256(canonical(graph_to_json(graph)).encode()).digest()[:8], "little")
    random = np.random.default_rng(seed)
    inputs = [node for node in graph.nodes if isinstance(node, Input) and node.name in graph.inputs]
    probes = []
    for rows, steps, scale in PROBES:
        steps = _steps_that_fit(graph, inputs, steps)
        shapes = {node.name: _shape(node, rows, steps) for node in inputs}
        if sum(math.prod(shape) for shape in shapes.values()) > MAX_ELEMENTS:
            shapes = {node.name: _shape(node, 1, _steps_that_fit(graph, inputs, 3)) for node in inputs}
        arrays = {node.name: _draw(graph, node, shapes[node.name], scale, random) for node in inputs}
        try:
            outputs = oracle(arrays)
        except InputError as error:
            raise UnsupportedError(
                f"no probe fits the model, whose inputs have an equal number of time steps: {error}",
                "E_UNSUPPORTED_STRUCTURE",
            ) from None
        probes.append(Probe(oracle_name, arrays, tuple(outputs)))
    return tuple(probes)


def _steps_that_fit(graph: Graph, inputs: list[Input], steps: int) -> int:
    """`steps`, or the next number that leaves something under the windows of the model and fits its shapes."""
    if not any(isinstance(node, Conv | Pool | Slice | Reshape) for node in graph.nodes):
        return steps
    program = engine.prepare(graph)
    for candidate in (steps, *(n for n in (4, 8, 12, 16, 32, 64, 128, 256, 512) if n > steps)):
        shapes = {node.name: _shape(node, 1, candidate) for node in inputs}
        if sum(math.prod(shape) for shape in shapes.values()) > MAX_ELEMENTS:
            break
        try:
            engine.run(program, {name: np.zeros(shape, program.dtype(name)) for name, shape in shapes.items()})
        except InputError:
            continue
        return candidate
    return steps


def float64_oracle(graph: Graph) -> Oracle:
    """The graph evaluated in float64, its outputs in the dtypes a bundle keeps them in."""
    evaluate, types = float64_evaluation(graph), infer_types(graph)

    def oracle(inputs: Mapping[str, Array]) -> list[Array]:
        return [_stored(y, types[name].dtype) for name, y in zip(graph.outputs, evaluate(inputs), strict=True)]

    return oracle


def float64_evaluation(graph: Graph) -> Oracle:
    """The graph evaluated in float64 by the reference cells, one gate at a time; not by the fused loops of predict."""
    program = engine.prepare(graph, "float64")

    def evaluate(inputs: Mapping[str, Array]) -> list[Array]:
        held = {name: engine.cast(array, program.dtype(name)) for name, array in inputs.items()}
        with np.errstate(all="ignore"):  # where a model overflows, infinities and NaN are its outputs
            values = engine.run(program, held, gates={})
        return [values[name] for name in graph.outputs]

    return evaluate


def _stored(array: Array, dtype: str) -> Array:
    """An output in the dtype a bundle keeps it in."""
    with np.errstate(over="ignore"):
        return array.astype("float32" if dtype == "bfloat16" else dtype)


def _shape(node: Input, rows: int, steps: int) -> tuple[int, ...]:
    return tuple((rows if axis == 0 else steps) if n is None else n for axis, n in enumerate(node.shape))


def _draw(graph: Graph, node: Input, shape: tuple[int, ...], scale: float, random: np.random.Generator) -> Array:
    """Numbers of the kind this input takes: ids where a table is looked up, whole masked steps where a mask is made."""
    limit, masked = _id_limit(graph, node.name), _mask_value(graph, node.name)
    if limit is not None or node.dtype not in FLOATS:
        array = random.integers(0, max(limit or 2, 1), shape).astype(np.float64)
        if array.size:
            array.flat[0], array.flat[-1] = (limit or 2) - 1, 0
    else:
        array = random.standard_normal(shape) * scale
    if masked is not None and len(shape) > 1:
        gaps = random.random(shape[:2]) < 0.35
        if shape[0] > 1:
            gaps[-1] = True  # a row with nothing in it
        array[gaps] = masked
    return array.astype("float32" if node.dtype == "bfloat16" else node.dtype)


def _descendants(graph: Graph, name: Value) -> list[tuple[Node, Node]]:
    """Nodes that read the input itself, or a cast of it, each with the node it reads it through."""
    names, found = {name}, []
    for node in graph.nodes:
        for value in node.reads():
            if value in names:
                found.append(node)
                if isinstance(node, Cast):
                    names.add(node.name)
    return [(node, node) for node in found]


def _id_limit(graph: Graph, name: Value) -> int | None:
    """Size of the smallest table an input is looked up in."""
    sizes = [node.input_size for node, _ in _descendants(graph, name) if isinstance(node, Embedding)]
    return min(sizes) if sizes else None


def _mask_value(graph: Graph, name: Value) -> float | None:
    """The value a mask is made of, where the input is compared with a constant."""
    constants = {node.name: node for node in graph.nodes if isinstance(node, Constant) and node.shape == ()}
    for node, _ in _descendants(graph, name):
        if isinstance(node, Elementwise) and node.op == "not_equal":
            for arg in node.args:
                if arg in constants:
                    return float(graph.arrays[f"{constants[arg].namespace()}/value"])
    return None
