"""Everything a page shows, computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from lstmconv_runtime import InputError, Model
from lstmconv_runtime.format.graph import Array

from ..bundles.compare import reference
from ..bundles.summary import summary, tensors_of
from ..parity.cross_check import compared, draw_inputs, engine_inputs
from ..parity.divergence import NodeDifference, float64_node_differences
from ..parity.engines import ENGINES
from ..parity.report import Report
from .gates import Traced, traced
from .reduction import Reduction, reduction
from .subject import Opened
from .tensors import Tensor, tensor

MOST_ROWS = 64  # that the engines are compared on
MOST_WORK = 2e9  # products of an evaluation of them, of which there are about ten
MOST_TENSORS = 1000


@dataclass(frozen=True)
class Sequences:
    """Inputs for a model.

    Attributes:
        arrays: the first rows, by input name.
        rows: how many there are in all.
        origin: where they come from, in words.
    """

    arrays: Mapping[str, Array]
    rows: int
    origin: str


@dataclass(frozen=True)
class Findings:
    """What there is to say of a model.

    Attributes:
        summary: of its graph, see `bundles.summary`; None where the file cannot be converted, and all else is empty.
        tensors: the first MOST_TENSORS.
        engines: how far they are apart; or why that is not known.
        float64_nodes: the runtime beside the float64 evaluation; or why not.
        gates: of one sequence; or why there are none.
        reduction: None where weights are as they were.
    """

    opened: Opened
    summary: dict[str, Any] | None = None
    tensors: tuple[Tensor, ...] = ()
    engines: Report | str = "the file cannot be converted"
    compared_rows: int = 0
    float64_nodes: tuple[NodeDifference, ...] | str = "the file cannot be converted"
    gates: Traced | str = "the file cannot be converted"
    reduction: Reduction | None = None
    origin: str = ""

    @property
    def ok(self) -> bool:
        """False where something does not hold: the file cannot be converted, its probes fail, or engines differ."""
        about = self.opened.about
        if not about["verified" if about["kind"] == "bundle" else "convertible"]:
            return False
        return isinstance(self.engines, str) or "DIFFER" not in self.engines.verdicts


def sequences_of(model: Model) -> Sequences | None:
    """Inputs where the user gives none: those of the first probe, or drawn; None where none are found."""
    probes = model.bundle.probes
    if probes:
        arrays = probes[0].inputs
        return Sequences(arrays, len(next(iter(arrays.values()))), "the first probe of the bundle")
    try:
        arrays = draw_inputs(model.bundle.graph)
    except InputError:
        return None
    return Sequences(arrays, len(next(iter(arrays.values()))), "inputs drawn at random")


def rows_compared(model: Model, arrays: Mapping[str, Array]) -> int:
    """How many rows to compare the engines on: at most MOST_ROWS, and so many that steps × parameters of them are at
    most MOST_WORK, or one. All, where the rows of the model hang together."""
    rows = len(next(iter(arrays.values())))
    if not model.splits:
        return rows
    steps = max((array.shape[1] for array in arrays.values() if array.ndim > 1), default=1)
    weights = sum(array.size for array in model.bundle.graph.arrays.values())
    return min(rows, MOST_ROWS, max(1, int(MOST_WORK // max(1, steps * weights))))


def findings(
    opened: Opened, given: Sequences | None = None, row: int = 0, engines: bool = True, full: Path | None = None
) -> Findings:
    """Computes what a page shows.

    Args:
        given: sequences of the user's; None takes those of `sequences_of`.
        row: the sequence whose gates are shown.
        engines: run Keras and onnxruntime too, where they are installed. Keras then loads the file.
        full: see `reduction`.

    Raises:
        InputError: the sequences do not fit the model.
        UsageError: see `reduction`.
    """
    subject, model = opened.subject, opened.model
    if subject is None or model is None:
        return Findings(opened)
    graph, wide = model.bundle.graph, model.bundle.graph.widened()
    found = Findings(
        opened, summary(graph),
        tuple(tensor(one["name"], wide.arrays[one["name"]]) for one in tensors_of(wide)[:MOST_TENSORS]),
        reduction=reduction(model, full),
    )  # fmt: skip
    given = given or sequences_of(model)
    if given is None:
        why = "no inputs were found that the model takes: give some with --input"
        return replace(found, engines=why, float64_nodes=why, gates=why)
    rows = rows_compared(model, given.arrays)
    first = {name: array[:rows] for name, array in given.arrays.items()}
    with np.errstate(all="ignore"):
        gates: Traced | str = traced(model, given.arrays, row, given.rows, given.origin)
        inputs = engine_inputs(subject, first)
        truth = reference(graph, inputs)
        report = compared(subject, inputs, truth, tuple(ENGINES) if engines else ("runtime",))
        nodes = float64_node_differences(model, inputs, truth)
    return replace(found, engines=report, compared_rows=rows, float64_nodes=nodes, gates=gates, origin=given.origin)
