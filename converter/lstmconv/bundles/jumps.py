"""Where rounding decides a step: a number that lies so near an edge of floor, a comparison or an argmax, that an
evaluation which rounds may find it on the other side.

Numbers moved at random by an ulp may all stay on their side, and an evaluation rounds more than once. So what a step
reads is put off by the most that it is seen to move, times `MULTIPLE`, all of it up and then all of it down: what
comes out then tells what a step is worth in the outputs. Numbers that are all but equal are made equal, as activations
that cancel make them: gelu gives 0 in float32 where it is 1e-16 in float64. Equal ones stay so: half an ulp would
always make them not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from lstmconv_runtime import programs
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import FLOATS, Array, Node, Type, Value
from lstmconv_runtime.format.operation_nodes import ArgReduce, Round

from .rounding import EQUALITIES, MULTIPLE

ORDERS = ("greater", "greater_equal", "less", "less_equal")
# Below these, numbers come to 0: in float32 and float64 where an engine has no subnormal ones.
NOTHING = {"float16": 2.0**-25, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022}
EDGES = ("hard_shrink", "threshold")  # activations that jump


def jumping(program: programs.Program) -> list[Node]:
    """The nodes of a graph whose results jump, however little what they read goes up or down."""
    return [step.node for step in program.steps if _jumps(step.node) and _read_dtype(program, step.node) in FLOATS]


def _jumps(node: Node) -> bool:
    if isinstance(node, n.Activate):
        return node.activation.name in EDGES
    if isinstance(node, n.Elementwise):
        return node.op in ("floor", "sign", *ORDERS) or is_equality(node)
    return isinstance(node, Round | ArgReduce | n.Cast)


def is_equality(node: Node) -> bool:
    return isinstance(node, n.Elementwise) and node.op in EQUALITIES and len(set(node.args)) == 2


def _read_dtype(program: programs.Program, node: Node) -> str:
    read = program.types[node.reads()[0]].dtype
    return "" if isinstance(node, n.Cast) and program.types[node.name].dtype in FLOATS else read


def distances(
    nodes: Sequence[Node],
    types: Mapping[Value, Type],
    still: Mapping[Value, Array],
    moved: Mapping[Value, Array],
    so_far: Mapping[Value, Array],
) -> dict[Value, Array]:
    """By node, how far what decides has moved, place by place; at least as far as `so_far`. What is compared and lies
    so near that it comes to nothing in its dtype has moved that far."""
    found = {}
    for node in nodes:
        with np.errstate(invalid="ignore", over="ignore"):  # ∞ − ∞
            margin = _margin(node, still, still)
            farther = np.abs(_margin(node, moved, still) - margin)
        farther = np.where(np.isfinite(farther), farther, 0.0)
        if is_equality(node):
            apart = np.abs(margin)
            farther = np.where(apart <= NOTHING[types[node.reads()[0]].dtype], np.maximum(apart, farther), farther)
        found[node.name] = np.maximum(farther, so_far.get(node.name, 0.0))
    return found


def _margin(node: Node, values: Mapping[Value, Array], still: Mapping[Value, Array]) -> Array:
    """What decides: the difference of what is compared, the distance from what was largest, or what is read itself.
    So what moves together is not told apart: x is never less than the largest x by rounding."""
    if isinstance(node, n.Elementwise) and len(node.args) == 2:
        return np.asarray(values[node.args[0]] - values[node.args[1]])
    x = values[node.reads()[0]]
    if isinstance(node, ArgReduce):
        return np.asarray(x - np.take_along_axis(x, np.expand_dims(still[node.name], node.axis), node.axis))
    return x


def pushed_programs(program: programs.Program, moves: Mapping[Value, Array]) -> Iterator[programs.Program]:
    """The program with what steps read put off, up and then down, by so far for each of `distances`."""
    for sign in (MULTIPLE, -MULTIPLE) if any(move.any() for move in moves.values()) else ():
        steps = [
            step._replace(execute=_decided_otherwise(step, sign * moves[step.node.name]))
            if step.node.name in moves
            else step
            for step in program.steps
        ]
        yield replace(program, steps=tuple(steps))


def _decided_otherwise(step: programs.Step, by: Array) -> programs.Execute:
    return _made_equal(step, np.abs(by)) if is_equality(step.node) else _pushed(step, by)


def _made_equal(step: programs.Step, within: Array) -> programs.Execute:
    equal = getattr(step.node, "op", "") == "equal"

    def made_equal(values: programs.Values, gates: programs.GateTrace | None) -> tuple[Array, ...]:
        (plain,) = step.execute(values, gates)
        apart = np.abs(_margin(step.node, values, values))
        return (np.where((apart > 0) & (apart <= within), equal, plain),)

    return made_equal


def _pushed(step: programs.Step, by: Array) -> programs.Execute:
    read = step.node.reads()[0]

    def pushed(values: programs.Values, gates: programs.GateTrace | None) -> tuple[Array, ...]:
        (plain,) = step.execute(values, gates)
        (made,) = step.execute({**values, read: values[read] + by}, gates)
        if isinstance(step.node, n.Activate):  # what goes on as it came has not jumped
            return (np.where(np.abs(made - plain) > 2 * np.abs(by), made, plain),)
        return (made,)

    return pushed
