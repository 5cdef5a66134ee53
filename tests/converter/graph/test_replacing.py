"""Layers put in the place of a Lambda or a custom class; what must come out, Keras of the file's own age computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lstmconv
import lstmconv_runtime as lr
import numpy as np
import pytest
from legacy_vectors import ENTRIES, apart, arrays, model_path
from lstmconv.errors import InvalidFileError, UsageError
from lstmconv.exporting import convert
from lstmconv.reading import read_keras_file
from lstmconv.reading.layer_weights import DealtWeights, Spec

LAMBDAS = [entry for entry in ENTRIES if entry["case"] == "lambda_layer"]
TWICE_PLUS_ONE = {"class_name": "Rescaling", "config": {"scale": 2.0, "offset": 1.0}}


def export(entry: dict[str, Any], folder: Path, **replace: Any) -> lr.Model:
    lstmconv.export(model_path(entry), folder / "out.safetensors", replace=replace)
    return lr.load(folder / "out.safetensors")


@pytest.mark.parametrize("entry", LAMBDAS, ids=lambda entry: str(entry["env"]))
def test_a_replaced_lambda_computes_what_its_keras_computed(entry: dict[str, Any], tmp_path: Path) -> None:
    model = export(entry, tmp_path, double=TWICE_PLUS_ONE)
    inputs, outputs = arrays(entry)
    assert apart(model.predict(inputs), outputs) < 1e-6
    assert model.bundle.source["replaced"] == "double: Lambda by Rescaling"
    assert model.verify().ok


def test_a_functional_model_takes_the_place_of_a_lambda(tmp_path: Path) -> None:
    def call(layer: str) -> list[Any]:
        return [
            {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": [layer, 0, 0]}}], "kwargs": {}}
        ]

    source = {"class_name": "InputLayer", "name": "t", "config": {"batch_shape": [None, 3]}, "inbound_nodes": []}
    twice = {"name": "twice", "inbound_nodes": call("t"), **TWICE_PLUS_ONE}
    shift = {"name": "shift", "inbound_nodes": call("twice"), "class_name": "Rescaling",
             "config": {"scale": 1.0, "offset": -1.0}}  # fmt: skip
    config = {"layers": [source, twice, shift], "input_layers": [["t", 0, 0]], "output_layers": [["shift", 0, 0]]}
    for entry in LAMBDAS:
        model = export(entry, tmp_path, double={"class_name": "Functional", "config": config})
        inputs, (wanted,) = arrays(entry)
        assert apart(model.predict(inputs), [wanted - 1]) < 1e-6
        (tmp_path / "out.safetensors").unlink()


@pytest.mark.parametrize(
    ("name", "layer", "words"),
    [
        ("triple", TWICE_PLUS_ONE, "there is no layer 'triple' to replace; the model has double, lstm"),
        ("lstm", TWICE_PLUS_ONE, "of the class LSTM, which is converted as it is"),
        ("double", {"class_name": "Rescaling"}, "an object with class_name and config"),
        ("double", ["Rescaling"], "an object with class_name and config"),
        ("double", {"class_name": "Rescaling", "config": {"scale": float("nan")}}, "an object with class_name"),
    ],
)  # fmt: skip
def test_what_cannot_replace_is_named(name: str, layer: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        export(LAMBDAS[0], tmp_path, **{name: layer})
    assert not list(tmp_path.iterdir())


def test_a_replacement_that_is_not_supported_is_refused_like_any_layer(tmp_path: Path) -> None:
    with pytest.raises(lstmconv.errors.UnsupportedError, match=r"layer 'double' \(Rescaling\): .*'shift'"):
        export(LAMBDAS[0], tmp_path, double={"class_name": "Rescaling", "config": {"scale": 2.0, "shift": 1.0}})


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """A model with two custom classes that hold weights, one inside a nested model; and its file."""
    keras = pytest.importorskip("keras")

    class Projection(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def build(self, shape: Any) -> None:
            self.inner = keras.layers.Dense(4)
            self.inner.build(shape)
            self.slope = self.add_weight(shape=(1, 4), name="slope")

        def call(self, x: Any) -> Any:
            y = self.inner(x)
            return keras.ops.where(y > 0, y, self.slope * y)

    class Cell(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def build(self, shape: Any) -> None:
            self.b = self.add_weight(shape=(5,), name="b")
            self.w = self.add_weight(shape=(shape[-1], 5), name="w")

        def call(self, x: Any) -> Any:
            return x @ self.w + self.b

    keras.utils.set_random_seed(3)
    x = keras.Input((6, 3))
    inside = keras.Input((6, 4))
    nested = keras.Model(inside, Cell(name="cell")(inside), name="nested")
    h = Projection(name="projection")(keras.layers.LSTM(4, return_sequences=True)(x))
    model = keras.Model(x, keras.layers.GRU(3)(nested(h)))
    for weight in model.weights:
        weight.assign(np.random.default_rng(5).standard_normal(weight.shape) * 0.5)
    path = tmp_path_factory.mktemp("custom") / "model.keras"
    model.save(path)
    return keras, model, path


def dense(units: int, **options: Any) -> dict[str, Any]:
    return {"class_name": "Dense", "config": {"units": units, **options}}


def test_arrays_of_a_custom_class_are_dealt_by_shape(custom: tuple[Any, Any, Path], tmp_path: Path) -> None:
    """`nested.cell` keeps its bias before its kernel, `projection` the arrays of two layers."""
    keras, model, path = custom
    inside = keras.Input((6, 4))
    both = keras.Model(inside, keras.layers.PReLU(shared_axes=[1])(keras.layers.Dense(4)(inside)))
    replace = {"nested.cell": dense(5), "projection": keras.saving.serialize_keras_object(both)}
    lstmconv.export(path, tmp_path / "file.safetensors", replace=replace)
    lstmconv.export(model, tmp_path / "memory.safetensors", replace=replace)  # judged by Keras itself
    x = np.random.default_rng(6).standard_normal((2, 6, 3)).astype("float32")
    made = lr.load(tmp_path / "file.safetensors").predict(x)
    assert apart(made, [np.asarray(model(x))]) < 1e-6


@pytest.mark.parametrize(
    ("name", "layer", "words"),
    [
        ("projection", dense(4), r"'layers/projection/vars/0', which no layer has"),
        ("projection", dense(4, use_bias=False), "'layers/projection/"),
        ("nested.cell", dense(6), r"no array left of the shape of kernel, \(4, 6\); the layer it replaces has"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_named(
    name: str, layer: Any, words: str, custom: tuple[Any, Any, Path], tmp_path: Path
) -> None:
    keras, _, path = custom
    inside = keras.Input((6, 4))
    both = keras.Model(inside, keras.layers.PReLU(shared_axes=[1])(keras.layers.Dense(4)(inside)))
    fitting = {"nested.cell": dense(5), "projection": json.loads(both.to_json())}
    with pytest.raises(InvalidFileError, match=words):
        convert(read_keras_file(path), replace={**fitting, name: layer})


def test_arrays_of_one_shape_are_dealt_in_the_order_of_the_file_alone() -> None:
    held = {"a": (4, 4), "b": (4,), "c": (4, 4)}

    def deal(*specs: tuple[str, tuple[int, ...]]) -> list[str]:
        weights = DealtWeights(list(held.items()), lambda path: np.full(held[path], ord(path), "float32"))
        made = weights.take("layer", [Spec(*spec) for spec in specs])
        return [chr(int(array.flat[0])) for array in made.values()]

    assert deal(("kernel", (4, 4)), ("bias", (4,)), ("other", (4, 4))) == ["a", "b", "c"]
    with pytest.raises(InvalidFileError, match="kernel could be any of 2 arrays"):
        deal(("bias", (4,)), ("kernel", (4, 4)), ("other", (4, 4)))
    with pytest.raises(InvalidFileError, match="other could be any of 2 arrays"):
        deal(("kernel", (4, 4)), ("other", (4, 4)), ("bias", (4,)))
