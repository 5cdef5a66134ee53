"""Reading tests/vectors/parity: what Keras computed for the models of `cases`. Needs no Keras."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from lstmconv.exporting import convert
from lstmconv.graph.prune import prune
from lstmconv.reading import KerasFile, read_keras_file
from lstmconv_runtime import StreamError
from lstmconv_runtime.difference import difference
from lstmconv_runtime.format.graph import Graph, Type, Value, infer_types
from lstmconv_runtime.stream_kinds import classify
from paths import VECTORS

FOLDER = VECTORS / "parity"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))
HALVES = ("float16", "bfloat16")


@dataclass(frozen=True)
class Vector:
    """One committed case.

    Attributes:
        keras_file: the bytes of the .keras archive.
        inputs, outputs: in Keras's order; outputs as `predict` gave them.
        exact: outputs of the same model in float64, by position, where Keras has them.
    """

    name: str
    keras_file: bytes
    inputs: list[Any]
    outputs: list[Any]
    exact: dict[int, Any]
    versions: dict[str, str]

    def read(self) -> KerasFile:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            path.write_bytes(self.keras_file)
            return read_keras_file(path)

    @cached_property
    def config(self) -> Any:
        """The model's config.json."""
        return self.read().config

    @cached_property
    def graph(self) -> Graph:
        return convert(self.read()).graph

    @cached_property
    def types(self) -> dict[Value, Type]:
        return dict(infer_types(self.graph))

    @property
    def half(self) -> str | None:
        """The half precision that a part of the model computes in."""
        return next((type_.dtype for type_ in self.types.values() if type_.dtype in HALVES), None)


def read_vector(name: str) -> Vector:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as held:
        arrays = {key: held[key] for key in held.files}

    def of(kind: str) -> dict[int, Any]:
        return {int(key.partition("/")[2]): array for key, array in arrays.items() if key.startswith(f"{kind}/")}

    inputs, outputs = ([array for _, array in sorted(of(kind).items())] for kind in ("input", "output"))
    return Vector(name, arrays["model"].tobytes(), inputs, outputs, of("exact"), json.loads(str(arrays["versions"])))


def apart(made: Any, expected: Any) -> float:
    """The largest difference, of the scale of what was expected; infinite where they do not correspond."""
    return difference(np.asarray(made), np.asarray(expected)).relative


def classes(config: Any) -> set[str]:
    """The names of the layer classes in a model's config, those inside wrappers and nested models included; operations
    with their module before them, as "numpy.Add"."""
    found: set[str] = set()
    if isinstance(config, list):
        for item in config:
            found |= classes(item)
    elif isinstance(config, dict):
        module, name = config.get("module"), config.get("class_name")
        if module == "keras.layers":
            found.add(str(name))
        elif isinstance(module, str) and module.startswith("keras.src.ops."):
            found.add(f"{module.rpartition('.')[2]}.{name}")
        for key, item in config.items():
            if key not in ("build_config", "inbound_nodes"):
                found |= classes(item)
    return found


def of_outputs(graph: Graph, positions: list[int]) -> Graph:
    """The part of a graph that some of its outputs depend on."""
    outputs = tuple(graph.outputs[position] for position in positions)
    part = prune(replace(graph, inputs=(), outputs=outputs, output_keys=None))
    names = {node.name for node in part.nodes}
    return replace(part, inputs=tuple(name for name in graph.inputs if name in names))


def stream_refusals(graph: Graph) -> list[str | None]:
    """By output, why it cannot stream; None if it can."""
    found: list[str | None] = []
    for position in range(len(graph.outputs)):
        part = of_outputs(graph, [position])
        try:
            classify(part.nodes, infer_types(part))
            found.append(None)
        except StreamError as error:
            found.append(str(error))
    return found
