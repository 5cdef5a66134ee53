"""Recurrent layers as a `Scan`, whose body is the cell: for convolutions, for functions that the fused operators lack,
and for float64, which no engine has them in.

The body is given one step of x·W + b, which is computed for all steps at once, and of the mask. It carries the states
and, with a mask, the output that was shown last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import GRU, LSTM, ConvLSTM, SimpleRNN
from lstmconv_runtime.format.windows import output_size
from onnx import helper

from ..graph_writer import GraphWriter
from ..writer import ONNX_DTYPES, Size, Tensor, Writer
from .activations import activated
from .masks import whole_mask
from .windows import convolution

Recurrent = LSTM | GRU | SimpleRNN | ConvLSTM
GATES: dict[type[Recurrent], tuple[str, ...]] = {
    LSTM: ("i", "f", "o", "c"),
    ConvLSTM: ("i", "f", "o", "c"),
    GRU: ("z", "r", "h"),
    SimpleRNN: ("h",),
}
Product = Callable[[Writer, Tensor, Array], Tensor]


def scanned(w: GraphWriter, node: Recurrent) -> None:
    """Writes a recurrent node as a Scan over the steps of x (B, T, …)."""
    dtype, p = w.dtype(node.name), w.parameters(node)
    z = _input_product(w, node, p)
    mask = None if node.mask is None else whole_mask(w, node.x, node.mask)
    start = _start(w, node, z, dtype)
    carry = mask is not None and not node.zero_output_for_mask
    outputs_before = w.output_before(node)
    carried = [*start, *([_zeros(w, node, z, dtype) if outputs_before is None else outputs_before] if carry else [])]
    steps = [z, *([] if mask is None else [mask])]
    body = _body(w, node, p, dtype, mask is not None, carry)
    backward = int(node.go_backwards)
    made = w.several(
        "Scan", len(carried) + 1, *carried, *steps, body=body, num_scan_inputs=len(steps),
        scan_input_axes=[1] * len(steps), scan_input_directions=[backward] * len(steps),
        scan_output_axes=[1], scan_output_directions=[backward],
    )  # fmt: skip
    states, sequence = made[: len(start)], made[-1]
    if mask is None:
        shown = states[0]
    elif carry:
        shown = made[len(start)]
    else:
        shown = w.pick(sequence, 1, 0 if node.go_backwards else -1)
    w.finish_recurrent(node, sequence, shown, states)


def _body(w: GraphWriter, node: Recurrent, p: dict[str, Array], dtype: str, masked: bool, carry: bool) -> object:
    """The graph of one step: (states…, output shown before, z, valid) → (states…, output shown, output shown)."""
    b, rank = w.body(), 2 if not isinstance(node, ConvLSTM) else 2 + len(node.kernel_size)
    names = [b.name(f"{state}.before") for state in node.OUTPUTS[1:]]
    before = b.name("y.before") if carry else None
    z, valid = b.name("z"), b.name("valid") if masked else None
    new = _cell(b, node, p, z, names, dtype)
    shown = new[0]
    if valid is not None:
        column = b.unsqueeze(valid, *range(1, rank))
        shown = b("Where", column, new[0], before if before is not None else b.number(0.0, dtype))
        new = [b("Where", column, state, old) for state, old in zip(new, names, strict=True)]
    results = [b("Identity", one) for one in (*new, *([shown] if carry else []), shown)]
    floats = [*names, *([before] if before is not None else []), z]
    infos = [helper.make_tensor_value_info(one, ONNX_DTYPES[dtype], [None] * rank) for one in floats]
    if valid is not None:
        infos.append(helper.make_tensor_value_info(valid, ONNX_DTYPES["bool"], [None]))
    given = [helper.make_tensor_value_info(one, ONNX_DTYPES[dtype], [None] * rank) for one in results]
    return helper.make_graph(b.nodes, w.name("step"), infos, given)


def _cell(
    b: Writer, node: Recurrent, p: dict[str, Array], z: Tensor, states: Sequence[Tensor], dtype: str
) -> list[Tensor]:
    """One step; the equations are those of `lstmconv_runtime.recurrent.cells`. z is x·W + b of all."""
    gates = GATES[type(node)]
    width = node.filters if isinstance(node, ConvLSTM) else node.units
    product = _state_product(node, dtype)

    def fused(*some: str, kind: str = "U") -> Array:
        return np.concatenate([p[f"{kind}_{gate}"] for gate in some], axis=-1)

    def split(x: Tensor, count: int) -> list[Tensor]:
        return [x] if count == 1 else b.several("Split", count, x, b.ints(*[width] * count), axis=-1)

    def act(x: Tensor) -> Tensor:
        return activated(b, x, node.activation, dtype)

    def sigma(x: Tensor) -> Tensor:
        assert not isinstance(node, SimpleRNN)
        return activated(b, x, node.recurrent_activation, dtype)

    h = states[0]
    if isinstance(node, SimpleRNN):
        # In this order: OpenVINO 2026.4 computes z + h @ U in the memory of z, and gets the next steps wrong.
        return [act(b("Add", product(b, h, fused("h")), z))]
    if isinstance(node, GRU):
        z_z, z_r, z_h = split(z, 3)
        h_z, h_r = split(product(b, h, fused("z", "r")), 2)
        if "bU_z" in p:
            h_z, h_r = b("Add", h_z, b.array(p["bU_z"], "bU")), b("Add", h_r, b.array(p["bU_r"], "bU"))
        update, r = sigma(b("Add", z_z, h_z)), sigma(b("Add", z_r, h_r))
        if node.reset_after:
            of_state = product(b, h, fused("h"))
            of_state = b("Add", of_state, b.array(p["bU_h"], "bU")) if "bU_h" in p else of_state
            candidate = act(b("Add", z_h, b("Mul", r, of_state)))
        else:
            candidate = act(b("Add", z_h, product(b, b("Mul", r, h), fused("h"))))
        rest = b("Mul", b("Sub", b.number(1.0, dtype), update), candidate)
        return [b("Add", b("Mul", update, h), rest)]
    i, f, o, c_tilde = split(b("Add", z, product(b, h, fused(*gates))), 4)
    kept = b("Mul", sigma(f), states[1])
    c = b("Add", kept, b("Mul", sigma(i), act(c_tilde)))
    return [b("Mul", sigma(o), act(c)), c]


def _state_product(node: Recurrent, dtype: str) -> Product:
    """h @ U, or the convolution of h with U."""
    if not isinstance(node, ConvLSTM):
        return lambda b, h, U: b("MatMul", h, b.array(U, "U"))
    axes = len(node.kernel_size)
    ones = (1,) * axes
    return lambda b, h, U: convolution(b, h, U, (None,) * axes, ones, "same", ones, 1, dtype)


def _input_product(w: GraphWriter, node: Recurrent, p: dict[str, Array]) -> Tensor:
    """x_t @ W + b of every step, gates side by side: (B, T, g·u), of a convolution (B, T, *space, g·filters)."""
    x, gates, dtype = w.tensors[node.x], GATES[type(node)], w.dtype(node.name)
    W = np.concatenate([p[f"W_{gate}"] for gate in gates], axis=-1)
    if isinstance(node, ConvLSTM):
        sizes = [w.size_of(node.x, axis) for axis in range(2, w.rank(node.x))]
        space = w.shape_of(node.x)[2:-1]
        rows, steps = (w.size(x, axis) for axis in (0, 1))
        folded = w.reshape(x, [w("Mul", rows, steps), *sizes])
        z = convolution(w, folded, W, space, node.strides, node.padding, node.dilation, 1, dtype)
        made = [
            output_size(*one, node.padding)
            for one in zip(space, node.kernel_size, node.strides, node.dilation, strict=True)
        ]
        places = [w.size(z, 1 + axis) if size is None else size for axis, size in enumerate(made)]
        z = w.reshape(z, [rows, steps, *places, W.shape[-1]])
    else:
        z = w("MatMul", x, w.array(W, "W"))
    if not node.use_bias:
        return z
    return w("Add", z, w.array(np.concatenate([p[f"b_{gate}"] for gate in gates]), "b"))


def _start(w: GraphWriter, node: Recurrent, z: Tensor, dtype: str) -> list[Tensor]:
    """The states before the first step."""
    return [_zeros(w, node, z, dtype) if state is None else state for state in w.states_before(node)]


def _zeros(w: GraphWriter, node: Recurrent, z: Tensor, dtype: str) -> Tensor:
    """(B, *space, u) of zeros, for z (B, T, *space, g·u)."""
    width = node.filters if isinstance(node, ConvLSTM) else node.units
    axes = len(node.kernel_size) if isinstance(node, ConvLSTM) else 0
    sizes: list[Size] = [w.size(z, 0), *(w.size(z, 2 + axis) for axis in range(axes)), width]
    return w("Expand", w.number(0.0, dtype), w.shape(sizes))
