"""What storing weights smaller has cost: how far each output moves, in float64, so that it is the rounding alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt

from lstmconv_runtime.difference import difference, share
from lstmconv_runtime.format.graph import Array, Graph

from .probes import float64_evaluation


@dataclass(frozen=True)
class Drift:
    """How far rounding the weights moves one output.

    Attributes:
        output: its name.
        max_abs: the largest difference; infinite where one of them is NaN or infinite and the other is not.
        rms: the root mean square of the differences.
        relative: `max_abs` as a share of the output's largest magnitude.
        over: what it was measured over: "probes", or the user's own "calibration".
    """

    output: str
    max_abs: float
    rms: float
    relative: float
    over: str = "probes"


def drift_of(
    full: Graph, reduced: Graph, inputs: Iterable[Mapping[str, Array]], over: str = "probes"
) -> tuple[Drift, ...]:
    """The drift of each output over some inputs."""
    outputs = full.output_keys or full.outputs
    worst, scales = dict.fromkeys(outputs, 0.0), dict.fromkeys(outputs, 0.0)
    squares, counts = dict.fromkeys(outputs, 0.0), dict.fromkeys(outputs, 0)
    evaluations = float64_evaluation(full), float64_evaluation(reduced)
    for given in inputs:
        for name, exact, rounded in zip(outputs, *(evaluate(given) for evaluate in evaluations), strict=True):
            found = difference(rounded, exact)
            worst[name], scales[name] = max(worst[name], found.largest), max(scales[name], found.scale)
            squares[name] += found.rms**2 * exact.size
            counts[name] += exact.size
    return tuple(
        Drift(name, worst[name], sqrt(squares[name] / max(1, counts[name])), share(worst[name], scales[name]), over)
        for name in outputs
    )
