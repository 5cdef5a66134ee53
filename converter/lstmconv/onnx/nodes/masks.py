"""Masks for the fused operators: valid steps are moved to the front, and outputs back.

The operators know lengths, no masks: they compute the first `sequence_lens` steps of each row. With t the time, T the
number of steps, and for each row

    cs[t] = Σ mask[0 … t]        how many of the steps up to t are valid
    cnt   = cs[T − 1]
    idx[k] = the time of the k-th valid step, 0 beyond the last

the operator gets x[idx[k]] and Max(cnt, 1) as lengths: a length of 0 would zero the states, where h0 has to stay. Going
forward, step t shows the output at place cs[t] − 1, which is its own where it is valid, and else that of the last valid
one before it. Going backward the last valid one before it is the next one in time, at place cs[t] − mask[t].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from lstmconv_runtime.format.graph import Value
from onnx import TensorProto, helper

from ..graph_writer import GraphWriter
from ..writer import Tensor

_ZERO = helper.make_tensor("zero", TensorProto.INT64, [1], [0])


class Compaction(NamedTuple):
    """What moves the valid steps of a mask to the front and back.

    Attributes:
        mask: bool (B, T).
        sums: cs, int64 (B, T).
        before: cs − mask, int64 (B, T).
        valid: cnt, int64 (B, 1).
        order: idx, int64 (B, T, 1).
        lengths: int32 (B,), at least 1.
    """

    mask: Tensor
    sums: Tensor
    before: Tensor
    valid: Tensor
    order: Tensor
    lengths: Tensor


def compaction(w: GraphWriter, x: Value, mask: Value) -> Compaction:
    """The Compaction of a mask, for the rows and steps of x; written once for all nodes that read both."""
    whole = whole_mask(w, x, mask)
    known: dict[Tensor, Compaction] = w.compactions
    if whole in known:
        return known[whole]
    valid = w.cast(whole, "int64")
    one = w.array(np.asarray(1, np.int64))
    sums = w("CumSum", valid, one)
    count = w("ReduceSum", valid, w.ints(1), keepdims=1)
    shape = w("Shape", whole)
    rows, steps = w("Gather", shape, w.ints(0)), w("Gather", shape, w.ints(1))
    spare = w("Where", whole, w("Sub", sums, w.ints(1)), steps)  # where each step goes: masked ones beyond the end
    zeros = w("ConstantOfShape", w("Concat", rows, w("Add", steps, w.ints(1)), axis=0), value=_ZERO)
    time = w("Range", w.array(np.asarray(0, np.int64)), w.squeeze(steps, 0), one)
    scattered = w("ScatterElements", zeros, spare, w("Expand", time, shape), axis=1)
    order = w.unsqueeze(w.cut(scattered, 1, 0, -1), 2)
    lengths = w.cast(w.squeeze(w("Max", count, w.ints(1)), 1), "int32")
    made = Compaction(whole, sums, w("Sub", sums, valid), count, order, lengths)
    return known.setdefault(whole, made)


def whole_mask(w: GraphWriter, x: Value, mask: Value) -> Tensor:
    """A mask (B, T) for every row of x, where one row may stand for all."""
    tensor = w.tensors[mask]
    if w.shape_of(mask)[0] != 1 or w.shape_of(x)[0] == 1:
        return tensor
    return w("Expand", tensor, w.shape([w.size_of(x, 0), w.size_of(x, 1)]))


def compacted(w: GraphWriter, x: Tensor, by: Compaction) -> Tensor:
    """x (B, T, n) with the valid steps of each row in front."""
    return w("GatherND", x, by.order, batch_dims=1)


def spread(
    w: GraphWriter, y: Tensor, by: Compaction, dtype: str, backward: bool, zeroed: bool, past: Tensor | None
) -> Tensor:
    """The outputs of every step, from those of the valid steps, y (B, T, u), in the order of time.

    Args:
        backward: the sequence was run from its end.
        zeroed: masked steps show zeros, else what was shown before, at first `past` (B, u) or zeros.
    """
    zero = w.number(0.0, dtype)
    place = by.before if backward else w("Sub", by.sums, w.ints(1))
    last = w("Sub", by.valid, w.ints(1)) if backward else None
    shown = w("Max", place, w.ints(0)) if last is None else w("Max", w("Min", place, last), w.ints(0))
    moved = w("GatherND", y, w.unsqueeze(shown, 2), batch_dims=1)
    if zeroed:
        seen, otherwise = by.mask, zero
    else:
        seen = w("Less", place, by.valid) if backward else w("Greater", by.sums, w.ints(0))
        otherwise = zero if past is None else w.unsqueeze(past, 1)
    return w("Where", w.unsqueeze(seen, 2), moved, otherwise)
