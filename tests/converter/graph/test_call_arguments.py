"""Nothing in a call goes unnoticed: what no handler reads is refused, and so is what stands where a tensor should.

The files are those of the parity vectors with one argument put into a call, so that all else in them is right.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from lstmconv.errors import InvalidFileError, LstmconvError, UnsupportedError
from lstmconv.exporting import understand
from lstmconv.graph.building import Builder
from lstmconv.graph.convert import convert_config
from lstmconv.graph.functional import decode
from lstmconv.history.dialects.inbound_nodes import array, arrays_of_layer, todays_call
from lstmconv.reading import KerasFile, parse_keras_file
from vector_files import NAMES, read_vector

ARRAY = {"class_name": "__numpy__", "config": {"value": [[1.0, 2.0]], "dtype": "float32"}}


def calls(item: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every call in a model's config: what is called, its config, the call."""
    for layer in item["config"]["layers"]:
        kind = f"{layer.get('module')}.{layer['class_name']}"
        for call in layer.get("inbound_nodes", []):
            if call["args"]:
                yield kind, layer, call
        if "layers" in layer["config"]:
            yield from calls(layer)


def kinds() -> dict[str, str]:
    """By kind of layer, model or operation, the smallest vector that calls one in a functional model."""
    found: dict[str, str] = {}
    for name in sorted(NAMES, key=lambda name: len(read_vector(name).keras_file)):
        for kind, _, _ in calls(read_vector(name).config):
            found.setdefault(kind, name)
    return found


KINDS = kinds()


def converted(name: str, config: Any) -> None:
    """Converts the vector with another config, which has the same weights."""
    file = parse_keras_file(read_vector(name).keras_file, "the file")
    known = understand(KerasFile(**{**vars(file), "config": config}))
    convert_config(known.config, known.weights, Builder(known.semantics))


@pytest.mark.parametrize("kind", KINDS)
def test_an_argument_that_is_not_read_is_refused(kind: str) -> None:
    """By name, by position, and whatever it is: an array, a number, a tensor, something in a list."""
    name = KINDS[kind]
    vector = read_vector(name)
    reference = next(call for _, _, call in calls(vector.config))["args"][0]
    for value in (ARRAY, 3, [None, ARRAY], reference):
        config = copy.deepcopy(vector.config)
        call = next(call for found, _, call in calls(config) if found == kind)
        call["kwargs"]["surprise"] = value
        with pytest.raises(UnsupportedError, match="surprise"):
            converted(name, config)
        config = copy.deepcopy(vector.config)
        call = next(call for found, _, call in calls(config) if found == kind)
        call["args"] += [None] * (12 - len(call["args"])) + [value]
        with pytest.raises(LstmconvError):
            converted(name, config)


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_that_hold_nothing_are_fine(kind: str) -> None:
    name = KINDS[kind]
    config = copy.deepcopy(read_vector(name).config)
    call = next(call for found, _, call in calls(config) if found == kind)
    call["kwargs"]["surprise"] = [None, {"inner": None}]
    converted(name, config)


@pytest.mark.parametrize(
    ("case", "argument"),
    [
        ("constants-states", "initial_state"), ("constants-masks", "mask"), ("constants-attention", "attention_mask"),
        ("constants-attention", "value_mask"), ("constants-attention", "mask"), ("constants-merged", None),
        ("constants-nested-model", None),
    ],
)  # fmt: skip
def test_what_stands_where_a_tensor_should_is_refused(case: str, argument: str | None) -> None:
    """A number, a text, an object of a class nobody knows, an array that is none or of a dtype nobody has."""
    of = {"class_name": "__numpy__"}
    wrong = [
        1.5, "x", {"class_name": "Mystery", "config": {}},
        {**of, "config": {"value": [[1.0], [1.0, 2.0]], "dtype": "float32"}},
        {**of, "config": {"value": "text", "dtype": "float32"}},
        {**of, "config": {"value": [[1.0, 2.0]], "dtype": "complex64"}},
        {**of, "config": {"value": [[300]], "dtype": "uint8"}},
    ]  # fmt: skip
    for value in wrong:
        config = copy.deepcopy(read_vector(case).config)
        for _, _, call in calls(config):
            place = call["args"] if argument is None else call["kwargs"].get(argument)
            if argument is None and isinstance(place[0], list):
                place[0][-1] = value
            elif isinstance(place, list) and argument is not None:
                place[-1] = value
            elif argument is not None and place is not None:
                call["kwargs"][argument] = value
        with pytest.raises((UnsupportedError, InvalidFileError)):
            converted(case, config)


def test_lists_of_different_lengths_are_no_array() -> None:
    """Whatever the layer would ask of it: a mutant had its number of axes taken."""
    ragged = {"class_name": "__numpy__", "config": {"value": [[1.0], [1.0, 2.0]], "dtype": "float32"}}
    with pytest.raises(InvalidFileError, match="different lengths"):
        decode("layer 'x'", ragged, lambda reference: pytest.fail(str(reference)))


def test_the_training_argument_is_a_switch() -> None:
    config = copy.deepcopy(read_vector("constants-fixed-batch").config)
    next(call for _, _, call in calls(config))["kwargs"]["training"] = ARRAY
    with pytest.raises(UnsupportedError, match="training"):
        converted("constants-fixed-batch", config)


# --- the lists of numbers of tf.keras 2 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "dtype"), [([[1.0, 2]], "float32"), ([1, 2], "int32"), ([[True, False]], "bool"), ([], "float32")]
)
def test_a_list_of_numbers_is_an_array(numbers: Any, dtype: str) -> None:
    assert array(numbers) == {"class_name": "__numpy__", "config": {"value": numbers, "dtype": dtype}}


@pytest.mark.parametrize("value", [1.5, None, "x", [1, None], [[1.0], "x"], {"a": 1}])
def test_anything_else_is_left_as_it_is(value: Any) -> None:
    assert array(value) == value


@pytest.mark.parametrize(
    ("cls", "config", "argument", "value", "ranks"),
    [
        ("GRU", {}, "initial_state", [[0.0, 0.0]], 2),
        ("GRU", {}, "initial_state", [[[0.0, 0.0]]], [2]),
        ("LSTM", {}, "initial_state", [[[0.0, 0.0]], [[1.0, 1.0]]], [2, 2]),
        ("RNN", {}, "initial_state", [[[[0.0]], [[1.0]]], [[2.0]]], [[2, 2], 2]),
        ("ConvLSTM2D", {}, "initial_state", [[[[[0.0]]]], [[[[0.0]]]]], [4, 4]),
        ("Bidirectional", {"layer": {"class_name": "ConvLSTM1D"}}, "initial_state", [[[[0.0]]], [[[0.0]]]], [3, 3]),
        ("LSTM", {}, "mask", [[True, False]], 2),
        ("Attention", {}, "mask", [None, [[True, False]]], [None, 2]),
        ("Attention", {}, "mask", [[[True]], [[False]]], [2, 2]),
        ("Softmax", {}, "mask", [[[True, False]]], 3),
        ("MultiHeadAttention", {}, "attention_mask", [[1.0, 0.0]], 2),
    ],
)
def test_where_an_array_begins_follows_from_its_rank(
    cls: str, config: Any, argument: str, value: Any, ranks: Any
) -> None:
    def rank(item: Any) -> Any:
        if isinstance(item, dict):
            depth, inner = 0, item["config"]["value"]
            while isinstance(inner, list):
                depth, inner = depth + 1, inner[0]
            return depth
        return [rank(one) for one in item] if isinstance(item, list) else item

    assert rank(arrays_of_layer(cls, config, {argument: value})[argument]) == ranks


def test_an_array_among_the_inputs_of_a_call() -> None:
    node = [["x", 0, 0, {}], ["_CONSTANT_VALUE", -1, [[1.0]], {}]]
    (inputs,) = todays_call("layer 'add'", "Add", {}, node, {"x"})["args"]
    assert inputs[0]["class_name"] == "__keras_tensor__"
    assert inputs[1] == array([[1.0]])
