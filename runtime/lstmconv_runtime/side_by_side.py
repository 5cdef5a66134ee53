"""Recurrent nodes that need nothing of each other, as the two of a Bidirectional, on the kernel at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .format.graph import Array
from .programs import RECURRENT, GateTrace, Program, Step, Values, given, rounding
from .recurrent.compiled import Compiled


def side_by_side(program: Program) -> Program:
    """The same program with such nodes, where they follow one another, as one step: for `run`, not for its gates.

    The values are the same, bit for bit. How many threads there may be is for the kernel to see.
    """
    return replace(program, steps=tuple(_joined(program, list(program.steps))))


def _joined(program: Program, steps: list[Step]) -> Iterator[Step]:
    while steps:
        one = steps.pop(0)
        if steps and _fit(program, one, steps[0]):
            one = _both(program, one, steps.pop(0))
        yield one


def _fit(program: Program, one: Step, other: Step) -> bool:
    return not set(one.makes) & set(other.node.reads()) and all(
        isinstance(step.node, RECURRENT)
        and isinstance(program.prepared[step.node.name].loop, Compiled)
        and rounding(program, step.node) is None
        for step in (one, other)
    )


def _both(program: Program, one: Step, other: Step) -> Step:
    assert isinstance(one.node, RECURRENT)
    assert isinstance(other.node, RECURRENT)
    first, second = given(program, one.node), given(program, other.node)
    loop, its_loop = program.prepared[one.node.name].loop, program.prepared[other.node.name].loop

    def execute(values: Values, gates: GateTrace | None) -> tuple[Array, ...]:
        made, its = loop.run_with(first(values), its_loop, second(values))
        return (*made.outputs, *its.outputs)

    return Step(one.node, (*one.makes, *other.makes), execute, (*one.last_reads, *other.last_reads))
