"""The vocabulary of the graph: one frozen dataclass per node.

The docstrings are the normative text of FORMAT.md's node reference, which is generated from this file.
In the equations `@` is the matrix product, `*` the elementwise product; B is the batch, T the time steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import ClassVar

from .elementwise import OPERATIONS
from .graph import FLOATS, INTS, Activation, Node, Shape, Type, Value, broadcast, need, need_dtype, same_size
from .operation_nodes import ArgReduce as ArgReduce
from .operation_nodes import CumSum as CumSum
from .operation_nodes import Einsum as Einsum
from .operation_nodes import Round as Round
from .operation_nodes import Take as Take
from .windows import output_size, transposed_size


def _float(type_: Type) -> None:
    need_dtype(type_.dtype in FLOATS, f"needs floating point, got {type_.dtype}")


def _features(type_: Type, size: int, rank: int | None = None) -> None:
    """Checks that the last axis has `size` places, and the rank."""
    _float(type_)
    need(type_.rank >= 2 if rank is None else type_.rank == rank, f"cannot read an array of rank {type_.rank}")
    need(same_size(type_.shape[-1], size), f"needs {size} features, got {type_.shape[-1]}")


def _mask(types: Mapping[Value, Type], mask: Value | None, shape: Shape) -> None:
    """Checks that a mask is bool with the given (B, T)."""
    if mask is not None:
        need(types[mask].dtype == "bool", f"mask '{mask}' must be bool, got {types[mask].dtype}")
        need(types[mask].rank == 2, f"mask '{mask}' must have rank 2")
        rows, steps = types[mask].shape
        need(same_size(steps, shape[1]), f"mask '{mask}' has another number of time steps")
        need(rows == 1 or same_size(rows, shape[0]), f"mask '{mask}' has {rows} rows, x has {shape[0]}")


def _activation(activation: Activation, rank: int) -> None:
    """Checks the axis that an activation works along, in an array of so many axes; the batch is none of them."""
    axis = dict(activation.constants).get("axis")
    if axis is not None:
        need(-rank <= axis < rank, f"{activation.name} over axis {axis:g} of an array of rank {rank}")
        need(axis % rank != 0, f"{activation.name} over the batch")


def _inner_activation(activation: Activation, rank: int) -> None:
    """The same for an activation inside another node, which must not change a size."""
    need(activation.name != "glu", "glu, which halves an axis, is a node of its own")
    _activation(activation, rank)


class Input(Node):
    """An argument of the model. `shape` includes the batch; null is any size."""

    shape: Shape
    dtype: str

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        return (Type(self.shape, self.dtype),)


class Constant(Node):
    """A stored array, `value`, cast to `dtype`. Its first axis is no batch."""

    shape: tuple[int, ...]
    dtype: str

    def parameters(self) -> dict[str, tuple[int, ...]]:
        return {"value": self.shape}

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        return (Type(self.shape, self.dtype),)


def _rows(types: Mapping[Value, Type], x: Type, states: tuple[Value | None, ...]) -> int | None:
    """The batch of a recurrent node; a state of one row stands for all rows."""
    rows = x.shape[0]
    for state in states:
        given = 1 if state is None else types[state].shape[0]
        if given != 1:
            need(same_size(rows, given), f"state '{state}' has {given} rows, x has {rows}")
            rows = given if rows is None else rows
    return rows


class _Recurrent(Node):
    x: Value
    mask: Value | None
    h0: Value | None
    weights: str
    input_size: int
    units: int
    use_bias: bool
    activation: Activation
    return_sequences: bool
    go_backwards: bool
    zero_output_for_mask: bool
    stateful: bool

    GATES: ClassVar[tuple[str, ...]]

    @property
    def states(self) -> tuple[Value | None, ...]:
        """The initial states, in the order of the outputs after the first; None is zeros."""
        return (self.h0,)

    def parameters(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        for gate in self.GATES:
            shapes[f"W_{gate}"] = (self.input_size, self.units)
        for gate in self.GATES:
            shapes[f"U_{gate}"] = (self.units, self.units)
        if self.use_bias:
            for gate in self.GATES:
                shapes[f"b_{gate}"] = (self.units,)
        return shapes

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The functions of the cell, which work on a single step (B, units)."""
        return (self.activation,)

    def scaled(self) -> dict[str, int]:
        return {f"{kernel}_{gate}": -1 for kernel in "WU" for gate in self.GATES}

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        _features(x, self.input_size, rank=3)
        for activation in self.activations:
            _inner_activation(activation, 2)
        _mask(types, self.mask, x.shape)
        for state in self.states:
            if state is not None:
                _features(types[state], self.units, rank=2)
                need(types[state].dtype == x.dtype, f"state '{state}' is {types[state].dtype}, x is {x.dtype}")
        rows = _rows(types, x, self.states)
        last = (rows, self.units)
        y = (rows, x.shape[1], self.units) if self.return_sequences else last
        return (Type(y, x.dtype), *(Type(last, x.dtype) for _ in self.OUTPUTS[1:]))


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter 1997, with forget gates), over the steps t of x (B, T, input_size).

        i  = σ(x_t @ W_i + h @ U_i + b_i)
        f  = σ(x_t @ W_f + h @ U_f + b_f)
        c~ = act(x_t @ W_c + h @ U_c + b_c)
        o  = σ(x_t @ W_o + h @ U_o + b_o)
        c' = f * c + i * c~
        h' = o * act(c')

    σ is `recurrent_activation`, act is `activation`. h, c start as h0, c0, or zeros. Outputs: y, h, c.
    """

    c0: Value | None
    recurrent_activation: Activation

    OUTPUTS = ("", "h", "c")
    GATES = ("i", "f", "c", "o")

    @property
    def states(self) -> tuple[Value | None, ...]:
        return (self.h0, self.c0)

    @property
    def activations(self) -> tuple[Activation, ...]:
        return (self.activation, self.recurrent_activation)


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al. 2014), over the steps t of x (B, T, input_size).

        z  = σ(x_t @ W_z + h @ U_z + b_z)
        r  = σ(x_t @ W_r + h @ U_r + b_r)
        h~ = act(x_t @ W_h + (r * h) @ U_h + b_h)                  reset_after false
        h~ = act(x_t @ W_h + b_h + r * (h @ U_h + bU_h))           reset_after true; bU_z, bU_r join b_z, b_r
        h' = z * h + (1 - z) * h~

    σ is `recurrent_activation`, act is `activation`. Outputs: y, h.
    """

    recurrent_activation: Activation
    reset_after: bool

    OUTPUTS = ("", "h")
    GATES = ("z", "r", "h")

    @property
    def activations(self) -> tuple[Activation, ...]:
        return (self.activation, self.recurrent_activation)

    def parameters(self) -> dict[str, tuple[int, ...]]:
        shapes = super().parameters()
        if self.use_bias and self.reset_after:
            for gate in self.GATES:
                shapes[f"bU_{gate}"] = (self.units,)
        return shapes


class SimpleRNN(_Recurrent):
    """Fully connected recurrence (Elman 1990): h' = act(x_t @ W_h + h @ U_h + b_h). Outputs: y, h."""

    OUTPUTS = ("", "h")
    GATES = ("h",)


class ConvLSTM(Node):
    """Convolutional LSTM (Shi et al. 2015) over x (B, T, *space, channels), space of 1 to 3 axes.

    The equations of LSTM with conv(x_t, W) for `x_t @ W` (with strides, padding and dilation of this node) and
    conv(h, U) with stride 1 and padding ``same`` for `h @ U`. Outputs: y, h, c.
    """

    x: Value
    mask: Value | None
    h0: Value | None
    c0: Value | None
    weights: str
    channels: int
    filters: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    dilation: tuple[int, ...]
    use_bias: bool
    activation: Activation
    recurrent_activation: Activation
    return_sequences: bool
    go_backwards: bool
    zero_output_for_mask: bool
    stateful: bool

    OUTPUTS = ("", "h", "c")
    GATES = ("i", "f", "c", "o")

    @property
    def states(self) -> tuple[Value | None, ...]:
        """The initial states, in the order of the outputs after the first; None is zeros."""
        return (self.h0, self.c0)

    def parameters(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        for gate in self.GATES:
            shapes[f"W_{gate}"] = (*self.kernel_size, self.channels, self.filters)
        for gate in self.GATES:
            shapes[f"U_{gate}"] = (*self.kernel_size, self.filters, self.filters)
        if self.use_bias:
            for gate in self.GATES:
                shapes[f"b_{gate}"] = (self.filters,)
        return shapes

    def scaled(self) -> dict[str, int]:
        return {f"{kernel}_{gate}": -1 for kernel in "WU" for gate in self.GATES}

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        _features(x, self.channels, rank=3 + len(self.kernel_size))
        for activation in (self.activation, self.recurrent_activation):
            _inner_activation(activation, x.rank - 1)
        _mask(types, self.mask, x.shape)
        space = _window_sizes(x.shape[2:-1], self.kernel_size, self.strides, self.dilation, self.padding)
        rows = _rows(types, x, self.states)
        last = (rows, *space, self.filters)
        for state in self.states:
            if state is not None:
                _features(types[state], self.filters, rank=len(last))
                need(types[state].dtype == x.dtype, f"state '{state}' is {types[state].dtype}, x is {x.dtype}")
                fits = all(same_size(n, size) for n, size in zip(types[state].shape[1:], last[1:], strict=True))
                need(fits, f"state '{state}' is {types[state].shape}, needs {last}")
        y = (rows, x.shape[1], *last[1:]) if self.return_sequences else last
        return Type(y, x.dtype), Type(last, x.dtype), Type(last, x.dtype)

    def since(self) -> tuple[int, int]:
        return _since(self.kernel_size)


def _since(window: tuple[int, ...]) -> tuple[int, int]:
    """Windows over 3 axes came with format 1.1."""
    return (1, 0) if len(window) < 3 else (1, 1)


def _window_sizes(
    space: Shape, size: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...], padding: str
) -> Shape:
    need(1 <= len(size) <= 3, f"a window over {len(size)} axes, not 1 to 3")
    result = tuple(output_size(n, k, s, d, padding) for n, k, s, d in zip(space, size, strides, dilation, strict=True))
    need(all(n is None or n > 0 for n in result), f"a window of {size} does not fit an input of {space}")
    return result


class Dense(Node):
    """act(x @ W + b) on the last axis of x, which has rank 2 at least."""

    x: Value
    weights: str
    input_size: int
    units: int
    use_bias: bool
    activation: Activation

    def parameters(self) -> dict[str, tuple[int, ...]]:
        bias = {"b": (self.units,)} if self.use_bias else {}
        return {"W": (self.input_size, self.units), **bias}

    def scaled(self) -> dict[str, int]:
        return {"W": -1}

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        _features(x, self.input_size)
        _inner_activation(self.activation, x.rank)
        return (Type((*x.shape[:-1], self.units), x.dtype),)


class Embedding(Node):
    """Row E[x] of the table for each id in x, of any whole dtype and rank; an id outside 0 … input_size−1 is an error.

    The rows become the last axis: x (B, T) gives (B, T, units).
    """

    x: Value
    weights: str
    input_size: int
    units: int
    dtype: str

    def parameters(self) -> dict[str, tuple[int, ...]]:
        return {"E": (self.input_size, self.units)}

    def scaled(self) -> dict[str, int]:
        return {"E": 0}

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need_dtype(x.dtype in INTS, f"needs integer ids, got {x.dtype}")
        return (Type((*x.shape, self.units), self.dtype),)


class Activate(Node):
    """act(x)."""

    x: Value
    activation: Activation

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        _float(x)
        _activation(self.activation, x.rank)
        if self.activation.name != "glu":
            return (x,)
        axis = int(dict(self.activation.constants)["axis"] or 0)
        size = x.shape[axis]
        need(size is not None and size % 2 == 0, "glu needs an even, known size")
        shape = list(x.shape)
        shape[axis] = None if size is None else size // 2
        return (Type(tuple(shape), x.dtype),)


class PReLU(Node):
    """max(x, 0) + alpha * min(x, 0), alpha broadcast against x without its batch axis.

    alpha has as many axes as x has after the batch, each of the size of x or 1.
    """

    x: Value
    weights: str
    shape: tuple[int, ...]

    def parameters(self) -> dict[str, tuple[int, ...]]:
        return {"alpha": self.shape}

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        _float(x)
        need(len(self.shape) == x.rank - 1, "alpha has the wrong rank")
        fits = (a == 1 or same_size(a, n) for a, n in zip(self.shape, x.shape[1:], strict=True))
        need(all(fits), f"alpha {self.shape} does not fit {x.shape}")
        return (x,)


class BatchNorm(Node):
    """(x − mean) / √(variance + epsilon) * gamma + beta along `axis`, with the stored statistics."""

    x: Value
    weights: str
    axis: int
    size: int
    epsilon: float
    scale: bool
    center: bool

    def parameters(self) -> dict[str, tuple[int, ...]]:
        names = ["gamma"] * self.scale + ["beta"] * self.center + ["mean", "variance"]
        return dict.fromkeys(names, (self.size,))

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        _float(x)
        need(0 < self.axis < x.rank and same_size(x.shape[self.axis], self.size), f"axis {self.axis} does not fit")
        return (x,)


class LayerNorm(Node):
    """(x − mean(x)) / √(var(x) + epsilon) * gamma + beta over `axes` (var is the mean squared distance from the mean).

    With `rms`: x / √(var(x) + epsilon) * gamma + beta, with the same var, so that x alone is not centred. gamma and
    beta have the sizes of `axes` and are broadcast along the others. Mean and var are over all of `axes` at once.
    """

    x: Value
    weights: str
    axes: tuple[int, ...]
    shape: tuple[int, ...]
    epsilon: float
    scale: bool
    center: bool
    rms: bool

    def parameters(self) -> dict[str, tuple[int, ...]]:
        names = ["gamma"] * self.scale + ["beta"] * self.center
        return dict.fromkeys(names, self.shape)

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        _float(x)
        need(all(0 < a < x.rank for a in self.axes), f"axes {self.axes} do not fit")
        need(sorted(set(self.axes)) == list(self.axes), f"axes {self.axes} do not rise")
        need(all(same_size(x.shape[a], n) for a, n in zip(self.axes, self.shape, strict=True)), "sizes do not fit")
        return (x,)


class GroupNorm(Node):
    """LayerNorm over each of `groups` equal groups of channels together with all other axes but the batch (Wu 2018).

    The channels are those of `axis`, the first size / groups of them being the first group. gamma and beta belong to
    the channels.
    """

    x: Value
    weights: str
    axis: int
    size: int
    groups: int
    epsilon: float
    scale: bool
    center: bool

    def parameters(self) -> dict[str, tuple[int, ...]]:
        names = ["gamma"] * self.scale + ["beta"] * self.center
        return dict.fromkeys(names, (self.size,))

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        _float(x)
        need(0 < self.axis < x.rank and same_size(x.shape[self.axis], self.size), f"axis {self.axis} does not fit")
        need(self.size % self.groups == 0, f"{self.size} channels in {self.groups} groups")
        return (x,)


class Conv(Node):
    """act(cross-correlation of x (B, *space, channels) with W + b), channels last, space of 1 to 3 axes.

    W is (*kernel_size, channels / groups, filters); channels and filters are split evenly over the groups.
    """

    x: Value
    weights: str
    channels: int
    filters: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    dilation: tuple[int, ...]
    groups: int
    use_bias: bool
    activation: Activation

    def parameters(self) -> dict[str, tuple[int, ...]]:
        bias = {"b": (self.filters,)} if self.use_bias else {}
        return {"W": (*self.kernel_size, self.channels // self.groups, self.filters), **bias}

    def scaled(self) -> dict[str, int]:
        return {"W": -1}

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        _features(x, self.channels, rank=2 + len(self.kernel_size))
        _inner_activation(self.activation, x.rank)
        need(self.channels % self.groups == 0 and self.filters % self.groups == 0, "groups do not divide the channels")
        space = _window_sizes(x.shape[1:-1], self.kernel_size, self.strides, self.dilation, self.padding)
        return (Type((x.shape[0], *space, self.filters), x.dtype),)

    def since(self) -> tuple[int, int]:
        return _since(self.kernel_size)


class ConvTranspose(Node):
    """act(transposed convolution of x (B, *space, channels) with W + b), channels last, space of 1 to 3 axes.

        z[p] = Σ x[q] @ W[k] over all places q of x and taps k with q * strides + k * dilation = p

    along each axis of space, so that n places make (n − 1) * stride + (size − 1) * dilation + 1, from p = 0 on.
    Then `cropping`, which is before, after of the first axis of space, before, after of the second, …, takes so many
    places off z; where it is negative, which it can be after an axis, zeros follow. b is added to all that is left.
    """

    x: Value
    weights: str
    channels: int
    filters: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    cropping: tuple[int, ...]
    use_bias: bool
    activation: Activation

    def parameters(self) -> dict[str, tuple[int, ...]]:
        bias = {"b": (self.filters,)} if self.use_bias else {}
        return {"W": (*self.kernel_size, self.channels, self.filters), **bias}

    def scaled(self) -> dict[str, int]:
        return {"W": -1}

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x, axes = types[self.x], len(self.kernel_size)
        need(1 <= axes <= 3, f"a kernel over {axes} axes, not 1 to 3")
        need(len(self.strides) == len(self.dilation) == axes, "strides and dilation do not fit the kernel")
        need(len(self.cropping) == 2 * axes and min(self.cropping[::2]) >= 0, f"bad cropping {self.cropping}")
        _features(x, self.channels, rank=2 + axes)
        _inner_activation(self.activation, x.rank)
        space = tuple(map(transposed_size, x.shape[1:-1], self.kernel_size, self.strides, self.dilation, self.crops()))
        need(all(n is None or n > 0 for n in space), f"nothing is left of {x.shape[1:-1]}")
        return (Type((x.shape[0], *space, self.filters), x.dtype),)

    def crops(self) -> tuple[tuple[int, int], ...]:
        """`cropping` by axis."""
        return tuple(zip(self.cropping[::2], self.cropping[1::2], strict=True))

    def since(self) -> tuple[int, int]:
        return (1, 1)


class Pool(Node):
    """``max`` or ``mean`` over windows of x (B, *space, channels), space of 1 to 3 axes; padded places do not count.

    So a mean is over the places of x in the window alone.
    """

    x: Value
    op: str
    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        _float(x)
        need(x.rank == 2 + len(self.size), f"cannot read an array of rank {x.rank}")
        space = _window_sizes(x.shape[1:-1], self.size, self.strides, (1,) * len(self.size), self.padding)
        return (Type((x.shape[0], *space, x.shape[-1]), x.dtype),)

    def since(self) -> tuple[int, int]:
        return _since(self.size)


class Elementwise(Node):
    """op(*args) place by place, with NumPy's broadcasting, as the table of operations below says."""

    op: str
    args: tuple[Value, ...]

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        need(self.op in OPERATIONS, f"unknown op {self.op!r}")
        operation, given = OPERATIONS[self.op], [types[arg] for arg in self.args]
        need(len(given) == operation.arity, f"{self.op} takes {operation.arity} arguments")
        dtypes = {type_.dtype for type_ in given}
        need(len(dtypes) == 1, f"arguments of different dtypes: {', '.join(sorted(dtypes))}")
        dtype = given[0].dtype
        need_dtype(dtype in operation.takes, f"{self.op} does not take {dtype}")
        return (Type(broadcast(*(type_.shape for type_ in given)), operation.gives or dtype),)


class Reduce(Node):
    """``mean`` (floats), ``sum``, ``max``, ``min`` (numbers; integers add up modulo 2ⁿ), ``any``, ``all`` (bool).

    They go over all of `axes` at once, which stay with size 1 where `keepdims` says so.
    """

    x: Value
    op: str
    axes: tuple[int, ...]
    keepdims: bool

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need_dtype((x.dtype == "bool") == (self.op in ("any", "all")), f"{self.op} does not take {x.dtype}")
        need_dtype(self.op != "mean" or x.dtype in FLOATS, f"mean does not take {x.dtype}")
        need(all(0 < a < x.rank for a in self.axes), f"axes {self.axes} do not fit rank {x.rank}")
        need(sorted(set(self.axes)) == list(self.axes), f"axes {self.axes} do not rise")
        if self.keepdims:
            return (Type(tuple(1 if a in self.axes else n for a, n in enumerate(x.shape)), x.dtype),)
        return (Type(tuple(n for a, n in enumerate(x.shape) if a not in self.axes), x.dtype),)


class Concatenate(Node):
    """The arguments one after the other along `axis`: of one dtype, one rank, and one size on every other axis."""

    args: tuple[Value, ...]
    axis: int

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        need(len(self.args) > 0, "nothing to concatenate")
        given = [types[arg] for arg in self.args]
        first = given[0]
        need(0 < self.axis < first.rank, f"no axis {self.axis}")
        shape = list(first.shape)
        for other in given[1:]:
            need(other.rank == first.rank and other.dtype == first.dtype, "arguments differ in rank or dtype")
            for axis, size in enumerate(other.shape):
                if axis == self.axis:
                    here = shape[axis]
                    shape[axis] = None if here is None or size is None else here + size
                else:
                    need(same_size(shape[axis], size), f"sizes differ on axis {axis}")
                    shape[axis] = size if shape[axis] is None else shape[axis]
        return (Type(tuple(shape), first.dtype),)


class MatMul(Node):
    """a @ b on the last two axes, the axes before them broadcast; b's last two axes swapped first if `transpose_b`.

    a and b have one floating point dtype, and rank 2 at least.
    """

    a: Value
    b: Value
    transpose_b: bool

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        a, b = types[self.a], types[self.b]
        _float(a)
        need(a.dtype == b.dtype, f"arguments of different dtypes: {a.dtype}, {b.dtype}")
        need(a.rank >= 2 and b.rank >= 2, "needs matrices")
        inner, columns = (b.shape[-1], b.shape[-2]) if self.transpose_b else (b.shape[-2], b.shape[-1])
        need(same_size(a.shape[-1], inner), f"inner sizes differ: {a.shape[-1]} and {inner}")
        return (Type((*broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2], columns), a.dtype),)


class Reshape(Node):
    """x in row-major order with a new shape; 0 keeps the size of the axis at this place, one −1 takes what is left.

    Axis 0 of `shape` is the batch as it is then: 0 where the rows stay what they are, which a reader need not rely on.
    What is left is the product of the sizes of x whose places have no 0 in `shape`, by that of the numbers over 0 in
    `shape`; it has to be a whole number, and without a −1 it has to be 1.
    """

    x: Value
    shape: tuple[int, ...]

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need(self.shape.count(-1) <= 1, f"bad shape {self.shape}")
        shape: list[int | None] = []
        for axis, n in enumerate(self.shape):
            need(n != 0 or axis < x.rank, f"no axis {axis} to keep")
            shape.append(x.shape[axis] if n == 0 else n)
        kept = [axis for axis, n in enumerate(self.shape) if n == 0]
        source = [n for axis, n in enumerate(x.shape) if axis not in kept]
        target = [n for n in self.shape if n > 0]
        if None in source:
            return (Type(tuple(None if n == -1 else n for n in shape), x.dtype),)
        total = prod(n for n in source if n is not None)
        if -1 in self.shape:
            need(prod(target) > 0 and total % prod(target) == 0, f"{x.shape} does not fit {self.shape}")
            shape[self.shape.index(-1)] = total // prod(target)
        else:
            need(total == prod(target), f"{x.shape} does not fit {self.shape}")
        return (Type(tuple(shape), x.dtype),)


class ExpandDims(Node):
    """x with a new axis of size 1 at `axis` of the result."""

    x: Value
    axis: int

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need(0 < self.axis <= x.rank, f"no place for axis {self.axis}")
        return (Type((*x.shape[: self.axis], 1, *x.shape[self.axis :]), x.dtype),)


class Squeeze(Node):
    """x without `axis`, which has size 1, or is open and then has to have it when the model runs."""

    x: Value
    axis: int

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need(0 < self.axis < x.rank and same_size(x.shape[self.axis], 1), f"axis {self.axis} is not of size 1")
        return (Type((*x.shape[: self.axis], *x.shape[self.axis + 1 :]), x.dtype),)


class Transpose(Node):
    """x with its axes in the order `axes`; the batch stays first."""

    x: Value
    axes: tuple[int, ...]

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need(sorted(self.axes) == list(range(x.rank)) and self.axes[0] == 0, f"bad order of axes {self.axes}")
        return (Type(tuple(x.shape[axis] for axis in self.axes), x.dtype),)


class Slice(Node):
    """The places start, start + step, … before stop of `axis`, counted as Python slices do; stop null is the end.

    On n places, a start or stop below 0 has n added to it, and then what is below 0 is 0, what is above n is n. Where
    start is not below stop nothing is left, which is no error.
    """

    x: Value
    axis: int
    start: int
    stop: int | None
    step: int

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need(0 < self.axis < x.rank, f"no axis {self.axis}")
        size = x.shape[self.axis]
        made = None if size is None else len(range(*slice(self.start, self.stop, self.step).indices(size)))
        return (Type((*x.shape[: self.axis], made, *x.shape[self.axis + 1 :]), x.dtype),)


class Flip(Node):
    """x in reverse order along `axis`."""

    x: Value
    axis: int

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need(0 < self.axis < x.rank, f"no axis {self.axis}")
        return (x,)


class Pad(Node):
    """x with zeros put before and after each axis: `amounts` is before, after of axis 0, before, after of axis 1, …

    The zero of bool is false.
    """

    x: Value
    amounts: tuple[int, ...]

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need(len(self.amounts) == 2 * x.rank, f"bad amounts {self.amounts}")
        sums = [a + b for a, b in zip(self.amounts[::2], self.amounts[1::2], strict=True)]
        need(sums[0] == 0, "the batch cannot be padded")
        return (Type(tuple(None if n is None else n + s for n, s in zip(x.shape, sums, strict=True)), x.dtype),)


class Repeat(Node):
    """Each place of `axis` `count` times in a row."""

    x: Value
    axis: int
    count: int

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need(0 < self.axis < x.rank, f"no axis {self.axis}")
        size = x.shape[self.axis]
        made = None if size is None else size * self.count
        return (Type((*x.shape[: self.axis], made, *x.shape[self.axis + 1 :]), x.dtype),)


class Where(Node):
    """a where condition (bool) is true, b elsewhere, all three broadcast. a and b have one dtype, any."""

    condition: Value
    a: Value
    b: Value

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        condition, a, b = types[self.condition], types[self.a], types[self.b]
        need(condition.dtype == "bool", "condition must be bool")
        need(a.dtype == b.dtype, f"arguments of different dtypes: {a.dtype}, {b.dtype}")
        return (Type(broadcast(condition.shape, a.shape, b.shape), a.dtype),)


class Cast(Node):
    """x as `dtype`.

    To floats: rounded to the nearest, to infinity beyond the largest. To bool: x ≠ 0. Integers to integers: modulo 2ⁿ,
    n the bits of `dtype`. Floats to integers: cut towards zero; a number that is out of range then, an infinity or NaN
    is an error, for what machines make of it differs.
    """

    x: Value
    dtype: str

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        return (Type(types[self.x].shape, self.dtype),)


def _rows_of_steps(x: Type) -> int | None:
    """B·T of x (B, T, …), where both are known."""
    rows, steps = x.shape[:2]
    return None if rows is None or steps is None else rows * steps


class FoldTime(Node):
    """(B, T, …) → (B·T, …): each time step becomes a row of the batch. x has rank 2 at least."""

    x: Value

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need(x.rank >= 2, "needs a time axis")
        return (Type((_rows_of_steps(x), *x.shape[2:]), x.dtype),)


class UnfoldTime(Node):
    """(B·T, …) → (B, T, …), B and T those of `like`, a value of any dtype. x has rank 1 at least, `like` 2."""

    x: Value
    like: Value

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x, like = types[self.x], types[self.like]
        need(x.rank >= 1 and like.rank >= 2, "needs a time axis")
        need(same_size(x.shape[0], _rows_of_steps(like)), f"{x.shape[0]} rows are not the steps of {like.shape}")
        return (Type((*like.shape[:2], *x.shape[1:]), x.dtype),)


class CausalMask(Node):
    """bool (1, …, rows, columns) of the rank of x (B, …, rows, columns), at least 3: true where column ≤ row."""

    x: Value

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need(x.rank >= 3, "needs a batch of matrices")
        return (Type((1,) * (x.rank - 2) + x.shape[-2:], "bool"),)


NODES: dict[str, type[Node]] = {
    node.__name__: node
    for node in (
        Input, Constant, LSTM, GRU, SimpleRNN, ConvLSTM, Dense, Embedding, Activate, PReLU, BatchNorm, LayerNorm,
        GroupNorm, Conv, Pool, Elementwise, Reduce, Concatenate, MatMul, Reshape, ExpandDims, Squeeze, Transpose,
        Slice, Flip, Pad, Repeat, Where, Cast, FoldTime, UnfoldTime, CausalMask,
        Round, CumSum, ArgReduce, Take, Einsum, ConvTranspose,
    )
}  # fmt: skip
