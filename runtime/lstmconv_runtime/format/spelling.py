"""One spelling of a graph, so that one model has one digest. Format 1.0 had several; since 1.1 a bundle has this one.

The axis of an activation is a whole number, counted from 1 on; other numbers that may have a fraction are written with
one; `weights` is never empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .activations import ACTIVATIONS
from .graph import Activation, Graph, GraphError, Node, Type, Value
from .graph_json import canonical, node_to_json
from .nodes import GRU, LSTM, ConvLSTM, SimpleRNN


def in_one_spelling(graph: Graph, types: Mapping[Value, Type]) -> Graph:
    """The same graph, as a bundle has to spell it."""
    return replace(graph, nodes=tuple(_spelled(node, types) for node in graph.nodes))


def check_spelling(graph: Graph, types: Mapping[Value, Type], nodes: list[dict[str, Any]]) -> None:
    """Checks that the nodes of a file, which were read as this graph, are spelled as `in_one_spelling` does.

    Raises:
        GraphError: a field is written in another way.
    """
    for node, written in zip(graph.nodes, nodes, strict=True):
        for name, value in node_to_json(_spelled(node, types)).items():
            if canonical(written[name]) != canonical(value):
                spelled = f"since format 1.1 it is spelled {canonical(value)}: export the model again"
                raise GraphError(f"node '{node.name}', field {name}: {spelled}")


def _spelled(node: Node, types: Mapping[Value, Type]) -> Node:
    changes: dict[str, Any] = {}
    for name, annotation in node.FIELDS.items():
        value = getattr(node, name)
        if annotation == "Activation":
            changes[name] = _activation(value, _rank_given(node, types))
        elif annotation == "float":
            changes[name] = float(value)
        elif name == "weights":
            changes[name] = node.namespace()
    return node.replace(**changes) if changes else node


def _activation(activation: Activation, rank: int) -> Activation:
    declared = ACTIVATIONS[activation.name].constants
    constants = tuple(
        (key, None if value is None else int(value) % rank if declared[key].whole else float(value))
        for key, value in activation.constants
    )
    return Activation(activation.name, constants)


def _rank_given(node: Node, types: Mapping[Value, Type]) -> int:
    """The rank of what the activations of a node are given: of a recurrent one a single step."""
    if isinstance(node, LSTM | GRU | SimpleRNN):
        return 2
    return types[node.reads()[0]].rank - isinstance(node, ConvLSTM)
