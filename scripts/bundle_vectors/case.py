"""One bundle vector: a graph written by hand, its arrays, and Keras to compute what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from lstmconv_runtime.format.bundle import Bundle, Probe, to_bytes
from lstmconv_runtime.format.graph import Array, Graph, Node, infer_types
from lstmconv_runtime.format.nodes import Constant, Input

# From the inputs of a probe and the arrays of the graph, both by name, to the outputs in their order.
Oracle: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Array]], Sequence[Any]]
STORED = {"bfloat16": "float32"}  # as FORMAT.md stores it


@dataclass(frozen=True)
class Case:
    """A bundle to be made.

    Attributes:
        shows: what a reader gets wrong that is wrong here.
        nodes: the graph; its inputs are its Input nodes.
        probes: for each the inputs, by name.
        oracle: computes the outputs with Keras.
        arrays: those that are not drawn at random.
        int8: patterns of the names of tensors that are stored as int8, of those that may be.
        rewrite: what is done to the finished file.
    """

    name: str
    shows: str
    nodes: Sequence[Node]
    outputs: Sequence[str]
    probes: Sequence[Mapping[str, Array]]
    oracle: Oracle
    arrays: Mapping[str, Array] = field(default_factory=dict)
    output_keys: tuple[str, ...] | None = None
    allowed: tuple[tuple[float, float] | None, ...] = ()
    store: str = "float32"
    int8: Sequence[str] = ()
    rewrite: Callable[[bytes], bytes] | None = None


def pack(case: Case, oracle: str) -> bytes:
    """The case as a file."""
    graph = graph_of(case)
    types = infer_types(graph)
    probes = []
    for given in case.probes:
        tensors = {name: tf.cast(tf.constant(given[name]), types[name].dtype) for name in graph.inputs}
        made = case.oracle(tensors, widened(graph))
        assert len(made) == len(graph.outputs), case.name
        outputs = []
        for name, tensor in zip(graph.outputs, made, strict=True):
            tensor = tf.convert_to_tensor(tensor)
            assert tensor.dtype.name == types[name].dtype, (case.name, name, tensor.dtype.name, types[name].dtype)
            outputs.append(tf.cast(tensor, STORED.get(tensor.dtype.name, tensor.dtype.name)).numpy())
        inputs = {name: np.asarray(given[name]) for name in graph.inputs}
        probes.append(Probe(oracle, inputs, tuple(outputs), case.allowed))
    source = {"framework": "by hand", "version": "1"}
    data = to_bytes(Bundle(graph, source, {}, tuple(probes)))
    return case.rewrite(data) if case.rewrite else data


def graph_of(case: Case) -> Graph:
    """The graph with the arrays that are given, and the others drawn so that nothing saturates."""
    arrays: dict[str, Array] = {}
    for place, node in enumerate(case.nodes):
        for name, shape in node.parameters().items():
            key = f"{node.namespace()}/{name}"
            if key in case.arrays:
                arrays[key] = np.asarray(case.arrays[key])
            elif key not in arrays:
                assert not isinstance(node, Constant), key
                random = np.random.default_rng([place, len(arrays)])
                drawn = random.standard_normal(shape) / np.sqrt(max(1, *shape[:-1], 1))
                arrays[key] = (np.abs(drawn) + 0.5 if name == "variance" else drawn).astype(case.store)
    for node in case.nodes:
        for name, axis in node.scaled().items():
            key = f"{node.namespace()}/{name}"
            if arrays[key].dtype != np.int8 and any(fnmatchcase(key, pattern) for pattern in case.int8):
                arrays[key], scales = as_int8(arrays[key], axis)
                arrays[f"{key}.scale"] = case.arrays.get(f"{key}.scale", scales)
    inputs = tuple(node.name for node in case.nodes if isinstance(node, Input))
    return Graph(inputs, tuple(case.outputs), case.output_keys, tuple(case.nodes), arrays)


def as_int8(array: Array, axis: int) -> tuple[Array, Array]:
    """Numbers from −128, which a writer should not use and a reader has to take, to 127, and a scale for each place."""
    largest = np.abs(array).max(axis=tuple(a for a in range(array.ndim) if a != axis % array.ndim), keepdims=True)
    q = np.rint(array / largest * 127).astype(np.int8)
    q[q == -127] = -128
    return q, (largest / 127).astype(np.float32).ravel()


def widened(graph: Graph) -> dict[str, Array]:
    """The arrays of a graph by name, those stored as int8 as the float32 numbers q * scale."""
    arrays = {key: array for key, array in graph.arrays.items() if not key.endswith(".scale")}
    for node in graph.nodes:
        for name, axis in node.scaled().items():
            key = f"{node.namespace()}/{name}"
            if f"{key}.scale" in graph.arrays:
                q, scale = graph.arrays[key].astype(np.float32), graph.arrays[f"{key}.scale"]
                arrays[key] = q * np.expand_dims(scale, tuple(a for a in range(q.ndim) if a != axis % q.ndim))
    return arrays


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Normal numbers as float32."""
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def given(*shape: int | None, name: str = "x", dtype: str = "float32") -> Input:
    """An Input with an open batch."""
    return Input(name=name, shape=(None, *shape), dtype=dtype)


def one(name: str, shows: str, node: Node, oracle: Callable[..., Any], *arrays: Array, **options: Any) -> Case:
    """A case of an Input x and one node that reads it; each array is a probe's x, of an open batch.

    Args:
        oracle: from x and the parameters of the node by name to its value.
    """
    first = np.asarray(arrays[0])
    dtype = options.pop("dtype", first.dtype.name)
    sizes = options.pop("sizes", first.shape[1:])

    def computed(x: Mapping[str, Any], parameters: Mapping[str, Array]) -> list[Any]:
        own = {name: parameters[f"{node.namespace()}/{name}"] for name in node.parameters()}
        return [oracle(x["x"], **own)]

    nodes = [given(*sizes, dtype=dtype), node]
    return Case(name, shows, nodes, [node.name], [{"x": array} for array in arrays], computed, **options)


def several(name: str, shows: str, nodes: Sequence[Node], oracle: Callable[..., Sequence[Any]], *arrays: Array) -> Case:
    """A case of an Input x and nodes without parameters that read it, all of which are outputs."""
    first = np.asarray(arrays[0])
    inputs = [given(*first.shape[1:], dtype=first.dtype.name)]
    outputs = [node.name for node in nodes]
    return Case(name, shows, [*inputs, *nodes], outputs, [{"x": a} for a in arrays], lambda x, _: oracle(x["x"]))


def renamed(case: Case, name: str, shows: str, **changes: Any) -> Case:
    return replace(case, name=name, shows=shows, **changes)
