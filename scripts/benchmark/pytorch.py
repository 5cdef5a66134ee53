"""The cases in PyTorch: torch.nn modules filled from the named gates of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import Array

Parameters = Mapping[str, Array]

LSTM_ORDER = ("i", "f", "c", "o")  # torch.nn.LSTM's, where c is called g
GRU_ORDER = ("r", "z", "h")  # torch.nn.GRU's, where h is called n


def recurrent(torch: Any, kind: str, layers: Sequence[Parameters]) -> Any:
    """One torch.nn.LSTM or GRU for all layers of a case."""
    gru = kind == "GRU"
    order = GRU_ORDER if gru else LSTM_ORDER
    features, units = layers[0][f"W_{order[0]}"].shape
    make = torch.nn.GRU if gru else torch.nn.LSTM
    bidirectional = kind == "bidirectional"
    module = make(
        features, units, num_layers=2 if kind == "stacked" else 1, bidirectional=bidirectional, batch_first=True
    )
    suffixes = ("l0", "l0_reverse") if bidirectional else ("l0", "l1")
    with torch.no_grad():
        for suffix, p in zip(suffixes, layers, strict=False):
            filled = {
                "weight_ih": _joined(p, "W", order).T,
                "weight_hh": _joined(p, "U", order).T,
                "bias_ih": _joined(p, "b", order),
                "bias_hh": _joined(p, "bU", order) if gru else np.zeros(len(order) * units, np.float32),
            }
            for name, array in filled.items():
                getattr(module, f"{name}_{suffix}").copy_(torch.from_numpy(np.ascontiguousarray(array)))
    return module.eval()


def linear(torch: Any, p: Parameters) -> Any:
    module = torch.nn.Linear(*p["W"].shape)
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.ascontiguousarray(p["W"].T)))
        module.bias.copy_(torch.from_numpy(p["b"].copy()))
    return module.eval()


def _joined(p: Parameters, prefix: str, order: tuple[str, ...]) -> Array:
    return np.concatenate([p[f"{prefix}_{gate}"] for gate in order], axis=-1)


def network(
    kind: str, layers: Sequence[Parameters], dense: Parameters, masked_value: float
) -> Callable[[Array], Array]:
    """x → y of a case; masked rows go in packed, which takes masks at the end of a row alone."""
    import torch

    cell, head = recurrent(torch, kind, layers), linear(torch, dense)
    pack = torch.nn.utils.rnn.pack_padded_sequence

    def run(x: Array) -> Array:
        with torch.inference_mode():
            given = torch.from_numpy(x)
            if kind == "masked":
                lengths = (given != masked_value).any(2).sum(1)
                given = pack(given, lengths, batch_first=True, enforce_sorted=False)
            last = cell(given)[1]
            h = last if kind == "GRU" else last[0]  # (layers or directions, B, u)
            h = torch.cat([h[0], h[1]], 1) if kind == "bidirectional" else h[-1]
            made: Array = head(h).numpy()
            return made

    return run


def stream(layer: Parameters, dense: Parameters, units: int) -> Callable[[Array], Array]:
    """x_t (1, n) → y_t (1, 1), carrying the state."""
    import torch

    cell, head = recurrent(torch, "LSTM", [layer]), linear(torch, dense)
    state = (torch.zeros(1, 1, units), torch.zeros(1, 1, units))

    def step(x_t: Array) -> Array:
        nonlocal state
        with torch.inference_mode():
            h, state = cell(torch.from_numpy(x_t)[None], state)
            made: Array = head(h[0]).numpy()
            return made

    return step
