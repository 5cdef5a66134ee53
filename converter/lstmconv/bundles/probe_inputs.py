"""What given inputs are worth as a probe: how far rounding moves the outputs, and what part of the model they use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from lstmconv_runtime import programs
from lstmconv_runtime.difference import difference
from lstmconv_runtime.errors import InputError
from lstmconv_runtime.format.graph import FLOATS, Array, Graph, Node, Value, infer_types
from lstmconv_runtime.format.nodes import Activate, Conv, Dense
from lstmconv_runtime.verifying import allowed_by_rule, lowest_precision

from .jumps import distances, is_equality, jumping, pushed_programs
from .rounding import EPS, MULTIPLE, TERMS, inexact_programs, moved_programs, passes_on, still_program

# Of an output's scale: what rounding may be worth in a probe, by the lowest precision on the way.
DECIDES = {"float16": 0.05, "bfloat16": 0.05, "float32": 1e-3, "float64": 1e-3}
LARGEST = {"float16": 3e4, "bfloat16": 1e19, "float32": 1e19, "float64": 1e150}  # beyond, products overflow
# An output that is nowhere larger proves nothing: what machines leave out of numbers below the smallest normal one is
# more than the rule allows. Halves are held as float32.
SMALLEST = {
    "float16": 2.0**-126,
    "bfloat16": 2.0**-126 / 1e-2,
    "float32": 2.0**-126 / 1e-5,
    "float64": 2.0**-1022 / 1e-5,
}
HALVES = ("float16", "bfloat16")
HALF_MULTIPLE = 2.0  # a half is rounded once, when a node is done: what it does inside is done in float32
FLAT = ("relu", "hard_sigmoid", "hard_tanh", "hard_shrink", "soft_shrink", "threshold", "sparse_plus", "sparse_sigmoid")
ENDS = (0.0, 1.0, -1.0)
MOST_UNITS = 4096  # of one model: more are not looked at


@dataclass(frozen=True)
class Judged:
    """Inputs for a probe, and what rounding is worth in the outputs.

    Attributes:
        allowed: as in `Probe`.
        undecided: how many outputs rounding decides; all of them where a number may be too large for its dtype.
        awake: units of activations with a flat part that are off it somewhere: (node, place on the last axis).
    """

    inputs: dict[str, Array]
    allowed: tuple[tuple[float, float] | None, ...]
    undecided: int
    awake: frozenset[tuple[Value, int]]


def judge(graph: Graph, inputs: Sequence[dict[str, Array]], exact_oracle: bool = True) -> list[Judged]:
    """What rounding is worth in the outputs for each of some inputs, from evaluations in float64 alone.

    Args:
        exact_oracle: outputs of the probes are rounded once, from float64. Then in half precision, where the rule must
            allow for what frameworks do inside a layer, less is right.
    """
    if not inputs:
        return []
    lowest, program = lowest_precision(graph, infer_types(graph)), still_program(graph)
    evaluated = [_Evaluated(program, given, lowest) for given in inputs]
    for other in moved_programs(graph, np.random.default_rng(0)):
        for one in evaluated:
            one.see(other, one.deciding)
    for other in inexact_programs(graph, TERMS):
        for one in evaluated:
            one.see(other, [node for node in one.deciding if is_equality(node)])
    for one in evaluated:
        for other in pushed_programs(program, one.moves):
            one.see(other)
    return [one.judged(exact_oracle) for one in evaluated]


class _Evaluated:
    """Inputs with what they give in float64, and how far that goes in other evaluations.

    Attributes:
        needed: of each output, the largest difference seen and the largest root mean square, as multiples say.
        moves: by node that takes steps, as in `distances`.
    """

    def __init__(self, program: programs.Program, inputs: dict[str, Array], lowest: Mapping[Value, str]) -> None:
        graph, self.inputs, self.lowest = program.graph, inputs, lowest
        self.deciding = jumping(program)
        gates: programs.GateTrace = {}
        values = values_of(program, inputs, gates)
        dtypes = {v: program.types[v].dtype for node in graph.nodes if not passes_on(node) for v in node.makes()}
        self.overflows, self.awake = _overflows(values, gates, dtypes), _awake(graph, values)
        self.outputs = graph.outputs
        read = {value for node in self.deciding for value in (*node.reads(), node.name)}
        self.still = {name: values[name] for name in {*graph.outputs, *read}}
        self.needed = [(0.0, 0.0)] * len(graph.outputs)
        self.moves: dict[Value, Array] = {}

    def see(self, program: programs.Program, deciding: Sequence[Node] = ()) -> None:
        """How far the outputs go in another evaluation, and what some of the nodes that take steps are decided by."""
        try:
            values = values_of(program, self.inputs, {})
        except InputError:  # rounding takes a number out of what an integer holds
            self.needed = [(inf, inf)] * len(self.outputs)
            return
        for place, name in enumerate(self.outputs):
            apart, before = difference(values[name], self.still[name]), self.needed[place]
            factor = HALF_MULTIPLE if self.lowest[name] in HALVES else MULTIPLE
            self.needed[place] = max(before[0], factor * apart.largest), max(before[1], factor * apart.rms)
        self.moves |= distances(deciding, program.types, self.still, values, self.moves)

    def judged(self, exact_oracle: bool) -> Judged:
        allowed: list[tuple[float, float] | None] = []
        undecided, storable = 0, True
        for name, needed in zip(self.outputs, self.needed, strict=True):
            size, lowest = difference(self.still[name], self.still[name]), self.lowest[name]
            by_rule = allowed_by_rule(lowest, size)
            if exact_oracle and lowest in HALVES:
                ulp = EPS[lowest]
                by_rule, within = (ulp * size.scale, ulp * size.scale_rms), False
            else:
                within = needed[0] <= by_rule[0] and needed[1] <= by_rule[1]
            both = max(needed[0], by_rule[0]), max(needed[1], by_rule[1])
            allowed.append(None if within else (_rounded_up(both[0]), _rounded_up(both[1])))
            worth = 0.0 if within else needed[0] / size.scale if size.scale else inf
            if 0 < size.scale < SMALLEST.get(lowest, 0.0):
                worth = inf
            undecided += not worth <= DECIDES.get(lowest, 0.0)
            storable = storable and math.isfinite(both[0])
        undecided = undecided if storable and not self.overflows else len(self.outputs)
        return Judged(self.inputs, tuple(allowed) if any(allowed) else (), undecided, self.awake)


def sleepers(graph: Graph) -> list[Node]:
    """Nodes with an activation that has a flat part, where a unit shows nothing of its weights."""
    found = [node for node in graph.nodes if getattr(getattr(node, "activation", None), "name", "") in FLAT]
    return [node for node in found if isinstance(node, Dense | Conv | Activate)]


def _awake(graph: Graph, values: Mapping[Value, Array]) -> frozenset[tuple[Value, int]]:
    found: list[tuple[Value, int]] = []
    for node in sleepers(graph):
        y = values[node.name]
        off = ~np.isin(y, ENDS).all(axis=tuple(range(y.ndim - 1)))
        found += [(node.name, int(place)) for place in np.flatnonzero(off)[:MOST_UNITS]]
    return frozenset(found)


def values_of(program: programs.Program, inputs: Mapping[str, Array], gates: programs.GateTrace) -> dict[Value, Array]:
    held = {name: programs.cast(array, program.dtype(name)) for name, array in inputs.items()}
    with np.errstate(all="ignore"):  # where a model overflows, infinities and NaN are its outputs
        return programs.run(program, held, gates=gates)


def _overflows(values: Mapping[Value, Array], gates: programs.GateTrace, dtypes: Mapping[Value, str]) -> bool:
    """Whether a number is computed that is so large that its dtype may not hold it, or a product of it."""
    arrays = [(dtype, values[value]) for value, dtype in dtypes.items() if dtype in FLOATS]
    arrays += [(dtypes[node], gate) for node, of_node in gates.items() for gate in of_node.values()]
    for dtype, array in arrays:
        magnitudes = np.abs(array[np.isfinite(array)])
        if magnitudes.size and float(magnitudes.max()) > LARGEST[dtype]:
            return True
    return False


def _rounded_up(number: float) -> float:
    """To two digits: the last ones depend on the machine, and equal models should be equal files."""
    if number == 0 or not math.isfinite(number):
        return number
    return float(f"{number * 1.05:.1e}")
