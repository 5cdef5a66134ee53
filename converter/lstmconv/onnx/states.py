"""Recurrent states as inputs and outputs, so that a file can be run some steps at a time.

What a node carries from one run to the next is an input `past.NODE.WHAT` and an output `present.NODE.WHAT`:

    h, c      the states of a recurrent layer
    output    what it showed last, where it has a mask: before the first valid step that is not h
    x         the last steps of the input of a causal convolution

Before the first step all are zeros. A model whose layers start from states of its own has one more input, `start`:
true for the first run, in which those take the place of what is carried. Which values follow the stream, and which
models cannot run so, is the rule of `lstmconv_runtime.streaming`. States are not rounded to half precision: a layer of
halves carries float32, as it does from step to step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from lstmconv_runtime import StreamError, programs
from lstmconv_runtime.format.graph import Graph, GraphError, Node, Shape, infer_types
from lstmconv_runtime.format.nodes import Conv, Input
from lstmconv_runtime.format.windows import dilated
from lstmconv_runtime.recurrent.states import Recurrent
from lstmconv_runtime.stream_kinds import STREAM, Kinds, classify, stream_inputs

from ..errors import UnsupportedError, printable
from .dimensions import Dimension
from .graph_writer import Carried, GraphWriter
from .nodes.by_node import write_node
from .writer import Tensor, held

START = "start"


class Part(NamedTuple):
    """One array that a node carries."""

    node: str
    what: str
    dtype: str
    sizes: tuple[Dimension, ...]

    @property
    def past(self) -> str:
        return f"past.{self.node}.{self.what}"

    @property
    def present(self) -> str:
        return f"present.{self.node}.{self.what}"


class States:
    """What a graph carries from one run to the next.

    Attributes:
        graph: with an open time for the inputs that follow the stream.
        parts: by node, what it carries.
        starts: whether there is an input `start`.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = _with_open_time(graph)
        types = infer_types(self.graph)
        self._kinds = _kinds(self.graph)
        self.parts: dict[str, list[Part]] = {}
        for node in self.graph.nodes:
            carried = list(_carried(node, self._kinds))
            for what in carried:
                if isinstance(node, Conv):
                    before = dilated(node.kernel_size[0], node.dilation[0]) - 1
                    shape: Shape = (types[node.x].shape[0], before, node.channels)
                else:
                    shape = types[f"{node.name}:h"].shape
                sizes = ("batch" if shape[0] is None else shape[0], *shape[1:])
                part = Part(node.name, what, held(types[node.name].dtype), sizes)
                self.parts.setdefault(node.name, []).append(part)
        self.starts = any(
            node.name in self.parts and any(state is not None for state in node.states)
            for node in self.graph.nodes
            if isinstance(node, programs.RECURRENT)
        )
        self._present: dict[str, Tensor] = {}

    def every(self) -> list[Part]:
        return [part for parts in self.parts.values() for part in parts]

    def names(self) -> list[str]:
        """The names that are taken.

        Raises:
            UnsupportedError: the model has an input or output of such a name.
        """
        names = [name for part in self.every() for name in (part.past, part.present)] + [START] * self.starts
        for name in (*self.graph.inputs, *(self.graph.output_keys or self.graph.outputs)):
            if name in names:
                raise UnsupportedError(
                    f"'{printable(name)}' is the name of a state, and of a value of the model", "E_NAMES"
                )
        return names

    def pairs(self) -> dict[str, str]:
        """By input, the output that is given to it in the next run."""
        return {part.past: part.present for part in self.every()}

    def inputs(self) -> list[tuple[str, str, tuple[Dimension, ...]]]:
        """Name, dtype and sizes of the inputs that come after those of the model."""
        first: list[tuple[str, str, tuple[Dimension, ...]]] = [(START, "bool", (1,))] if self.starts else []
        return first + [(part.past, part.dtype, part.sizes) for part in self.every()]

    def outputs(self) -> list[tuple[str, Tensor, str, tuple[Dimension, ...]]]:
        """Name, tensor, dtype and sizes of the outputs that come after those of the model."""
        return [(part.present, self._present[part.present], part.dtype, part.sizes) for part in self.every()]

    def write(self, w: GraphWriter, node: Node) -> None:
        """Writes a node that goes on from what it carries."""
        parts = self.parts.get(node.name, [])
        if not parts:
            write_node(w, node)
        elif isinstance(node, Conv):
            self._write_convolution(w, node, parts[0])
        else:
            assert isinstance(node, programs.RECURRENT)
            self._write_recurrent(w, node, parts)

    def _write_convolution(self, w: GraphWriter, node: Conv, part: Part) -> None:
        """The past stands where the padding would."""
        w.scope = node.name
        x = w.tensors[node.x]
        longer = w("Concat", part.past, x, axis=1)
        before = part.sizes[1]
        assert isinstance(before, int)
        self._present[part.present] = w.cut(longer, 1, -before, None)
        w.tensors[node.x] = longer
        write_node(w, node.replace(padding="valid"))
        w.tensors[node.x] = x

    def _write_recurrent(self, w: GraphWriter, node: Recurrent, parts: list[Part]) -> None:
        w.scope = node.name
        past = {part.what: part.past for part in parts}
        states = []
        for what, state in zip(node.OUTPUTS[1:], node.states, strict=True):
            own = None if state is None else w.tensors[state]
            states.append(past[what] if own is None else w("Where", START, own, past[what]))
        w.carried[node.name] = Carried(tuple(states), past.get("output"))
        write_node(w, node)
        after = {**dict(zip(node.OUTPUTS[1:], w.after[node.name].states, strict=True))}
        after["output"] = w.after[node.name].output or ""
        self._present.update((part.present, after[part.what]) for part in parts)


def _with_open_time(graph: Graph) -> Graph:
    """The graph with an open time axis for the inputs that follow the stream.

    Raises:
        UnsupportedError: a layer needs a known number of steps.
    """
    moving = stream_inputs(graph.nodes)
    nodes = tuple(
        node.replace(shape=(node.shape[0], None, *node.shape[2:]))
        if isinstance(node, Input) and node.name in moving
        else node
        for node in graph.nodes
    )
    opened = replace(graph, nodes=nodes)
    try:
        infer_types(opened)
    except GraphError as error:
        raise UnsupportedError(f"it cannot run step by step: {printable(str(error), 300)}", "E_STREAM") from None
    return opened


def _kinds(graph: Graph) -> Kinds:
    """The kind of every value, as `streaming` names them.

    Raises:
        UnsupportedError: a layer needs the future; names it.
    """
    try:
        return classify(graph.nodes, infer_types(graph))
    except StreamError as error:
        raise UnsupportedError(printable(str(error), 300), "E_STREAM") from None


def _carried(node: Node, kinds: Kinds) -> Iterator[str]:
    """What a node carries from step to step."""
    if isinstance(node, Conv):
        if node.padding == "causal" and kinds[node.x] == STREAM and dilated(node.kernel_size[0], node.dilation[0]) > 1:
            yield "x"
    elif isinstance(node, programs.RECURRENT) and kinds[node.x] == STREAM:
        yield from node.OUTPUTS[1:]
        if node.mask is not None and not node.zero_output_for_mask:
            yield "output"
