"""Bundles made by hand, with names and sizes that no vector has."""

from __future__ import annotations

import numpy as np
from lstmconv.bundles.probes import make_probes
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from lstmconv_runtime.format.graph import LINEAR, SIGMOID, TANH, Graph, Node
from lstmconv_runtime.format.nodes import LSTM, Activate, Dense, Input


def lstm_node(name: str, x: str, size: int, units: int, sequences: bool = True) -> LSTM:
    return LSTM(
        name=name, x=x, mask=None, h0=None, weights=name, input_size=size, units=units, use_bias=True, activation=TANH,
        return_sequences=sequences, go_backwards=False, zero_output_for_mask=False, stateful=False, c0=None,
        recurrent_activation=SIGMOID,
    )  # fmt: skip


def lstm_graph(
    name: str = "lstm", given: str = "x", units: int = 4, steps: int | None = None, layers: int = 1, seed: int = 0
) -> Graph:
    """LSTMs one after the other, and a Dense of one unit: (batch, steps, 2) → (batch, 1)."""
    random = np.random.default_rng(seed)
    nodes: list[Node] = [Input(name=given, shape=(None, steps, 2), dtype="float32")]
    size, x = 2, given
    for layer in range(layers):
        called = name if layer == 0 else f"{name}.{layer}"
        nodes.append(lstm_node(called, x, size, units, sequences=layer < layers - 1))
        size, x = units, called
    nodes.append(Dense(name="dense", x=x, weights="dense", input_size=units, units=1, use_bias=True, activation=LINEAR))
    arrays = {
        f"{node.name}/{key}": random.normal(0, 0.3, shape).astype("float32")
        for node in nodes
        for key, shape in node.parameters().items()
    }
    return Graph((given,), ("dense",), None, tuple(nodes), arrays)


def chain_graph(length: int) -> Graph:
    """Many nodes in a row."""
    nodes: list[Node] = [Input(name="x", shape=(None, 2), dtype="float32")]
    for place in range(length):
        nodes.append(Activate(name=f"n{place}", x=nodes[-1].name, activation=TANH))
    return Graph(("x",), (nodes[-1].name,), None, tuple(nodes), {})


def bundle_bytes(graph: Graph, source: dict[str, str] | None = None) -> bytes:
    """The graph as a bundle, with probes."""
    return to_bytes(
        Bundle(graph, {"framework": "keras", "version": "3"} | (source or {}), {}, make_probes(graph, "us"))
    )
