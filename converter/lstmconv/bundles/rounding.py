"""What rounding is worth in a graph: how far its values go when whatever is rounded is rounded the other way.

The graph is evaluated in float64, and again with every weight and every computed value moved by an ulp of the dtype it
is computed in, up or down at random, gates and sums inside a recurrent node among them: 1 − z of a gate z near 1 is
rounded as z is. How far a value goes is what a single rounding of each is worth. An evaluation rounds every product and
sum, hence a small multiple of the movement is still rounding. It is computed from float64 evaluations alone, never from
the result that is judged: a wrong result cannot excuse itself.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace
from math import inf

import numpy as np
from lstmconv_runtime import programs
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import FLOATS, Activation, Array, Graph, Node, Type, Value, infer_types
from lstmconv_runtime.layers.activations import function

from ..graph.prune import prune

EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}  # ulp of 1.0
MOST = {"float16": 65520.0, "bfloat16": 2.0**128, "float32": 2.0**128, "float64": inf}  # from there on infinity
LEAST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149, "float64": 2.0**-1074}  # the smallest ulp
MULTIPLE = 4.0  # of the movement: how much more rounding an evaluation does than one rounding of each number
DRAWS = 3  # of random moves; the largest counts
LARGE = 10_000_000  # numbers among the weights

# What these give is what they were given, or was stored.
EXACT = (
    n.Constant, n.Embedding, n.Concatenate, n.Reshape, n.ExpandDims, n.Squeeze, n.Transpose, n.Slice, n.Flip, n.Pad,
    n.Repeat, n.Where, n.FoldTime, n.UnfoldTime, n.CausalMask,
)  # fmt: skip
# What these are given is rounded once more inside, in a mean that is taken off it: of equal numbers nothing is left but
# that.
CENTRED = (n.LayerNorm, n.GroupNorm)
EQUALITIES = ("equal", "not_equal")
EXACT_OPS = ("negative", "absolute", "sign", "floor", "maximum", "minimum", "max", "min")


def still_program(graph: Graph) -> programs.Program:
    """The graph in float64."""
    return programs.prepare(graph, "float64")


def moved_programs(graph: Graph, random: np.random.Generator) -> Iterator[programs.Program]:
    """The graph in float64, as often as DRAWS says, with everything that is rounded moved by one ulp; a large one once,
    since what moves there is the sum of many moves already."""
    large = sum(array.size for array in graph.arrays.values()) > LARGE
    return (_moved(graph, random) for _ in range(1 if large else DRAWS))


def move_weights(graph: Graph, random: np.random.Generator) -> Graph:
    """The graph with every weight one ulp up or down; Constants stay: they belong to the formula, as a mask's value."""
    types = infer_types(graph)
    graph = graph.widened()
    arrays = dict(graph.arrays)
    for node in graph.nodes:
        if isinstance(node, n.Constant):
            continue
        for name in node.parameters():
            key = f"{node.namespace()}/{name}"
            if graph.arrays[key].dtype.kind == "f":
                arrays[key] = moved_by_ulp(graph.arrays[key].astype(np.float64), types[node.name].dtype, random)
    return replace(graph, arrays=arrays)


def moved_by_ulp(x: Array, dtype: str, random: np.random.Generator) -> Array:
    """Each number up or down by about one ulp of a dtype, and infinite where the dtype has no number so large; zeros
    stay, and no number changes its sign.

    By half to one and a half, so that numbers that were equal never move by the same and still cancel. The ulps of
    subnormal numbers are all the same, so a number smaller than one may come to nothing.
    """
    exponents = np.frexp(x)[1]  # |x| in [2^(e-1), 2^e)
    ulps = np.maximum(np.ldexp(0.5 * EPS[dtype], exponents), LEAST[dtype])
    parts = 2.0 * random.random(x.shape) - 1.0
    moved = np.abs(x) + ulps * (parts + np.copysign(0.5, parts))
    moved = np.where(moved >= MOST[dtype], inf, moved)
    return np.asarray(np.copysign(np.maximum(moved, 0.0) * (x != 0), x))


class Moving(Activation):
    """An activation that moves what it is given and what it gives, each by one ulp; 0, 1 and −1, at which gates
    saturate, stay. No two are equal."""

    dtype: str
    random: np.random.Generator

    def __new__(cls, of: Activation, dtype: str, random: np.random.Generator) -> Moving:
        made = super().__new__(cls, of.name, of.constants)
        made.dtype, made.random = dtype, random
        return made

    def __call__(self, x: Array) -> Array:
        y = function(Activation(self.name, self.constants))(moved_by_ulp(x, self.dtype, self.random))
        return np.where(np.abs(y) == 1, y, moved_by_ulp(y, self.dtype, self.random))

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def _moving_inside(node: Node, types: Mapping[Value, Type], random: np.random.Generator) -> Node:
    """A recurrent node with its gates, and the sums they are of, moved; all of a half's is computed in float32."""
    if not isinstance(node, programs.RECURRENT):
        return node
    dtype = "float64" if types[node.name].dtype == "float64" else "float32"
    own = {field: value for field in node.FIELDS if isinstance(value := getattr(node, field), Activation)}
    return node.replace(**{field: Moving(activation, dtype, random) for field, activation in own.items()})


def _moved(graph: Graph, random: np.random.Generator) -> programs.Program:
    decided, types = dict(_decided(graph)), infer_types(graph)
    graph = move_weights(graph, random)
    nodes = tuple(_moving_inside(node, types, random) for node in graph.nodes)
    program = programs.prepare(replace(graph, nodes=nodes), "float64")

    def execute(step: programs.Step) -> programs.Execute:
        if step.node.name in decided:
            return decided[step.node.name]
        return _moving(step, program.types, random) if _rounds(step.node, program.types) else step.execute

    return replace(program, steps=tuple(step._replace(execute=execute(step)) for step in program.steps))


def _decided(graph: Graph) -> Iterator[tuple[Value, programs.Execute]]:
    """By equality, as that of a mask, what it gives where nothing has moved: numbers are equal or not, and half an ulp
    would always make them not."""
    whole = graph.widened()
    for node in whole.nodes:
        if isinstance(node, n.Elementwise) and node.op in EQUALITIES:
            before = still_program(prune(replace(whole, outputs=(node.name,), output_keys=None)))
            yield node.name, _unmoved(before, node.name)


def _unmoved(program: programs.Program, value: Value) -> programs.Execute:
    def unmoved(values: programs.Values, gates: programs.GateTrace | None) -> tuple[Array, ...]:
        return (programs.run(program, {name: values[name] for name in program.graph.inputs})[value],)

    return unmoved


def _moving(step: programs.Step, types: Mapping[Value, Type], random: np.random.Generator) -> programs.Execute:
    dtype, centred = types[step.makes[0]].dtype, step.node.reads() if isinstance(step.node, CENTRED) else ()

    def moving(values: programs.Values, gates: programs.GateTrace | None) -> tuple[Array, ...]:
        if centred:
            values = {**values, **{name: moved_by_ulp(values[name], dtype, random) for name in centred}}
        return tuple(moved_by_ulp(array, dtype, random) for array in step.execute(values, gates))

    return moving


def _rounds(node: Node, types: Mapping[Value, Type]) -> bool:
    """Whether a node's result is rounded to its dtype."""
    dtype = types[node.makes()[0]].dtype
    if dtype not in FLOATS or passes_on(node):
        return False
    return not isinstance(node, n.Cast) or EPS[dtype] > EPS.get(types[node.x].dtype, 0.0)


def passes_on(node: Node) -> bool:
    """Whether a node gives numbers as they came in or were stored, without computing others."""
    return isinstance(node, (n.Input, *EXACT)) or getattr(node, "op", None) in EXACT_OPS


# --- activations that cancel ------------------------------------------------------------------------------------------


def _one(x: Array) -> Array:
    return np.ones_like(x)


# The largest number on the way to the result, of the activations whose formula in FORMAT.md subtracts: their error is
# an ulp of that, however small the result.
TERMS: dict[str, Callable[[Array], Array]] = {
    **dict.fromkeys(("hard_sigmoid", "sparse_sigmoid", "sparse_plus", "log_softmax"), _one),
    **dict.fromkeys(
        ("hard_silu", "gelu", "gelu_tanh", "tanh_shrink", "soft_shrink", "squareplus", "sparsemax"), np.abs
    ),
}
# And of those that other engines compute in such a way, as a sigmoid as (1 + tanh(x/2))/2, or eˣ − 1 as it stands.
TERMS_ELSEWHERE: dict[str, Callable[[Array], Array]] = {
    **TERMS,
    **dict.fromkeys(("sigmoid", "elu", "selu", "celu", "softplus", "log_sigmoid", "glu"), _one),
    **dict.fromkeys(("silu", "mish"), np.abs),
}


class Inexact(Activation):
    """An activation that is off by an absolute error, in the way of a systematic one: everywhere on the same side."""

    error: float

    def __new__(cls, of: Activation, error: float) -> Inexact:
        made = super().__new__(cls, of.name, of.constants)
        made.error = error
        return made

    def __call__(self, x: Array) -> Array:
        y = function(Activation(self.name, self.constants))(x)
        terms = TERMS_ELSEWHERE[self.name](x)
        return y + self.error * (terms if terms.shape == y.shape else 1.0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Inexact) and (*self, self.error) == (*other, other.error)

    def __hash__(self) -> int:
        return hash((*self, self.error))


def inexact_programs(graph: Graph, terms: Container[str]) -> Iterator[programs.Program]:
    """The graph in float64, with the activations in `terms` off by an ulp of their largest term, once up and once down;
    none where there is no such activation."""
    types = infer_types(graph)
    for sign in (1.0, -1.0):
        nodes = tuple(_inexact(node, sign * EPS.get(types[node.makes()[0]].dtype, 0.0), terms) for node in graph.nodes)
        if nodes != graph.nodes:
            yield programs.prepare(replace(graph, nodes=nodes), "float64")


def _inexact(node: Node, error: float, terms: Container[str]) -> Node:
    off = {
        field: Inexact(activation, error)
        for field in node.FIELDS
        if isinstance(activation := getattr(node, field), Activation) and activation.name in terms
    }
    return node.replace(**off) if off else node
