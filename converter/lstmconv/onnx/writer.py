"""Builds the nodes of an ONNX graph: names that are never used twice, arrays that are stored once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from lstmconv_runtime.format.graph import FLOATS, INTS, Array
from onnx import TensorProto, helper, numpy_helper

Tensor: TypeAlias = str  # a value of the ONNX graph, by its name
Size: TypeAlias = int | Tensor  # a size that is known, or an int64 tensor of one element

ONNX_DTYPES: dict[str, int] = {
    **{name: getattr(TensorProto, name.upper()) for name in (*INTS, "float16", "bfloat16", "bool")},
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
}
INT_MAX = 2**63 - 1
MIN_OPSET, OPSET = 13, 17  # of what is written; the file says the lowest that has every operator as it is used


class Writer:
    """One graph of nodes. The bodies of `Scan` are Writers of their own that share names and arrays with the outer one.

    Attributes:
        nodes: in an order in which each comes after those it reads.
        initializers: the stored arrays by name.
        scope: put before the names of what is written next: the name of a node of ours.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.scope = ""
        self._taken = set(reserved)
        self._stored: dict[bytes, Tensor] = {}
        self._cast: set[Tensor] = set()  # what a Cast has made

    def body(self) -> Writer:
        """A writer of nodes for the body of a `Scan`."""
        inner = Writer()
        inner.initializers, inner._taken, inner._stored = self.initializers, self._taken, self._stored
        inner.scope = self.scope
        return inner

    def name(self, wanted: str) -> str:
        """A name within the scope that nothing else has."""
        wanted = f"{self.scope}/{wanted}"
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name

    def several(self, op: str, count: int, *inputs: Tensor, **attributes: Any) -> list[Tensor]:
        """The `count` outputs of a new node; inputs that are left out are ""."""
        if op == "MatMul":
            inputs = tuple(self._behind_no_cast(x) for x in inputs)
        name = self.name(op)
        outputs = [name] if count == 1 else [self.name(f"{op}.{k}") for k in range(count)]
        self.nodes.append(helper.make_node(op, list(inputs), outputs, name=name, **attributes))
        if op == "Cast":
            self._cast.update(outputs)
        return outputs

    def _behind_no_cast(self, x: Tensor) -> Tensor:
        """The same tensor, not as a Cast made it: onnxruntime 1.32 ends the whole process, with a segmentation fault,
        where it finds Transpose, Cast and MatMul in a row, also where it has moved them there itself."""
        return self("Reshape", x, self("Shape", x)) if x in self._cast else x

    def __call__(self, op: str, *inputs: Tensor, **attributes: Any) -> Tensor:
        """The output of a new node."""
        return self.several(op, 1, *inputs, **attributes)[0]

    def array(self, value: Array, wanted: str = "constant", dtype: str | None = None) -> Tensor:
        """A stored array; equal arrays are stored once.

        Args:
            dtype: what to store it as, where that is not its own dtype; bfloat16 has none in NumPy.
        """
        value = np.ascontiguousarray(value).reshape(np.shape(value))
        dtype = dtype or value.dtype.name
        key = hashlib.sha256(f"{dtype}{value.shape}".encode() + value.tobytes()).digest()
        if key not in self._stored:
            name = self.name(wanted)
            self._stored[key] = name
            self.initializers[name] = _tensor(name, value, dtype)
        return self._stored[key]

    def number(self, value: float, dtype: str) -> Tensor:
        """A scalar."""
        return self.array(np.asarray(value, dtype))

    def ints(self, *values: int) -> Tensor:
        """A vector of int64."""
        return self.array(np.asarray(values, np.int64))

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        return self("Cast", x, to=ONNX_DTYPES[dtype])

    def size(self, x: Tensor, axis: int) -> Tensor:
        """The size of an axis: int64, of one element."""
        return self("Gather", self("Shape", x), self.ints(axis))

    def shape(self, sizes: Sequence[Size]) -> Tensor:
        """A shape of known and unknown sizes: a vector of int64."""
        if all(isinstance(size, int) for size in sizes):
            return self.ints(*(int(size) for size in sizes))
        parts = [self.ints(size) if isinstance(size, int) else size for size in sizes]
        return parts[0] if len(parts) == 1 else self("Concat", *parts, axis=0)

    def reshape(self, x: Tensor, sizes: Sequence[Size]) -> Tensor:
        """As of `Reshape`: 0 keeps the size of this place, one −1 takes what is left."""
        return self("Reshape", x, self.shape(sizes))

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        return x if list(order) == list(range(len(order))) else self("Transpose", x, perm=list(order))

    def squeeze(self, x: Tensor, axis: int) -> Tensor:
        return self("Squeeze", x, self.ints(axis))

    def unsqueeze(self, x: Tensor, *axes: int) -> Tensor:
        return self("Unsqueeze", x, self.ints(*axes))

    def pick(self, x: Tensor, axis: int, place: int) -> Tensor:
        """One place of an axis, which is left out."""
        return self("Gather", x, self.array(np.asarray(place, np.int64)), axis=axis)

    def cut(self, x: Tensor, axis: int, start: int, stop: int | None, step: int = 1) -> Tensor:
        """As Python's slices."""
        stop = (INT_MAX if step > 0 else -INT_MAX) if stop is None else stop
        return self("Slice", x, self.ints(start), self.ints(stop), self.ints(axis), self.ints(step))

    def flip(self, x: Tensor, axis: int) -> Tensor:
        return self.cut(x, axis, -1, None, -1)

    def mean(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """The mean over some axes, which stay."""
        return self("ReduceMean", x, axes=list(axes), keepdims=1)


def _tensor(name: str, value: Array, dtype: str) -> Any:
    if dtype == "bfloat16":  # the upper halves of float32, which the value has been rounded to
        words = (value.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return helper.make_tensor(name, TensorProto.BFLOAT16, value.shape, words.tobytes(), raw=True)
    return numpy_helper.from_array(value.astype(dtype, copy=False), name)


def held(dtype: str) -> str:
    """What a value of the graph is held in: half precisions in float32, rounded after every node, as FORMAT.md says."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def is_float(dtype: str) -> bool:
    return dtype in FLOATS


def last_axis_first(rank: int) -> list[int]:
    """Channels last → channels first."""
    return [0, rank - 1, *range(1, rank - 1)]


def first_axis_last(rank: int) -> list[int]:
    """Channels first → channels last."""
    return [0, *range(2, rank), 1]
