"""How a gate is called, and on which scale its numbers are drawn."""

from __future__ import annotations

import numpy as np
from lstmconv_runtime.format.graph import Array

NAMES = {
    "i": "i, input gate", "f": "f, forget gate", "o": "o, output gate",
    "c_tilde": "c~, candidate", "c": "c, cell state", "h": "h, hidden state",
    "z": "z, update gate", "r": "r, reset gate", "h_tilde": "h~, candidate",
}  # fmt: skip
BETWEEN_0_AND_1 = ("i", "f", "o", "z", "r")


def color_limits(gate: str, values: Array) -> tuple[float, float]:
    """The fixed scale of a gate: 0 … 1 for what a sigmoid gives, else −1 … 1.

    Values beyond it (a cell state, or an unbounded activation) widen it evenly around 0.
    """
    finite = values[np.isfinite(values)]
    if gate in BETWEEN_0_AND_1 and (finite.size == 0 or (finite.min() >= 0 and finite.max() <= 1)):
        return 0.0, 1.0
    bound = max(1.0, float(np.abs(finite).max(initial=0.0)))
    return -bound, bound
