"""The tables of runtime/FORMAT.md, and nodes.json and activations.json beside it, from the declarations in code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from lstmconv_runtime.format import bundle
from lstmconv_runtime.format.activations import ACTIVATIONS
from lstmconv_runtime.format.container import MAX_DEPTH, MAX_DIGITS, MAX_HEADER, MAX_RANK, TENSOR_DTYPES
from lstmconv_runtime.format.elementwise import BOOL, NUMBERS, OPERATIONS
from lstmconv_runtime.format.fields import FIELDS, READS, field
from lstmconv_runtime.format.graph import DTYPES, FLOATS, INTS, Node
from lstmconv_runtime.format.graph_json import MAX_INT, MAX_NODES
from lstmconv_runtime.format.nodes import NODES
from lstmconv_runtime.layers.activations import FUNCTIONS

# What a field's annotation in nodes.py means in JSON: its kind, whether it is a list, whether null may stand for it.
KINDS = {
    "str": ("text", False, False),
    "int": ("whole number", False, False),
    "int | None": ("whole number", False, True),
    "float": ("number", False, False),
    "bool": ("true or false", False, False),
    "Value": ("value", False, False),
    "Value | None": ("value", False, True),
    "tuple[Value, ...]": ("value", True, False),
    "tuple[int, ...]": ("whole number", True, False),
    "Shape": ("size or null", True, False),
    "Activation": ("activation", False, False),
}
TAKES = {FLOATS: "floats", NUMBERS: "numbers", BOOL: "bool", DTYPES: "any", INTS: "whole numbers"}


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def rules() -> list[tuple[str, str, str]]:
    """The MUST-reject list, from the head of bundle.py."""
    return re.findall(r"^(N\d\d)  (.*?)\s+(E_\w+)$", bundle.__doc__ or "", re.MULTILINE)


def rules_table() -> str:
    head = ("rule", "a reader MUST refuse a file when", "code")
    return table(head, [(rule, text, f"`{code}`") for rule, text, code in rules()])


# --- activations, operations ------------------------------------------------------------------------------------------


def formula(name: str) -> str:
    """The docstring of an activation's function."""
    function = FUNCTIONS[name]
    written = inspect.getdoc(function) if inspect.isfunction(function) else f"{name}(x)."
    return " ".join((written or "x.").split())


def activations_table() -> str:
    rows = [
        (f"`{name}`", ", ".join(f"`{c}`" for c in declared.constants), formula(name), *declared.at)
        for name, declared in ACTIVATIONS.items()
    ]
    return table(("name", "constants", "formula", "at −∞", "at ∞", "of NaN"), rows)


def constants_table() -> str:
    rows = [
        (f"`{name}`", f"`{key}`", _number_kind(number.whole), "yes" if number.nullable else "no", number.meaning)
        for name, declared in ACTIVATIONS.items()
        for key, number in declared.constants.items()
    ]
    return table(("activation", "constant", "kind", "null", "meaning"), rows)


def _number_kind(whole: bool) -> str:
    return "whole number" if whole else "number"


def elementwise_table() -> str:
    rows = [
        (f"`{name}`", str(o.arity), TAKES[o.takes], o.gives or "the same", o.formula, o.odd,
         o.whole or ("" if o.takes == BOOL else "none taken"))
        for name, o in OPERATIONS.items()
    ]  # fmt: skip
    return table(("op", "arguments", "dtypes", "gives", "formula", "NaN, ±∞, zeros", "whole numbers"), rows)


# --- nodes ------------------------------------------------------------------------------------------------------------


def fields_table() -> str:
    """Each declaration with the nodes it is of."""
    rows = []
    for key, declared in FIELDS.items():
        name = key.rpartition(".")[2]
        owners = [node for node in NODES.values() if name in node.FIELDS and field(node.__name__, name) is declared]
        owners = [node for node in owners if "." not in key or node.__name__ == key.partition(".")[0]]
        kinds = dict.fromkeys(_kind(node.FIELDS[name]) for node in owners)
        of = "every node" if len(owners) == len(NODES) else ", ".join(node.__name__ for node in owners)
        rows.append((f"`{name}`", of, "; ".join(kinds), _asked(key)))
    return table(("field", "of", "kind", "what may stand there"), rows)


def _kind(annotation: str) -> str:
    kind, many, nullable = KINDS[annotation]
    if many:
        kind = "list of values" if kind == "value" else f"list of {kind.replace('size', 'sizes')}"
        kind = kind.replace("whole number", "whole numbers")
    return f"{kind} or null" if nullable else kind


def _asked(key: str) -> str:
    declared = FIELDS[key]
    parts = [f"≥ {declared.least}".replace("-", "−")] if declared.least is not None else []
    parts += [declared.axes] if declared.axes else []
    if declared.texts:
        short = {DTYPES: "a dtype", FLOATS: "a floating point dtype", tuple(OPERATIONS): "see the table of operations"}
        parts.append(short.get(declared.texts) or ", ".join(f"`{text}`" for text in declared.texts))
    parts += [declared.rule] if declared.rule else []
    return "; ".join(parts)


def reads_table() -> str:
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, dtypes in READS.items():
        groups.setdefault(dtypes, []).append(name)
    return table(("read", "nodes"), [(TAKES[dtypes], ", ".join(names)) for dtypes, names in groups.items()])


def nodes_text() -> str:
    return "\n".join(_node_text(node) for node in NODES.values())


def _node_text(node: type[Node]) -> str:
    """One node: its docstring with the equations as code, its fields, its parameters."""
    text = re.sub(r"``(.+?)``", r"`\1`", inspect.getdoc(node) or "")
    common = [f"`{name}` ({_kind(kind)})" for name, kind in node.FIELDS.items() if name != "name"]
    parts = [f"#### {node.__name__}\n", f"{text}{_since_text(node)}\n"]
    parts.append(f"Fields: {', '.join(common)}.\n")
    if node.parameters is not Node.parameters:
        parts.append(f"Parameters: {_parameters_text(node)}.{_int8_text(node)}\n")
    if node.OUTPUTS != ("",):
        parts.append(f"Values: {', '.join(f'`name:{o}`' if o else '`name`' for o in node.OUTPUTS)}.\n")
    return "\n".join(parts)


def _since_text(node: type[Node]) -> str:
    first, cubes = _since(node, 1), _since(node, 3)
    if first != "1.0":
        return f"\n\nSince format {first}."
    return f"\n\nOver three axes of space since format {cubes}." if cubes != first else ""


def _since(node: type[Node], axes: int) -> str:
    """The version that first had a node over so many axes of space."""
    made = object.__new__(node)
    for name in node.FIELDS:
        object.__setattr__(made, name, (1,) * axes)
    return ".".join(map(str, made.since()))


class _Symbol(str):
    """A field standing for itself, so that `parameters` gives shapes in names instead of numbers."""

    def __floordiv__(self, other: object) -> _Symbol:
        return _Symbol(f"{self}/{other}")

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter((_Symbol(f"*{self}"),))


class _Flag:
    """A true setting that counts as one of the list it multiplies."""

    def __rmul__(self, other: list[str]) -> list[str]:
        return other

    def __bool__(self) -> bool:
        return True


def parameters(node: type[Node]) -> dict[str, tuple[list[str], list[str]]]:
    """Of every parameter: its shape in names of fields, one that stands for several sizes with a star, and the
    settings without which it is absent."""

    def shapes(off: str | None) -> dict[str, list[str]]:
        made = object.__new__(node)
        for name, kind in node.FIELDS.items():
            value: object = (False if name == off else _Flag()) if kind == "bool" else _Symbol(name)
            object.__setattr__(made, name, value)
        # A shape that is one field as it stands is all of that field's sizes.
        return {k: [f"*{s}"] if isinstance(s, str) else list(map(str, s)) for k, s in made.parameters().items()}

    every = shapes(None)
    flags = [name for name, kind in node.FIELDS.items() if kind == "bool"]
    absent = {flag: set(every) - set(shapes(flag)) for flag in flags}
    return {name: (shape, [flag for flag in flags if name in absent[flag]]) for name, shape in every.items()}


def _parameters_text(node: type[Node]) -> str:
    groups: dict[tuple[str, str], list[str]] = {}
    for name, (shape, flags) in parameters(node).items():
        listed = ", ".join(shape)
        written = listed[1:] if shape == ["*shape"] else f"({listed},)" if len(shape) == 1 else f"({listed})"
        groups.setdefault((written, " and ".join(f"`{flag}`" for flag in flags)), []).append(f"`{name}`")
    return "; ".join(
        f"{' '.join(names)} of shape `{shape}`" + (f", if {condition}" if condition else "")
        for (shape, condition), names in groups.items()
    )


def int8_axes(node: type[Node]) -> dict[str, int]:
    """Of every parameter that may be stored as int8, the axis of its scales."""
    return object.__new__(node).scaled()


def _int8_text(node: type[Node]) -> str:
    axes = int8_axes(node)
    if not axes:
        return ""
    along = {-1: "last", 0: "first"}[next(iter(axes.values()))]
    return (
        f" Since format 1.1 {' '.join(f'`{name}`' for name in axes)} may be int8, with scales along the {along} axis."
    )


# --- JSON -------------------------------------------------------------------------------------------------------------


def nodes_json() -> dict[str, Any]:
    return {
        "format": ".".join(map(str, bundle.FORMAT_VERSION)),
        "limits": {
            "nodes": MAX_NODES, "probes": bundle.MAX_PROBES, "header_bytes": MAX_HEADER, "rank": MAX_RANK,
            "whole_number": MAX_INT, "elements_per_row": bundle.MAX_ELEMENTS,
            "json_depth": MAX_DEPTH, "whole_number_characters": MAX_DIGITS,
        },
        "dtypes": {"floats": list(FLOATS), "whole": list(INTS), "bool": "bool"},
        "tensor_dtypes": TENSOR_DTYPES,
        "rules": [{"rule": rule, "refuse": text, "code": code} for rule, text, code in rules()],
        "nodes": {name: _node_json(node) for name, node in NODES.items()},
        "elementwise": {
            name: {
                "arguments": o.arity, "takes": list(o.takes), "gives": o.gives or None, "formula": o.formula,
                "odd": o.odd, "whole_numbers": o.whole,
            }
            for name, o in OPERATIONS.items()
        },
    }  # fmt: skip


def _node_json(node: type[Node]) -> dict[str, Any]:
    made: dict[str, Any] = {"since": _since(node, 1), "text": inspect.getdoc(node)}
    if _since(node, 3) != _since(node, 1):
        made["since_over_three_axes"] = _since(node, 3)
    if node.__name__ in READS:
        made["reads"] = list(READS[node.__name__])
    made["fields"] = {name: _field_json(node, name) for name in node.FIELDS}
    int8 = int8_axes(node)
    made["parameters"] = {
        name: {"shape": shape, "if": flags, **({"int8_scales_along": int8[name]} if name in int8 else {})}
        for name, (shape, flags) in parameters(node).items()
    }
    made["values"] = [f"name:{suffix}" if suffix else "name" for suffix in node.OUTPUTS]
    return made


def _field_json(node: type[Node], name: str) -> dict[str, Any]:
    kind, many, nullable = KINDS[node.FIELDS[name]]
    declared = field(node.__name__, name)
    made: dict[str, Any] = {"kind": kind, "list": many, "nullable": nullable}
    made |= {} if declared.least is None else {"least": declared.least}
    made |= {"texts": list(declared.texts)} if declared.texts else {}
    made |= {"axes": declared.axes} if declared.axes else {}
    return made | ({"rule": declared.rule} if declared.rule else {})


def activations_json() -> dict[str, Any]:
    return {
        name: {
            "constants": {
                key: {"kind": _number_kind(number.whole), "nullable": number.nullable, "meaning": number.meaning}
                for key, number in declared.constants.items()
            },
            "formula": formula(name),
            "at": dict(zip(("-inf", "inf", "nan"), declared.at, strict=True)),
        }
        for name, declared in ACTIVATIONS.items()
    }
