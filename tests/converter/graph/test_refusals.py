"""What is not supported is refused by the name of the layer, its class and the option, and nothing is written.

The files are those of the parity vectors with one setting changed, so that all else in them is right.
"""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import lstmconv
import pytest
from lstmconv.errors import LstmconvError, UnsupportedError
from lstmconv.graph.keras_classes import ADVICE, HANDLERS
from lstmconv.graph.keras_functions import OPERATIONS
from refusals import QUANTISED, REFUSED, UNSUPPORTED_CLASSES, Refused
from vector_files import NAMES, Vector, classes, read_vector

SETTINGS = [(name, refused) for name, table in REFUSED.items() for refused in table]
OUTER: set[str] = set()  # classes found outside others
INSIDE = ("LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells")


@lru_cache
def holders() -> dict[str, Vector]:
    """By class, the smallest vector with such a layer, not inside another if there is one."""
    found: dict[str, Vector] = {}
    for vector in sorted(map(read_vector, NAMES), key=lambda vector: len(vector.keras_file)):
        outer = {item["class_name"] for item in vector.config["config"]["layers"] if item["module"] == "keras.layers"}
        for cls in classes(vector.config):
            if cls not in found or (cls in outer and cls not in OUTER):
                found[cls] = vector
        OUTER.update(outer)
    return found


def items(config: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object in a model's config."""
    if isinstance(config, list):
        for item in config:
            yield from items(item)
    elif isinstance(config, dict):
        if isinstance(config.get("config"), dict) and "class_name" in config:
            yield config
        for item in config.values():
            yield from items(item)


def changed(cls: str) -> tuple[Vector, Any, dict[str, Any]]:
    """A vector with a layer of the class, a copy of its config, and the layer in that copy."""
    vector = holders()[cls]
    config = copy.deepcopy(vector.config)
    layer = next(item for item in items(config) if item["class_name"] == cls and item.get("module") != "builtins")
    return vector, config, layer


def written(vector: Vector, config: Any, folder: Path) -> Path:
    """The vector's archive with another config."""
    path = folder / "model.keras"
    with zipfile.ZipFile(io.BytesIO(vector.keras_file)) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, json.dumps(config) if name == "config.json" else old.read(name))
    return path


def refusal(path: Path, folder: Path) -> UnsupportedError:
    """The error of exporting a file, once it is certain that nothing was written."""
    before = sorted(folder.iterdir())
    with pytest.raises(LstmconvError) as caught:
        lstmconv.export(path, folder / "model.safetensors")
    assert sorted(folder.iterdir()) == before
    assert isinstance(caught.value, UnsupportedError), caught.value
    return caught.value


def setting_id(case: tuple[str, Refused]) -> str:
    return f"{case[0]}-{case[1].option}-{case[1].value if not isinstance(case[1].value, dict) else 'object'}"


@pytest.mark.parametrize(("cls", "refused"), SETTINGS, ids=map(setting_id, SETTINGS))
def test_a_setting_is_refused_by_name(cls: str, refused: Refused, tmp_path: Path) -> None:
    vector, config, layer = changed(cls)
    layer["config"][refused.option] = refused.value
    message = str(refusal(written(vector, config, tmp_path), tmp_path))
    if cls not in INSIDE:
        assert f"layer '{layer['config']['name']}' ({cls})" in message
    assert cls in message
    assert refused.option in message


@pytest.mark.parametrize("cls", [*HANDLERS, *INSIDE])
def test_an_unknown_option_is_refused(cls: str, tmp_path: Path) -> None:
    vector, config, layer = changed(cls)
    layer["config"]["mystery"] = 1
    message = str(refusal(written(vector, config, tmp_path), tmp_path))
    assert f"({cls})" in message
    assert "option 'mystery'" in message


@pytest.mark.parametrize("cls", HANDLERS)
@pytest.mark.parametrize("dtype", ["int8", "complex64", QUANTISED], ids=["int8", "complex64", "quantised"])
def test_a_dtype_is_refused(cls: str, dtype: Any, tmp_path: Path) -> None:
    vector, config, layer = changed(cls)
    layer["config"]["dtype"] = dtype
    message = str(refusal(written(vector, config, tmp_path), tmp_path))
    assert "dtype" in message
    assert f"({cls})" in message


@pytest.mark.parametrize("cls", [*HANDLERS, *INSIDE])
@pytest.mark.parametrize(
    "spoof",
    [{"registered_name": "my_package>Layer"}, {"module": "my_package.layers"}, {"module": "my_package.layers",
     "registered_name": "my_package>Layer"}],
    ids=["registered name", "module", "both"],
)  # fmt: skip
def test_a_custom_class_of_a_known_name_is_refused(cls: str, spoof: dict[str, Any], tmp_path: Path) -> None:
    vector, config, layer = changed(cls)
    layer |= spoof
    message = str(refusal(written(vector, config, tmp_path), tmp_path))
    assert cls in message
    if cls not in INSIDE:
        assert layer["config"]["name"] in message


@pytest.mark.parametrize("cls", UNSUPPORTED_CLASSES)
def test_a_class_without_a_handler_is_refused(cls: str, tmp_path: Path) -> None:
    vector, config, layer = changed("Dense")
    name = layer["config"]["name"]
    layer |= {"class_name": cls, "registered_name": None}
    error = refusal(written(vector, config, tmp_path), tmp_path)
    assert error.code == "E_UNSUPPORTED_LAYER"
    assert str(error).startswith(f"layer '{name}' ({cls}): ")
    if cls == "Lambda":
        assert 'replace={"' in str(error)
    elif cls in ADVICE:
        assert "export the model that begins behind it" in str(error)
    else:
        assert "lstmconv doctor --layers" in str(error) and len(str(error)) < 200


@pytest.mark.parametrize("module", ["builtins", "my.layers", None])
def test_a_class_of_somebodys_own_is_called_so(module: str | None, tmp_path: Path) -> None:
    """Before Keras 3 no module is written, and the name alone tells."""
    vector, config, layer = changed("Dense")
    layer |= {"class_name": "MyDense", "module": module, "registered_name": "MyDense"}
    error = refusal(written(vector, config, tmp_path), tmp_path)
    assert error.code == "E_CUSTOM_OBJECT"
    assert str(error).startswith(f"layer '{layer['config']['name']}' (MyDense): a custom class")
    assert len(error.reason) < 200


INPUTS = [("sparse", True), ("ragged", True), ("optional", True), ("dtype", "string"), ("dtype", "complex64"),
          ("mystery", 1)]  # fmt: skip


@pytest.mark.parametrize(("option", "value"), INPUTS)
def test_an_input_is_refused(option: str, value: Any, tmp_path: Path) -> None:
    vector, config, layer = changed("InputLayer")
    layer["config"][option] = value
    message = str(refusal(written(vector, config, tmp_path), tmp_path))
    assert f"input '{layer['config']['name']}'" in message
    assert option in message


@pytest.mark.parametrize("key", OPERATIONS, ids=".".join)
def test_an_operation_with_an_unknown_option_is_refused(key: tuple[str, str], tmp_path: Path) -> None:
    module, cls = key
    vector = holders()[f"{module}.{cls}"]
    config = copy.deepcopy(vector.config)
    item = next(i for i in items(config) if i["class_name"] == cls and i["module"] == f"keras.src.ops.{module}")
    item["config"]["mystery"] = 1
    message = str(refusal(written(vector, config, tmp_path), tmp_path))
    assert "option 'mystery'" in message
    assert f"{module}.{cls}" in message


def test_an_unknown_operation_is_refused(tmp_path: Path) -> None:
    vector = holders()["numpy.Exp"]
    config = copy.deepcopy(vector.config)
    item = next(i for i in items(config) if i["class_name"] == "Exp")
    item["class_name"] = "Cumprod"
    message = str(refusal(written(vector, config, tmp_path), tmp_path))
    assert "numpy.Cumprod): this operation is not supported" in message


@pytest.mark.parametrize("cls", ["LSTM", "Bidirectional", "BatchNormalization"])
def test_training_is_refused_where_it_changes_the_result(cls: str, tmp_path: Path) -> None:
    vector, config, layer = changed(cls)
    inner = layer["config"].get("layer", layer)
    inner["config"]["recurrent_dropout" if "recurrent_dropout" in inner["config"] else "momentum"] = 0.3
    assert layer["inbound_nodes"]
    for node in layer["inbound_nodes"]:
        node["kwargs"]["training"] = True
    message = str(refusal(written(vector, config, tmp_path), tmp_path))
    assert f"layer '{layer['config']['name']}' ({cls}): called with training=True" in message


def test_nested_outputs_are_refused(tmp_path: Path) -> None:
    """predict of such a model returns a list in a list."""
    vector = read_vector("lstm-state")
    config = copy.deepcopy(vector.config)
    first, *others = config["config"]["output_layers"]
    config["config"]["output_layers"] = [first, others]
    assert "its outputs are nested" in str(refusal(written(vector, config, tmp_path), tmp_path))


# --- files that Keras itself wrote ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras() -> Any:
    pytest.importorskip("tensorflow")
    from lstmconv.parity.engines import import_quietly

    return import_quietly("keras")


def save(model: Any, folder: Path) -> Path:
    path = folder / "model.keras"
    model.save(path)
    return path


def test_a_lambda_is_refused(keras: Any, tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((4, 2)), keras.layers.LSTM(2), keras.layers.Lambda(lambda x: x * 2, name="f")]
    )
    assert "layer 'f' (Lambda)" in str(refusal(save(model, tmp_path), tmp_path))


def test_a_custom_layer_is_refused(keras: Any, tmp_path: Path) -> None:
    class Doubled(keras.layers.Dense):  # type: ignore[misc]
        def call(self, inputs: Any, training: Any = None) -> Any:
            return 2 * super().call(inputs)

    for name in ("Doubled", "Dense"):  # under the name of a Keras class, too
        Doubled.__name__ = name
        model = keras.Sequential([keras.Input((4, 2)), Doubled(2, name="mine")])
        message = str(refusal(save(model, tmp_path), tmp_path))
        assert "mine" in message
        assert name in message
        (tmp_path / "model.keras").unlink()


def test_a_registered_layer_is_refused(keras: Any, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("lstmconv_tests")
    class Dense(keras.layers.Dense):  # type: ignore[misc]
        pass

    model = keras.Sequential([keras.Input((4,)), Dense(2, name="mine")])
    message = str(refusal(save(model, tmp_path), tmp_path))
    assert "mine" in message
    assert "lstmconv_tests>Dense" in message


def test_a_subclassed_model_is_refused(keras: Any, tmp_path: Path) -> None:
    class Mine(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = keras.layers.LSTM(2)

        def call(self, x: Any) -> Any:
            return self.lstm(x)

    model = Mine()
    model.build((None, 4, 2))
    message = str(refusal(save(model, tmp_path), tmp_path))
    assert "Mine" in message
    assert "subclassed" in message


def test_vocabularies_are_refused(keras: Any, tmp_path: Path) -> None:
    lookup = keras.layers.StringLookup(vocabulary=["a", "b"], name="words")
    vectors = keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=4, name="words")
    for layer, shape in ((lookup, (4,)), (vectors, (1,))):
        x = keras.Input(shape, dtype="string")
        model = keras.Model(x, keras.layers.LSTM(2)(keras.layers.Embedding(5, 2)(layer(x))))
        message = str(refusal(save(model, tmp_path), tmp_path))
        assert f"layer 'words' ({type(layer).__name__})" in message
        assert "export the model that begins behind it" in message
        (tmp_path / "model.keras").unlink()


@pytest.mark.parametrize("mode", ["int4", "float8"])
def test_other_quantisations_than_int8_are_refused(keras: Any, mode: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4, 2)), keras.layers.LSTM(4), keras.layers.Dense(2, name="head")])
    model.quantize(mode)
    message = str(refusal(save(model, tmp_path), tmp_path))
    assert "layer 'head' (Dense)" in message
    assert "dtype policy" in message


def test_what_keras_computes_without_its_scales_is_refused(keras: Any, tmp_path: Path) -> None:
    """TimeDistributed calls the layer inside by a way that knows nothing of int8."""
    x = keras.Input((4, 2))
    model = keras.Model(x, keras.layers.TimeDistributed(keras.layers.Dense(2), name="each")(x))
    model.quantize("int8")
    message = str(refusal(save(model, tmp_path), tmp_path))
    assert "layer 'each' (TimeDistributed): Dense quantised to int8" in message


def test_attention_that_keras_quantised_is_refused(keras: Any, tmp_path: Path) -> None:
    """Its file says nothing of it but in the arrays, and Keras opens it no more."""
    x = keras.Input((4, 2))
    model = keras.Model(x, keras.layers.MultiHeadAttention(2, 2, name="heads")(x, x))
    model.quantize("int8")
    message = str(refusal(save(model, tmp_path), tmp_path))
    assert "layer 'heads' (MultiHeadAttention)" in message
    assert "quantised" in message


def test_lora_is_refused(keras: Any, tmp_path: Path) -> None:
    for layer, x in (
        (keras.layers.Dense(4, name="adapted"), keras.Input((4,))),
        (keras.layers.Embedding(4, 4, name="adapted"), keras.Input((4,), dtype="int32")),
        (keras.layers.Conv1D(4, 2, name="adapted"), keras.Input((4, 4))),
    ):
        model = keras.Model(x, layer(x))
        layer.enable_lora(2)
        message = str(refusal(save(model, tmp_path), tmp_path))
        assert f"layer 'adapted' ({type(layer).__name__})" in message
        assert "lora" in message
        (tmp_path / "model.keras").unlink()


def test_the_list_of_classes_without_a_handler_is_complete(keras: Any) -> None:
    """Every layer of Keras has a handler or is on the list; preprocessing that works on images alone is one family."""
    found = {
        name
        for name, cls in vars(keras.layers).items()
        if isinstance(cls, type) and issubclass(cls, keras.layers.Layer) and cls.__name__ == name
    }
    preprocessing = "keras.src.layers.preprocessing.image"
    images = {name for name in found if vars(keras.layers)[name].__module__.startswith(preprocessing)}
    cells = {"LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells"}
    abstract = {"Layer", "Wrapper", "InputLayer"}
    assert found - images - cells - abstract - set(HANDLERS) - set(UNSUPPORTED_CLASSES) == set()
