"""One call of a layer: its arguments, and the mask Keras would hand it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lstmconv_runtime.graph import Value

from .builder import Layer, Tensor
from .errors import InvalidFileError

Outputs: TypeAlias = Tensor | list[Tensor]
Handler: TypeAlias = "Callable[[Layer, Call], Any]"


def flatten(structure: Any) -> Iterator[Tensor]:
    """The tensors of a nested structure, in Keras's order: lists as they stand, dicts by sorted key."""
    return (leaf for leaf in leaves(structure) if isinstance(leaf, Tensor))


def leaves(structure: Any) -> Iterator[Any]:
    """Everything in a nested structure that is not a list or a dict, None included, in the order of `flatten`."""
    if isinstance(structure, list | tuple) and not isinstance(structure, Tensor):
        for item in structure:
            yield from leaves(item)
    elif isinstance(structure, dict):
        for key in sorted(structure):
            yield from leaves(structure[key])
    else:
        yield structure


def map_tensors(change: Callable[[Tensor], Tensor], structure: Any) -> Any:
    """The structure with every tensor changed."""
    if isinstance(structure, Tensor):
        return change(structure)
    if isinstance(structure, list | tuple):
        return [map_tensors(change, item) for item in structure]
    if isinstance(structure, dict):
        return {key: map_tensors(change, item) for key, item in structure.items()}
    return structure


@dataclass
class Call:
    """The arguments of one call: tensors, nested in lists and dicts, and plain JSON values."""

    args: list[Any]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def one(self, layer: Layer) -> Tensor:
        """The first argument, which must be a single tensor."""
        first = self.args[0] if self.args else None
        if isinstance(first, list) and len(first) == 1:
            first = first[0]
        if not isinstance(first, Tensor):
            raise InvalidFileError(f"{layer.where}: takes one tensor as its input", "E_GRAPH")
        return first

    def many(self, layer: Layer, least: int = 1) -> list[Tensor]:
        """The first argument, which must be a list of tensors."""
        first = list(flatten(self.args[0])) if self.args else []
        if len(first) < least:
            raise InvalidFileError(f"{layer.where}: takes a list of at least {least} tensors", "E_GRAPH")
        return first

    def option(self, position: int, name: str) -> Any:
        """An argument given by position or by name; None if it is absent."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name)

    def mask(self, layer: Layer, position: int | None = None) -> Value | None:
        """The mask that the layer's `call` receives.

        Keras fills `mask` in from the first argument, but only for a call with a single tensor argument: an RNN that is
        given its initial state runs unmasked in Keras 3, unless the mask is passed by hand.
        """
        explicit = self.kwargs.get("mask") if position is None else self.option(position, "mask")
        if explicit is not None:
            given = list(flatten(explicit))
            if len(given) != 1:
                raise layer.unsupported("a mask that is not one tensor")
            return layer.build.cast(layer.where, given[0].value, "bool")
        tensor_arguments = [a for a in (*self.args, *self.kwargs.values()) if next(flatten(a), None) is not None]
        if len(tensor_arguments) > 1 and not layer.build.semantics.initial_state_keeps_mask:
            return None
        return next((tensor.mask for tensor in flatten(self.args[:1])), None)

    def previous_mask(self, layer: Layer) -> Value | None:
        """The mask that the layer's `compute_mask` receives: the explicit one, or that of the first argument."""
        return self.mask(layer) or next((tensor.mask for tensor in flatten(self.args[:1])), None)
