"""A model as it is drawn: values made so far, and steps added to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from .plan import Again, Array, Make, Ref, Source, Spec, Step, refs


class RefusedError(Exception):
    """Keras does not accept a step."""


class Value(NamedTuple):
    ref: Ref
    shape: tuple[int | None, ...]
    dtype: str


class Draw:
    """A model as it is drawn: the steps so far and the values they make."""

    def __init__(
        self, rng: random.Random, source: Source, inputs: list[Spec], prefix: str = "", depth: int = 0
    ) -> None:
        self.rng, self.source, self.prefix, self.depth = rng, source, prefix, depth
        self.inputs = inputs
        self.steps: list[Step] = []
        self.values: list[Value] = []
        self.kinds: set[str] = set()
        for spec in inputs:
            source.input(spec, prefix)
            self._add(spec.name)

    def _add(self, name: str) -> list[Value]:
        made = self.source.names[f"{self.prefix}{name}"]
        if isinstance(made, dict):
            parts = [(Ref(name, key), made[key]) for key in made]
        elif isinstance(made, list | tuple):
            parts = [(Ref(name, index), part) for index, part in enumerate(made)]
        else:
            parts = [(Ref(name), made)]
        values = [Value(ref, tuple(tensor.shape), str(tensor.dtype)) for ref, tensor in parts]
        self.values += values
        return values

    def emit(self, what: Make | Again | str, *args: Any, **kwargs: Any) -> list[Value]:
        """Adds a step; its values.

        Raises:
            RefusedError: Keras does not build it.
        """

        def bare(item: Any) -> Any:
            if isinstance(item, Value):
                return item.ref
            if isinstance(item, list):
                return [bare(part) for part in item]
            return item

        step = Step(f"v{len(self.steps) + 1}", what, tuple(map(bare, args)), {k: bare(v) for k, v in kwargs.items()})
        written = len(self.source.lines)
        try:
            self.source.step(step, self.prefix)
            values = self._add(step.name)
            if any(0 in value.shape[1:] for value in values):
                del self.values[-len(values) :]
                raise RefusedError
        except Exception as error:
            del self.source.lines[written:]
            raise RefusedError(str(error)) from None
        self.steps.append(step)
        return values

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, *choices: Any) -> Any:
        return self.rng.choice(choices)

    def units(self) -> int:
        units: int = self.pick(2, 3, 3, 3, 4, 5, 1)
        return units

    def array(self, shape: tuple[int | None, ...], *kinds: str) -> Array | None:
        """An array of a shape, which must be known."""
        if None in shape:
            return None
        return Array(tuple(n or 0 for n in shape), self.rng.randrange(1000), self.pick(*(kinds or ("float32",))))

    def find(self, wanted: Callable[[Value], bool]) -> Value | None:
        """A value of a kind; those made last, and those not used yet, come up most often."""
        found = [value for value in self.values if wanted(value)]
        if not found:
            return None
        used = {ref for step in self.steps for ref in (*refs(step.args), *refs(step.kwargs))}
        weights = [(index + 1) * (1 if value.ref in used else 3) for index, value in enumerate(found)]
        return self.rng.choices(found, weights)[0]

    def ranked(self, *ranks: int) -> Value | None:
        return self.find(lambda value: len(value.shape) in ranks and is_float(value))

    def like(self, other: Value) -> Value | None:
        return self.find(lambda value: value.shape == other.shape and value.dtype == other.dtype)


def is_float(value: Value) -> bool:
    return "float" in value.dtype
