"""The graph without its arrays ⇄ JSON, checked field by field.

A node is ``{"node": class name, field: value, …}`` with exactly the fields of its class in `nodes`; what a field may
hold follows from its annotation there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

from ..errors import BundleError, one_line
from .activations import ACTIVATIONS
from .fields import check_fields
from .graph import Activation, Array, Graph, GraphError, Node
from .nodes import NODES

MAX_NODES = 10_000
MAX_INT = 2**53 - 1  # beyond it, readers that hold numbers as doubles would disagree


def refuse(message: str, code: str = "E_BUNDLE_GRAPH") -> NoReturn:
    """Raises BundleError with a message that is one printable line of bounded length, whatever the file put in it."""
    raise BundleError(one_line(message, 300), code)


def canonical(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII, no NaN or infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """The graph without its arrays."""
    return {
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "output_keys": None if graph.output_keys is None else list(graph.output_keys),
        "nodes": [node_to_json(node) for node in graph.nodes],
    }


def node_to_json(node: Node) -> dict[str, Any]:
    """A node as {"node": class name, field: value, …}."""
    return {"node": type(node).__name__, **{name: _field_to_json(getattr(node, name)) for name in node.FIELDS}}


def _field_to_json(value: Any) -> Any:
    if isinstance(value, Activation):
        return {"name": value.name, **dict(value.constants)}
    return list(value) if isinstance(value, tuple) else value


def graph_from_json(data: Any, tensors: dict[str, Array]) -> Graph:
    """The graph that `graph_to_json` wrote.

    Raises:
        BundleError: unknown or missing fields, wrong types.
    """
    data = object_with(data, "graph", {"inputs", "outputs", "output_keys", "nodes"})
    nodes = data["nodes"]
    if type(nodes) is not list or len(nodes) > MAX_NODES:
        refuse(f"graph.nodes is not a list of at most {MAX_NODES} nodes")
    keys = data["output_keys"]
    return Graph(
        strings(data["inputs"], "graph.inputs"),
        strings(data["outputs"], "graph.outputs"),
        None if keys is None else strings(keys, "graph.output_keys"),
        tuple(_node_from_json(node) for node in nodes),
        tensors,
    )


def _node_from_json(data: Any) -> Node:
    if type(data) is not dict or type(data.get("node")) is not str:
        refuse("a node is not an object that says which node it is")
    kind = NODES.get(data["node"])
    if kind is None:
        refuse(f"unknown node {data['node']!r:.100}")
    declared = kind.FIELDS
    where = f"node {data.get('name')!r:.100}"
    object_with(data, where, {"node", *declared})
    values = {}
    for name, annotation in declared.items():
        try:
            values[name] = DECODE[annotation](data[name])
        except (TypeError, ValueError) as error:
            refuse(f"{where}, field {name}: {error}")
        if name == "name" or (name == "weights" and values[name]):
            _check_name(where, name, values[name])
    node = kind(**values)
    try:
        check_fields(node)
    except GraphError as error:
        refuse(f"{where}, {error}")
    return node


def _check_name(where: str, field: str, value: str) -> None:
    # '/' separates a tensor's name, ':' an output's; '$' begins what is no node.
    if value.startswith("$") or not re.fullmatch(r"[^\x00-\x1f\x7f-\x9f/:]+", value):
        refuse(f"{where}: {field} is empty or has '/', ':', a leading '$' or control characters")


# --- values of fields -------------------------------------------------------------------------------------------------


def object_with(value: Any, what: str, keys: set[str], code: str = "E_BUNDLE_GRAPH") -> dict[str, Any]:
    """`value` if it is an object with exactly these keys."""
    if type(value) is not dict:
        refuse(f"{what} is not an object", code)
    for problem, names in (("unknown", set(value) - keys), ("missing", keys - set(value))):
        if names:
            refuse(f"{what}: {problem} field {sorted(names)[0]!r:.100}", code)
    return value


def strings(value: Any, what: str) -> tuple[str, ...]:
    """A JSON list of strings."""
    if type(value) is not list or not all(type(item) is str for item in value):
        refuse(f"{what} is not a list of strings")
    return tuple(value)


Decode = Callable[[Any], Any]


def _exactly(kind: type) -> Decode:
    def decode(value: Any) -> Any:
        if type(value) is not kind:  # isinstance would take true for 1
            raise TypeError(f"not a {kind.__name__}")
        return value

    return decode


def _int(value: Any) -> int:
    if type(value) is not int or abs(value) > MAX_INT:
        raise TypeError("not a whole number within ±(2^53 - 1)")
    return value


def _number(value: Any) -> float:
    return float(_int(value)) if type(value) is not float else value


def _or_none(decode: Decode) -> Decode:
    return lambda value: None if value is None else decode(value)


def _tuple_of(decode: Decode) -> Decode:
    def decode_all(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise TypeError("not a list")
        return tuple(decode(item) for item in value)

    return decode_all


def _size(value: Any) -> int | None:
    if value is not None and _int(value) < 0:
        raise ValueError("a size is negative")
    return value  # type: ignore[no-any-return]


def _activation(value: Any) -> Activation:
    if type(value) is not dict or type(value.get("name")) is not str or value["name"] not in ACTIVATIONS:
        raise ValueError("unknown activation")
    constants = ACTIVATIONS[value["name"]].constants
    if set(value) != {"name", *constants}:
        raise ValueError(f"activation {value['name']} has the constants {', '.join(constants) or 'none'}")
    decoded = []
    for key, declared in constants.items():
        constant = _or_none(_number)(value[key]) if declared.nullable else _number(value[key])
        if declared.whole and not constant.is_integer():
            raise ValueError(f"the {key} is not a whole number")
        decoded.append((key, int(constant) if declared.whole else constant))
    return Activation(value["name"], tuple(decoded))


# By the annotation of a node's field.
DECODE: dict[str, Decode] = {
    "str": _exactly(str),
    "int": _int,
    "int | None": _or_none(_int),
    "float": _number,
    "bool": _exactly(bool),
    "Value": _exactly(str),
    "Value | None": _or_none(_exactly(str)),
    "tuple[Value, ...]": _tuple_of(_exactly(str)),
    "tuple[int, ...]": _tuple_of(_int),
    "Shape": _tuple_of(_size),
    "Activation": _activation,
}
