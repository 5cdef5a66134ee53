"""What the writers of nodes work with: the graph that is written, its values as ONNX tensors, its arrays."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, NamedTuple

from lstmconv_runtime.format.graph import Activation, Array, Graph, Node, Shape, Type, Value, infer_types
from lstmconv_runtime.format.nodes import GRU, LSTM, ConvLSTM, SimpleRNN
from lstmconv_runtime.layers.precision import compute_dtype, round_to, rounder

from .nodes.activations import FUNCTIONS, activated
from .writer import Size, Tensor, Writer, held

Recurrent = LSTM | GRU | SimpleRNN | ConvLSTM


class Carried(NamedTuple):
    """What a recurrent node carries from one step to the next."""

    states: tuple[Tensor, ...]  # (B, …)
    output: Tensor | None  # what it showed last, where that can be another than h


class GraphWriter(Writer):
    """A Writer that knows the graph.

    Attributes:
        functions: the activations that the fused operators may use; what has another one is written as a Scan.
        tensors: by value of the graph, the tensor that has it; halves are held in float32.
        place: of each node, its place in the order.
        after: of recurrent nodes, what they carry on; not rounded to halves.
        carried: of recurrent nodes whose states are inputs of the file, these.
        aligned: of sequences that are in processing order against the time, the same in the order of time.
    """

    def __init__(self, graph: Graph, reserved: Iterable[str] = (), functions: Container[str] = FUNCTIONS) -> None:
        super().__init__(reserved)
        self.graph = graph
        self.functions = functions
        self.types: dict[Value, Type] = infer_types(graph)
        self.tensors: dict[Value, Tensor] = {}
        self.aligned: dict[Value, Tensor] = {}
        self.compactions: dict[Tensor, Any] = {}  # by mask, see `masks`
        self.place = {node.name: place for place, node in enumerate(graph.nodes)}
        self.after: dict[str, Carried] = {}
        self.carried: dict[str, Carried] = {}  # by node, with `states`

    def dtype(self, value: Value) -> str:
        """The dtype a value is held in."""
        return held(self.types[value].dtype)

    def shape_of(self, value: Value) -> Shape:
        return self.types[value].shape

    def rank(self, value: Value) -> int:
        return self.types[value].rank

    def size_of(self, value: Value, axis: int) -> Size:
        """The size of an axis, as a number where the graph knows it."""
        size = self.types[value].shape[axis]
        return self.size(self.tensors[value], axis) if size is None else size

    def parameters(self, node: Node) -> dict[str, Array]:
        """The arrays of a node by parameter name, as it computes with them: those of halves rounded, in float32."""
        dtype = self.types[node.makes()[0]].dtype
        rounding = rounder(dtype, None)
        arrays = {name: a.astype(compute_dtype(dtype, None)) for name, a in self.graph.node_arrays(node).items()}
        return {name: round_to(array, rounding) if rounding else array for name, array in arrays.items()}

    def weight(self, array: Array, wanted: str, *nodes: Node) -> Tensor:
        """A stored array of some nodes, made of their parameters by moving numbers alone; in half the bytes where that
        is what all of them are stored in."""
        halves = {self._stored_as(node) for node in nodes}
        half = halves.pop() if len(halves) == 1 else None
        return (
            self.array(array, wanted) if half is None else self.cast(self.array(array, wanted, half), array.dtype.name)
        )

    def _stored_as(self, node: Node) -> str | None:
        """The half precision that holds every number of a node's arrays, if one does."""
        rounding = rounder(self.types[node.makes()[0]].dtype, None)
        stored = {array.dtype.name for array in self.graph.node_arrays(node).values()}
        return rounding or ("float16" if stored == {"float16"} else None)

    def act(self, x: Tensor, activation: Activation, node: Node) -> Tensor:
        """act(x), in the dtype that a node computes in."""
        return activated(self, x, activation, self.dtype(node.makes()[0]))

    def states_before(self, node: Recurrent) -> list[Tensor | None]:
        """The states (B, …) before the first step, of every row; None is zeros."""
        if node.name in self.carried:
            return list(self.carried[node.name].states)
        return [None if state is None else self._of_rows(node, state) for state in node.states]

    def _of_rows(self, node: Recurrent, state: Value) -> Tensor:
        """A state of every row: one row may stand for all."""
        tensor = self.tensors[state]
        if self.shape_of(state)[0] != 1 or self.shape_of(node.x)[0] == 1:
            return tensor
        sizes: list[Size] = [self.size_of(node.x, 0), *[1] * (self.rank(state) - 1)]
        return self("Expand", tensor, self.shape(sizes))

    def output_before(self, node: Recurrent) -> Tensor | None:
        """What the node showed before the first step; None is zeros."""
        return self.carried[node.name].output if node.name in self.carried else None

    def finish_recurrent(self, node: Recurrent, sequence: Tensor, shown: Tensor, states: Sequence[Tensor]) -> None:
        """The values of a recurrent node.

        Args:
            sequence: the outputs (B, T, …) in the order of time; the node has them in processing order.
            shown: the output (B, …) of the last step processed.
        """
        if not node.return_sequences:
            y = shown
        elif node.go_backwards:
            y = self.flip(sequence, 1)
            self.aligned[node.name] = sequence
        else:
            y = sequence
        self.tensors.update(zip(node.makes(), (y, *states), strict=True))
        self.after[node.name] = Carried(tuple(states), shown)

    def round_halves(self, node: Node) -> None:
        """Rounds the values of a node that computes in half precision, where it is held in float32."""
        for value in node.makes():
            half = rounder(self.types[value].dtype, None)
            if half is not None:
                for held_in in (self.tensors, self.aligned):
                    if value in held_in:
                        held_in[value] = self.cast(self.cast(held_in[value], half), "float32")
