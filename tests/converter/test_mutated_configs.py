"""Malformed configs: 2,000 random changes of real ones, and those known to have ended in a bug."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from config_mutants import run, sound_error, subjects
from legacy_vectors import release
from lstmconv.doctor.examine import report, report_text
from lstmconv.errors import InvalidFileError, LstmconvError
from lstmconv.exporting import convert
from lstmconv.graph.building import Builder
from lstmconv.history.semantics import semantics_of
from lstmconv.reading import KerasFile, parse_keras_file
from lstmconv.upgrading.file import planned


@pytest.mark.parametrize("part", range(4))
def test_only_our_errors_or_sound_bundles(part: int) -> None:
    """Four parts, for as many processes."""
    outcome = run(range(500 * part, 500 * (part + 1)))
    assert not outcome.faults, "\n".join(line for line, _ in outcome.faults)
    assert outcome.ends["converted"] > 50 and outcome.ends["E_CONFIG_TYPE"] > 50


@pytest.mark.long
def test_twenty_thousand() -> None:
    outcome = run(range(2000, 22_000))
    assert not outcome.faults, "\n".join(line for line, _ in outcome.faults)


def test_the_configs_are_of_all_ages() -> None:
    folders = {subject.name.partition("/")[0] for subject in subjects() if "/" in subject.name}
    assert {"k122", "k208", "k224", "tf22", "tf24", "tf213", "tf215", "k3"} <= folders
    assert any(subject.beside for subject in subjects())


# --- malformed in one place -------------------------------------------------------------------------------------------


def layers(config: Any) -> Any:
    return config["config"]["layers"]


def layer(config: Any, class_name: str) -> Any:
    return next(item for item in layers(config) if item["class_name"] == class_name)


def no_input_config(config: Any) -> None:
    del layer(config, "InputLayer")["config"]


def no_shape(config: Any) -> None:
    layer(config, "InputLayer")["config"]["batch_shape"] = []


def layers_a_number(config: Any) -> None:
    config["config"]["layers"] = 3


def layer_a_text(config: Any) -> None:
    layers(config)[0] = "lstm"


def input_twice(config: Any) -> None:
    entries = config["config"]["input_layers"]
    config["config"]["input_layers"] = [["x", 0, 0], ["x", 0, 0]] if type(entries[0]) is str else [*entries, entries[0]]


def no_outputs(config: Any) -> None:
    config["config"]["output_layers"] = []


def outputs_a_number(config: Any) -> None:
    config["config"]["output_layers"] = 3


def negative_reference(config: Any) -> None:
    config["config"]["output_layers"] = [["dense", -1, 0]]


def wraps_nothing(config: Any) -> None:
    layer(config, "Bidirectional")["config"]["layer"] = None


def wraps_a_text(config: Any) -> None:
    layer(config, "Bidirectional")["config"]["layer"] = "LSTM"


def same_name(config: Any) -> None:
    layers(config).append(copy.deepcopy(layers(config)[-1]))


def name_a_list(config: Any) -> None:
    layers(config)[-1]["config"]["name"] = ["dense"]


def huge_units(config: Any) -> None:
    layer(config, "LSTM")["config"]["units"] = 2**20


def function_an_object(config: Any) -> None:
    layer(config, "TFOpLambda")["config"]["function"] = {"class_name": "math.add"}


def calls_a_number(config: Any) -> None:
    layers(config)[-1]["inbound_nodes"] = 3


def call_a_number(config: Any) -> None:
    layers(config)[-1]["inbound_nodes"] = [3]


def huge_padding(config: Any) -> None:
    layer(config, "ZeroPadding3D")["config"]["padding"] = [[2**20, 2**20], [1, 1], [1, 1]]


MALFORMED: list[tuple[str, Callable[[Any], None], str]] = [
    ("k3/functional.keras", no_input_config, "E_CONFIG_TYPE"),
    ("k3/functional.keras", no_shape, "E_CONFIG_TYPE"),
    ("k3/lstm.keras", no_shape, "E_CONFIG_TYPE"),
    ("k122/functional.h5", no_input_config, "E_CONFIG_TYPE"),
    ("k3/lstm.keras", layers_a_number, "E_CONFIG_TYPE"),
    ("k3/functional.keras", layers_a_number, "E_CONFIG_TYPE"),
    ("k224/lstm.h5", layers_a_number, "E_CONFIG_TYPE"),
    ("k122/functional.h5", layers_a_number, "E_CONFIG_TYPE"),
    ("k3/lstm.keras", layer_a_text, "E_CONFIG_TYPE"),
    ("k122/functional.h5", layer_a_text, "E_CONFIG_TYPE"),
    ("k3/functional.keras", input_twice, "E_GRAPH"),
    ("k122/functional.h5", input_twice, "E_GRAPH"),
    ("k3/functional.keras", no_outputs, "E_GRAPH"),
    ("k3/functional.keras", outputs_a_number, "E_CONFIG_TYPE"),
    ("k3/functional.keras", negative_reference, "E_GRAPH"),
    ("k3/bidirectional.keras", wraps_nothing, "E_CONFIG_TYPE"),
    ("k3/bidirectional.keras", wraps_a_text, "E_CONFIG_TYPE"),
    ("k3/lstm.keras", same_name, "E_GRAPH"),
    ("k224/lstm.h5", same_name, "E_GRAPH"),
    ("k3/lstm.keras", name_a_list, "E_CONFIG_TYPE"),
    ("k224/lstm.h5", huge_units, "E_WEIGHT_SHAPE"),
    ("tf24/functions.h5", function_an_object, "E_UNSUPPORTED_OPERATION"),
    ("k3/functional.keras", calls_a_number, "E_CONFIG_TYPE"),
    ("k122/functional.h5", call_a_number, "E_GRAPH"),
    ("k3/functional.keras", call_a_number, "E_GRAPH"),
    ("tf215/volumes.keras", huge_padding, "E_LIMIT_SIZE"),
]


@pytest.mark.parametrize(("name", "change", "code"), MALFORMED, ids=lambda value: getattr(value, "__name__", value))
def test_a_malformed_config_is_an_error_everywhere(name: str, change: Callable[[Any], None], code: str) -> None:
    data = (release(name.partition("/")[0]) / name.partition("/")[2]).read_bytes()
    config = copy.deepcopy(parse_keras_file(data, "x").config)
    change(config)
    for use in (convert, planned, page):
        with pytest.raises(LstmconvError) as caught:
            use(replace(parse_keras_file(data, "x"), config=config))
        assert sound_error(caught.value) == code


def page(file: KerasFile) -> None:
    """Raises what doctor raises, or an error of the first code that its page shows."""
    found = report(file, Path("x"))
    raise LstmconvError(report_text(found).splitlines()[0], found["obstacles"][0]["code"])


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(1e300, "float32"), (10**39, "float32"), (0.5, "int32"), (300, "int8"), ([[1], [1, 2]], "float32"), ("x", "int8")],
)
def test_a_constant_that_its_dtype_does_not_hold_is_an_error(value: Any, dtype: str) -> None:
    with pytest.raises(InvalidFileError, match="layer 'x'"):
        Builder(semantics_of("3.15.1")).constant("layer 'x'", "constant", value, dtype)
