"""What a field of a node may hold by itself, declared once: the check, FORMAT.md and nodes.json follow this table.

Its kind follows from its annotation in `nodes`; whether it fits what the node reads is for the node's `infer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .elementwise import NUMBERS, OPERATIONS
from .graph import DTYPES, FLOATS, INTS, GraphError, Node

PADDINGS = ("valid", "same", "causal")


class Field(NamedTuple):
    """What is asked of a field beyond its kind.

    Attributes:
        least: the least whole number, of a list that of each item.
        texts: the texts it may be, if not any.
        axes: the axes it may name, r being the rank of x; "" where it names none.
    """

    rule: str = ""
    least: int | None = None
    texts: tuple[str, ...] = ()
    axes: str = ""


READ = Field("a value of an earlier node")
STATE = Field("initial state, null for zeros: the shape of one state, or one row of it; dtype of x")
COUNT = Field(least=1)
WINDOW = Field("one per axis of space", least=1)

# By the field's name; by Node.field where fields of one name differ.
FIELDS: dict[str, Field] = {
    "name": Field("a name, see above"),
    "x": READ,
    "a": READ,
    "b": READ,
    "like": Field("a value of an earlier node, of rank 2 at least"),
    "condition": Field("a bool value of an earlier node"),
    "args": Field("values of earlier nodes, one at least"),
    "mask": Field("null for no mask; bool (B, T) or (1, T)"),
    "h0": STATE,
    "c0": STATE,
    "weights": Field("a name, see above: the ns of the arrays"),
    "dtype": Field(texts=DTYPES),
    "Embedding.dtype": Field(texts=FLOATS),
    "Input.shape": Field("the batch first, so one size at least; null is any size", least=0),
    "Constant.shape": Field("none at all for a scalar", least=0),
    "PReLU.shape": Field("one size for each axis of x but the batch, which is that of x or 1", least=0),
    "LayerNorm.shape": Field("the sizes of `axes`", least=0),
    "Reshape.shape": Field("the new sizes, the batch first; at most one is −1", least=-1),
    "input_size": COUNT,
    "units": COUNT,
    "channels": COUNT,
    "filters": COUNT,
    "groups": Field("divides the channels, in Conv the filters too", least=1),
    "count": COUNT,
    "BatchNorm.size": Field("the size of `axis`", least=1),
    "GroupNorm.size": Field("the size of `axis`", least=1),
    "Pool.size": Field("of the window: one to three numbers, one per axis of space", least=1),
    "kernel_size": Field("one to three numbers, one per axis of space", least=1),
    "strides": WINDOW,
    "dilation": WINDOW,
    "padding": Field(texts=PADDINGS),
    "cropping": Field("two per axis of space: before, which is at least 0, and after"),
    "use_bias": Field(),
    "activation": Field("not `glu` but in Activate"),
    "recurrent_activation": Field("not `glu`"),
    "return_sequences": Field(),
    "go_backwards": Field(),
    "zero_output_for_mask": Field(),
    "stateful": Field(),
    "reset_after": Field(),
    "epsilon": Field(),
    "scale": Field("whether gamma is there"),
    "center": Field("whether beta is there"),
    "rms": Field(),
    "axis": Field(axes="1 … r − 1"),
    "ExpandDims.axis": Field("an axis of the result", axes="1 … r"),
    "LayerNorm.axes": Field("rising; none at all is legal, and every number then is its own mean", axes="1 … r − 1"),
    "Reduce.axes": Field("rising; with none at all, x itself", axes="1 … r − 1"),
    "Transpose.axes": Field("every axis of x once, 0 first", axes="0 … r − 1"),
    "Elementwise.op": Field(texts=tuple(OPERATIONS)),
    "Pool.op": Field(texts=("max", "mean")),
    "Reduce.op": Field(texts=("mean", "sum", "max", "min", "any", "all")),
    "ArgReduce.op": Field(texts=("max", "min")),
    "keepdims": Field(),
    "transpose_b": Field(),
    "start": Field("negative ones count from the end"),
    "stop": Field("negative ones count from the end; null is the end"),
    "step": COUNT,
    "indices": Field("−n … n − 1 on an axis of n places; may be none"),
    "amounts": Field("two per axis of x, those of the batch 0", least=0),
    "equation": Field("see the node"),
}

# By node: the dtypes of what it reads, one for all of it, but for masks and conditions (bool) and `like` (any).
READS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "LSTM", "GRU", "SimpleRNN", "ConvLSTM", "Dense", "Activate", "PReLU", "BatchNorm", "LayerNorm", "GroupNorm",
            "Conv", "ConvTranspose", "Pool", "MatMul", "Einsum", "Round",
        ),
        FLOATS,
    ),
    **dict.fromkeys(("CumSum", "ArgReduce"), NUMBERS),
    "Embedding": INTS,
    **dict.fromkeys(
        (
            "Concatenate", "Reshape", "ExpandDims", "Squeeze", "Transpose", "Slice", "Flip", "Pad", "Repeat", "Where",
            "Cast", "FoldTime", "UnfoldTime", "CausalMask", "Take",
        ),
        DTYPES,
    ),
}  # fmt: skip


def field(kind: str, name: str) -> Field:
    """The declaration of a field of a node of this class."""
    return FIELDS.get(f"{kind}.{name}") or FIELDS[name]


def check_fields(node: Node) -> None:
    """Checks every field by itself.

    Raises:
        GraphError: a number is too small, or a text is none of those it may be.
    """
    for name in node.FIELDS:
        declared, value = field(type(node).__name__, name), getattr(node, name)
        if declared.texts and value not in declared.texts:
            raise GraphError(f"field {name}: {value!r:.100} is none of {', '.join(declared.texts)}")
        if declared.least is not None and any(n < declared.least for n in _numbers(value)):
            raise GraphError(f"field {name}: {value} is not at least {declared.least}")


def _numbers(value: int | tuple[int | None, ...]) -> Iterator[int]:
    yield from (n for n in (value if type(value) is tuple else (value,)) if n is not None)  # type: ignore[misc]
