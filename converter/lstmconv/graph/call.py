"""One call of a layer: its arguments, and the mask Keras would hand it.

Nothing in a call goes unnoticed: a handler reads its arguments one by one, each as the kind of thing it takes, and what
it leaves unread is refused. The arrays written into a call have become constants of the graph before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lstmconv_runtime.format.graph import Value

from ..errors import InvalidFileError, printable
from .building import Layer, Tensor

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


def map_leaves(change: Callable[[Any], Any], structure: Any) -> Any:
    """The structure with everything in it changed that is not a list or a dict."""
    if isinstance(structure, list | tuple) and not isinstance(structure, Tensor):
        return [map_leaves(change, item) for item in structure]
    if isinstance(structure, dict):
        return {key: map_leaves(change, item) for key, item in structure.items()}
    return change(structure)


def map_tensors(change: Callable[[Tensor], Tensor], structure: Any) -> Any:
    """The structure with every tensor changed."""
    return map_leaves(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, structure)


def is_given(structure: Any) -> bool:
    """Whether an argument holds anything but None."""
    return any(leaf is not None for leaf in leaves(structure))


@dataclass
class Call:
    """The arguments of one call: tensors, nested in lists and dicts, and plain JSON values."""

    args: list[Any]
    kwargs: dict[str, Any] = field(default_factory=dict)
    _read: set[int | str] = field(default_factory=set, init=False, repr=False)

    def map(self, change: Callable[[Any], Any]) -> Call:
        """The call with every leaf of its arguments changed; nothing of it is read yet."""
        return Call(map_leaves(change, self.args), map_leaves(change, self.kwargs))

    def option(self, position: int | None, name: str) -> Any:
        """An argument given by position or by name, as it stands; None if it is absent."""
        self._read.add(name)
        if position is not None:
            self._read.add(position)
            if len(self.args) > position:
                return self.args[position]
        return self.kwargs.get(name)

    def first(self) -> Any:
        """The first argument, as it stands."""
        self._read.add(0)
        return self.args[0] if self.args else None

    def positional(self) -> list[Any]:
        """Every argument given by position, as it stands: of calls that take any number."""
        self._read.update(range(len(self.args)))
        return list(self.args)

    def one(self, layer: Layer) -> Tensor:
        """The first argument, which must be a single tensor."""
        first = self.first()
        if isinstance(first, list) and len(first) == 1:
            first = first[0]
        if not isinstance(first, Tensor):
            raise InvalidFileError(f"{layer.where}: takes one tensor as its input", "E_GRAPH")
        return first

    def many(self, layer: Layer, least: int = 1) -> list[Tensor]:
        """The first argument, which must be a list of tensors."""
        given = all_tensors(layer, self.first(), "its input")
        if len(given) < least:
            raise InvalidFileError(f"{layer.where}: takes a list of at least {least} tensors", "E_GRAPH")
        return given

    def tensor(self, layer: Layer, position: int | None, name: str) -> Tensor | None:
        """An argument that is one tensor, or absent.

        Raises:
            UnsupportedError: it is something else.
        """
        given = self.option(position, name)
        if not is_given(given):
            return None
        found = all_tensors(layer, given, f"the argument '{name}'")
        if len(found) != 1:
            raise layer.unsupported(f"the argument '{name}' is not one tensor")
        return found[0]

    def tensors(self, layer: Layer, position: int | None, name: str) -> list[Tensor]:
        """The tensors of an argument, however they are nested; [] where it is absent.

        Raises:
            UnsupportedError: it holds something else.
        """
        given = self.option(position, name)
        return all_tensors(layer, given, f"the argument '{name}'") if is_given(given) else []

    def mask(self, layer: Layer, position: int | None = None) -> Value | None:
        """The mask that the layer's `call` receives.

        Keras fills `mask` in from the first argument, but only for a call with a single tensor argument: an RNN that is
        given its initial state runs unmasked in Keras 3, unless the mask is passed by hand.
        """
        explicit = self.tensor(layer, position, "mask")
        if explicit is not None:
            return layer.build.cast(layer.where, explicit.value, "bool")
        tensor_arguments = [a for a in (*self.args, *self.kwargs.values()) if next(flatten(a), None) is not None]
        if len(tensor_arguments) > 1 and not layer.build.semantics.initial_state_keeps_mask:
            return None
        return next((tensor.mask for tensor in flatten(self.args[:1])), None)

    def previous_mask(self, layer: Layer) -> Value | None:
        """The mask that the layer's `compute_mask` receives: the explicit one, or that of the first argument."""
        return self.mask(layer) or next((tensor.mask for tensor in flatten(self.args[:1])), None)

    def done(self, layer: Layer) -> None:
        """Refuses the call if an argument of it was not read: it may change the result.

        Raises:
            UnsupportedError: names the argument.
        """
        for position, value in enumerate(self.args):
            if position not in self._read and is_given(value):
                raise layer.unsupported(f"called with {position + 1} arguments, of which the last is not known")
        for name in sorted(self.kwargs):
            if name not in self._read and is_given(self.kwargs[name]):
                raise layer.unsupported(
                    f"called with the argument '{printable(name)}', which is not known to this version"
                )


def all_tensors(layer: Layer, structure: Any, what: str) -> list[Tensor]:
    """The leaves of a structure.

    Raises:
        UnsupportedError: one of them is not a tensor.
    """
    found = list(leaves(structure))
    for leaf in found:
        if not isinstance(leaf, Tensor):
            raise layer.unsupported(f"{what} holds {printable(leaf)}, which is not a tensor")
    return found
