"""LSTM, GRU and SimpleRNN by the fused operators of ONNX, masks included; `scan` where those lack something.

The operators take the time first, x (T, B, n), and give Y (T, D, B, u) and the last states (D, B, u), D the directions.
Kernels are stacked gate by gate and transposed: W (D, g·u, n), R (D, g·u, u), B (D, 2·g·u) with the bias of the input
before that of the state.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import GRU, LSTM, SimpleRNN

from ..graph_writer import GraphWriter
from ..writer import Tensor
from .activations import Fused, fused
from .masks import Compaction, compacted, compaction, spread
from .scan import scanned

Recurrent = LSTM | GRU | SimpleRNN
OPERATORS: dict[type[Recurrent], str] = {LSTM: "LSTM", GRU: "GRU", SimpleRNN: "RNN"}
# Our gates in the order of the operators: an LSTM has i o f c, a GRU update, reset, candidate.
GATES: dict[type[Recurrent], tuple[str, ...]] = {LSTM: ("i", "o", "f", "c"), GRU: ("z", "r", "h"), SimpleRNN: ("h",)}


def recurrent(w: GraphWriter, node: Recurrent) -> None:
    """Writes a node; where another one after it is its other direction, both at once."""
    if node.name in w.tensors:
        return
    functions = fused_functions(node, w.functions)
    if functions is None or w.dtype(node.name) == "float64":
        scanned(w, node)
        return
    other = partner(w, node)
    _operator(w, [node] if other is None else sorted((node, other), key=lambda one: one.go_backwards), functions)


def fused_functions(node: Recurrent, known: Container[str]) -> list[Fused] | None:
    """The activations of one direction as the operators take them: gates, candidate, and of an LSTM the output; None
    where one is not known there."""
    inner, gates = fused(node.activation), None if isinstance(node, SimpleRNN) else fused(node.recurrent_activation)
    wanted = [inner] if isinstance(node, SimpleRNN) else [gates, inner, *([inner] * isinstance(node, LSTM))]
    found = [one for one in wanted if one is not None and one[0] in known]
    return found if len(found) == len(wanted) else None


def partner(w: GraphWriter, node: Recurrent) -> Recurrent | None:
    """The node that runs the same sequence from the other end, alike in all that one operator has once; what it reads
    is there already."""
    alike = ("x", "mask", "units", "input_size", "activations", "zero_output_for_mask")
    after = w.graph.nodes[w.place[node.name] + 1 :]
    for other in after:
        if (
            type(other) is type(node)
            and isinstance(other, LSTM | GRU | SimpleRNN)
            and other.go_backwards != node.go_backwards
            and all(getattr(other, field) == getattr(node, field) for field in alike)
            and getattr(other, "reset_after", None) == getattr(node, "reset_after", None)
            and all((a is None) == (b is None) for a, b in zip(node.states, other.states, strict=True))
            and all(value in w.tensors for value in other.reads())
            and node.name not in w.carried
            and other.name not in w.carried
        ):
            return other
    return None


def _operator(w: GraphWriter, nodes: Sequence[Recurrent], functions: Sequence[Fused]) -> None:
    """One operator for one node, or for the two directions, the forward one first."""
    first = nodes[0]
    dtype, x = w.dtype(first.name), w.tensors[first.x]
    by = None if first.mask is None else compaction(w, first.x, first.mask)
    steps = w.transpose(x if by is None else compacted(w, x, by), (1, 0, 2))
    kernels = [_kernels(node, w.parameters(node)) for node in nodes]
    W, R, B = (np.stack([arrays[k] for arrays in kernels]) for k in range(3))
    inputs = [steps, w.weight(W, "W", *nodes), w.weight(R, "R", *nodes)]
    inputs.append(w.weight(B, "B", *nodes) if any(node.use_bias for node in nodes) else "")
    inputs.append("" if by is None else by.lengths)
    starts = [w.states_before(node) for node in nodes]
    for of_directions in zip(*starts, strict=True):
        inputs.append(_joined(w, [state for state in of_directions if state is not None]))
    while inputs[-1] == "":
        inputs.pop()
    attributes: dict[str, Any] = {"hidden_size": first.units, **_functions(functions, len(nodes))}
    attributes["direction"] = "bidirectional" if len(nodes) > 1 else "reverse" if first.go_backwards else "forward"
    if isinstance(first, GRU):
        attributes["linear_before_reset"] = int(first.reset_after)
    Y, *last = w.several(OPERATORS[type(first)], len(first.OUTPUTS), *inputs, **attributes)
    for k, (node, start) in enumerate(zip(nodes, starts, strict=True)):
        sequence = w.transpose(w.pick(Y, 1, k), (1, 0, 2))
        _results(w, node, sequence, [w.pick(state, 0, k) for state in last], start, by, dtype)


def _kernels(node: Recurrent, p: dict[str, Array]) -> tuple[Array, Array, Array]:
    """W (g·u, n), R (g·u, u), B (2·g·u,) of one direction."""
    gates = GATES[type(node)]
    W, R = (np.concatenate([p[f"{kind}_{gate}"] for gate in gates], axis=1).T for kind in "WU")
    zero = np.zeros(node.units, W.dtype)
    return W, R, np.concatenate([p.get(f"{kind}_{gate}", zero) for kind in ("b", "bU") for gate in gates])


def _joined(w: GraphWriter, states: Sequence[Tensor]) -> Tensor:
    """(B, u) of each direction → (D, B, u); "" for none, which is zeros."""
    if not states:
        return ""
    stacked = [w.unsqueeze(state, 0) for state in states]
    return stacked[0] if len(stacked) == 1 else w("Concat", *stacked, axis=0)


def _functions(functions: Sequence[Fused], directions: int) -> dict[str, Any]:
    """The attributes that say the activations; alphas and betas are taken in order by those that have them."""
    every = [*functions] * directions
    alphas, betas = ([number for one in every for number in one[k]] for k in (1, 2))
    found: dict[str, Any] = {"activations": [name for name, _, _ in every]}
    if alphas:
        found["activation_alpha"] = alphas
    if betas:
        found["activation_beta"] = betas
    return found


def _results(
    w: GraphWriter,
    node: Recurrent,
    sequence: Tensor,
    last: Sequence[Tensor],
    start: Sequence[Tensor | None],
    by: Compaction | None,
    dtype: str,
) -> None:
    """The values of a node: `sequence` (B, T, u) in the order of time, `last` the states (B, u) after valid steps."""
    past = w.output_before(node)
    if by is None:
        shown, states = last[0], list(last)
    else:
        some, zero = w("Greater", by.valid, w.ints(0)), w.number(0.0, dtype)
        states = [w("Where", some, h, zero if h0 is None else h0) for h, h0 in zip(last, start, strict=True)]
        sequence = spread(w, sequence, by, dtype, node.go_backwards, node.zero_output_for_mask, past)
        if node.zero_output_for_mask:
            final = w.cut(by.mask, 1, 0, 1) if node.go_backwards else w.cut(by.mask, 1, -1, None)
            shown = w("Where", final, last[0], zero)
        else:
            shown = w("Where", some, last[0], zero if past is None else past)
    w.finish_recurrent(node, sequence, shown, states)
