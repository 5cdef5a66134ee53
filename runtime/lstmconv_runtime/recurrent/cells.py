"""One time step of each recurrent cell, written like its equation.

These functions are the documentation of the numerics, the source of `Model.trace`, and the reference that the fused
loops of `recurrence` are tested against. B is the batch, u the units.

Each takes the cell's arrays by name, the input x (B, input_size) and the states (B, u), and returns every gate by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from ..format.graph import Array

Function: TypeAlias = Callable[[Array], Array]
Product: TypeAlias = Callable[[Array, Array], Array]


def matmul(x: Array, W: Array) -> Array:
    return x @ W


def lstm_step(
    p: Mapping[str, Array],
    x: Array,
    h: Array,
    c: Array,
    act: Function,
    sigma: Function,
    input_product: Product = matmul,
    state_product: Product = matmul,
) -> dict[str, Array]:
    """LSTM (Hochreiter 1997, with the forget gate of Gers 2000); ConvLSTM where the products are convolutions.

    i  = σ(x·W_i + h·U_i + b_i)         c' = f * c + i * c~
    f  = σ(x·W_f + h·U_f + b_f)         h' = o * act(c')
    c~ = act(x·W_c + h·U_c + b_c)
    o  = σ(x·W_o + h·U_o + b_o)
    """

    def pre(gate: str) -> Array:
        z = input_product(x, p[f"W_{gate}"]) + state_product(h, p[f"U_{gate}"])
        return z + p[f"b_{gate}"] if f"b_{gate}" in p else z

    i = sigma(pre("i"))
    f = sigma(pre("f"))
    c_tilde = act(pre("c"))
    o = sigma(pre("o"))
    c = f * c + i * c_tilde
    h = o * act(c)
    return {"i": i, "f": f, "o": o, "c_tilde": c_tilde, "c": c, "h": h}


def gru_step(
    p: Mapping[str, Array], x: Array, h: Array, act: Function, sigma: Function, reset_after: bool
) -> dict[str, Array]:
    """GRU (Cho 2014); reset_after as in cuDNN.

    z  = σ(x·W_z + h·U_z + b_z)         h~ = act(x·W_h + (r * h)·U_h + b_h)             reset_after false
    r  = σ(x·W_r + h·U_r + b_r)         h~ = act(x·W_h + b_h + r * (h·U_h + bU_h))      reset_after true
                                        h' = z * h + (1 − z) * h~
    """

    def of_input(gate: str) -> Array:
        z = x @ p[f"W_{gate}"]
        return z + p[f"b_{gate}"] if f"b_{gate}" in p else z

    def of_state(gate: str, h: Array) -> Array:
        z = h @ p[f"U_{gate}"]
        return z + p[f"bU_{gate}"] if f"bU_{gate}" in p else z

    z = sigma(of_input("z") + of_state("z", h))
    r = sigma(of_input("r") + of_state("r", h))
    if reset_after:
        h_tilde = act(of_input("h") + r * of_state("h", h))
    else:
        h_tilde = act(of_input("h") + of_state("h", r * h))
    h = z * h + (1 - z) * h_tilde
    return {"z": z, "r": r, "h_tilde": h_tilde, "h": h}


def simple_rnn_step(p: Mapping[str, Array], x: Array, h: Array, act: Function) -> dict[str, Array]:
    """SimpleRNN (Elman 1990): h' = act(x·W_h + h·U_h + b_h)."""
    z = x @ p["W_h"] + h @ p["U_h"]
    return {"h": act(z + p["b_h"] if "b_h" in p else z)}
