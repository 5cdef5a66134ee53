"""Where a layer's arrays come from: by path in a `.keras` archive, by order in a legacy file.

A handler asks for its arrays with `take`, naming each with its shape; it never learns which kind of file it reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from lstmconv_runtime.format.graph import Array

from ..errors import Hint, InvalidFileError, UnsupportedError
from . import ArchiveWeights
from .form import Serialised

MAX_PARAMETERS = 2**31


class Spec(NamedTuple):
    """One array a layer must have; `kinds` are the kinds of its dtype, as NumPy abbreviates them.

    A `copy` is one that an archive holds a second time, as a part of the layer around; no other kind of file does.
    """

    name: str
    shape: tuple[int, ...]
    trainable: bool = True
    kinds: str = "f"
    copy: bool = False


class LayerWeights(Protocol):
    """The arrays of one layer or of a part of it."""

    def child(self, attribute: str) -> LayerWeights:
        """The part of the layer held in one attribute, such as "cell"."""

    def members(self, attribute: str, items: Sequence[Serialised]) -> list[LayerWeights]:
        """The parts held in a list, such as the "layers" of a nested model; `items` are their serialised forms."""

    def take(self, where: str, specs: Sequence[Spec]) -> dict[str, Array]:
        """The arrays by name.

        Raises:
            InvalidFileError: an array is missing, or its shape or dtype is not what the config implies.
        """


# Classes that Keras saves under another name than the one its own code gives them.
RENAMED = {"GroupQueryAttention": "GroupedQueryAttention"}


def snake_case(name: str) -> str:
    """Keras's file name for a class: LSTM → lstm, LSTMCell → lstm_cell, Conv1D → conv1d."""
    name = RENAMED.get(name, name)
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


class PathWeights:
    """Arrays of a `.keras` archive: `<path>/vars/0`, `<path>/vars/1`, …"""

    def __init__(self, archive: ArchiveWeights, path: str = "") -> None:
        self._archive = archive
        self._path = path

    def child(self, attribute: str) -> PathWeights:
        return PathWeights(self._archive, f"{self._path}/{attribute}" if self._path else attribute)

    def members(self, attribute: str, items: Sequence[Serialised]) -> list[LayerWeights]:
        inside = self.child(attribute)
        classes = [snake_case(item.get("replaces", item["class_name"])) for item in items]
        stored = {name: inside._numbered(name, classes.count(name)) for name in set(classes)}
        places = [inside.child(stored[name][classes[:index].count(name)]) for index, name in enumerate(classes)]
        return [place._dealt() if "replaces" in item else place for place, item in zip(places, items, strict=True)]

    def _dealt(self) -> DealtWeights:
        return DealtWeights(self._archive.below(self._path), self._archive.array_at)

    def _numbered(self, name: str, count: int) -> list[str]:
        """The names of the groups of `count` layers of one class: name, name_1, …

        Keras before 2.15 counts a layer with weights twice, so that numbers are left out.
        """
        found = {}
        for group in self._archive.groups(self._path):
            stem, _, number = group.rpartition("_")
            if group == name:
                found[0] = group
            elif stem == name and number.isdecimal() and number.isascii() and len(number) < 8:
                found[int(number)] = group
        if len(found) == count:
            return [found[number] for number in sorted(found)]
        return [f"{name}_{index}" if index else name for index in range(count)]

    def take(self, where: str, specs: Sequence[Spec]) -> dict[str, Array]:
        if not specs:
            return {}
        arrays = self._archive.arrays(self._path)
        return named(where, specs, arrays[: len(specs)] if _only_seeds(arrays[len(specs) :]) else arrays)


class DealtWeights:
    """The arrays of a layer that was replaced, given to the layers in its place by their shapes.

    Where a shape is there more than once, the arrays must be asked for in the order of the file, the others included.
    """

    def __init__(self, shapes: Sequence[tuple[str, tuple[int, ...]]], read: Callable[[str], Array]) -> None:
        self._shapes = shapes  # (path, shape), in the order of the file
        self._read = read
        self._left = list(range(len(shapes)))

    def child(self, attribute: str) -> DealtWeights:
        return self

    def members(self, attribute: str, items: Sequence[Serialised]) -> list[LayerWeights]:
        return [self for _ in items]

    def take(self, where: str, specs: Sequence[Spec]) -> dict[str, Array]:
        return named(where, specs, [self._read(self._deal(where, spec)) for spec in specs])

    def _deal(self, where: str, spec: Spec) -> str:
        fitting = [index for index in self._left if self._shapes[index][1] == spec.shape]
        listed = ", ".join(f"{path} {shape}" for path, shape in self._shapes) or "none"
        if not fitting:
            raise InvalidFileError(
                f"{where}: no array left of the shape of {spec.name}, {spec.shape}; the layer it replaces has {listed}",
                "E_WEIGHT_SHAPE",
            )
        alike = sum(shape == spec.shape for _, shape in self._shapes)
        if alike > 1 and self._left != list(range(fitting[0], len(self._shapes))):
            raise InvalidFileError(
                f"{where}: {spec.name} could be any of {alike} arrays of the shape {spec.shape}; the layer it "
                f"replaces has {listed}",
                "E_WEIGHT_SHAPE",
            )
        self._left.remove(fitting[0])
        return self._shapes[fitting[0]][0]

    def check_empty(self, where: str) -> None:
        """Refuses arrays that are left over.

        Raises:
            InvalidFileError: names one.
        """
        for index in self._left:
            path, shape = self._shapes[index]
            raise InvalidFileError(f"{where}: the layer it replaces has the array {path} {shape} too", "E_WEIGHT_EXTRA")


class PlainWeights:
    """Arrays held in a dict, by attributes and layer names from the model on."""

    def __init__(self, arrays: Mapping[tuple[str, ...], Sequence[Array]], path: tuple[str, ...] = ()) -> None:
        self._arrays = arrays
        self._path = path

    def child(self, attribute: str) -> PlainWeights:
        return PlainWeights(self._arrays, (*self._path, attribute))

    def members(self, attribute: str, items: Sequence[Serialised]) -> list[LayerWeights]:
        names = [str(n) if attribute == "cells" else str(item["config"]["name"]) for n, item in enumerate(items)]
        return [PlainWeights(self._arrays, (*self._path, attribute, name)) for name in names]

    def take(self, where: str, specs: Sequence[Spec]) -> dict[str, Array]:
        specs = without_copies(specs)
        return named(where, specs, self._arrays.get(self._path, [])) if specs else {}


class NoWeights:
    """The arrays of what has none."""

    def child(self, attribute: str) -> NoWeights:
        return self

    def members(self, attribute: str, items: Sequence[Serialised]) -> list[LayerWeights]:
        return [self for _ in items]

    def take(self, where: str, specs: Sequence[Spec]) -> dict[str, Array]:
        return named(where, specs, [])


class Noted:
    """LayerWeights that keeps in mind what was asked for last."""

    def __init__(self, inner: LayerWeights) -> None:
        self._inner = inner
        self.specs: tuple[Spec, ...] = ()

    def child(self, attribute: str) -> LayerWeights:
        return self._inner.child(attribute)

    def members(self, attribute: str, items: Sequence[Serialised]) -> list[LayerWeights]:
        return self._inner.members(attribute, items)

    def take(self, where: str, specs: Sequence[Spec]) -> dict[str, Array]:
        self.specs = tuple(specs)
        return self._inner.take(where, specs)


def without_copies(specs: Sequence[Spec]) -> list[Spec]:
    return [spec for spec in specs if not spec.copy]


def _only_seeds(extra: Sequence[Array]) -> bool:
    """True for the states of seed generators, which dropout keeps beside a cell's weights."""
    return all(array.dtype.kind == "u" for array in extra)


def named(where: str, specs: Sequence[Spec], arrays: Sequence[Array]) -> dict[str, Array]:
    """Arrays in Keras's order, checked against what the config implies."""
    floats = all(spec.kinds == "f" for spec in specs)
    if floats and any(array.dtype.kind == "i" for array in arrays):
        raise UnsupportedError(
            f"{where}: its arrays are quantised, and its config does not say how", "E_UNSUPPORTED_DTYPE"
        )
    if len(arrays) != len(specs):
        wanted = ", ".join(f"{spec.name} {spec.shape}" for spec in specs)
        raise InvalidFileError(
            f"{where}: needs {len(specs)} arrays ({wanted}), the file has {len(arrays)}", "E_WEIGHT_SHAPE"
        )
    checked = {}
    for spec, array in zip(specs, arrays, strict=True):
        if array.shape != spec.shape:
            raise InvalidFileError(
                f"{where}: {spec.name} has the shape {array.shape}, its config implies {spec.shape}", "E_WEIGHT_SHAPE"
            )
        if array.dtype.kind not in spec.kinds:
            raise UnsupportedError(
                f"{where}: {spec.name} is {array.dtype}; quantised weights are not supported", "E_UNSUPPORTED_DTYPE"
            )
        checked[spec.name] = array
    return checked


def check_finite(where: str, arrays: dict[str, Array]) -> None:
    """Refuses NaN and infinity among the weights.

    Raises:
        InvalidFileError: names the array.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InvalidFileError(
                f"{where}: {name} holds NaN or infinity",
                "E_WEIGHT_NONFINITE",
                Hint("{} keeps them", "allow_nonfinite"),
            )
