"""How far engines may lie apart, and how far they do.

Two engines that compute the same formula add the same products in another order, so their float32 results differ. How
much is right? Two answers, and a difference fails only where it goes beyond both:

Tolerance: 1e-5 of the value's scale, its largest magnitude. One rounding in float32 is 6e-8 of what is rounded; a gate
    is a sum of some hundred products, and sums in two orders lie a few roundings apart; saturating gates keep that from
    growing from step to step. Healthy models stay below 1e-6. A wrong gate, formula or weight moves the result by
    percents.
Sensitivity: the model itself may amplify. How far a value moves when everything is rounded the other way (`rounding`)
    is what a single rounding of each number is worth; a small multiple of it is still rounding. To that comes the error
    that an engine's own way to compute an activation may have: a sigmoid as (1 + tanh(x/2))/2 is an ulp of 1 off
    however small it is, so gates are put off by so much, and how far the value goes is allowed too. Both come from
    float64 evaluations alone, never from a float32 result: a wrong result cannot excuse itself.

Where the movement is itself large, rounding alone decides the answer: the model is chaotic at this length, and that the
difference is no larger than the movement says nothing. Then the report looks at Keras in float64, whose rounding is 10⁹
times smaller; where that agrees with the float64 evaluation, the formulas and weights are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf

import numpy as np
from lstmconv_runtime import programs
from lstmconv_runtime.difference import difference
from lstmconv_runtime.format.graph import FLOATS, Array, Graph, Value, infer_types

from .keras_oracle import ROWS
from .rounding import EPS, MULTIPLE, TERMS_ELSEWHERE, inexact_programs, moved_programs, still_program

# Of the scale, by the value's dtype. Halves round at 5e-4 and 4e-3; float64 gets some more ulps than float32.
TOLERANCE = {"float16": 1e-2, "bfloat16": 1e-2, "float32": 1e-5, "float64": 1e-13}
CHAOTIC = 1e-3  # movement by this much of the scale: rounding has been amplified 10,000-fold


@dataclass(frozen=True)
class Reference:
    """The float64 evaluation of a graph for some inputs.

    Attributes:
        outputs: in the graph's order, float64 where they are floating point.
        scale: by value: its largest finite magnitude.
        movement: by value: how far it goes when everything moves by one ulp of the dtype it is computed in.
        inexact: by value: how far it goes when activations are off by the error other ways to compute them have.
        dtypes: by value: the dtype it has when the model runs as it was made.
    """

    outputs: tuple[Array, ...]
    scale: dict[Value, float]
    movement: dict[Value, float]
    inexact: dict[Value, float]
    dtypes: dict[Value, str]

    def tolerance(self, value: Value) -> float:
        """The largest difference in a value that is always in order."""
        return TOLERANCE.get(self.dtypes[value], 0.0) * self.scale[value]

    def allowed(self, value: Value) -> float:
        """The largest difference in a value that rounding explains."""
        if self.dtypes[value] not in FLOATS:
            return 0.0
        return max(self.tolerance(value), MULTIPLE * self.movement[value] + self.inexact[value])

    def chaotic(self, value: Value) -> bool:
        """True where rounding alone moves the value visibly."""
        return self.movement[value] > max(CHAOTIC, MULTIPLE * EPS.get(self.dtypes[value], 0)) * self.scale[value]


def reference(graph: Graph, inputs: Mapping[Value, Array], seed: int = 0) -> Reference:
    """Evaluates a graph in float64 by the reference cells, then with everything rounded otherwise.

    Args:
        inputs: arrays by input name, as the engines take them.
    """
    types = infer_types(graph)
    still = still_program(graph)
    moved = list(moved_programs(graph, np.random.default_rng(seed)))
    inexact = list(inexact_programs(graph, TERMS_ELSEWHERE))
    values = [value for node in graph.nodes for value in node.makes()]
    scale, movement, off = dict.fromkeys(values, 0.0), dict.fromkeys(values, 0.0), dict.fromkeys(values, 0.0)
    parts: list[list[Array]] = []
    held = {name: programs.cast(array, still.dtype(name)) for name, array in inputs.items()}
    for start in range(0, len(next(iter(held.values()))), ROWS):
        chunk = {name: array[start : start + ROWS] for name, array in held.items()}
        made = programs.run(still, chunk, gates={})
        parts.append([made[name] for name in graph.outputs])
        for value in values:
            scale[value] = max(scale[value], difference(made[value], made[value]).scale)
        for others, farthest in ((moved, movement), (inexact, off)):
            for program in others:
                other = programs.run(program, chunk, gates={})
                for value in values:
                    farthest[value] = max(farthest[value], difference(other[value], made[value]).largest)
    outputs = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    return Reference(outputs, scale, movement, off, {name: type_.dtype for name, type_ in types.items()})


@dataclass(frozen=True)
class Pair:
    """Two engines on one output."""

    first: str
    second: str
    absolute: float
    relative: float  # elementwise: near a zero of the output it is large, and means little


@dataclass(frozen=True)
class Deviation:
    """One engine against the float64 evaluation, on one output."""

    engine: str
    largest: float
    typical: float  # root mean square


@dataclass(frozen=True)
class OutputComparison:
    """Everything found on one output.

    Attributes:
        scale: its largest magnitude.
        movement: how far one ulp in everything that is rounded moves it.
        tolerance: the largest difference that is always in order.
        allowed: the largest difference that is rounding.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    movement: float
    tolerance: float
    allowed: float
    chaotic: bool
    differences: tuple[Pair, ...]
    deviations: tuple[Deviation, ...]

    def word(self, difference: float) -> str:
        """What a difference in this output means: "agree", "DIFFER", or "chaotic" where nothing follows from it."""
        if difference <= self.tolerance:
            return "agree"
        if not (difference <= self.allowed and difference < inf):
            return "DIFFER"
        return "chaotic" if self.chaotic else "agree"

    @property
    def verdict(self) -> str:
        """The worst word of all its differences."""
        words = {self.word(pair.absolute) for pair in self.differences}
        words |= {self.word(one.largest) for one in self.deviations}
        return next((word for word in ("DIFFER", "chaotic") if word in words), "agree")


def compare_outputs(
    names: Sequence[str], values: Sequence[Value], results: Mapping[str, Sequence[Array]], truth: Reference
) -> tuple[OutputComparison, ...]:
    """Each output: every pair of engines, and every engine against float64.

    Args:
        names: what the user calls the outputs.
        values: the graph's names of them.
        results: by engine: the outputs in that order.
    """
    compared = []
    for position, (name, value) in enumerate(zip(names, values, strict=True)):
        exact = truth.outputs[position]
        made = {engine_name: outputs[position] for engine_name, outputs in results.items()}
        pairs = []
        for first, second in combinations(made, 2):
            found = difference(made[first], made[second])
            pairs.append(Pair(first, second, found.largest, largest_relative(made[first], made[second])))
        deviations = []
        for engine_name, array in made.items():
            found = difference(array, exact)
            deviations.append(Deviation(engine_name, found.largest, found.rms))
        compared.append(
            OutputComparison(
                name, exact.shape, truth.dtypes[value], truth.scale[value], truth.movement[value],
                truth.tolerance(value), truth.allowed(value), truth.chaotic(value), tuple(pairs), tuple(deviations),
            )
        )  # fmt: skip
    return tuple(compared)


def largest_relative(a: Array, b: Array) -> float:
    """Largest |a − b| / max(|a|, |b|), 0/0 being 0; infinite where the arrays do not correspond."""
    if difference(a, b).misfit:
        return inf
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(b)
    a, b = a[finite], b[finite]
    larger = np.maximum(np.abs(a), np.abs(b))
    return float((np.abs(a - b) / np.where(larger == 0, 1.0, larger)).max(initial=0.0))
