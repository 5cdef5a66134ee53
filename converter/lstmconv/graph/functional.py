"""The calls of a Functional model: references between them resolved, each run once what it reads is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..errors import InvalidFileError, UnsupportedError, printable
from ..reading.form import Serialised, is_reference, name_of
from .building import StoredArray, Tensor
from .call import Call, flatten
from .depths import depths_of

Reference: TypeAlias = tuple[str, int, int]  # layer, which call of it, which tensor of that call
MAX_CALLS = 10_000


@dataclass(frozen=True)
class Pending:
    """A call still to be run."""

    layer: str
    index: int
    args: list[Any]
    kwargs: dict[str, Any]


def reference(where: str, item: Any) -> Reference:
    """A [layer, node, tensor] triple of the file.

    Raises:
        UnsupportedError: something else stands there.
    """
    if is_reference(item):
        return item[0], item[1], item[2]
    raise UnsupportedError(
        f"{where}: {printable(item)} is not a reference to a layer, a node and a tensor", "E_UNSUPPORTED_STRUCTURE"
    )


def pending_calls(where: str, layers: list[Serialised]) -> list[Pending]:
    """Every call that the config of a Functional model lists."""
    calls: list[Pending] = []
    for item in layers:
        for index, node in enumerate(item.get("inbound_nodes", [])):
            calls.append(Pending(name_of(item), index, node["args"], node["kwargs"]))
        if len(calls) > MAX_CALLS:
            raise InvalidFileError(f"{where}: more than {MAX_CALLS} calls", "E_LIMIT_LAYERS")
    return calls


def tensor_reference(where: str, item: Any) -> Reference | None:
    """The reference inside a serialised Keras tensor; None if the item is something else."""
    if type(item) is dict and item.get("class_name") == "__keras_tensor__":
        return reference(where, item["config"]["keras_history"])
    return None


def references(where: str, structure: Any) -> Iterator[Reference]:
    """Every reference in the arguments of a call."""
    found = tensor_reference(where, structure)
    if found:
        yield found
    elif type(structure) is list:
        for item in structure:
            yield from references(where, item)
    elif type(structure) is dict:
        for key in sorted(structure):
            yield from references(where, structure[key])


def first_index(count: int, used: set[int], default: int) -> int:
    """The number of a layer's first call: models used as layers may start at 1, after the call that made them."""
    if max(used, default=0) >= count:
        return 1
    return 0 if 0 in used else default


class Numbers(NamedTuple):
    """The number of a nested model's first call: where another call refers to it, and among the outputs.

    Before Keras 3 a model's own making counted as its call 0. In Keras 3 it still does among the outputs of the model
    around it, for Functional models, and not elsewhere.
    """

    inside: int
    outside: int


def numbering(
    calls: list[Pending], inner: list[Reference], outputs: list[Reference], nested: Mapping[str, Numbers]
) -> tuple[Callable[[Reference], Reference], Callable[[Reference], Reference]]:
    """Functions that number the calls of nested models from 0: for references inside calls, and for the outputs."""
    counts: dict[str, int] = {}
    for call in calls:
        counts[call.layer] = max(counts.get(call.layer, 0), call.index + 1)

    def counted(refs: list[Reference], place: int) -> Callable[[Reference], Reference]:
        used: dict[str, set[int]] = {}
        for name, index, _ in refs:
            used.setdefault(name, set()).add(index)
        first = {
            name: first_index(counts.get(name, 0), used.get(name, set()), numbers[place])
            for name, numbers in nested.items()
        }
        return lambda ref: (ref[0], ref[1] - first.get(ref[0], 0), ref[2])

    if all(numbers.inside == numbers.outside for numbers in nested.values()):
        same = counted([*inner, *outputs], 0)
        return same, same
    return counted(inner, 0), counted(outputs, 1)


class Ran(NamedTuple):
    """The calls of a Functional model, run.

    Attributes:
        results: the tensors each call (layer, number from 0) made.
        inside, outside: from a reference of the file, in a call or among the outputs, to one numbered from 0.
        tensor: the tensor of a reference numbered from 0.
    """

    results: Mapping[tuple[str, int], list[Tensor]]
    inside: Callable[[Reference], Reference]
    outside: Callable[[Reference], Reference]
    tensor: Callable[[Reference], Tensor]


def run_calls(
    where: str,
    layers: list[Serialised],
    outputs: list[Reference],
    given: Mapping[str, Tensor],
    nested: Mapping[str, Numbers],
    run: Callable[[str, Call], Any],
) -> Ran:
    """Runs all calls in an order in which each finds what it reads.

    Args:
        given: tensors of the input layers, by layer name.
        nested: for models used as layers, the numbers of their first call unless the references tell otherwise.
        run: calls one layer.

    Raises:
        InvalidFileError: a reference to nothing, or a cycle.
    """
    calls = pending_calls(where, layers)
    wanted = {id(call): list(references(where, [call.args, call.kwargs])) for call in calls}
    inside, outside = numbering(calls, [ref for refs in wanted.values() for ref in refs], outputs, nested)
    wanted = {key: [inside(ref) for ref in refs] for key, refs in wanted.items()}
    outputs = [outside(ref) for ref in outputs]
    results: dict[tuple[str, int], list[Tensor]] = {(name, 0): [tensor] for name, tensor in given.items()}

    def resolve(ref: Reference) -> Tensor:
        name, index, position = ref
        made = results.get((name, index), [])
        if not 0 <= position < len(made):
            raise InvalidFileError(
                f"{where}: refers to output {position} of call {index} of '{printable(name)}', which is not there",
                "E_GRAPH",
            )
        return made[position]

    # By depth, as Keras runs them: MultiHeadAttention takes the mask off its arguments for whatever runs after it.
    reads = {(call.layer, call.index): [ref[:2] for ref in wanted[id(call)]] for call in calls}
    depths = depths_of(reads, [ref[:2] for ref in outputs]).of_call
    positions = {call: position for position, call in enumerate(sorted(depths, key=lambda call: -depths[call]))}
    waiting = sorted(calls, key=lambda call: positions.get((call.layer, call.index), len(positions)))
    while waiting:
        later = []
        for call in waiting:
            if all((name, index) in results for name, index, _ in wanted[id(call)]):
                args = [decode(where, a, lambda ref: resolve(inside(ref))) for a in call.args]
                kwargs = {key: decode(where, a, lambda ref: resolve(inside(ref))) for key, a in call.kwargs.items()}
                made = run(call.layer, Call(args, kwargs))
                results[call.layer, call.index] = list(flatten(made))
            else:
                later.append(call)
        if len(later) == len(waiting):
            names = ", ".join(sorted({printable(call.layer) for call in later})[:5])
            raise InvalidFileError(f"{where}: calls that wait for each other, or for nothing: {names}", "E_GRAPH")
        waiting = later
    return Ran(results, inside, outside, resolve)


def decode(where: str, item: Any, resolve: Callable[[Reference], Tensor]) -> Any:
    """An argument of a call: tensors resolved, slices and arrays as Python has them, the rest as plain JSON.

    Raises:
        UnsupportedError: an object that is none of these.
    """
    found = tensor_reference(where, item)
    if found:
        return resolve(found)
    if type(item) is list:
        return [decode(where, inner, resolve) for inner in item]
    if type(item) is not dict:
        return item
    kind, config = item.get("class_name"), item.get("config")
    if kind is None:
        return {key: decode(where, inner, resolve) for key, inner in item.items()}
    if kind == "__slice__" and type(config) is dict:
        parts = [config.get(key) for key in ("start", "stop", "step")]
        if all(part is None or type(part) is int for part in parts):
            return slice(*parts)
    if kind == "__ellipsis__":
        return ...
    if kind in ("__numpy__", "__tensor__") and type(config) is dict:
        return _stored_array(where, config)
    raise UnsupportedError(
        f"{where}: an argument of class '{printable(kind)}' is not supported", "E_UNSUPPORTED_STRUCTURE"
    )


def _stored_array(where: str, config: dict[str, Any]) -> StoredArray:
    """An array of the config, whose lists are as long as each other."""
    value: Any = config.get("value")
    try:
        np.shape(value)
    except ValueError:
        raise InvalidFileError(
            f"{where}: {printable(value)} is not an array: its lists are of different lengths", "E_CONFIG_TYPE"
        ) from None
    return StoredArray(value, str(config.get("dtype")))
