"""Probes: inputs and the outputs an oracle computed for them, kept in the bundle so that any copy of it can be checked.

They exercise what the model has: masked steps, ids at both ends of a table, saturated gates, a single time step. A
probe that rounding decides proves nothing: where moving everything by one ulp moves an output visibly, or a value comes
near the end of its dtype, milder inputs take its place.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, product

import numpy as np
from lstmconv_runtime import programs
from lstmconv_runtime.errors import InputError
from lstmconv_runtime.format.bundle import Probe, canonical, graph_to_json
from lstmconv_runtime.format.graph import FLOATS, Array, Graph, Node, Value, infer_types
from lstmconv_runtime.format.nodes import Constant, Conv, Embedding, Input, Pool, Reshape, Slice

from ..errors import UnsupportedError
from .input_places import Places, input_places
from .probe_inputs import Judged, judge, sleepers

Oracle = Callable[[Mapping[str, Array]], list[Array]]
MAX_ELEMENTS = 200_000  # of one probe's inputs: a bundle should not be mostly probes
MAX_NUMBERS = 2**23  # computed for a probe of several rows: all are kept, some evaluations at once, in float64
SCALES = (3.0, 1.0, 6.0, 0.3)  # of the probes that are tried to wake units up
MOST_MORE = 2  # of them are kept


@dataclass(frozen=True)
class Draw:
    """A probe to draw: rows, time steps where the model leaves them open, scale of the numbers; whether the last row
    has nothing but masked steps, to which attention gives weights that rounding decides."""

    rows: int
    steps: int
    scale: float
    empty_row: bool = False


# Each with what takes its place where rounding decides it.
DRAWS = (
    (Draw(3, 7, 1.0, empty_row=True), Draw(3, 7, 1.0), Draw(3, 4, 0.5), Draw(3, 3, 0.1), Draw(2, 2, 0.01)),
    (Draw(1, 1, 1.0), Draw(1, 1, 0.1), Draw(1, 1, 0.01)),
    (Draw(2, 5, 20.0, empty_row=True), Draw(2, 5, 20.0), Draw(2, 5, 5.0), Draw(2, 4, 2.0)),
)


class NoProbeError(UnsupportedError):
    """No inputs were found that the model takes, or that its oracle answers."""


class OracleError(Exception):
    """The oracle does not answer these inputs; the message says why."""


def make_probes(graph: Graph, oracle_name: str, oracle: Oracle | None = None) -> tuple[Probe, ...]:
    """Probes for a graph.

    Args:
        oracle: takes arrays by input name and gives the outputs in the graph's order; without one, `float64_oracle`.

    Raises:
        NoProbeError: there are none.
    """
    seed = int.from_bytes(hashlib.sha256(canonical(graph_to_json(graph)).encode()).digest()[:8], "little")
    random = np.random.default_rng(seed)
    program = programs.prepare(graph)
    ask = oracle or float64_oracle(graph)
    judged, reason = _inputs(program, random, oracle is None)
    probes = []
    for one in judged:
        try:
            probes.append(Probe(oracle_name, one.inputs, tuple(ask(one.inputs)), one.allowed))
        except (InputError, OracleError) as error:
            reason = str(error)
    if not probes:
        raise NoProbeError(f"no probe fits the model: {reason}", "E_UNSUPPORTED_STRUCTURE")
    return tuple(probes)


def _inputs(program: programs.Program, random: np.random.Generator, exact: bool) -> tuple[list[Judged], str]:
    """The inputs of the probes; or none, and why."""
    graph = program.graph
    found: list[Judged] = []
    doubtful: list[Judged] = []
    reason = "rounding decides what the model gives"
    slots = [list(slot) for slot in DRAWS]
    while any(slots):
        made: list[tuple[list[Draw], dict[str, Array]]] = []
        for slot in filter(None, slots):
            try:
                made.append((slot, drawn(program, slot.pop(0), random)))
            except InputError as error:
                reason = str(error)
        for (slot, _), judged in zip(made, judge(graph, [arrays for _, arrays in made], exact), strict=True):
            if judged.undecided:
                doubtful.append(judged)
            else:
                slot.clear()
                found.append(judged)
    if found:
        return found + _waking(program, found, random, exact), ""
    # Outputs that rounding decides have room for it; the others are still worth a probe.
    doubtful = [judged for judged in doubtful if judged.undecided < len(graph.outputs)]
    return sorted(doubtful, key=lambda one: one.undecided)[:1], reason


def _waking(
    program: programs.Program, found: Sequence[Judged], random: np.random.Generator, exact: bool
) -> list[Judged]:
    """More inputs, that wake up units which those of `found` leave asleep."""
    graph, types = program.graph, program.types
    units = sum(types[node.name].shape[-1] or 0 for node in sleepers(graph))
    awake = frozenset[tuple[Value, int]]().union(*(judged.awake for judged in found))
    more: list[Judged] = []
    for scale in SCALES:
        if len(more) == MOST_MORE or len(awake) >= units:
            break
        try:
            (judged,) = judge(graph, [drawn(program, Draw(4, 6, scale), random)], exact)
        except InputError:
            continue
        if judged.undecided == 0 and judged.awake - awake:
            more.append(judged)
            awake |= judged.awake
    return more


def drawn(program: programs.Program, draw: Draw, random: np.random.Generator) -> dict[str, Array]:
    """Inputs that the graph takes.

    Raises:
        InputError: none were found.
    """
    graph = program.graph
    inputs = [node for node in graph.nodes if isinstance(node, Input) and node.name in graph.inputs]
    steps = _steps_that_fit(program, inputs, draw.steps)
    rows = _rows_that_fit(program, inputs, draw.rows, steps)
    shapes = {node.name: _shape(node, rows, steps) for node in inputs}
    if (
        sum(math.prod(shape) for shape in shapes.values()) > MAX_ELEMENTS
        or _numbers(program, rows, steps) > MAX_NUMBERS
    ):
        steps = _steps_that_fit(program, inputs, 3)
        rows = _rows_that_fit(program, inputs, 1, steps)
        shapes = {node.name: _shape(node, rows, steps) for node in inputs}
    places = input_places(program, shapes)
    arrays = {node.name: _draw(node, places[node.name], draw.scale, draw.empty_row, random) for node in inputs}
    for attempt in _attempts(arrays, places):
        try:
            with np.errstate(all="ignore"):  # where it overflows is found when it is judged
                programs.run(
                    program, {name: programs.cast(array, program.dtype(name)) for name, array in attempt.items()}
                )
        except InputError as error:
            refused = error
        else:
            return attempt
    raise refused


def _numbers(program: programs.Program, rows: int, steps: int) -> int:
    """How many numbers a graph computes for so many rows, with so many places on every open axis."""
    shapes = [type_.shape for type_ in program.types.values()]
    return sum(math.prod((rows if k == 0 else steps) if n is None else n for k, n in enumerate(s)) for s in shapes)


def with_ids_given(graph: Graph) -> tuple[Graph, list[str]]:
    """The graph with an input of its own for the ids of each table, and the names of those tables' nodes."""
    types = infer_types(graph)
    free = (name for number in count() if (name := f"ids given {number}") not in types)
    heads: dict[Value, Input] = {}
    nodes: list[Node] = []
    names = []
    for node in graph.nodes:
        if isinstance(node, Embedding) and not any(node.x == name for name in graph.inputs):
            names.append(node.name)
            ids = next(free)
            heads[ids] = Input(name=ids, shape=types[node.x].shape, dtype=types[node.x].dtype)
            node = node.replace(x=ids)
        nodes.append(node)
    kept = (*heads.values(), *nodes)
    return replace(graph, nodes=kept, inputs=(*graph.inputs, *heads)), names


def _attempts(arrays: dict[str, Array], places: Mapping[str, Places]) -> Iterator[dict[str, Array]]:
    """The arrays as drawn; and, for ids that something is done to before they are looked up, with simpler ids."""
    yield arrays
    limits = {name: places[name].limit for name in arrays}
    for simpler in (
        {name: limit - 1 for name, limit in limits.items()},
        {name: limit // 2 for name, limit in limits.items()},
        dict.fromkeys(arrays, 1),
        dict.fromkeys(arrays, 0),
    ):
        yield {
            name: np.where(limits[name] > 0, simpler[name], array).astype(array.dtype) for name, array in arrays.items()
        }


def _steps_that_fit(program: programs.Program, inputs: list[Input], steps: int) -> int:
    """`steps`, or the next number that leaves something under the windows of the model, and fits its arrays."""
    nodes = program.graph.nodes
    arrays = [node.shape for node in nodes if isinstance(node, Constant) and len(node.shape) > 1]
    sizes = sorted({n for shape in arrays for n in shape if n > 1})
    if not sizes and not any(isinstance(node, Conv | Pool | Slice | Reshape) for node in nodes):
        return steps
    candidates = (steps, *sizes, *(n for n in (4, 8, 12, 16, 32, 64, 128, 256, 512) if n > steps))
    for candidate, rows in product(candidates, _fixed_rows(inputs) or _row_counts(program) or [1]):
        shapes = {node.name: _shape(node, rows, candidate) for node in inputs}
        if sum(math.prod(shape) for shape in shapes.values()) > MAX_ELEMENTS:
            continue
        try:
            with np.errstate(all="ignore"):
                programs.run(program, {name: np.zeros(shape, program.dtype(name)) for name, shape in shapes.items()})
        except InputError:
            continue
        return candidate
    return steps


def _fixed_rows(inputs: list[Input]) -> list[int]:
    """The number of rows that the inputs themselves ask for, which is one for all of them."""
    return sorted({node.shape[0] for node in inputs if node.shape[0] is not None})


def _row_counts(program: programs.Program) -> list[int]:
    """The numbers of rows that the arrays in a graph may ask for, such as an initial state of four rows."""
    if not any(isinstance(node, Constant) and node.shape for node in program.graph.nodes):
        return []
    return sorted({type_.shape[0] or 1 for type_ in program.types.values() if type_.rank})


def _rows_that_fit(program: programs.Program, inputs: list[Input], rows: int, steps: int) -> int:
    """`rows`, or another number, where the inputs or the arrays in the graph ask for that."""
    if fixed := _fixed_rows(inputs):
        return fixed[0]
    counts = _row_counts(program)
    if not counts:
        return rows
    for candidate in (rows, *counts):
        arrays = {node.name: np.zeros(_shape(node, candidate, steps), program.dtype(node.name)) for node in inputs}
        if sum(array.size for array in arrays.values()) > MAX_ELEMENTS:
            continue
        try:
            made = programs.run(program, arrays)
        except InputError:
            continue
        if all(len(made[name]) == candidate for name in program.graph.outputs if made[name].ndim):
            return candidate
    return rows


def float64_oracle(graph: Graph) -> Oracle:
    """The graph evaluated in float64, its outputs in the dtypes a bundle keeps them in."""
    evaluate, types = float64_evaluation(graph), infer_types(graph)

    def oracle(inputs: Mapping[str, Array]) -> list[Array]:
        return [_stored(y, types[name].dtype) for name, y in zip(graph.outputs, evaluate(inputs), strict=True)]

    return oracle


def float64_evaluation(graph: Graph) -> Oracle:
    """The graph evaluated in float64 by the reference cells, one gate at a time; not by the fused loops of predict."""
    program = programs.prepare(graph, "float64")

    def evaluate(inputs: Mapping[str, Array]) -> list[Array]:
        held = {name: programs.cast(array, program.dtype(name)) for name, array in inputs.items()}
        with np.errstate(all="ignore"):  # where a model overflows, infinities and NaN are its outputs
            values = programs.run(program, held, gates={})
        return [values[name] for name in graph.outputs]

    return evaluate


def _stored(array: Array, dtype: str) -> Array:
    """An output in the dtype a bundle keeps it in."""
    with np.errstate(over="ignore"):
        return array.astype("float32" if dtype == "bfloat16" else dtype)


def _shape(node: Input, rows: int, steps: int) -> tuple[int, ...]:
    return tuple((rows if axis == 0 else steps) if n is None else n for axis, n in enumerate(node.shape))


def _draw(node: Input, places: Places, scale: float, empty_row: bool, random: np.random.Generator) -> Array:
    """Numbers of the kind this input takes: ids where a table is looked up, whole masked steps where a mask is made."""
    limit, ids = places.limit, places.limit > 0
    whole = ids.all() or node.dtype not in FLOATS
    if whole:
        limit = np.where(ids, limit, 2)
        array = _ids(limit, random)
    else:
        array = random.standard_normal(limit.shape) * scale
        if ids.any():
            array[ids] = _ids(limit[ids], random)
    compared = ~np.isnan(places.compared)
    if compared.any() and limit.ndim > 1:
        gaps = random.random(limit.shape[:2]) < 0.35
        if not empty_row or len(gaps) == 1:
            gaps[:, -1:] = False
        else:
            gaps[-1] = True
        masked = gaps.reshape(gaps.shape + (1,) * (limit.ndim - 2)) & compared
        if whole or ids.any():
            masked &= ~ids | ((places.compared >= 0) & (places.compared < limit))
        array = np.where(masked, places.compared, array)
    return array.astype("float32" if node.dtype == "bfloat16" else node.dtype)


def _ids(limit: Array, random: np.random.Generator) -> Array:
    """Ids below the limits, from both ends of the table too."""
    array = random.integers(0, limit.flat[0] if limit.size and (limit == limit.flat[0]).all() else limit, limit.shape)
    array = array.astype(np.float64)
    if array.size:
        array.flat[0], array.flat[-1] = limit.flat[0] - 1, 0
    return array
