"""Whether a batch may be computed in parts, whose outputs one after the other are those of the whole.

Every value follows the rows of the batch in one way, found node by node:

    k        k rows for each row of the batch, in its order, each made from that row alone: 1 for most values, T where
             time steps have become rows; a name instead of a number where T is known only when the model runs
    SAME     does not follow the rows: what is made of constants, and of sizes other than that of the batch
    WHOLE    anything else: made for a fixed number of rows, or of several rows together

A batch splits where no value is WHOLE and every output follows the rows. What no rule is known for is WHOLE: a batch
that is not split takes more memory, one that is split wrongly gives other numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TypeAlias

from .format import nodes as n
from .format import operation_nodes as o
from .format.graph import Graph, Node, Type, Value
from .recurrent.states import Recurrent

Rows: TypeAlias = int | str | None
AllRows: TypeAlias = Mapping[Value, Rows]
Types: TypeAlias = Mapping[Value, Type]
SAME, WHOLE = 0, None


def splits(graph: Graph, types: Types) -> bool:
    """Whether the rows of a batch can be computed in parts."""
    rows = rows_of_values(graph.nodes, types)
    return WHOLE not in rows.values() and all(rows[output] != SAME for output in graph.outputs)


def rows_of_values(nodes: Sequence[Node], types: Types) -> dict[Value, Rows]:
    """How each value follows the rows of the batch."""
    rows: dict[Value, Rows] = {}
    for node in nodes:
        made = _rows(node, rows, types)
        rows.update((value, made) for value in node.makes())
    return rows


def _rows(node: Node, rows: AllRows, types: Types) -> Rows:
    if isinstance(node, n.Input):
        return 1 if node.shape[0] is None else WHOLE
    read = [rows[value] for value in node.reads()]
    if type(node) not in RULES or WHOLE in read:
        return WHOLE
    return SAME if all(one == SAME for one in read) else RULES[type(node)](node, rows, types)


# --- what a node makes of values none of which is WHOLE, not all SAME -------------------------------------------------


def _row_by_row(node: Node, rows: AllRows, types: Types) -> Rows:
    """It reads one value, and `infer` keeps it off the first axis."""
    (x,) = node.reads()
    return rows[x]


def _recurrent(node: Recurrent, rows: AllRows, types: Types) -> Rows:
    return _agreeing([value for value in node.reads() if value != node.x], rows[node.x], rows, types)


def _agreeing(args: Sequence[Value], k: Rows, rows: AllRows, types: Types) -> Rows:
    """k, where each of the values follows the rows in the same way, or has one row that stands for all."""
    if k == SAME:
        return WHOLE
    return k if all(rows[arg] == k or (rows[arg] == SAME and types[arg].shape[0] == 1) for arg in args) else WHOLE


def _broadcast(node: Node, rows: AllRows, types: Types) -> Rows:
    """NumPy's broadcasting, by which the rows of a value of lower rank would line up with another axis."""
    args = node.reads()
    rank = max(types[arg].rank for arg in args)
    following = [arg for arg in args if rows[arg] != SAME]
    if any(types[arg].rank < rank for arg in following):
        return WHOLE
    return _agreeing([arg for arg in args if types[arg].rank == rank], rows[following[0]], rows, types)


def _mat_mul(node: n.MatMul, rows: AllRows, types: Types) -> Rows:
    if types[node.a].rank == types[node.b].rank == 2:  # the rows are those of the matrix a
        return rows[node.a] if rows[node.b] == SAME else WHOLE
    return _broadcast(node, rows, types)


def _concatenate(node: n.Concatenate, rows: AllRows, types: Types) -> Rows:
    read = {rows[arg] for arg in node.args}
    return read.pop() if len(read) == 1 else WHOLE


def _reshape(node: n.Reshape, rows: AllRows, types: Types) -> Rows:
    """Rows lie one after the other in memory: they stay rows, or each becomes a whole number of new ones."""
    k, sizes = rows[node.x], types[node.x].shape[1:]
    first, rest = node.shape[0], node.shape[1:]
    if first == 0:
        return k
    known = [size for size in sizes if size is not None]
    if first != -1 or len(known) < len(sizes):
        return WHOLE
    old = prod(known)
    new = prod(known[axis] if size == 0 else size for axis, size in enumerate(rest))
    if isinstance(k, int):
        return k * old // new if old and new and k * old % new == 0 else WHOLE
    return k if old == new else WHOLE


def _fold_time(node: n.FoldTime, rows: AllRows, types: Types) -> Rows:
    k, steps = rows[node.x], types[node.x].shape[1]
    if isinstance(k, int) and steps is not None:
        return k * steps or WHOLE
    return node.x  # as many as it has rows and steps


def _unfold_time(node: n.UnfoldTime, rows: AllRows, types: Types) -> Rows:
    """The sizes fit only where each row of `like` takes as many of x as it has steps."""
    return WHOLE if SAME in (rows[node.x], rows[node.like]) else rows[node.like]


def _einsum(node: o.Einsum, rows: AllRows, types: Types) -> Rows:
    """The letter of the rows is the first of the result, and of every argument that follows the rows, and no other has
    it: nothing is summed over rows, and none are multiplied with each other's."""
    terms, made = node.letters()
    if not made or any(not term for term, arg in zip(terms, node.args, strict=True) if rows[arg] != SAME):
        return WHOLE
    for term, arg in zip(terms, node.args, strict=True):
        if (term[0] != made[0] or made[0] in term[1:]) if rows[arg] != SAME else made[0] in term:
            return WHOLE
    read = {rows[arg] for arg in node.args} - {SAME}
    return read.pop() if len(read) == 1 else WHOLE


def _of_sizes(node: n.CausalMask, rows: AllRows, types: Types) -> Rows:
    """It is made of the last two of at least three sizes."""
    return SAME


RULES: dict[type[Node], Callable[..., Rows]] = {
    **dict.fromkeys(
        (
            n.Activate, o.ArgReduce, n.BatchNorm, n.Cast, n.Conv, n.ConvTranspose, o.CumSum, n.Dense, n.Embedding,
            n.ExpandDims, n.Flip, n.GroupNorm, n.LayerNorm, n.Pad, n.Pool, n.PReLU, n.Reduce, n.Repeat, o.Round,
            n.Slice, n.Squeeze, o.Take, n.Transpose,
        ), _row_by_row,
    ),
    **dict.fromkeys((n.LSTM, n.GRU, n.SimpleRNN, n.ConvLSTM), _recurrent),
    **dict.fromkeys((n.Elementwise, n.Where), _broadcast),
    n.Constant: _of_sizes,
    n.MatMul: _mat_mul,
    o.Einsum: _einsum,
    n.Concatenate: _concatenate,
    n.Reshape: _reshape,
    n.FoldTime: _fold_time,
    n.UnfoldTime: _unfold_time,
    n.CausalMask: _of_sizes,
}  # fmt: skip
