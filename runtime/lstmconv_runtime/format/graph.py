"""The graph: named values, made by nodes, fed by named arrays.

A *value* carries the name of the node that makes it; a node's further outputs are ``name:h``, ``name:c``. Values are
arrays whose first axis is the batch. Masks are ordinary values of dtype bool.

A node is a frozen record. Its fields are settings and names of values (annotated `Value`, `Value | None` or
`tuple[Value, ...]`); `parameters()` gives the shapes of its arrays; `infer()` gives the type of each output from the
types of the values it reads, and raises `GraphError` where they do not fit. Validator, writers and documents read these
declarations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from .record import Record

# As numpy.typing.NDArray[Any], which takes half a millisecond to import.
Array: TypeAlias = np.ndarray[tuple[Any, ...], np.dtype[Any]]
Value: TypeAlias = str
Shape: TypeAlias = tuple[int | None, ...]  # None: known only when the model runs

FLOATS = ("float16", "bfloat16", "float32", "float64")
INTS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
DTYPES = (*FLOATS, *INTS, "bool")


class GraphError(Exception):
    """A node does not fit the values it reads."""


class DtypeError(GraphError):
    """A node does not compute in the dtype of what it reads."""


class Type(NamedTuple):
    """Shape and dtype of a value."""

    shape: Shape
    dtype: str

    @property
    def rank(self) -> int:
        return len(self.shape)


class Activation(NamedTuple):
    """An activation function and its constants, as `activations` declares them."""

    name: str
    constants: tuple[tuple[str, float | None], ...] = ()


LINEAR = Activation("linear")
TANH = Activation("tanh")
SIGMOID = Activation("sigmoid")


class Node(Record):
    """Base of the vocabulary in `nodes`."""

    name: str

    OUTPUTS: ClassVar[tuple[str, ...]] = ("",)

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each array of this node."""
        return {}

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        """Types of the outputs, in the order of OUTPUTS, from the types of the values read.

        Raises:
            GraphError: a value's rank, size or dtype does not fit.
        """
        raise NotImplementedError

    def scaled(self) -> dict[str, int]:
        """The parameters that may be stored as int8 beside their scales, and the axis that these run along."""
        return {}

    def since(self) -> tuple[int, int]:
        """The version of the format that first had this node with these settings; a newer node says so here."""
        return (1, 0)

    def reads(self) -> tuple[Value, ...]:
        """The values this node reads, in the order of its fields."""
        return tuple(self._iter_reads())

    def _iter_reads(self) -> Iterator[Value]:
        for name, annotation in self.FIELDS.items():
            value = getattr(self, name)
            if annotation in ("Value", "Value | None"):
                if value is not None:
                    yield value
            elif annotation == "tuple[Value, ...]":
                yield from value

    def makes(self) -> tuple[Value, ...]:
        """The values this node makes."""
        return tuple(f"{self.name}:{suffix}" if suffix else self.name for suffix in self.OUTPUTS)

    def namespace(self) -> str:
        """The node name that this node's arrays are stored under: its own, or that of the node it shares them with."""
        return getattr(self, "weights", None) or self.name


SCALE = ".scale"  # what the name of a tensor of scales ends in, after that of the int8 it belongs to


class Int8Array(NamedTuple):
    """A matrix as int8, and a float32 scale for each place of one axis: value = q * scale, rounded to float32."""

    q: Array
    scale: Array
    axis: int

    def widened(self) -> Array:
        """The matrix as float32."""
        along = [1] * self.q.ndim
        along[self.axis] = -1
        return np.multiply(self.q, self.scale.reshape(along), dtype=np.float32)


@dataclass(frozen=True, repr=False)
class Graph:
    """A model.

    Attributes:
        inputs: names of Input nodes, in the order the model takes its arguments.
        outputs: names of values, in the order the model returns them.
        output_keys: for a model that returns a dict, its key for each output; else None.
        nodes: every node, each after the makers of what it reads.
        arrays: ``node/parameter`` → array; of one stored as int8 also ``node/parameter.scale``.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    output_keys: tuple[str, ...] | None
    nodes: tuple[Node, ...]
    arrays: dict[str, Array]

    def node_arrays(self, node: Node) -> dict[str, Array]:
        """The arrays of one node by parameter name, those stored as int8 as the float32 they stand for."""
        arrays = {name: self.arrays[f"{node.namespace()}/{name}"] for name in node.parameters()}
        return {**arrays, **{name: stored.widened() for name, stored in self.int8_arrays(node).items()}}

    def widened(self) -> Graph:
        """The same graph with nothing stored as int8."""
        scales = {key for key in self.arrays if key.endswith(SCALE)}
        if not scales:
            return self
        arrays = {key: array for key, array in self.arrays.items() if key not in scales}
        for node in self.nodes:
            arrays.update({f"{node.namespace()}/{name}": array for name, array in self.node_arrays(node).items()})
        return replace(self, arrays=arrays)

    def int8_arrays(self, node: Node) -> dict[str, Int8Array]:
        """Those arrays of a node that are stored as int8, by parameter name."""
        keys = {name: f"{node.namespace()}/{name}" for name in node.scaled()}
        return {
            name: Int8Array(self.arrays[key], self.arrays[f"{key}{SCALE}"], node.scaled()[name])
            for name, key in keys.items()
            if f"{key}{SCALE}" in self.arrays
        }


def infer_types(graph: Graph) -> dict[Value, Type]:
    """Type of every value of the graph.

    Raises:
        GraphError: the graph breaks a rule; the message names the node.
    """
    types: dict[Value, Type] = {}
    for node in graph.nodes:
        for value in node.reads():
            if value not in types:
                raise GraphError(f"node '{node.name}' reads '{value}', which no earlier node makes")
        try:
            outputs = node.infer(types)
        except GraphError as error:
            raise type(error)(f"node '{node.name}' ({type(node).__name__}): {error}") from None
        for value, made in zip(node.makes(), outputs, strict=True):
            if value in types:
                raise GraphError(f"the name '{value}' is used twice")
            types[value] = made
    for name in graph.inputs:
        if name not in types:
            raise GraphError(f"the input '{name}' has no node")
    for name in graph.outputs:
        if name not in types:
            raise GraphError(f"the output '{name}' is made by no node")
    return types


def need(condition: bool, message: str) -> None:
    """Raises GraphError(message) unless the condition holds."""
    if not condition:
        raise GraphError(message)


def need_dtype(condition: bool, message: str) -> None:
    """Raises DtypeError(message) unless the condition holds."""
    if not condition:
        raise DtypeError(message)


def same_size(a: int | None, b: int | None) -> bool:
    """True unless both sizes are known and differ."""
    return a is None or b is None or a == b


def broadcast(*shapes: Shape) -> Shape:
    """NumPy's broadcasting rule over shapes with unknown sizes.

    Raises:
        GraphError: the shapes do not broadcast.
    """
    rank = max(len(shape) for shape in shapes)
    result: list[int | None] = []
    for axis in range(-rank, 0):
        sizes = [shape[axis] for shape in shapes if len(shape) >= -axis]
        known = {size for size in sizes if size is not None and size != 1}
        need(len(known) <= 1, f"shapes {', '.join(map(str, shapes))} do not broadcast")
        if known:
            result.append(known.pop())
        else:
            result.append(None if None in sizes else 1)
    return tuple(result)
