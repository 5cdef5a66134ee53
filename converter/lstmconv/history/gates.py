"""Every gate order of the project, each permutation named by both its ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from lstmconv_runtime.format.graph import Array

KERAS_LSTM = ("i", "f", "c", "o")
KERAS1_LSTM = ("i", "c", "f", "o")
KERAS_GRU = ("z", "r", "h")
KERAS_SIMPLE_RNN = ("h",)


def split_gates(prefix: str, gates: Sequence[str], fused: Array) -> dict[str, Array]:
    """A fused array with the gates side by side on its last axis → one array per gate: `prefix_gate`."""
    parts = np.split(fused, len(gates), axis=-1)
    return {f"{prefix}_{gate}": np.ascontiguousarray(part) for gate, part in zip(gates, parts, strict=True)}


def keras_to_named(
    gates: Sequence[str], kernel: Array, recurrent_kernel: Array, bias: Array | None
) -> dict[str, Array]:
    """Keras's fused kernels → the named tensors of a bundle.

    A bias of rank 2 is that of a GRU with reset_after: its first row belongs to the input, its second to the state.
    """
    arrays = {**split_gates("W", gates, kernel), **split_gates("U", gates, recurrent_kernel)}
    if bias is not None and bias.ndim == 2:
        return {**arrays, **split_gates("b", gates, bias[0]), **split_gates("bU", gates, bias[1])}
    return arrays if bias is None else {**arrays, **split_gates("b", gates, bias)}
