"""What the nodes of `operation_nodes` compute: pure functions of arrays, one per node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from ..errors import InputError
from ..format import operation_nodes as n
from ..format.graph import Array, Node

Arrays = Mapping[str, Array]


def round_(node: n.Round, p: Arrays, v: Arrays) -> Array:
    return np.asarray(np.rint(v[node.x]))


def cum_sum(node: n.CumSum, p: Arrays, v: Arrays) -> Array:
    x = v[node.x]
    return np.cumsum(x, axis=node.axis, dtype=x.dtype)


def arg_reduce(node: n.ArgReduce, p: Arrays, v: Arrays) -> Array:
    x = v[node.x]
    if x.shape[node.axis] == 0:
        raise InputError(f"node '{node.name}' (ArgReduce): the {node.op} of nothing", "E_NO_STEPS")
    return np.asarray((np.argmax if node.op == "max" else np.argmin)(x, axis=node.axis), dtype=np.int32)


def take(node: n.Take, p: Arrays, v: Arrays) -> Array:
    x = v[node.x]
    size = x.shape[node.axis]
    if any(not -size <= index < size for index in node.indices):
        raise InputError(f"node '{node.name}' (Take): an axis of {size} has not all the places {node.indices}")
    return np.take(x, node.indices, axis=node.axis)


def einsum(node: n.Einsum, p: Arrays, v: Arrays) -> Array:
    """The arguments joined from left to right, each time keeping the letters that are still needed."""
    terms, made = node.letters()
    arrays = [v[arg] for arg in node.args]
    sizes: dict[str, int] = {}
    for term, array in zip(terms, arrays, strict=True):
        for letter, size in zip(term, array.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise InputError(f"node '{node.name}' (Einsum): axis {letter} has the sizes {sizes[letter]} and {size}")
    term, array = terms[0], arrays[0]
    for index in range(1, len(terms)):
        needed = made + "".join(terms[index + 1 :])
        term, array = _join(term, array, terms[index], arrays[index], needed)
    term, array = _summed(term, array, made)
    return array.transpose([term.index(letter) for letter in made])


def _summed(term: str, x: Array, needed: str) -> tuple[str, Array]:
    """x summed over the letters that are not needed."""
    axes = tuple(axis for axis, letter in enumerate(term) if letter not in needed)
    return "".join(letter for letter in term if letter in needed), x.sum(axis=axes) if axes else x


def _join(left: str, a: Array, right: str, b: Array, needed: str) -> tuple[str, Array]:
    """Two arguments as one matrix product for each place of the letters that both have and that are needed."""
    left, a = _summed(left, a, needed + right)
    right, b = _summed(right, b, needed + left)
    both = "".join(letter for letter in left if letter in right and letter in needed)
    inner = "".join(letter for letter in left if letter in right and letter not in needed)
    rows = "".join(letter for letter in left if letter not in right)
    columns = "".join(letter for letter in right if letter not in left)
    sizes = {**dict(zip(left, a.shape, strict=True)), **dict(zip(right, b.shape, strict=True))}

    def size(letters: str) -> int:
        return prod(sizes[letter] for letter in letters)

    def arranged(term: str, x: Array, middle: str, last: str) -> Array:
        order = [term.index(letter) for letter in both + middle + last]
        return x.transpose(order).reshape(*(sizes[letter] for letter in both), size(middle), size(last))

    product = arranged(left, a, rows, inner) @ arranged(right, b, inner, columns)
    result = both + rows + columns
    return result, product.reshape([sizes[letter] for letter in result])


OPERATIONS: dict[type[Node], Callable[..., Array]] = {
    n.Round: round_,
    n.CumSum: cum_sum,
    n.ArgReduce: arg_reduce,
    n.Take: take,
    n.Einsum: einsum,
}
