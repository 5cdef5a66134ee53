"""Of what kind every value of a graph is that runs step by step.

    fixed     does not depend on the stream; computed once
    stream    has the stream's time on axis 1; made for the steps at hand
    folded    has the stream's time folded into the batch (between FoldTime and UnfoldTime)
    latest    depends on the stream and has no time axis of it: what `predict` gives for the sequence so far

A layer that would need later steps is refused here, when the stream is made.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import programs
from .errors import StreamError
from .format.graph import Node, Type, Value
from .format.nodes import (
    Activate,
    BatchNorm,
    Cast,
    CausalMask,
    Concatenate,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Elementwise,
    Embedding,
    ExpandDims,
    Flip,
    FoldTime,
    GroupNorm,
    Input,
    LayerNorm,
    MatMul,
    Pad,
    Pool,
    PReLU,
    Reduce,
    Repeat,
    Reshape,
    Slice,
    Squeeze,
    Transpose,
    UnfoldTime,
    Where,
)
from .format.operation_nodes import ArgReduce, CumSum, Einsum, Round, Take

FIXED, STREAM, FOLDED, LATEST = "fixed", "stream", "folded", "latest"
Kinds = dict[Value, str]


def stream_inputs(nodes: tuple[Node, ...]) -> set[Value]:
    """The inputs whose axis 1 is the stream's time: those that reach a recurrent layer or a causal convolution step by
    step."""
    wanted: set[Value] = set()
    for node in reversed(nodes):
        if isinstance(node, programs.RECURRENT):
            wanted.update(value for value in (node.x, node.mask) if value is not None)
        elif isinstance(node, Conv) and node.padding == "causal":
            wanted.add(node.x)
        elif node.name in wanted and not isinstance(node, ExpandDims | Repeat | Reshape | Constant):
            wanted.update(node.reads())
    return {node.name for node in nodes if isinstance(node, Input) and node.name in wanted}


def classify(nodes: tuple[Node, ...], types: Mapping[Value, Type]) -> Kinds:
    """The kind of every value.

    Raises:
        StreamError: a layer needs the future; names it.
    """
    streaming = stream_inputs(nodes)
    if not streaming:
        raise StreamError("the model has no input that reaches a recurrent layer step by step")
    kinds: Kinds = {}
    for node in nodes:
        if isinstance(node, Input):
            kinds[node.name] = STREAM if node.name in streaming else FIXED
            continue
        made = _kind(node, kinds, types)
        for value in node.makes():
            kinds[value] = made
        if isinstance(node, programs.RECURRENT) and kinds[node.x] == STREAM:
            for value in node.makes()[1:]:
                kinds[value] = LATEST
    return kinds


def _kind(node: Node, kinds: Kinds, types: Mapping[Value, Type]) -> str:
    read = [kinds[value] for value in node.reads()]
    present = set(read) - {FIXED}
    if not present:
        return FIXED

    def refuse(why: str) -> StreamError:
        return StreamError(f"node '{node.name}' ({type(node).__name__}) cannot stream: {why}")

    if isinstance(node, UnfoldTime) and FOLDED in present:
        if (kinds[node.x], kinds[node.like]) != (FOLDED, STREAM):
            raise refuse("its time axis is not that of the stream")
        return STREAM
    if len(present) > 1:
        raise refuse("it mixes each step with what is known only after the last step")
    if present == {LATEST}:
        return LATEST
    if present == {FOLDED}:
        return FOLDED
    if isinstance(node, programs.RECURRENT):
        if kinds[node.x] != STREAM or (node.mask is not None and kinds[node.mask] != STREAM):
            raise refuse("its mask or its initial state follows the stream, its input does not")
        if node.go_backwards:
            raise refuse("it reads the sequence backwards")
        if any(state is not None and kinds[state] != FIXED for state in node.states):
            raise refuse("its initial state depends on the whole sequence")
        return STREAM if node.return_sequences else LATEST
    if isinstance(node, FoldTime):
        return FOLDED
    if isinstance(node, Slice) and node.axis == 1 and (node.start, node.stop) == (-1, None):
        return LATEST  # the last step so far
    problem = _time_problem(node, kinds, types)
    if problem:
        raise refuse(problem)
    return STREAM


def _time_problem(node: Node, kinds: Kinds, types: Mapping[Value, Type]) -> str | None:
    """Why a node cannot work on each step of a stream by itself; None if it can."""
    rank = types[node.reads()[0]].rank
    moves = "it mixes or moves time steps"
    if isinstance(node, Activate | Dense | Conv | ConvTranspose):
        axis = dict(node.activation.constants).get("axis")
        if axis is not None and int(axis) % rank == 1:
            return moves
    match node:
        case Dense() if rank == 2:
            return "it mixes time steps"
        case PReLU():
            return "it has a slope for each time step" if node.shape[0] != 1 else None
        case BatchNorm():
            return "it normalises each time step by its own statistics" if node.axis == 1 else None
        case LayerNorm():
            return "it normalises over time" if 1 in node.axes else None
        case GroupNorm():
            return "it normalises over time"
        case Conv():
            if node.kernel_size[0] == 1 and node.strides[0] == 1:
                return None
            if node.padding == "causal" and node.strides[0] == len(node.strides) == 1:
                return None
            return f"padding '{node.padding}' with stride {node.strides[0]} needs later steps or drops steps"
        case ConvTranspose():
            alone = node.kernel_size[0] == node.strides[0] == 1 and node.cropping[:2] == (0, 0)
            return None if alone else moves
        case Pool():
            return None if node.size[0] == node.strides[0] == 1 else "it pools over time"
        case Reduce():
            return "it reduces over time" if 1 in node.axes else None
        case Concatenate():
            if any(kinds[arg] == FIXED for arg in node.args):
                return "it joins the stream with an array of a fixed number of steps"
            return moves if node.axis == 1 else None
        case Elementwise() | Where():
            return _broadcast_problem(node.reads(), kinds, types)
        case MatMul():
            a, b = types[node.a], types[node.b]
            if kinds[node.b] == FIXED:
                over_time = b.rank >= a.rank and b.shape[1] != 1 and a.rank > 3
                return moves if over_time or kinds[node.a] == FIXED else None
            return moves if a.rank < 4 or b.rank < 4 else None
        case Reshape():
            return moves if node.shape[:2] != (0, 0) else None
        case ExpandDims() | Squeeze() | Slice() | Flip() | Repeat():
            return moves if node.axis == 1 else None
        case Transpose():
            return moves if node.axes[1] != 1 else None
        case Pad():
            return moves if node.amounts[2:4] != (0, 0) else None
        case CausalMask():
            return moves
        case CumSum():
            return "it adds up over time" if node.axis == 1 else None
        case ArgReduce():
            return "it reduces over time" if node.axis == 1 else None
        case Take():
            return moves if node.axis == 1 else None
        case Einsum():
            return _einsum_problem(node, kinds)
        case Round():
            return None
        case Embedding() | Cast() | Dense() | Activate():
            return None
    return moves


def _einsum_problem(node: Einsum, kinds: Kinds) -> str | None:
    """The letter of time must be the second of every argument that moves and of the result, and of no other."""
    terms, made = node.letters()
    moving = [term for arg, term in zip(node.args, terms, strict=True) if kinds[arg] != FIXED]
    time = made[1:2]
    still = [term for arg, term in zip(node.args, terms, strict=True) if kinds[arg] == FIXED]
    if time and all(term[1:2] == time for term in moving) and all(time not in term for term in still):
        return None
    return "it mixes or moves time steps"


def _broadcast_problem(args: tuple[Value, ...], kinds: Kinds, types: Mapping[Value, Type]) -> str | None:
    rank = max(types[arg].rank for arg in args)
    for arg in args:
        shape = types[arg].shape
        if kinds[arg] == STREAM and len(shape) != rank:
            return "it lines time up with another axis"
        if kinds[arg] == FIXED and len(shape) >= rank - 1 and shape[1 - rank] != 1:
            return "it has a value for each time step"
    return None
