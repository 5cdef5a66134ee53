"""Checking the arrays a model is given, and casting them to the dtypes its inputs are held in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .engine import Program, cast
from .errors import InputError
from .graph import Array
from .precision import round_to, rounder


class InputCheck:
    """What one input takes, worked out once: a single step is checked in less time than it is computed."""

    def __init__(self, program: Program, name: str) -> None:
        self.name = name
        self.shape = program.types[name].shape
        self.step_shape = (*self.shape[:1], *self.shape[2:])
        self.chunk_shape = (*self.shape[:1], None, *self.shape[2:])
        self.dtype = program.dtype(name)
        self._rounding = rounder(program.types[name].dtype, program.precision)
        self._taken: tuple[Any, ...] = ()  # shape wanted, shape and dtype of the last array taken as it was

    def whole(self, value: Any) -> Array:
        """The input as an array.

        Raises:
            InputError: rank, size or dtype does not fit, or a number is too large for the dtype.
        """
        return self._check(value, self.shape)

    def step(self, value: Any) -> Array:
        """One time step of the input: it comes without its axis 1."""
        return self._check(value, self.step_shape)

    def chunk(self, value: Any) -> Array:
        """Some time steps of the input: any number, whatever the model's Input says."""
        return self._check(value, self.chunk_shape)

    def expect(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Checks what can be known of an array before its numbers are there.

        Raises:
            InputError: rank, size or dtype does not fit.
        """
        if dtype.kind not in "biuf" or not fits(self.shape, shape):
            raise self._misfit(self.shape, shape, dtype)

    def _misfit(self, wanted: tuple[int | None, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> InputError:
        if dtype.kind not in "biuf":
            return InputError(f"input '{self.name}': dtype {dtype} is not a number")
        listed = ", ".join("any" if n is None else str(n) for n in wanted)
        return InputError(f"input '{self.name}': needs the shape ({listed}), got {shape}")

    def _check(self, value: Any, wanted: tuple[int | None, ...]) -> Array:
        array = value if type(value) is np.ndarray else np.asarray(value)
        if self._taken == (wanted, array.shape, array.dtype):
            return array
        if array.dtype.kind not in "biuf" or not fits(wanted, array.shape):
            raise self._misfit(wanted, array.shape, array.dtype)
        if array.dtype == self.dtype:
            made = array
            if self._rounding is None:
                self._taken = (wanted, array.shape, array.dtype)
        else:
            made = cast(array, self.dtype)
            narrower = made.dtype.kind == array.dtype.kind == "f" and made.dtype.itemsize < array.dtype.itemsize
            if narrower and (np.isinf(made) & np.isfinite(array)).any():
                raise InputError(f"input '{self.name}': a value is too large for {self.dtype}", "E_INPUT_OVERFLOW")
        return made if self._rounding is None else round_to(made, self._rounding)


def fits(wanted: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    """True where a shape has the wanted rank and sizes; None is any."""
    if len(wanted) != len(shape):
        return False
    for n, m in zip(wanted, shape, strict=True):  # noqa: SIM110 (a generator would take three times as long)
        if n is not None and n != m:
            return False
    return True


def by_name(names: tuple[str, ...], x: Any) -> dict[str, Any]:
    """The arguments of a model by input name: one array, a list in the model's order, or a dict.

    Raises:
        InputError: unknown or missing names, or another number of inputs.
    """
    if len(names) == 1 and type(x) is np.ndarray:
        return {names[0]: x}
    if isinstance(x, Mapping):
        for problem, odd in (("unknown", set(x) - set(names)), ("missing", set(names) - set(x))):
            if odd:
                raise InputError(f"{problem} input {sorted(map(str, odd))[0]!r}; the model takes {', '.join(names)}")
        return {name: x[name] for name in names}
    if len(names) == 1 and not (isinstance(x, list | tuple) and len(x) == 1 and hasattr(x[0], "shape")):
        return {names[0]: x}
    if not isinstance(x, Sequence) or len(x) != len(names):
        raise InputError(f"the model takes {len(names)} inputs: a dict or a list of {', '.join(names)}")
    return dict(zip(names, x, strict=True))
