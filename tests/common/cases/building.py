"""What the tables of cases share: sizes, inputs with masked steps, one model of several branches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers as kl

Change = Callable[[list[Any]], list[Any]]
Case = Callable[[], Any]
Branch = Callable[[Any], Any]

ROWS, STEPS, FEATURES = 6, 5, 2


def valid_steps(rows: int = ROWS, steps: int = STEPS) -> Any:
    """One row of each kind: nothing masked, right, left, a gap, the first step, everything."""
    valid = np.ones((rows, steps), bool)
    kinds = [slice(0, 0), slice(-2, None), slice(0, 2), slice(1, 3), slice(0, 1), slice(None)]
    for row, kind in zip(valid, kinds, strict=False):
        row[kind] = False
    return valid


def pad_with(value: float) -> Change:
    """Writes `value` into the masked steps of every input that has a time axis of STEPS."""

    def change(inputs: list[Any]) -> list[Any]:
        for x in inputs:
            if x.ndim > 1 and x.shape[1] == STEPS:
                x[~valid_steps(len(x))] = value
        return inputs

    return change


pad = pad_with(0)


def masked(case: Case) -> Case:
    """The case with the masked steps of its inputs at 0."""
    return lambda: (case(), pad)


def sequence(shape: tuple[int | None, ...] = (None, FEATURES), **options: Any) -> Any:
    return keras.Input(shape, name="x", **options)


def stack(*makers: Callable[[], Any], shape: tuple[int | None, ...] = (None, FEATURES)) -> Case:
    """A Sequential model; the layers are made anew for each model."""
    return lambda: keras.Sequential([sequence(shape), *(make() for make in makers)])


def branches(
    table: Mapping[str, Branch],
    shape: tuple[int | None, ...] = (None, FEATURES),
    before: Callable[[], Any] | None = None,
) -> Case:
    """One output per branch; `before` makes a layer that all of them stand on."""

    def case() -> Any:
        x = sequence(shape)
        given = before()(x) if before else x
        outputs: list[Any] = []
        for branch in table.values():
            made = branch(given)
            outputs += made if isinstance(made, list | tuple) else [made]
        return keras.Model(x, outputs)

    return case


def of_class(
    name: str,
    options: Mapping[str, Mapping[str, Any]],
    shape: tuple[int | None, ...],
    before: Callable[[], Any] | None = None,
) -> Case:
    """A model with one layer of the class per set of options, each with its own output."""
    layers = {key: (lambda x, key=key, given=given: getattr(kl, name)(**given, name=key)(x)) for key, given in
              options.items()}  # fmt: skip
    return branches(layers, shape, before)


def shown(layer: Any) -> Branch:
    """The layer on a masked sequence, then an LSTM that shows which mask came out."""
    return lambda x: kl.LSTM(2, return_sequences=True, name=f"{layer.name}_shown")(layer(kl.Masking()(x)))
