"""What a model takes and gives, and its nodes as a table of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .format.graph import SCALE, Graph, Shape, Value
from .format.nodes import Constant
from .programs import Program


class TensorInfo(NamedTuple):
    """An input or output of a model.

    Attributes:
        name: as `predict` takes it in a dict, and `predict_by_name` gives it.
        shape: the batch first; None is any size.
        dtype: NumPy's name of it, or "bfloat16", which NumPy has not: its values come and go as float32.
    """

    name: str
    shape: Shape
    dtype: str


def tensor_infos(program: Program, names: Sequence[str], values: Sequence[Value]) -> tuple[TensorInfo, ...]:
    """The names that a caller knows, with shape and dtype of the values they stand for."""
    return tuple(
        TensorInfo(name, program.types[value].shape, _dtype(program, value))
        for name, value in zip(names, values, strict=True)
    )


def summary(program: Program, engine: str, inputs: Iterable[TensorInfo], outputs: Iterable[TensorInfo]) -> str:
    """Inputs, nodes with their shapes and parameters, and outputs, a line each."""
    graph = program.graph
    counts = _parameter_counts(graph)
    rows = [("node", "class", "shape", "dtype", "parameters", "reads")]
    for node in graph.nodes:
        own = sum(counts.get(f"{node.namespace()}/{name}", 0) for name in node.parameters())
        rows.append(
            (node.name, type(node).__name__, shape_text(program.types[node.name].shape), _dtype(program, node.name),
             f"{own:,}" if own else "", ", ".join(node.reads()))
        )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    table.insert(1, "  ".join("-" * width for width in widths))
    ends = [
        f"{kind:7} {port.name} {shape_text(port.shape)} {port.dtype}"
        for kind, ports in (("input", inputs), ("output", outputs))
        for port in ports
    ]
    return "\n".join([*table, "", *ends, f"{sum(counts.values()):,} parameters, engine {engine}"])


def shape_text(shape: Shape) -> str:
    """(any, 5, 1) for (None, 5, 1)."""
    return f"({', '.join('any' if size is None else str(size) for size in shape)}{',' * (len(shape) == 1)})"


def _dtype(program: Program, value: Value) -> str:
    declared = program.types[value].dtype
    return declared if program.precision is None else program.dtype(value).name


def _parameter_counts(graph: Graph) -> dict[str, int]:
    """Numbers in each tensor, a shared one once; constants and the scales of int8 weights are no parameters."""
    constants = {f"{node.namespace()}/value" for node in graph.nodes if isinstance(node, Constant)}
    return {k: a.size for k, a in graph.arrays.items() if k not in constants and not k.endswith(SCALE)}
