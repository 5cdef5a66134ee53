"""The arrays of legacy HDF5 files: by layer, in one list, without names that can be relied on.

A layer's list holds the trainable arrays of everything inside it, then those that are not. Which arrays that makes is
learnt by converting once with empty arrays: every handler asks for what it needs. Then each list is dealt out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
from lstmconv_runtime.format.graph import Array

from ..errors import InvalidFileError, printable
from ..reading import LegacyWeights
from ..reading.form import Serialised, name_of
from ..reading.layer_weights import DealtWeights, LayerWeights, Spec, named, without_copies
from .gates import KERAS1_LSTM

# What packed datasets may unfold to (`reading.hdf5`), in numbers of a byte.
SPARE, MOST_NUMBERS_A_BYTE = 16 * 2**20, 8

Key = tuple[int, ...]  # place in the tree of layers, in the order of the file


@dataclass
class Request:
    """What one place asked for."""

    where: str
    layer: str  # name of the model's own layer that holds this place
    specs: list[Spec]
    frozen: bool
    replaces: bool  # a layer of which nobody knows in what order it kept its arrays


@dataclass
class Ledger:
    """What has been asked for, and, on the second pass, what is handed out.

    Attributes:
        file_size: bytes of the file, which bound how much can be asked for before anything is allocated.
        parts: the attributes of each place that parts were asked for of, in the order of the first pass: a handler asks
            for them in the order of the file.
    """

    file_size: int
    asked: int = 0
    parts: dict[Key, list[str]] = field(default_factory=dict)
    requests: dict[Key, Request] = field(default_factory=dict)
    arrays: dict[Key, list[Array]] | None = None

    def ask(self, where: str, specs: Sequence[Spec]) -> None:
        """Counts the numbers of these arrays.

        Raises:
            InvalidFileError: they are more than the file can hold, packed ones included.
        """
        self.asked += sum(prod(spec.shape) for spec in specs)
        if self.asked > SPARE + MOST_NUMBERS_A_BYTE * self.file_size:
            raise InvalidFileError(f"{where}: its config implies more weights than the file can hold", "E_WEIGHT_SHAPE")


class LegacyPlace:
    """LayerWeights over a legacy file: the place of a layer in the tree of layers."""

    def __init__(
        self, ledger: Ledger, key: Key = (), layer: str = "", frozen: bool = False, replaces: bool = False
    ) -> None:
        self._ledger = ledger
        self._key = key
        self._layer = layer
        self._frozen = frozen
        self._replaces = replaces

    def child(self, attribute: str) -> LegacyPlace:
        parts = self._ledger.parts.setdefault(self._key, [])
        if attribute not in parts:
            parts.append(attribute)
        return LegacyPlace(
            self._ledger, (*self._key, parts.index(attribute)), self._layer, self._frozen, self._replaces
        )

    def members(self, attribute: str, items: Sequence[Serialised]) -> list[LayerWeights]:
        places: list[LayerWeights] = []
        for index, item in enumerate(items):
            layer = self._layer or name_of(item)
            frozen = self._frozen or item["config"].get("trainable") is False
            replaces = self._replaces or "replaces" in item
            places.append(LegacyPlace(self._ledger, (*self._key, index), layer, frozen, replaces))
        return places

    def take(self, where: str, specs: Sequence[Spec]) -> dict[str, Array]:
        specs = without_copies(specs)
        if not specs:
            return {}
        if self._ledger.arrays is None:
            self._ledger.ask(where, specs)
            self._ledger.requests[self._key] = Request(where, self._layer, list(specs), self._frozen, self._replaces)
            return {spec.name: np.broadcast_to(np.float32(0), spec.shape) for spec in specs}
        return named(where, specs, self._ledger.arrays.get(self._key, []))


def deal_out(ledger: Ledger, file: LegacyWeights, keras1: bool, theano: bool) -> None:
    """Fills `ledger.arrays` from the file.

    Layers are matched by name; where the names differ, as in files of weights alone, by their order.

    Args:
        keras1: written by Keras 1.
        theano: written under Theano, which turns the kernels of convolutions over.

    Raises:
        InvalidFileError: the file's arrays are not those the architecture needs.
    """
    by_layer: dict[str, list[Key]] = {}
    for key in sorted(ledger.requests):
        by_layer.setdefault(ledger.requests[key].layer, []).append(key)
    ledger.arrays = {}
    for layer, stored in _matched(list(by_layer), file):
        requests = {key: ledger.requests[key] for key in by_layer[layer]}
        dealt = _deal_layer(layer, requests, file.arrays(stored), keras1)
        ledger.arrays.update({key: _unturned(requests[key], held) if theano else held for key, held in dealt.items()})


def _matched(layers: list[str], file: LegacyWeights) -> list[tuple[str, str]]:
    """(layer of the architecture, layer of the file) for every layer that has arrays."""
    stored = [name for name in file.layer_names if file.weight_names(name)]
    if set(layers) == set(stored):
        return [(name, name) for name in layers]
    if len(layers) != len(stored):
        odd = sorted(set(layers) ^ set(stored))[0]
        raise InvalidFileError(
            f"the architecture has {len(layers)} layers with weights, the file {len(stored)}; "
            f"'{printable(odd)}' is in one of them only",
            "E_WEIGHT_SHAPE",
        )
    return list(zip(layers, stored, strict=True))


def _deal_layer(layer: str, requests: dict[Key, Request], arrays: list[Array], keras1: bool) -> dict[Key, list[Array]]:
    """One layer's list dealt out over the places inside it."""
    if all(request.replaces for request in requests.values()):
        return _deal_by_shape(requests, arrays)
    parts: dict[Key, Sequence[Spec]] = {}
    order: list[tuple[Key, int]] = []
    for trainable in (True, False):
        for key, request in requests.items():
            if key not in parts and request.frozen != trainable:
                parts[key] = _stored_parts(request.specs, keras1, arrays[len(order) : len(order) + 1])
            for index, part in enumerate(parts.get(key, ())):
                if (part.trainable and not request.frozen) == trainable:
                    order.append((key, index))
    if len(order) != len(arrays):
        raise InvalidFileError(
            f"layer '{printable(layer)}': its config needs {len(order)} arrays, the file has {len(arrays)}",
            "E_WEIGHT_SHAPE",
        )
    dealt: dict[Key, dict[int, Array]] = {key: {} for key in requests}
    for (key, index), array in zip(order, arrays, strict=True):
        dealt[key][index] = array
    return {
        key: todays_arrays(requests[key], [found[index] for index in sorted(found)], keras1)
        for key, found in dealt.items()
    }


def _deal_by_shape(requests: dict[Key, Request], arrays: list[Array]) -> dict[Key, list[Array]]:
    """The list of a layer that was replaced, dealt out over the layers in its place."""
    dealt = DealtWeights([(str(index), array.shape) for index, array in enumerate(arrays)], lambda i: arrays[int(i)])
    made = {key: list(dealt.take(request.where, request.specs).values()) for key, request in requests.items()}
    dealt.check_empty(next(iter(requests.values())).where)
    return made


def _unturned(request: Request, arrays: list[Array]) -> list[Array]:
    """Kernels of convolutions (…, in, out) as correlations take them: reversed along every axis of space."""
    turned = [spec.name in ("kernel", "recurrent_kernel") and len(spec.shape) > 2 for spec in request.specs]
    return [
        np.flip(array, tuple(range(array.ndim - 2))) if turn else array
        for array, turn in zip(arrays, turned, strict=True)
    ]


def gate_count(specs: Sequence[Spec]) -> int | None:
    """Number of gates of a recurrent cell; None for anything else."""
    shapes = {spec.name: spec.shape for spec in specs}
    if "recurrent_kernel" not in shapes or len(shapes["recurrent_kernel"]) != 2:
        return None
    return shapes["recurrent_kernel"][1] // shapes["recurrent_kernel"][0]


def _stored_parts(specs: Sequence[Spec], keras1: bool, first: Sequence[Array]) -> Sequence[Spec]:
    """The arrays as the file has them: Keras 1 stores W, U and b of every gate apart, but not for consume_less="gpu".

    Args:
        first: the first of them.
    """
    gates = gate_count(specs)
    apart = keras1 and gates and not (first and first[0].shape == specs[0].shape and gates > 1)
    return [Spec("part", ())] * (3 * (gates or 0)) if apart else specs


def todays_arrays(request: Request, arrays: list[Array], keras1: bool) -> list[Array]:
    """The arrays of one place in today's layout."""
    gates = gate_count(request.specs)
    if keras1 and gates and len(arrays) == 3 * gates:
        return _keras1_cell(gates, arrays)
    if keras1 and request.specs[0].name == "kernel" and len(arrays[0].shape) == len(request.specs[0].shape) + 1:
        return [_keras1_conv1d(request.specs[0], arrays[0]), *arrays[1:]]
    if gates and len(arrays) == 3 and arrays[2].shape == (2 * arrays[1].shape[1],) != request.specs[2].shape:
        return _cudnn_cell(gates, arrays)
    return arrays


def _keras1_cell(gates: int, arrays: list[Array]) -> list[Array]:
    """W, U, b of each gate → kernel, recurrent kernel, bias; an LSTM's gates are stored in the order i, c, f, o."""
    order = [KERAS1_LSTM.index(gate) for gate in ("i", "f", "c", "o")] if gates == 4 else list(range(gates))
    return [np.concatenate([arrays[3 * gate + part] for gate in order], axis=-1) for part in range(3)]


def _keras1_conv1d(spec: Spec, kernel: Array) -> Array:
    """(length, 1, in, out), or (out, in, length, 1) in the oldest files → (length, in, out)."""
    if kernel.shape == (spec.shape[2], spec.shape[1], spec.shape[0], 1):
        kernel = kernel.transpose(2, 3, 1, 0)
    return kernel[:, 0]


def _cudnn_cell(gates: int, arrays: list[Array]) -> list[Array]:
    """cuDNN keeps each gate's matrices transposed and has two biases.

    An LSTM's two biases are added up; those of a GRU, which belong to the input and to the state, are kept apart.
    """
    kernel, recurrent, bias = arrays
    kernels = [k.T.reshape(k.shape, order="F") for k in np.split(kernel, gates, axis=1)]
    recurrents = [k.T for k in np.split(recurrent, gates, axis=1)]
    halves = bias.reshape(2, -1)
    joined = halves[0] + halves[1] if gates == 4 else halves
    return [np.concatenate(kernels, axis=1), np.concatenate(recurrents, axis=1), joined]
