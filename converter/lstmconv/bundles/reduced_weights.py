"""Weights stored smaller than they are, as the user asked for it, and what that has cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from lstmconv_runtime.format.graph import Array, Graph
from lstmconv_runtime.format.nodes import Input

from ..errors import UsageError, printable
from .drift import Drift, drift_of
from .half_weights import with_half_weights
from .int8_weights import int8_candidates, with_int8_weights, within

STORED = ("float16", "int8")
ROWS = 256  # of calibration data are evaluated at once


@dataclass(frozen=True)
class Storage:
    """How weights are to be stored.

    Attributes:
        weights: one of STORED.
        embeddings: of int8, the tables of Embedding layers too.
        at_most: of int8, the largest drift of any output, as a share of its largest magnitude: the matrices whose
            rounding costs more stay as they are.
        calibration: inputs by name, of the user's own data.
    """

    weights: str
    embeddings: bool = False
    at_most: float | None = None
    calibration: Mapping[str, Array] | None = None


@dataclass(frozen=True)
class Reduced:
    """A graph with its weights stored smaller.

    Attributes:
        source: what the bundle says of it.
        drift: of each output, over the probes, and over the calibration data where there are some.
        kept: of int8, the kernel matrices that are not.
    """

    graph: Graph
    source: dict[str, str]
    drift: tuple[Drift, ...]
    kept: tuple[str, ...] = ()


def check_storage(storage: Storage) -> None:
    """Raises UsageError for a storage that is not."""
    if storage.weights not in STORED:
        raise UsageError(f'weights must be None, "float16" or "int8", got {printable(storage.weights)}')
    if storage.weights != "int8" and (storage.embeddings or storage.at_most is not None):
        raise UsageError("embeddings and at_most are for weights stored as int8")
    if storage.at_most is not None and not 0 <= storage.at_most < inf:
        raise UsageError(f"at_most must be a number of at least 0, got {storage.at_most}")


def reduced_weights(full: Graph, storage: Storage, probes: Sequence[Mapping[str, Array]]) -> Reduced:
    """The graph with its weights stored as the user asked for.

    Args:
        probes: the inputs of the probes.

    Raises:
        UnsupportedError: a weight is too large for float16; names it.
        InputError: the calibration data do not fit the model.
    """
    data = {"probes": list(probes)}
    if storage.calibration is not None:
        data["calibration"] = _in_parts(full, storage.calibration)
    kept: tuple[str, ...] = ()
    if storage.weights == "float16":
        graph = with_half_weights(full)
    else:
        graph, kept = _as_int8(full, storage, data.get("calibration", data["probes"]))
    drift = tuple(one for over, inputs in data.items() for one in drift_of(full, graph, inputs, over))
    source = {"weights": storage.weights}
    if storage.weights == "int8":
        source["drift"] = "; ".join(
            f"{d.output} at most {d.max_abs:.3g}, rms {d.rms:.3g}, over the {d.over}" for d in drift
        )
    return Reduced(graph, source, drift, kept)


def _as_int8(full: Graph, storage: Storage, inputs: list[Mapping[str, Array]]) -> tuple[Graph, tuple[str, ...]]:
    axes = int8_candidates(full, storage.embeddings)
    chosen = list(axes)
    if storage.at_most is not None:

        def cost(tensors: list[str]) -> float:
            drift = drift_of(full, with_int8_weights(full, tensors, axes), inputs)
            return max(one.relative for one in drift)

        chosen = within(axes, cost, storage.at_most)
    every = {f"{node.namespace()}/{name}" for node in full.nodes for name in node.scaled()}
    kept = sorted(key for key in every - set(chosen) if full.arrays[key].dtype.kind == "f")
    return with_int8_weights(full, chosen, axes), tuple(kept)


def _in_parts(graph: Graph, data: Mapping[str, Array]) -> list[Mapping[str, Array]]:
    """The data some rows at a time, where the model leaves their number open."""
    nodes = [node for node in graph.nodes if isinstance(node, Input)]
    if any(node.shape[0] is not None for node in nodes):
        return [data]
    rows = max(len(array) for array in data.values())
    edges = range(0, rows, ROWS)
    return [{name: np.asarray(array)[start : start + ROWS] for name, array in data.items()} for start in edges]
