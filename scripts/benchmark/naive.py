"""The script that people write by hand: every gate by itself, every time step, in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from lstmconv_runtime.format.graph import Array

Parameters = Mapping[str, Array]  # of one layer, by the names of the bundle: W_i, U_i, b_i …


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def lstm_step(p: Parameters, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """x (B, n), h and c (B, u) → h and c."""
    i = sigmoid(x @ p["W_i"] + h @ p["U_i"] + p["b_i"])
    f = sigmoid(x @ p["W_f"] + h @ p["U_f"] + p["b_f"])
    g = np.tanh(x @ p["W_c"] + h @ p["U_c"] + p["b_c"])
    o = sigmoid(x @ p["W_o"] + h @ p["U_o"] + p["b_o"])
    c = f * c + i * g
    return o * np.tanh(c), c


def gru_step(p: Parameters, x: Array, h: Array) -> Array:
    """x (B, n), h (B, u) → h."""
    z = sigmoid(x @ p["W_z"] + p["b_z"] + h @ p["U_z"] + p["bU_z"])
    r = sigmoid(x @ p["W_r"] + p["b_r"] + h @ p["U_r"] + p["bU_r"])
    g = np.tanh(x @ p["W_h"] + p["b_h"] + r * (h @ p["U_h"] + p["bU_h"]))
    return np.asarray(z * h + (1 - z) * g)


def lstm(p: Parameters, x: Array, mask: Array | None = None) -> Array:
    """x (B, T, n) → h of every step (B, T, u); a masked step keeps h and c."""
    h = c = np.zeros((len(x), len(p["b_i"])), x.dtype)
    hs = []
    for t in range(x.shape[1]):
        h_new, c_new = lstm_step(p, x[:, t], h, c)
        if mask is None:
            h, c = h_new, c_new
        else:
            h, c = np.where(mask[:, t, None], h_new, h), np.where(mask[:, t, None], c_new, c)
        hs.append(h)
    return np.stack(hs, axis=1)


def gru(p: Parameters, x: Array) -> Array:
    """x (B, T, n) → the last h (B, u)."""
    h = np.zeros((len(x), len(p["b_z"])), x.dtype)
    for t in range(x.shape[1]):
        h = gru_step(p, x[:, t], h)
    return h


def network(
    kind: str, layers: Sequence[Parameters], dense: Parameters, masked_value: float
) -> Callable[[Array], Array]:
    """x → y of a case; a bidirectional one has its forward layer first."""

    def run(x: Array) -> Array:
        match kind:
            case "stacked":
                h = lstm(layers[1], lstm(layers[0], x))[:, -1]
            case "bidirectional":
                h = np.concatenate([lstm(layers[0], x)[:, -1], lstm(layers[1], x[:, ::-1])[:, -1]], axis=1)
            case "GRU":
                h = gru(layers[0], x)
            case "masked":
                h = lstm(layers[0], x, (x != masked_value).any(axis=2))[:, -1]
            case _:
                h = lstm(layers[0], x)[:, -1]
        return np.asarray(h @ dense["W"] + dense["b"])

    return run


def stream(layer: Parameters, dense: Parameters, units: int) -> Callable[[Array], Array]:
    """x_t (1, n) → y_t (1, 1), carrying the state."""
    h = c = np.zeros((1, units), np.float32)

    def step(x_t: Array) -> Array:
        nonlocal h, c
        h, c = lstm_step(layer, x_t, h, c)
        return np.asarray(h @ dense["W"] + dense["b"])

    return step
