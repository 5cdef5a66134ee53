"""Each node of the vocabulary and the function that writes it: the table of contents of this package."""

from __future__ import annotations

from collections.abc import Callable

from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import Node

from ..graph_writer import GraphWriter
from ..writer import Tensor
from .arrangement import ARRANGEMENTS
from .layers import LAYERS
from .numbers import NUMBERS
from .recurrent import recurrent
from .scan import scanned
from .windows import WINDOWS

Write = Callable[..., "Tensor | None"]  # a recurrent node, which has several values, files them itself
RECURRENT: dict[type[Node], Write] = {
    n.LSTM: recurrent,
    n.GRU: recurrent,
    n.SimpleRNN: recurrent,
    n.ConvLSTM: scanned,
}
# Inputs are written by `model`.
WRITERS: dict[type[Node], Write] = {**LAYERS, **ARRANGEMENTS, **NUMBERS, **WINDOWS, **RECURRENT}


def write_node(w: GraphWriter, node: Node) -> None:
    """Writes a node, all of whose arguments have been written; its halves are rounded.

    Raises:
        UnsupportedError: ONNX cannot say it; names the node and the option.
    """
    w.scope = node.name
    made = WRITERS[type(node)](w, node)
    if made is not None:
        w.tensors[node.name] = made
    if type(node) not in ARRANGEMENTS:  # they pass on what has been rounded
        w.round_halves(node)
