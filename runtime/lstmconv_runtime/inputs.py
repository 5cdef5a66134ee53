"""Checking the arrays a model is given, and casting them to the dtypes its inputs are held in."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from .errors import InputError
from .format.graph import Array
from .layers.number_range import not_truth, not_whole, out_of_range, overflown
from .layers.precision import round_to, rounder
from .programs import Program, cast

Inputs: TypeAlias = Any  # an array, a list of arrays, or a dict of arrays by input name
Outputs: TypeAlias = Array | list[Array] | dict[str, Array]


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

        Floats are rounded to the input's dtype; whole numbers and bool are taken only as what they are.

        Raises:
            InputError: rank, size or dtype does not fit, or the dtype cannot hold a number.
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
        hint = "; x[None] gives a single one its batch axis" if fits(wanted[1:], shape) else ""
        return InputError(f"input '{self.name}': needs the shape ({listed}), got {shape}{hint}")

    def _check(self, value: Any, wanted: tuple[int | None, ...]) -> Array:
        array = value if type(value) is np.ndarray else as_array(f"input '{self.name}'", value)
        if self._taken == (wanted, array.shape, array.dtype):
            return array
        if array.dtype.kind not in "biuf" or not fits(wanted, array.shape):
            raise self._misfit(wanted, array.shape, array.dtype)
        if array.dtype == self.dtype and self._rounding is None:
            self._taken = (wanted, array.shape, array.dtype)
            return array
        return as_dtype(f"input '{self.name}'", array, self.dtype, self._rounding)


def as_array(where: str, value: Any) -> Array:
    """What a caller gave as an array.

    Raises:
        InputError: it is none; or it is masked, and what it hides would be taken for numbers.
    """
    if _is_masked(value):
        raise InputError(f"{where}: is a masked array; give it filled(…) with the number that the model masks")
    try:
        return np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # whatever the object's own __array__ raises
        if "inhomogeneous" in str(error):
            raise InputError(f"{where}: is ragged: lists of one level have different lengths") from None
        raise InputError(f"{where}: {type(value).__name__} is not an array of numbers: {first_line(error)}") from None


def _is_masked(value: Any) -> bool:
    """Whether a value is or holds a masked array; NumPy imports its module when the first is made."""
    masked = sys.modules.get("numpy.ma")
    if masked is None:
        return False
    if isinstance(value, list | tuple):
        return any(map(_is_masked, value))
    return isinstance(value, masked.MaskedArray)


def as_dtype(where: str, array: Array, dtype: np.dtype[Any], rounding: str | None = None) -> Array:
    """Numbers as a dtype that can hold them: floats rounded, to `rounding` where that is given, all others exact.

    Raises:
        InputError: a number is out of range, or has a fraction where the dtype has none.
    """
    name = rounding or dtype.name
    if dtype.kind in "iu" and array.dtype.kind != "b":
        fraction = not_whole(array)
        if fraction is not None:
            raise InputError(f"{where}: {name} cannot hold {fraction}, which is not a whole number", "E_INPUT_FRACTION")
        odd = out_of_range(array, dtype)
    elif dtype.kind == "b":
        odd = not_truth(array)
    else:
        odd = None
    if odd is None:
        made = cast(array, dtype)
        made = made if rounding is None else round_to(made, rounding)
        if dtype.kind != "f":
            return made
        odd = overflown(array, made)
    if odd is not None:
        raise InputError(f"{where}: {name} cannot hold {odd}", "E_INPUT_OVERFLOW")
    return made


def first_line(error: Exception) -> str:
    """The first line of a foreign error's message, at most 200 characters of it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


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
