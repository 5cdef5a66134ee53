"""Weights that are stored in fewer bits than they were trained in, and what that has moved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lstmconv_runtime import Model
from lstmconv_runtime.difference import difference
from lstmconv_runtime.format.graph import Graph

from ..bundles.drift import Drift, drift_of
from ..bundles.load import load_bundle, read_model
from ..errors import UsageError, printable
from ..exporting import convert


@dataclass(frozen=True)
class TensorDrift:
    """How far the numbers of one tensor were moved: the largest, and as a share of its largest magnitude."""

    name: str
    largest: float
    relative: float


@dataclass(frozen=True)
class Reduction:
    """What is known of reduced weights.

    Attributes:
        kind: what they are stored as.
        told: what the bundle itself says of the drift, of int8 weights; else "".
        full: the name of the file with the weights as they were; None where it was not given.
        outputs: the drift over the inputs of the probes, in float64, so that it is the reduction alone.
        tensors: the drift of the weights themselves.
    """

    kind: str
    told: str = ""
    full: str | None = None
    outputs: tuple[Drift, ...] = ()
    tensors: tuple[TensorDrift, ...] = ()


def reduction(model: Model, full: Path | None) -> Reduction | None:
    """What is known of the reduced weights of a model; None where they are as they were.

    Args:
        full: the Keras file or bundle that the weights come from.

    Raises:
        UsageError: `full` is not this model, or the weights are not reduced.
        LstmconvError, BundleError: `full` cannot be read.
    """
    kind = model.bundle.source.get("weights")
    if kind is None:
        if full is not None:
            raise UsageError("the weights of this model are as they were: there is no drift for --full to show")
        return None
    told = model.bundle.source.get("drift", "")
    if full is None:
        return Reduction(kind, told)
    graph, shown = _graph(full), printable(full.name, 80)
    here = model.bundle.graph.widened()
    if graph.nodes != here.nodes or set(graph.arrays) != set(here.arrays):
        raise UsageError(f"'{shown}' given with --full is another model than the one that was reduced")
    tensors = []
    for name, array in graph.arrays.items():
        found = difference(here.arrays[name], array)
        tensors.append(TensorDrift(name, found.largest, found.relative))
    return Reduction(
        kind, told, full.name, drift_of(graph, here, [probe.inputs for probe in model.bundle.probes]), tuple(tensors)
    )


def _graph(path: Path) -> Graph:
    file = read_model(path)
    return load_bundle(path).bundle.graph if isinstance(file, bytes) else convert(file).graph
