"""Building the graph: handlers add nodes, the builder keeps names unique and types known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
from lstmconv_runtime.format.graph import DTYPES, FLOATS, Array, DtypeError, GraphError, Node, Type, Value
from lstmconv_runtime.format.nodes import Cast, Constant, Input
from lstmconv_runtime.layers.precision import round_to

from ..errors import Hint, InvalidFileError, LimitError, UnsupportedError, printable
from ..history.semantics import Semantics
from ..reading.form import Serialised
from ..reading.layer_weights import LayerWeights, check_finite
from .layer_config import Config

MAX_NUMBERS = 2**27  # of a value, for each row: half a gigabyte of float32


class Tensor(NamedTuple):
    """A value of the graph with the mask Keras would carry beside it."""

    value: Value
    mask: Value | None = None


@dataclass(frozen=True)
class StoredArray:
    """An array written into the config."""

    value: Any
    dtype: str


class Inside(NamedTuple):
    """What opens and calls the layers and models inside a layer: handlers of wrappers have it from the builder, since
    what walks over models calls the handlers.

    Attributes:
        open_layer: (item, name, weights, build) → Layer.
        open_model: (item, weights, build, prefix, depth) → a model.
        run_layer: (layer, call) → what the call makes.
        call_nested: (model, call) → what the call makes.
    """

    open_layer: Callable[[Serialised, str, LayerWeights, Builder], Layer]
    open_model: Callable[[Serialised, LayerWeights, Builder, str, int], Any]
    run_layer: Callable[[Layer, Any], Any]
    call_nested: Callable[[Any, Any], Any]


@dataclass
class Builder:
    """The graph as it grows.

    Attributes:
        types: shape and dtype of every value so far.
        warnings: what the user should know about the conversion.
        masks: by value, the mask that it has for all that run later, where a call has put one on the tensor itself, as
            of a model with a mask given by hand, or None where one was taken off, as MultiHeadAttention does.
        obstacles: where a list is given, what is unsupported is put there, and a stand-in takes the layer's place.
        fixed: values that no input reaches: constants, and what is computed from them alone.
        ran: of every Functional model, by the prefix of its layers' names, how its calls ran (`functional.Ran`).
        inside: given by `convert.convert_config`.
    """

    semantics: Semantics
    allow_nonfinite: bool = False
    deterministic: bool = False  # layers called with training=True are taken as at inference
    nodes: list[Node] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    types: dict[Value, Type] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    masks: dict[Value, Value | None] = field(default_factory=dict)
    obstacles: list[UnsupportedError] | None = None
    fixed: set[Value] = field(default_factory=set)
    ran: dict[str, list[Any]] = field(default_factory=dict)
    inside: Inside = field(init=False)

    def free_name(self, wanted: str) -> str:
        """`wanted`, made a legal node name and unique."""
        legal = "".join("_" if c in "/:" or not c.isprintable() else c for c in wanted).lstrip("$") or "layer"
        name, count = legal, 1
        while name in self.types:
            count += 1
            name = f"{legal}.{count}"
        return name

    def add(self, where: str, node: Node, arrays: Mapping[str, Array] | None = None) -> Value:
        """Appends a node; returns its first output.

        Raises:
            UnsupportedError: it does not compute in the dtype of what it reads.
            InvalidFileError: the values it reads do not fit it.
            LimitError: what it gives is too large.
        """
        try:
            made = node.infer(self.types)
        except DtypeError as error:
            raise UnsupportedError(f"{where}: {error}", "E_UNSUPPORTED_DTYPE") from None
        except GraphError as error:
            raise InvalidFileError(f"{where}: {error}", "E_GRAPH") from None
        for type_ in made:
            if (count := prod(size for size in type_.shape[1:] if size is not None)) > MAX_NUMBERS:
                raise LimitError(
                    f"{where}: gives {count:,} numbers for each row; up to {MAX_NUMBERS:,} are supported",
                    "E_LIMIT_SIZE",
                )
        self.types.update(zip(node.makes(), made, strict=True))
        self.nodes.append(node)
        if not isinstance(node, Input) and self.fixed.issuperset(node.reads()):
            self.fixed.update(node.makes())
        if arrays:
            given = dict(arrays)
            if not self.allow_nonfinite:
                check_finite(where, given)
            self.arrays.update({f"{node.namespace()}/{name}": array for name, array in given.items()})
        return node.name

    def shape(self, tensor: Tensor | Value) -> tuple[int | None, ...]:
        return self.types[tensor.value if isinstance(tensor, Tensor) else tensor].shape

    def dtype(self, tensor: Tensor | Value) -> str:
        return self.types[tensor.value if isinstance(tensor, Tensor) else tensor].dtype

    def as_masked(self, tensor: Tensor) -> Tensor:
        """The tensor with the mask it still has."""
        return Tensor(tensor.value, self.masks[tensor.value]) if tensor.value in self.masks else tensor

    def cast(self, where: str, value: Value, dtype: str) -> Value:
        """`value` as dtype, through a Cast node where it has another."""
        if self.types[value].dtype == dtype:
            return value
        return self.add(where, Cast(name=self.free_name(f"{value.replace(':', '.')}.{dtype}"), x=value, dtype=dtype))

    def constant(self, where: str, name: str, array: Any, dtype: str) -> Value:
        """A Constant node.

        Raises:
            InvalidFileError: a number is beyond the dtype or its whole numbers, or it is no array of numbers.
        """
        kept = "float32" if dtype in ("float16", "bfloat16") else dtype
        try:
            given = np.asarray(array)
        except ValueError:  # lists of different lengths
            given = np.asarray(None)
        if given.dtype.kind not in "biuf":
            raise InvalidFileError(f"{where}: {printable(array, 60)} is not an array of {dtype}", "E_CONFIG_TYPE")
        with np.errstate(over="ignore", invalid="ignore"):
            stored = given.astype(kept)
        lost = np.isfinite(given) & ~np.isfinite(stored) if dtype in FLOATS else stored != given
        if lost.any():
            raise InvalidFileError(
                f"{where}: {printable(given[lost].flat[0].item(), 60)} is not a number of {dtype}", "E_CONFIG_TYPE"
            )
        if kept != dtype:
            stored = round_to(stored, dtype)  # what a half holds: 1e12 is infinite
        node = Constant(name=self.free_name(name), shape=stored.shape, dtype=dtype)
        return self.add(where, node, {"value": stored})

    def stored_array(self, where: str, name: str, array: StoredArray, dtype: str) -> Value:
        """A Constant node of an array of the config, cast to `dtype`.

        Raises:
            UnsupportedError: of a dtype that the graph has not.
            InvalidFileError: not an array of that dtype.
        """
        if array.dtype not in DTYPES:
            raise UnsupportedError(
                f"{where}: an array of dtype '{printable(array.dtype)}' is not supported", "E_UNSUPPORTED_DTYPE"
            )
        held = "float64" if array.dtype in FLOATS else array.dtype
        try:
            numbers = np.asarray(array.value)
            if numbers.size and numbers.dtype.kind not in "biuf":
                raise ValueError
            numbers = np.array(array.value, dtype=held)
        except (TypeError, ValueError, OverflowError):
            raise InvalidFileError(
                f"{where}: {printable(array.value)} is not an array of {array.dtype}", "E_CONFIG_TYPE"
            ) from None
        with np.errstate(over="ignore"):
            return self.constant(where, f"{name}.constant", numbers, dtype)


@dataclass
class Layer:
    """One layer object of the file, as its handler sees it.

    Attributes:
        name: its name in the graph, with the names of the models around it before it.
        dtype: the dtype it computes in.
        calls: how often it has been called so far; a shared layer is called more than once.
    """

    name: str
    class_name: str
    config: Config
    weights: LayerWeights
    build: Builder
    dtype: str
    calls: int = 0
    namespace: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)  # layers it wraps, once opened

    @property
    def where(self) -> str:
        return self.config.where

    def unsupported(self, why: str, code: str = "E_UNSUPPORTED_OPTION", hint: Hint | None = None) -> UnsupportedError:
        return UnsupportedError(f"{self.where}: {printable(why, 400)}", code, hint)

    def name_for(self, part: str = "") -> str:
        """A free node name for this layer's result, or for a part of it."""
        return self.build.free_name(f"{self.name}.{part}" if part else self.name)

    def stored(self, part: str = "") -> str:
        """The node name that this layer's arrays lie under: that of its first call."""
        return self.namespace.setdefault(part, self.name_for(part))

    def add(self, node: Node, arrays: Mapping[str, Array] | None = None) -> Value:
        return self.build.add(self.where, node, arrays)

    def constant(self, array: StoredArray, cast: bool) -> Tensor:
        """An array of a call; with `cast`, floats in the dtype this layer computes in, as Keras casts them."""
        dtype = self.dtype if cast and array.dtype in FLOATS else array.dtype
        return Tensor(self.build.stored_array(self.where, self.name, array, dtype))

    def cast(self, tensor: Tensor) -> Tensor:
        """A float tensor in the dtype this layer computes in, as Keras casts it."""
        if self.build.dtype(tensor) not in FLOATS:
            return tensor
        return Tensor(self.build.cast(self.where, tensor.value, self.dtype), tensor.mask)
