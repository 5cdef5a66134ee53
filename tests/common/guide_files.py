"""The files that the guides speak of, made small."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lstmconv
import numpy as np
from legacy_vectors import release
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from lstmconv_runtime.format.graph import LINEAR, SIGMOID, TANH, Array, Graph, Node
from paths import SINE

RECURRENT: dict[str, Any] = {
    "weights": "", "use_bias": True, "activation": TANH, "recurrent_activation": SIGMOID, "go_backwards": False,
    "zero_output_for_mask": False, "stateful": False, "h0": None, "mask": None,
}  # fmt: skip


def make_guide_files(folder: Path) -> None:
    """sine.keras and its bundle, windows of it, an old file, a GRU over samples, an LSTM behind a Masking."""
    shutil.copy(SINE, folder / "sine.keras")
    lstmconv.export(folder / "sine.keras", folder / "sine.safetensors")
    shutil.copy(release("k224") / "lstm.h5", folder / "old.h5")
    wave = np.sin(0.08 * np.arange(260, dtype="float32"))
    np.save(folder / "windows.npy", np.lib.stride_tricks.sliding_window_view(wave, 5)[..., None].copy())
    (folder / "audio.safetensors").write_bytes(audio())
    (folder / "masked.safetensors").write_bytes(masked())


def audio() -> bytes:
    """(batch, time, 1) → GRU of 8 units → a sample for each."""
    return _bundle(
        [
            n.Input(name="sound", shape=(None, None, 1), dtype="float32"),
            n.GRU(**{**RECURRENT, "name": "gru", "x": "sound", "weights": "gru", "input_size": 1, "units": 8,
                     "return_sequences": True, "reset_after": True}),
            n.Dense(name="out", x="gru", weights="out", input_size=8, units=1, use_bias=True, activation=LINEAR),
        ]
    )  # fmt: skip


def masked() -> bytes:
    """(batch, time, 2) → Masking(0) → LSTM of 4 units → (batch, 1)."""
    return _bundle(
        [
            n.Input(name="x", shape=(None, None, 2), dtype="float32"),
            n.Constant(name="zero", shape=(), dtype="float32"),
            n.Elementwise(name="differs", op="not_equal", args=("x", "zero")),
            n.Reduce(name="mask", x="differs", op="any", axes=(2,), keepdims=False),
            n.LSTM(**{**RECURRENT, "name": "lstm", "x": "x", "mask": "mask", "weights": "lstm", "input_size": 2,
                      "units": 4, "return_sequences": False, "c0": None}),
            n.Dense(name="out", x="lstm", weights="out", input_size=4, units=1, use_bias=True, activation=LINEAR),
        ]
    )  # fmt: skip


def _bundle(nodes: list[Node]) -> bytes:
    random = np.random.default_rng(0)
    arrays: dict[str, Array] = {}
    for node in nodes:
        for name, shape in node.parameters().items():
            scale = 0 if isinstance(node, n.Constant) else 0.5
            arrays[f"{node.namespace()}/{name}"] = (scale * random.standard_normal(shape)).astype(np.float32)
    graph = Graph((nodes[0].name,), (nodes[-1].name,), None, tuple(nodes), arrays)
    return to_bytes(Bundle(graph, {"framework": "by hand", "version": "0"}, {}, ()))
