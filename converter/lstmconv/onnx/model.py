"""The whole file: inputs, every node in order, outputs, and what is said of its origin."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any

from lstmconv_runtime.format.graph import Graph, Value
from lstmconv_runtime.format.nodes import Input
from onnx import defs, helper

from ..errors import UnsupportedError
from .dimensions import Dimension, dimensions
from .graph_writer import GraphWriter
from .nodes.activations import FUNCTIONS
from .nodes.by_node import write_node
from .sharing import shared
from .states import States
from .writer import MIN_OPSET, ONNX_DTYPES, OPSET, Tensor, held

PRODUCER = "lstmconv"


def write_model(
    graph: Graph,
    version: str,
    metadata: Mapping[str, str],
    states: bool = False,
    functions: Container[str] = FUNCTIONS,
) -> Any:
    """The ONNX model of a graph.

    Args:
        version: of the converter.
        metadata: texts by name that the file carries.
        states: the recurrent states become inputs and outputs, see `states`; the metadata `lstmconv.states` say which
            output is given to which input in the next run, as JSON.
        functions: see `GraphWriter`.

    Returns:
        A ModelProto.

    Raises:
        UnsupportedError: ONNX cannot say a node; names it and the option.
    """
    kept = States(graph) if states else None
    graph = graph if kept is None else kept.graph
    names = output_names(graph)
    w = GraphWriter(graph, {*graph.inputs, *names, *(kept.names() if kept else ())}, functions)
    known = dimensions(graph)
    inputs = []
    for node in graph.nodes:
        if isinstance(node, Input):
            inputs.append(_info(node.name, node.dtype, known[node.name]))
            w.scope = node.name
            w.tensors[node.name] = node.name if held(node.dtype) == node.dtype else w.cast(node.name, "float32")
    inputs.sort(key=lambda info: graph.inputs.index(info.name))
    if kept:
        inputs += [_info(name, dtype, sizes) for name, dtype, sizes in kept.inputs()]
    write = write_node if kept is None else kept.write
    for node in graph.nodes:
        if not isinstance(node, Input):
            write(w, node)
    outputs, made = [], {}
    for name, value in zip(names, graph.outputs, strict=True):
        dtype = w.types[value].dtype
        made[name] = _output(w, name, value)
        outputs.append(_info(name, dtype, known[value]))
    if kept:
        for name, tensor, dtype, sizes in kept.outputs():
            w.scope = name
            made[name] = w("Identity", tensor)
            outputs.append(_info(name, dtype, sizes))
    nodes = _renamed(_needed(shared(w.nodes, w.initializers, made.values()), made.values()), made)
    used = _read(nodes)
    arrays = [array for name, array in w.initializers.items() if name in used]
    written = helper.make_graph(nodes, PRODUCER, inputs, outputs, arrays)
    opset = helper.make_opsetid("", lowest_opset(nodes))
    model = helper.make_model(
        written, opset_imports=[opset], producer_name=PRODUCER, producer_version=version,
        ir_version=helper.find_min_ir_version_for([opset]),
    )  # fmt: skip
    states_of = {"lstmconv.states": json.dumps(kept.pairs())} if kept else {}
    helper.set_model_props(model, dict(sorted({**metadata, **states_of}.items())))
    return model


def output_names(graph: Graph) -> list[str]:
    """The model's own names of its outputs: its keys, or its values; a name that is taken gets a number."""
    taken, names = set(graph.inputs), []
    for wanted in graph.output_keys or graph.outputs:
        name, count = wanted, 1
        while name in taken:
            count += 1
            name = f"{wanted}_{count}"
        taken.add(name)
        names.append(name)
    return names


def _output(w: GraphWriter, name: str, value: Value) -> Tensor:
    """The tensor of an output, made by a node of its own: an Identity or Cast that `_renamed` gives its name."""
    w.scope = name
    dtype = w.types[value].dtype
    tensor = w.tensors[value]
    return w("Identity", tensor) if held(dtype) == dtype else w.cast(tensor, dtype)


def _info(name: str, dtype: str, sizes: Sequence[Dimension]) -> Any:
    return helper.make_tensor_value_info(name, ONNX_DTYPES[dtype], list(sizes))


def _needed(nodes: Sequence[Any], wanted: Any) -> list[Any]:
    """The nodes that the wanted tensors depend on; outputs that nothing reads are left out of operators of several."""
    needed, kept = set(wanted), []
    for node in reversed(nodes):
        if needed.isdisjoint(node.output):
            continue
        if node.op_type in ("LSTM", "GRU", "RNN"):
            node.output[:] = [name if name in needed else "" for name in node.output]
            while node.output[-1] == "":
                node.output.pop()
        needed |= _read([node])
        kept.append(node)
    return kept[::-1]


def _read(nodes: Sequence[Any]) -> set[str]:
    """Every tensor that the nodes read, those inside the bodies of Scans included."""
    found: set[str] = set()
    for node in nodes:
        found.update(node.input)
        for attribute in node.attribute:
            found |= _read(attribute.g.node)
    return found


def _renamed(nodes: list[Any], outputs: Mapping[str, Tensor]) -> list[Any]:
    """The nodes with the outputs under their names; an Identity whose argument nothing else shows is taken out.

    Args:
        outputs: by name, the tensor that has it now: the one an Identity or a Cast of its own makes.
    """
    makers = {name: node for node in nodes for name in node.output}
    public = {tensor: name for name, tensor in outputs.items()}
    renamed: dict[str, str] = dict(public)
    kept = []
    for node in nodes:
        source = node.input[0] if node.op_type == "Identity" and node.output[0] in public else None
        if source is not None and source in makers and source not in renamed:
            renamed[source] = public[node.output[0]]  # the node that made it makes the output
        else:
            kept.append(node)
    for node in kept:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    return kept


def lowest_opset(nodes: Sequence[Any]) -> int:
    """The lowest opset in which every operator is what it is in the one they are written for."""
    found = MIN_OPSET
    for node in nodes:
        found = max(found, defs.get_schema(node.op_type, OPSET).since_version)
        for attribute in node.attribute:
            if attribute.g.node:
                found = max(found, lowest_opset(attribute.g.node))
    if found > OPSET:
        raise UnsupportedError(f"ONNX needs opset {found}, more than {OPSET}", "E_UNSUPPORTED_ONNX")
    return found
