"""Arguments of functions that TensorFlow and Keras say differently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import UnsupportedError, printable

Given = dict[str, Any]  # the arguments of a call by the names of their parameters


def odd_argument(where: str, name: str, value: Any) -> UnsupportedError:
    return UnsupportedError(f"{where}: argument '{name}' {printable(value)} is not supported", "E_UNSUPPORTED_OPTION")


def _must_be(where: str, given: Given, name: str, *accepted: Any) -> None:
    if given.get(name) not in (None, *accepted):
        raise odd_argument(where, name, given[name])


def _arguments(*args: Any, **kwargs: Any) -> dict[str, Any]:
    listed = list(args)
    while listed and listed[-1] is None:
        listed.pop()
    return {"args": listed, "kwargs": kwargs}


def _l2_normalize(where: str, given: Given) -> dict[str, Any]:
    """x / √max(Σ x², ε): Keras has the root of that ε."""
    epsilon = given.get("epsilon")
    epsilon = 1e-12 if epsilon is None else epsilon
    if type(epsilon) not in (int, float) or epsilon <= 0:
        raise odd_argument(where, "epsilon", epsilon)
    return _arguments(given["x"], given.get("axis"), 2, float(epsilon) ** 0.5)


def _norm(where: str, given: Given) -> dict[str, Any]:
    order = None if given.get("ord") == "euclidean" else given.get("ord")
    return _arguments(given["tensor"], order, given.get("axis"), given.get("keepdims"))


def _pad(where: str, given: Given) -> dict[str, Any]:
    mode = given.get("mode")
    if not (mode is None or type(mode) is str):
        raise odd_argument(where, "mode", mode)
    number = given.get("constant_values")
    filled = {} if number is None or number == 0 else {"constant_values": number}
    return _arguments(given["tensor"], given.get("paddings"), (mode or "constant").lower(), **filled)


def _split(where: str, given: Given) -> dict[str, Any]:
    """TensorFlow has the sizes of the parts where Keras has the places between them."""
    sizes = given.get("num_or_size_splits")
    if type(sizes) is list:
        if not all(type(size) is int and size >= 0 for size in sizes):
            raise odd_argument(where, "num_or_size_splits", sizes)
        sizes = [sum(sizes[:count]) for count in range(1, len(sizes))]
    axis = given.get("axis")
    return _arguments(given["value"], sizes, 0 if axis is None else axis)


def _gather(where: str, given: Given) -> dict[str, Any]:
    _must_be(where, given, "batch_dims", 0)
    axis = given.get("axis")
    return _arguments(given["params"], given.get("indices"), 0 if axis is None else axis)


def _gelu(where: str, given: Given) -> dict[str, Any]:
    return _arguments(given["features"], bool(given.get("approximate")))


def _silu(where: str, given: Given) -> dict[str, Any]:
    _must_be(where, given, "beta", 1)
    return _arguments(given["features"])


def _cumsum(where: str, given: Given) -> dict[str, Any]:
    _must_be(where, given, "exclusive", False)
    _must_be(where, given, "reverse", False, True)
    axis = given.get("axis")
    backwards = {"reverse": True} if given.get("reverse") else {}
    return _arguments(given["x"], 0 if axis is None else axis, **backwards)


CHANGED: dict[str, Callable[[str, Given], dict[str, Any]]] = {
    "math.l2_normalize": _l2_normalize,
    "norm": _norm,
    "compat.v1.norm": _norm,
    "pad": _pad,
    "compat.v1.pad": _pad,
    "split": _split,
    "gather": _gather,
    "compat.v1.gather": _gather,
    "nn.gelu": _gelu,
    "nn.silu": _silu,
    "math.cumsum": _cumsum,
}
