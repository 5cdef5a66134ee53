"""Each node of the vocabulary and the function that writes it: the table of contents of this package."""

from __future__ import annotations

from collections.abc import Callable

from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import Node

from .arrangement import ARRANGEMENTS
from .graph_writer import GraphWriter
from .layers import LAYERS
from .numbers import NUMBERS
from .recurrent import recurrent
from .scan import scanned
from .windows import WINDOWS
from .writer import Tensor

Write = Callable[..., Tensor]
RECURRENT: dict[type[Node], Callable[..., None]] = {
    n.LSTM: recurrent,
    n.GRU: recurrent,
    n.SimpleRNN: recurrent,
    n.ConvLSTM: scanned,
}
# Of one value each. Inputs are written by `model`.
ONE_VALUE: dict[type[Node], Write] = {**LAYERS, **ARRANGEMENTS, **NUMBERS, **WINDOWS}


def write_node(w: GraphWriter, node: Node) -> None:
    """Writes a node, all of whose arguments have been written; its halves are rounded.

    Raises:
        UnsupportedError: ONNX cannot say it; names the node and the option.
    """
    w.scope = node.name
    if type(node) in RECURRENT:
        RECURRENT[type(node)](w, node)
    else:
        w.tensors[node.name] = ONE_VALUE[type(node)](w, node)
    if type(node) not in ARRANGEMENTS:  # they pass on what has been rounded
        w.round_halves(node)
