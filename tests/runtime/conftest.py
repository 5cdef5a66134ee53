"""Graphs built by hand for the runtime's tests, which need NumPy, safetensors, pytest and hypothesis alone.

`build` is one object with the builders on it, so that a test module can take it as a fixture: with pytest's importlib
mode the modules of a folder cannot import each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from lstmconv_runtime import engines
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.bundle import Bundle, Probe, to_bytes
from lstmconv_runtime.format.graph import LINEAR, SIGMOID, TANH, Activation, Array, Graph, Node
from lstmconv_runtime.model import Model
from outputs import single

collect_ignore = [] if engines.kernel else ["recurrent/test_compiled.py", "recurrent/test_helpers.py"]
settings.register_profile("quick", max_examples=30, deadline=None, derandomize=True)
settings.load_profile("quick")

RELU = Activation("relu", (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0)))
HARD_SIGMOID = Activation("hard_sigmoid", (("slope", 0.2), ("offset", 0.5)))


class Build:
    """Builders of nodes, graphs, bundles and models, with seeded weights."""

    def input(self, *shape: int | None, name: str = "x", dtype: str = "float32") -> n.Input:
        return n.Input(name=name, shape=(None, *shape), dtype=dtype)

    def recurrent(self, kind: str, name: str, x: str, size: int, units: int, **options: Any) -> Node:
        fields = {
            "mask": None, "h0": None, "weights": name, "use_bias": True, "activation": TANH, "return_sequences": True,
            "go_backwards": False, "zero_output_for_mask": False, "stateful": False,
        }  # fmt: skip
        if kind != "SimpleRNN":
            fields["recurrent_activation"] = SIGMOID
        if kind == "LSTM":
            fields["c0"] = None
        if kind == "GRU":
            fields["reset_after"] = True
        return n.NODES[kind](name=name, x=x, input_size=size, units=units, **{**fields, **options})  # type: ignore[call-arg]

    def dense(self, name: str, x: str, size: int, units: int, activation: Activation = LINEAR) -> n.Dense:
        return n.Dense(name=name, x=x, weights=name, input_size=size, units=units, use_bias=True, activation=activation)

    def causal(self, name: str, x: str, channels: int, filters: int, width: int, dilation: int = 1) -> n.Conv:
        return n.Conv(
            name=name, x=x, weights=name, channels=channels, filters=filters, kernel_size=(width,), strides=(1,),
            padding="causal", dilation=(dilation,), groups=1, use_bias=True, activation=RELU,
        )  # fmt: skip

    def mask(self, x: str, value: float = 0.0) -> list[Node]:
        """A step is valid where any of its features differs from `value`, as Keras's Masking says."""
        return [
            n.Constant(name="mask_value", shape=(), dtype="float32"),
            n.Elementwise(name="differs", op="not_equal", args=(x, "mask_value")),
            n.Reduce(name="mask", x="differs", op="any", axes=(2,), keepdims=False),
        ]

    def graph(self, nodes: Sequence[Node], outputs: Sequence[str] = (), seed: int = 0, **options: Any) -> Graph:
        """The graph with weights of a scale that keeps gates away from saturation; constants are 0."""
        random = np.random.default_rng(seed)
        arrays: dict[str, Array] = {}
        for node in nodes:
            for name, shape in node.parameters().items():
                key = f"{node.namespace()}/{name}"
                scale = 0.0 if isinstance(node, n.Constant) else 1 / np.sqrt(shape[-1])
                arrays.setdefault(key, (random.standard_normal(shape) * scale).astype(np.float32))
        inputs = tuple(node.name for node in nodes if isinstance(node, n.Input))
        return Graph(inputs, tuple(outputs) or (nodes[-1].name,), options.get("output_keys"), tuple(nodes), arrays)

    def bytes(self, graph: Graph, probes: Sequence[Probe] = ()) -> bytes:
        return to_bytes(Bundle(graph, {"framework": "by hand", "version": "0"}, {}, tuple(probes)))

    def model(self, nodes: Sequence[Node], outputs: Sequence[str] = (), seed: int = 0, **options: Any) -> Model:
        return Model(self.bytes(self.graph(nodes, outputs, seed, **options)), dtype=options.get("dtype"))

    def sine(self) -> Model:
        """LSTM → Dense with one probe, the smallest model of the kind most people have."""
        nodes = [
            self.input(None, 2),
            self.recurrent("LSTM", "lstm", "x", 2, 3, return_sequences=False),
            self.dense("dense", "lstm", 3, 1),
        ]
        graph = self.graph(nodes)
        x = np.random.default_rng(1).standard_normal((2, 4, 2)).astype(np.float32)
        y = single(Model(self.bytes(graph)).predict(x))
        return Model(self.bytes(graph, [Probe("by hand", {"x": x}, (y,))]))


@pytest.fixture(scope="session")
def build() -> Build:
    return Build()


@pytest.fixture(scope="session", autouse=True, params=["numpy", *(["kernel"] if engines.kernel else [])])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test runs on NumPy and, where it is built, on the kernel."""
    before = os.environ.get(engines.VARIABLE)
    os.environ[engines.VARIABLE] = request.param
    yield request.param
    del os.environ[engines.VARIABLE]
    if before is not None:
        os.environ[engines.VARIABLE] = before
