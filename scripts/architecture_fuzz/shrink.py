"""Making a failing plan small: anything may go that leaves the same failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from .plan import Again, Make, Plan, Ref, Step, reads, refs

SECONDS = 90.0  # spent on one failure at most


def shrink(plan: Plan, fails: Callable[[Plan], bool], seconds: float = SECONDS) -> Plan:
    """The smallest plan found that still fails."""
    end = time.monotonic() + seconds
    smaller = True
    while smaller:
        smaller = False
        for candidate in variants(plan):
            if time.monotonic() > end:
                return plan
            if fails(candidate):
                plan, smaller = candidate, True
                break
    return plan


def variants(plan: Plan) -> Iterator[Plan]:
    """Simpler plans, the boldest cuts first."""
    if len(plan.outputs) > 1:
        for ref in plan.outputs:
            yield tidy(replace(plan, outputs=(ref,)))
    yield from _structural(plan)
    defaults: dict[str, Any] = {
        "form": "functional", "policy": "float32", "input_form": "list", "output_form": "list", "batch": 1,
        "fixed_batch": False, "dynamic": False, "scale": 1.0, "gain": 1.0,
    }  # fmt: skip
    for key, value in defaults.items():
        if getattr(plan, key) != value:
            yield replace(plan, **{key: value})
    lengths = sorted({spec.shape[0] for spec in plan.inputs if spec.time})
    for length in lengths:
        for shorter in {1, length // 2, length - 1} - {0, length}:
            yield replace(plan, inputs=tuple(
                replace(spec, shape=(shorter, *spec.shape[1:])) if spec.time and spec.shape[0] == length else spec
                for spec in plan.inputs))  # fmt: skip
    for index, spec in enumerate(plan.inputs):
        if spec.shape[-1] > 1 and (len(spec.shape) > 1 or not spec.time):
            narrow = replace(spec, shape=(*spec.shape[:-1], 1))
            yield replace(plan, inputs=(*plan.inputs[:index], narrow, *plan.inputs[index + 1 :]))


def _structural(plan: Plan) -> Iterator[Plan]:
    """Plans with a step less, or with a simpler one."""
    for index, step in reversed(list(enumerate(plan.steps))):
        for source in dict.fromkeys(refs([step.args, step.kwargs])):
            yield tidy(without(plan, index, source))
    for index, step in enumerate(plan.steps):
        for simpler in simpler_steps(step):
            yield tidy(replace(plan, steps=(*plan.steps[:index], simpler, *plan.steps[index + 1 :])))


def without(plan: Plan, index: int, source: Ref) -> Plan:
    """The plan without a step; what read it reads `source` instead."""
    gone = plan.steps[index].name

    def redirect(item: Any) -> Any:
        if isinstance(item, Ref):
            return source if item.name == gone else item
        if isinstance(item, list | tuple):
            return type(item)(redirect(part) for part in item)
        if isinstance(item, dict):
            return {key: redirect(value) for key, value in item.items()}
        return item

    steps = []
    for step in (*plan.steps[:index], *plan.steps[index + 1 :]):
        what = plan.steps[index].what if isinstance(step.what, Again) and step.what.of == gone else step.what
        steps.append(replace(step, what=what, args=redirect(step.args), kwargs=redirect(step.kwargs)))
    return replace(plan, steps=tuple(steps), outputs=tuple(dict.fromkeys(redirect(plan.outputs))))


def tidy(plan: Plan) -> Plan:
    """The plan without steps and inputs that nothing reads."""
    needed = {ref.name for ref in plan.outputs}
    kept: list[Step] = []
    for step in reversed(plan.steps):
        if step.name in needed or plan.form == "sequential":
            needed |= {ref.name for ref in reads(step)}
            kept.append(step)
    inputs = tuple(spec for spec in plan.inputs if spec.name in needed) or plan.inputs[:1]
    return replace(plan, steps=tuple(reversed(kept)), inputs=inputs)


def simpler_steps(step: Step) -> Iterator[Step]:
    for key in step.kwargs:
        yield replace(step, kwargs={k: v for k, v in step.kwargs.items() if k != key})
    for position, arg in enumerate(step.args):
        if isinstance(arg, list) and len(arg) > 1:
            for index in range(len(arg)):
                fewer = [*arg[:index], *arg[index + 1 :]]
                yield replace(step, args=(*step.args[:position], fewer, *step.args[position + 1 :]))
    if isinstance(step.what, Make):
        for make in simpler_options(step.what):
            yield replace(step, what=make)


def simpler_options(what: Any) -> Iterator[Any]:
    """Makes and nested plans with one option less, or a smaller one."""
    if isinstance(what, Plan):
        if len(what.outputs) > 1:
            for ref in what.outputs:
                yield replace(what, outputs=(ref,))
        for plan in _structural(what):
            if len(plan.inputs) == len(what.inputs):
                yield plan
    elif isinstance(what, list):
        for index, item in enumerate(what):
            if len(what) > 1:
                yield [*what[:index], *what[index + 1 :]]
            for simpler in simpler_options(item):
                yield [*what[:index], simpler, *what[index + 1 :]]
    elif isinstance(what, Make):
        if what.cls in ("Bidirectional", "TimeDistributed") and isinstance(what.options.get("layer"), Make):
            yield what.options["layer"]
        for key, value in what.options.items():
            others = {k: v for k, v in what.options.items() if k != key}
            deadly = key == "padding" and what.cls.startswith("MaxPooling")  # see companions
            if (
                key not in ("units", "layer", "cell", "cells", "layers", "model", "input_dim", "output_dim")
                and not deadly
            ):
                yield Make(what.cls, others)
            if isinstance(value, int) and not isinstance(value, bool) and value > 1:
                yield Make(what.cls, {**what.options, key: 1})
            for simpler in simpler_options(value):
                yield Make(what.cls, {**what.options, key: simpler})
