"""A part of a graph: what some of its values need."""

from __future__ import annotations

from lstmconv_runtime.format.graph import Graph, Node, Value


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
