"""What rounding is worth in a graph: how far its values go when whatever is rounded is rounded the other way.

The graph is evaluated in float64, and again with every weight and every computed value moved by one ulp of the dtype it
is computed in, up or down at random. How far a value goes is what a single rounding of each is worth. An evaluation
rounds every product and sum, hence a small multiple of the movement is still rounding. It is computed from float64
evaluations alone, never from the result that is judged: a wrong result cannot excuse itself.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace

import numpy as np
from lstmconv_runtime import engine
from lstmconv_runtime import nodes as n
from lstmconv_runtime.activations import function
from lstmconv_runtime.graph import FLOATS, Activation, Array, Graph, Node, Type, Value, infer_types

EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}  # ulp of 1.0
MULTIPLE = 4.0  # of the movement: how much more rounding an evaluation does than one rounding of each number
DRAWS = 3  # of random moves; the largest counts
LARGE = 10_000_000  # numbers among the weights

# What these give is what they were given, or was stored.
EXACT = (
    n.Constant, n.Embedding, n.Concatenate, n.Reshape, n.ExpandDims, n.Squeeze, n.Transpose, n.Slice, n.Flip, n.Pad,
    n.Repeat, n.Where, n.FoldTime, n.UnfoldTime, n.CausalMask,
)  # fmt: skip
EXACT_OPS = ("negative", "absolute", "sign", "floor", "maximum", "minimum", "max", "min")


def still_program(graph: Graph) -> engine.Program:
    """The graph in float64."""
    return engine.prepare(graph, "float64")


def moved_programs(graph: Graph, random: np.random.Generator) -> Iterator[engine.Program]:
    """The graph in float64, as often as DRAWS says, with everything that is rounded moved by one ulp; a large one once,
    since what moves there is the sum of many moves already."""
    large = sum(array.size for array in graph.arrays.values()) > LARGE
    return (_moved(graph, random) for _ in range(1 if large else DRAWS))


def move_weights(graph: Graph, random: np.random.Generator) -> Graph:
    """The graph with every weight one ulp up or down; Constants stay: they belong to the formula, as a mask's value."""
    types = infer_types(graph)
    arrays = dict(graph.arrays)
    for node in graph.nodes:
        if isinstance(node, n.Constant):
            continue
        eps = EPS.get(types[node.name].dtype, 0.0)
        for name in node.parameters():
            key = f"{node.namespace()}/{name}"
            if graph.arrays[key].dtype.kind == "f":
                arrays[key] = moved_by_ulp(graph.arrays[key].astype(np.float64), eps, random)
    return replace(graph, arrays=arrays)


def moved_by_ulp(x: Array, eps: float, random: np.random.Generator) -> Array:
    """Each number one ulp up or down, of a dtype whose ulp of 1.0 is `eps`; zeros stay."""
    exponents = np.frexp(x)[1]  # |x| in [2^(e-1), 2^e)
    ulps = np.where((x == 0) | ~np.isfinite(x), 0.0, np.ldexp(eps, exponents - 1))
    return np.asarray(np.where(random.integers(0, 2, x.shape, np.int8), x + ulps, x - ulps))


def _moved(graph: Graph, random: np.random.Generator) -> engine.Program:
    program = engine.prepare(move_weights(graph, random), "float64")
    compared = _compared(graph)
    steps = [
        step._replace(execute=_moving(step.execute, EPS[program.types[step.makes[0]].dtype], random))
        if _rounds(step.node, program.types) and not compared.intersection(step.makes)
        else step
        for step in program.steps
    ]
    return replace(program, steps=tuple(steps))


def _moving(execute: engine.Execute, eps: float, random: np.random.Generator) -> engine.Execute:
    def moving(values: engine.Values, gates: engine.GateTrace | None) -> tuple[Array, ...]:
        return tuple(moved_by_ulp(array, eps, random) for array in execute(values, gates))

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


def _compared(graph: Graph) -> set[Value]:
    """Values before an equality, as that of a mask: they are equal or not, and half an ulp would always make it not."""
    found: set[Value] = set()
    for node in reversed(graph.nodes):
        asked = isinstance(node, n.Elementwise) and node.op in ("equal", "not_equal")
        if asked or found.intersection(node.makes()):
            found.update(node.reads())
    return found


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


def inexact_programs(graph: Graph, terms: Container[str]) -> Iterator[engine.Program]:
    """The graph in float64, with the activations in `terms` off by an ulp of their largest term, once up and once down;
    none where there is no such activation."""
    types = infer_types(graph)
    for sign in (1.0, -1.0):
        nodes = tuple(_inexact(node, sign * EPS.get(types[node.makes()[0]].dtype, 0.0), terms) for node in graph.nodes)
        if nodes != graph.nodes:
            yield engine.prepare(replace(graph, nodes=nodes), "float64")


def _inexact(node: Node, error: float, terms: Container[str]) -> Node:
    off = {
        field: Inexact(activation, error)
        for field in node.FIELDS
        if isinstance(activation := getattr(node, field), Activation) and activation.name in terms
    }
    return node.replace(**off) if off else node
