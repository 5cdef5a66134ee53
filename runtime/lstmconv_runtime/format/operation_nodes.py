"""Nodes for functions of arrays that came with version 1.1 of the format.

Like those of `nodes`, where the vocabulary is put together, their docstrings are the normative text of FORMAT.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from .graph import FLOATS, Node, Shape, Type, Value, need, need_dtype, same_size


class _Since11(Node):
    def since(self) -> tuple[int, int]:
        return (1, 1)


class Round(_Since11):
    """Each number of x to the nearest whole number, halves to the even one."""

    x: Value

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need_dtype(x.dtype in FLOATS, f"needs floating point, got {x.dtype}")
        return (x,)


class CumSum(_Since11):
    """The sum of x along `axis` up to each place, that place included; integers wrap around."""

    x: Value
    axis: int

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need_dtype(x.dtype != "bool", "does not take bool")
        need(0 < self.axis < x.rank, f"no axis {self.axis}")
        return (x,)


class ArgReduce(_Since11):
    """The place along `axis` of the largest (`op` ``max``) or smallest (``min``) number of x, as int32.

    Of equal numbers, and −0 equals 0, the first; the first NaN, if there is one. The axis is left out of the result.
    """

    x: Value
    op: str
    axis: int

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need_dtype(x.dtype != "bool", "does not take bool")
        need(0 < self.axis < x.rank, f"no axis {self.axis}")
        return (Type((*x.shape[: self.axis], *x.shape[self.axis + 1 :]), "int32"),)


class Take(_Since11):
    """The places `indices` of `axis`, in that order; a negative one counts from the end, −1 being the last place.

    An index beyond the axis is an error.
    """

    x: Value
    axis: int
    indices: tuple[int, ...]

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        x = types[self.x]
        need(0 < self.axis < x.rank, f"no axis {self.axis}")
        size = x.shape[self.axis]
        for index in self.indices:
            need(size is None or -size <= index < size, f"no place {index} on an axis of {size}")
        return (Type((*x.shape[: self.axis], len(self.indices), *x.shape[self.axis + 1 :]), x.dtype),)


class Einsum(_Since11):
    """Σ over the letters that are not in the result, of the product of the arguments.

    `equation` is the letters of the axes of each argument, with commas between, then ``->`` and those of the result:
    ``bij,bjk->bik`` is the matrix product of each example. No letter is twice in an argument or in the result, every
    letter of the result is in an argument, and axes of one letter have one size.
    """

    args: tuple[Value, ...]
    equation: str

    def letters(self) -> tuple[tuple[str, ...], str]:
        """The letters of each argument, and those of the result."""
        given, _, made = self.equation.partition("->")
        return tuple(given.split(",")), made

    def infer(self, types: Mapping[Value, Type]) -> tuple[Type, ...]:
        terms, made = self.letters()
        need("->" in self.equation and len(terms) == len(self.args), f"bad equation {self.equation!r:.100}")
        for term in (*terms, made):
            legal = all(letter.isascii() and letter.isalpha() for letter in term)
            need(legal and len(set(term)) == len(term), f"bad equation {self.equation!r:.100}")
        given = [types[arg] for arg in self.args]
        dtypes = {type_.dtype for type_ in given}
        need_dtype(len(dtypes) == 1, f"arguments of different dtypes: {', '.join(sorted(dtypes))}")
        dtype = given[0].dtype
        need_dtype(dtype in FLOATS, f"needs floating point, got {dtype}")
        sizes: dict[str, int | None] = {}
        for term, type_ in zip(terms, given, strict=True):
            need(len(term) == type_.rank, f"{term} does not fit an array of rank {type_.rank}")
            for letter, size in zip(term, type_.shape, strict=True):
                known = sizes.get(letter)
                need(same_size(known, size), f"axis {letter} has the sizes {known} and {size}")
                sizes[letter] = size if known is None else known
        need(set(made) <= set(sizes), f"bad equation {self.equation!r:.100}")
        shape: Shape = tuple(sizes[letter] for letter in made)
        return (Type(shape, dtype),)
