"""`lstmconv doctor`: what it says of old files, held against what today's Keras really does."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import lstmconv
import lstmconv_runtime
import numpy as np
import pytest
from legacy_vectors import (
    ENTRIES,
    FIRST,
    REFUSED,
    apart,
    architecture,
    arrays,
    called,
    config_path,
    model_path,
    release,
)
from lstmconv.doctor.examine import examine, forecast, report_text
from lstmconv.doctor.loading_rules import meaning
from lstmconv.errors import UnsupportedError
from lstmconv.graph.keras_classes import HANDLERS
from lstmconv.reading import read_keras_file
from paths import SINE

OUT = {"export": "out.safetensors", "upgrade": "out.keras"}
ENVIRONMENTS = sorted({entry["env"] for entry in ENTRIES})


def doctor(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lstmconv", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def plain(text: str) -> str:
    return " ".join(text.replace("\\n", " ").replace("\\'", "'").split())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_forecasts_hold(environment: str) -> None:
    """Of every case one file, of the first release that it was made by."""
    check([entry for entry in FIRST if entry["env"] == environment])


@pytest.mark.long
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_forecast_holds(environment: str) -> None:
    check([entry for entry in ENTRIES if entry["env"] == environment])


def check(entries: list[dict[str, Any]]) -> None:
    pytest.importorskip("tensorflow")
    from lstmconv.parity.engines import import_quietly

    keras = import_quietly("keras")
    if not keras.__version__.startswith("3.15."):
        pytest.skip(f"the forecasts are for Keras 3.15, this is {keras.__version__}")
    wrong = {}
    for entry in entries:
        if entry["case"] != "masking_infinite":  # not read at all
            said = forecast(read_keras_file(model_path(entry)), architecture(entry))
            verdict, words = really(keras, entry)
            foretold = said["verdict"]
            if entry["case"] in REFUSED and foretold == "unknown" and verdict != "refuses":
                continue  # not converted, so what it computes is not known
            if foretold != verdict or plain(said["words"] or "")[:50] not in plain(words):
                wrong[entry["file"]] = f"said {foretold}: {said['words']}; {verdict}: {words[:200]}"
    assert not wrong


def really(keras: Any, entry: dict[str, Any]) -> tuple[str, str]:
    """What Keras does with a file: verdict, and the words of a refusal."""
    keras.utils.clear_session()
    inputs, wanted = arrays(entry)
    config = config_path(entry)
    try:
        if config is not None:
            model = keras.models.model_from_json(config.read_text())
            model.load_weights(model_path(entry))
        else:
            model = keras.models.load_model(model_path(entry), compile=False)
    except Exception as error:  # whatever its loaders raise is what we want to know
        return "refuses", str(error)
    return ("agrees" if apart(called(model, inputs), wanted) < 1e-5 else "differs"), ""


def test_the_page_says_what_to_do() -> None:
    found = examine(release("k224") / "gru_reset_after.h5")
    text = report_text(found)
    assert found["convertible"] and found["upgrade"]["possible"]
    assert "Keras 2.2.4, before it was part of TensorFlow" in text
    assert "opens it and computes something else" in text and "hard_sigmoid" in text
    assert "lstmconv upgrade" in text
    assert text.isascii()


def test_everything_in_the_way_is_named(tmp_path: Path) -> None:
    """Two layers that are not known: both are named, each with advice."""
    config = json.loads((release("tf24") / "weights_only.json").read_text())
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Dense":
            layer["class_name"] = "MyDense"
        if layer["class_name"] == "Bidirectional":
            layer["class_name"] = "MyWrapper"
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(config))
    found = examine(release("tf24") / "weights_only.h5", changed)
    messages = " ".join(item["message"] for item in found["obstacles"])
    assert not found["convertible"]
    assert "MyDense" in messages and "MyWrapper" in messages
    assert all(item["advice"] for item in found["obstacles"])


def test_a_file_with_a_custom_layer(tmp_path: Path) -> None:
    path = release("tf24") / "lambda_layer.h5"
    process = doctor("doctor", path)
    assert process.returncode == 1 and "layer 'double' (Lambda)" in process.stdout
    for command in ("export", "upgrade"):
        process = doctor(command, path, "-o", tmp_path / OUT[command])
        assert process.returncode == 3 and process.stderr.count("\n") == 1
        assert "layer 'double' (Lambda)" in process.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_of_weights_alone(tmp_path: Path) -> None:
    path, config = release("k231") / "weights_only.h5", release("k231") / "weights_only.json"
    for command in ("doctor", "export", "upgrade"):
        process = doctor(command, path, *(["-o", tmp_path / OUT[command]] if command != "doctor" else []))
        assert process.returncode == 3 and process.stderr.count("\n") == 1
        assert "--config" in process.stderr and "dense" in process.stderr
    assert not list(tmp_path.iterdir())
    process = doctor("doctor", path, "--config", config, "--json")
    assert process.returncode == 0 and json.loads(process.stdout)["upgrade"]["possible"]


def test_the_layers_that_are_converted_are_listed() -> None:
    process = doctor("doctor", "--layers")
    assert process.returncode == 0 and process.stdout.split() == sorted(HANDLERS)


def test_a_truncated_file(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    data = (release("k224") / "lstm.h5").read_bytes()
    path = folder / "cut.h5"
    path.write_bytes(data[: len(data) // 2])
    for command in ("doctor", "export", "upgrade", "inspect"):
        process = doctor(command, path, *(["-o", tmp_path / OUT[command]] if command in ("export", "upgrade") else []))
        assert process.returncode == 4 and process.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_inspect_says_who_wrote_an_old_file() -> None:
    process = doctor("inspect", release("k122") / "lstm.h5")
    assert process.returncode == 0
    assert "Keras 1.2.2" in process.stdout and "refuses it" in process.stdout


def test_every_refusal_is_explained() -> None:
    """The words of Keras stand whole, with their meaning in plain English beside them."""
    seen = set()
    for entry in FIRST:
        if entry["case"] == "masking_infinite":
            continue
        said = forecast(read_keras_file(model_path(entry)), architecture(entry))
        assert (said["words"] is None) == (said["meaning"] is None)
        if said["words"]:
            seen.add(said["words"].split("'")[0])
            assert said["meaning"] != meaning("something else"), said["words"]
            assert said["words"].count("{") == said["words"].count("}")
            assert "..." not in said["words"] and "\\u" not in said["words"]
    assert len(seen) > 6


def test_a_bundle_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "sine.safetensors"
    lstmconv.export(SINE, path)
    process = doctor("doctor", path)
    assert (process.returncode, process.stderr) == (0, "")
    assert "a bundle of lstmconv, format 1.0" in process.stdout and "Its 3 probes hold" in process.stdout
    assert json.loads(doctor("doctor", path, "--json").stdout)["verified"] is True
    data = path.read_bytes()
    for damaged in (data[:-1], data[:1500], data[:-1] + bytes([data[-1] ^ 1]), bytes([data[0] ^ 1]) + data[1:]):
        path.write_bytes(damaged)
        process = doctor("doctor", path)
        assert process.returncode == 4 and process.stderr.count("\n") == 1
        assert "sine.safetensors: is a bundle of lstmconv, and damaged: " in process.stderr
    assert "is the result of an export" in doctor("export", path, "-o", tmp_path / "new.safetensors").stderr


def test_a_layer_called_in_training_has_one_way_out(tmp_path: Path) -> None:
    """What doctor advises, export and upgrade do, and what they make is the model without its dropout."""
    with zipfile.ZipFile(SINE) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = functional_sine(json.loads(members["config.json"]))
    path = tmp_path / "dropout.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else data)
    found = examine(path)
    text = report_text(found)
    assert not found["convertible"] and [item["code"] for item in found["obstacles"]] == ["E_TRAINING"]
    assert "give export and upgrade the option --deterministic" in text and "rebuild" not in text
    assert found["upgrade"]["possible"] and found["upgrade"]["deterministic"]
    x = np.random.default_rng(0).standard_normal((2, 5, 1)).astype("float32")
    lstmconv.export(SINE, tmp_path / "sine.safetensors")
    wanted = lstmconv_runtime.load(tmp_path / "sine.safetensors").predict(x)
    for make, name in ((lstmconv.export, "m.safetensors"), (lstmconv.upgrade, "m.keras")):
        with pytest.raises(UnsupportedError, match="called with training=True"):
            make(path, tmp_path / name)
        made: Any = make(path, tmp_path / name, deterministic=True)
        assert "converted without its dropout" in " ".join(made.warnings)
    lstmconv.export(tmp_path / "m.keras", tmp_path / "again.safetensors")
    for name in ("m.safetensors", "again.safetensors"):
        np.testing.assert_array_equal(lstmconv_runtime.load(tmp_path / name).predict(x), wanted)


def functional_sine(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a Sequential model as a functional one, whose LSTM has dropout and is called with training=True."""
    layers, before = config["config"]["layers"], None
    for layer in layers:
        name = layer["config"]["name"]
        layer["name"] = name
        kwargs = {"training": True} if layer["class_name"] == "LSTM" else {}
        tensor = {
            "class_name": "__keras_tensor__",
            "config": {"shape": None, "dtype": "float32", "keras_history": None},
        }
        if before is not None:
            shape = [None, 5, 1] if layer["class_name"] == "LSTM" else [None, 4]
            tensor["config"] = {"shape": shape, "dtype": "float32", "keras_history": [before, 0, 0]}
        layer["inbound_nodes"] = [{"args": [tensor], "kwargs": kwargs}] if before is not None else []
        if layer["class_name"] == "LSTM":
            layer["config"]["dropout"] = 0.5
        before = name
    own = {
        "name": "model", "trainable": True, "layers": layers,
        "input_layers": [[layers[0]["name"], 0, 0]], "output_layers": [[before, 0, 0]],
    }  # fmt: skip
    return {
        "module": "keras.src.models.functional", "class_name": "Functional", "config": own,
        "registered_name": "Functional",
    }  # fmt: skip
