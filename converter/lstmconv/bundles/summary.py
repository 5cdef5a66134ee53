"""What a graph holds, as a dict: its inputs and outputs, nodes, tensors, parameters."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime.format.graph import SCALE, Graph, Node, infer_types
from lstmconv_runtime.format.graph_json import node_to_json
from lstmconv_runtime.format.nodes import Constant


def summary(graph: Graph) -> dict[str, Any]:
    """inputs, outputs, nodes, tensors and the number of parameters of a graph; sizes that are not fixed are None."""
    types = infer_types(graph)

    def value(name: str) -> dict[str, Any]:
        return {"name": name, "shape": list(types[name].shape), "dtype": types[name].dtype}

    keys = graph.output_keys or (None,) * len(graph.outputs)
    tensors = tensors_of(graph)
    constants = {f"{node.namespace()}/value" for node in graph.nodes if isinstance(node, Constant)}
    counts = {
        tensor["name"]: graph.arrays[tensor["name"]].size
        for tensor in tensors
        if tensor["name"] not in constants and not tensor["name"].endswith(SCALE)
    }
    nodes = []
    for node in graph.nodes:
        own = sum(counts.get(f"{node.namespace()}/{name}", 0) for name in node.parameters())
        nodes.append({**value(node.name), **_settings(node), "reads": list(node.reads()), "parameters": own})
    return {
        "inputs": [value(name) for name in graph.inputs],
        "outputs": [{**value(name), "key": key} for name, key in zip(graph.outputs, keys, strict=True)],
        "nodes": nodes,
        "tensors": tensors,
        "parameters": sum(counts.values()),
    }


def tensors_of(graph: Graph) -> list[dict[str, Any]]:
    """Name, shape and dtype of every array, in the order of the nodes; those of a shared layer once."""
    tensors: dict[str, dict[str, Any]] = {}
    for node in graph.nodes:
        for name in node.parameters():
            for key in (f"{node.namespace()}/{name}", f"{node.namespace()}/{name}{SCALE}"):
                if key in graph.arrays:
                    array = graph.arrays[key]
                    tensors[key] = {"name": key, "shape": list(array.shape), "dtype": array.dtype.name}
    return list(tensors.values())


def _settings(node: Node) -> dict[str, Any]:
    """The class of a node, and its fields that are neither its name nor values it reads."""
    read = {name for name, kind in node.FIELDS.items() if kind in ("Value", "Value | None", "tuple[Value, ...]")}
    skipped = {"node", "name", "shape", "dtype", *read}
    settings = {key: item for key, item in node_to_json(node).items() if key not in skipped}
    return {"node": type(node).__name__, "settings": settings}
