"""The tables of FORMAT.md, nodes.json and activations.json say what the code does: each declaration is tried."""

from __future__ import annotations

import json
import re
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from lstmconv_runtime.format import bundle as bundle_module
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.activations import ACTIVATIONS
from lstmconv_runtime.format.elementwise import OPERATIONS
from lstmconv_runtime.format.fields import FIELDS, check_fields, field
from lstmconv_runtime.format.graph import DTYPES, LINEAR, Activation, DtypeError, GraphError, Node, Type, Value
from lstmconv_runtime.layers import activations, by_node
from paths import ROOT

TEXT = (ROOT / "runtime" / "FORMAT.md").read_text(encoding="utf-8")
NODES_JSON = json.loads((ROOT / "runtime" / "nodes.json").read_text(encoding="utf-8"))
ACTIVATIONS_JSON = json.loads((ROOT / "runtime" / "activations.json").read_text(encoding="utf-8"))


def rows(part: str) -> list[list[str]]:
    """The rows of a generated table of FORMAT.md, without the marks of code."""
    found = re.search(rf"<!-- generated: {part} -->\n(.*?)<!-- end -->", TEXT, re.DOTALL)
    assert found is not None
    lines = found[1].splitlines()[2:]
    return [[cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_three_name_the_same() -> None:
    """FORMAT.md, the JSON files and the code have the same nodes, fields, operations, activations and rules."""
    assert re.findall(r"^#### (\w+)$", TEXT, re.MULTILINE) == list(NODES_JSON["nodes"]) == list(n.NODES)
    for name, node in n.NODES.items():
        assert list(NODES_JSON["nodes"][name]["fields"]) == list(node.FIELDS)
    table = {(field_, node) for field_, of, *_ in rows("fields") for node in of.split(", ")}
    for name, node in n.NODES.items():
        for key in node.FIELDS:
            assert (key, name) in table or (key, "every node") in table, (key, name)
    assert [row[0] for row in rows("elementwise")] == list(NODES_JSON["elementwise"]) == list(OPERATIONS)
    assert set(OPERATIONS) == set(by_node.ELEMENTWISE)
    assert [row[0] for row in rows("activations")] == list(ACTIVATIONS_JSON) == list(ACTIVATIONS)
    assert set(ACTIVATIONS) == set(activations.FUNCTIONS)
    constants = [(name, key) for name, declared in ACTIVATIONS.items() for key in declared.constants]
    assert [(row[0], row[1]) for row in rows("constants")] == constants
    assert [[rule["rule"], rule["code"]] for rule in NODES_JSON["rules"]] == [[row[0], row[2]] for row in rows("rules")]
    assert NODES_JSON["format"] == ".".join(map(str, bundle_module.FORMAT_VERSION))


def test_every_declaration_is_of_a_field() -> None:
    for key in FIELDS:
        kind, _, name = key.rpartition(".")
        assert any(name in node.FIELDS for node in ([n.NODES[kind]] if kind else n.NODES.values())), key


# --- fields -----------------------------------------------------------------------------------------------------------


def plain(kind: str) -> Node:
    """A node of a class, its fields as plain as they may be, reading x wherever it reads anything."""
    usual: dict[str, Any] = {
        "str": "t", "int": 1, "int | None": None, "float": 0.5, "bool": False, "Value": "x", "Value | None": None,
        "tuple[Value, ...]": ("x",), "tuple[int, ...]": (1,), "Shape": (None, 1), "Activation": LINEAR,
    }  # fmt: skip
    given = {name: usual[annotation] for name, annotation in n.NODES[kind].FIELDS.items()}
    for name in given:
        texts = field(kind, name).texts
        if texts:
            given[name] = texts[0]
    return n.NODES[kind](**given)


EVERY_FIELD = [(kind, name) for kind, node in n.NODES.items() for name in node.FIELDS]


@pytest.mark.parametrize(("kind", "name"), EVERY_FIELD)
def test_a_field_takes_what_its_table_says(kind: str, name: str) -> None:
    node, declared = plain(kind), NODES_JSON["nodes"][kind]["fields"][name]
    check_fields(node)
    wrong: list[Any] = []
    if "least" in declared:
        right, wrong = [declared["least"]], [declared["least"] - 1]
    elif "texts" in declared:
        right, wrong = declared["texts"], ["", declared["texts"][0].upper()]
    else:
        right = [-5] if declared["kind"] == "whole number" else []
    for values, fits in ((right, True), (wrong, False)):
        for value in values:
            changed = node.replace(**{name: (value,) if declared["list"] else value})
            if fits:
                check_fields(changed)
            else:
                with pytest.raises(GraphError, match=f"field {name}"):
                    check_fields(changed)


def with_axis() -> list[Node]:
    """Of every node that names an axis, one that reads x (B, 2, 2, 2)."""
    made: list[Node] = [
        n.BatchNorm(name="y", x="x", weights="y", axis=1, size=2, epsilon=0.1, scale=True, center=True),
        n.GroupNorm(name="y", x="x", weights="y", axis=1, size=2, groups=1, epsilon=0.1, scale=True, center=True),
        n.LayerNorm(
            name="y", x="x", weights="y", axes=(1,), shape=(2,), epsilon=0.1, scale=True, center=True, rms=False
        ),
        n.Reduce(name="y", x="x", op="sum", axes=(1,), keepdims=False),
        n.Concatenate(name="y", args=("x", "x"), axis=1),
        n.Squeeze(name="y", x="one", axis=1),
        n.ExpandDims(name="y", x="x", axis=1),
        n.Slice(name="y", x="x", axis=1, start=0, stop=1, step=1),
        n.Flip(name="y", x="x", axis=1),
        n.Repeat(name="y", x="x", axis=1, count=2),
        n.CumSum(name="y", x="x", axis=1),
        n.ArgReduce(name="y", x="x", op="max", axis=1),
        n.Take(name="y", x="x", axis=1, indices=(0,)),
    ]
    return made


TYPES: dict[Value, Type] = {"x": Type((None, 2, 2, 2), "float32"), "one": Type((None, 1, 1, 1), "float32")}


def legal_axes(node: Node, name: str) -> list[int]:
    """Those of −5 … 5 that a node takes."""
    found = []
    for axis in range(-5, 6):
        try:
            node.replace(**{name: axis if name == "axis" else (axis,)}).infer(TYPES)
            found.append(axis)
        except (GraphError, IndexError):
            pass
    return found


@pytest.mark.parametrize("node", with_axis(), ids=lambda node: type(node).__name__)
def test_axes_are_those_declared(node: Node) -> None:
    name = "axis" if "axis" in node.FIELDS else "axes"
    declared = field(type(node).__name__, name).axes
    assert legal_axes(node, name) == {"1 … r − 1": [1, 2, 3], "1 … r": [1, 2, 3, 4]}[declared]


def test_every_node_with_an_axis_is_tried() -> None:
    declared = {kind for kind, node in n.NODES.items() for name in node.FIELDS if field(kind, name).axes}
    assert declared - {"Transpose"} == {type(node).__name__ for node in with_axis()}


def test_transpose_has_every_axis_once_and_the_batch_first() -> None:
    legal = [axes for axes in product(range(-4, 5), repeat=4) if takes_axes(axes)]
    assert sorted(legal) == sorted((0, *axes) for axes in permutations((1, 2, 3)))


def takes_axes(axes: tuple[int, ...]) -> bool:
    try:
        n.Transpose(name="y", x="x", axes=axes).infer(TYPES)
    except GraphError:
        return False
    return True


@pytest.mark.parametrize("axes", [(2, 1), (1, 1)])
def test_axes_rise(axes: tuple[int, ...]) -> None:
    for node in with_axis():
        if "axes" in node.FIELDS:
            shape = {"shape": (2, 2)} if "shape" in node.FIELDS else {}
            node.replace(axes=(1, 2), **shape).infer(TYPES)
            with pytest.raises(GraphError, match="do not rise"):
                node.replace(axes=axes, **shape).infer(TYPES)


# --- operations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPERATIONS)
def test_an_operation_takes_and_gives_what_its_row_says(op: str) -> None:
    row = next(row for row in rows("elementwise") if row[0] == op)
    shorts = {"floats": DTYPES[:4], "numbers": DTYPES[:11], "bool": ("bool",), "any": DTYPES}
    for arity, dtype in product((1, 2, 3), DTYPES):
        node, types = n.Elementwise(name="y", op=op, args=("x",) * arity), {"x": Type((None, 2), dtype)}
        if str(arity) != row[1]:
            with pytest.raises(GraphError, match="arguments"):
                node.infer(types)
        elif dtype not in shorts[row[2]]:
            with pytest.raises(DtypeError, match=dtype):
                node.infer(types)
        else:
            assert node.infer(types) == (Type((None, 2), dtype if row[3] == "the same" else row[3]),)


# --- activations ------------------------------------------------------------------------------------------------------

CONSTANTS: list[dict[str, float | None]] = [
    {"max_value": None, "negative_slope": 0.0, "threshold": 0.0},
    {"max_value": 6.0, "negative_slope": 0.25, "threshold": 0.0},
    {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.5},
    {"max_value": None, "negative_slope": 0.25, "threshold": 0.5},
]
OTHERS: dict[str, float | None] = {
    "slope": 0.2, "offset": 0.5, "alpha": 0.7, "b": 3.0, "axis": 1, "default_value": -0.3, "threshold": 0.5,
}  # fmt: skip
NUMBERS = {"−∞": -np.inf, "∞": np.inf, "NaN": np.nan, "0": 0.0, "1": 1.0, "−1": -1.0, "−1.75809934": -1.75809934}


def said(words: str, constants: dict[str, float | None]) -> float:
    """The number that a cell of the table stands for, with these constants."""
    words = words.partition(" in ")[0] if " in " in words else words
    if "; −∞ for negative_slope > 0" in words:
        words = "−∞" if constants["negative_slope"] else "0"
    if "∞, or max_value" in words:
        words = "∞" if constants["max_value"] is None else "max_value"
    if "; 0 for threshold ≠ 0 without negative_slope" in words:
        words = "0" if constants["threshold"] and not constants["negative_slope"] else "NaN"
    if words in NUMBERS:
        return NUMBERS[words]
    sign, name = (-1, words[1:]) if words.startswith("−") else (1, words)
    return sign * float(constants[name] or 0)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name not in ("glu", "sparsemax")])
def test_values_at_the_ends(name: str) -> None:
    row = next(row for row in rows("activations") if row[0] == name)
    assert tuple(row[3:]) == ACTIVATIONS[name].at == tuple(ACTIVATIONS_JSON[name]["at"].values())
    for constants in CONSTANTS if name == "relu" else [{key: OTHERS[key] for key in ACTIVATIONS[name].constants}]:
        function = activations.function(Activation(name, tuple(constants.items())))
        for words, x in zip(row[3:], (-np.inf, np.inf, np.nan), strict=True):
            with np.errstate(all="ignore"):
                made = function(np.array([[x, 0.5, 1, -2]], np.float32))[0, 0]
            np.testing.assert_allclose(made, said(words, constants), rtol=1e-6, err_msg=f"{constants} at {x}")


def test_glu_at_the_ends() -> None:
    """a σ(b): in a what is there, in b the ends of the sigmoid."""
    assert ACTIVATIONS["glu"].at == ("0 in b, −∞ in a", "a in b, ∞ in a", "NaN")
    glu = activations.function(Activation("glu", (("axis", 1),)))
    with np.errstate(all="ignore"):
        ends = [[[x, 2.0]] for x in (-np.inf, np.inf, np.nan)] + [[[2.0, x]] for x in (-np.inf, np.inf, np.nan)]
        made = [float(glu(np.array(row, np.float32))[0, 0]) for row in ends]
    np.testing.assert_array_equal(made, [-np.inf, np.inf, np.nan, 0, 2, np.nan])


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sparsemax"])
def test_minus_infinity_leaves_the_other_places_alone(name: str) -> None:
    function = activations.function(Activation(name, (("axis", 1),)))
    others = np.array([[0.5, 1, -2]], np.float32)
    with np.errstate(all="ignore"):
        made = function(np.concatenate([np.full((1, 1), -np.inf, np.float32), others], axis=1))
        np.testing.assert_allclose(made[:, 1:], function(others), rtol=1e-6)
    assert made[0, 0] == (-np.inf if name == "log_softmax" else 0)
