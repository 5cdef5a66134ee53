"""Arrays that no layer has: notes of other programs are named in a warning, what lies inside a layer is an error."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from legacy_vectors import apart, release
from lstmconv.doctor.examine import examine
from lstmconv.errors import InvalidFileError
from lstmconv.exporting import bundle_of, convert
from lstmconv.reading import KerasFile, read_architecture, read_keras_file
from lstmconv.upgrading.file import upgraded
from lstmconv_runtime import Model

h5py = pytest.importorskip("h5py")

LEGACY = release("tf24") / "lstm.h5"


def with_notes(path: Path, notes: dict[str, Any], **options: Any) -> KerasFile:
    with h5py.File(path, "r+") as file:
        for name, value in notes.items():
            file.create_dataset(name, data=value, **options)
    return read_keras_file(path)


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    return Path(shutil.copy(LEGACY, tmp_path / "model.h5"))


def test_notes_are_named_and_change_nothing(legacy: Path) -> None:
    file = with_notes(legacy, {"medaka_label_decoding": np.arange(5), "info/input_size": 3, "about": "a text"})
    with np.load(LEGACY.with_suffix(".npz")) as stored:
        x, y = stored["x00"], stored["y00"]
    conversion = convert(file)
    (warning,) = [text for text in conversion.warnings if "outside the layers" in text]
    assert "'medaka_label_decoding'" in warning and "'info/input_size'" in warning and "'about'" in warning
    assert apart(Model(bundle_of(conversion)).predict(x), [y]) < 1e-5
    assert warning in examine(legacy)["warnings"]
    assert warning in upgraded(file)[0].warnings


@pytest.mark.parametrize("options", [{"chunks": (4,), "compression": "lzf"}, {"chunks": (4,), "compression": "gzip"}])
def test_notes_may_be_packed_as_no_weight_is(legacy: Path, options: dict[str, Any]) -> None:
    assert convert(with_notes(legacy, {"notes": np.arange(100)}, **options)).warnings


def test_many_notes_make_a_short_line(legacy: Path) -> None:
    file = with_notes(legacy, {f"note{index}": 1 for index in range(300)})
    (warning,) = convert(file).warnings
    assert "and 295 more" in warning and len(warning) < 300


def test_notes_beside_weights_alone(tmp_path: Path) -> None:
    path = Path(shutil.copy(release("k231") / "weights_only.h5", tmp_path))
    file = with_notes(path, {"info/input_size": 3})
    conversion = convert(file, architecture=read_architecture(release("k231") / "weights_only.json"))
    assert any("'info/input_size'" in text for text in conversion.warnings)


@pytest.mark.parametrize(
    "group", ["model_weights/lstm", "model_weights/lstm/deeper", "model_weights/top_level_model_weights"]
)
def test_an_array_inside_is_an_error(legacy: Path, group: str) -> None:
    with h5py.File(legacy) as file:
        first = next(name for name in file["model_weights"] if name.startswith("lstm"))
    file = with_notes(legacy, {group.replace("lstm", first) + "/extra": np.ones(2, "float32")})
    with pytest.raises(InvalidFileError, match="which no layer has") as caught:
        convert(file)
    assert caught.value.code == "E_WEIGHT_EXTRA"


@pytest.mark.parametrize(
    ("name", "fails"), [("info/input_size", False), ("layers/extra/vars/0", True), ("vars/0", True)]
)
def test_in_an_archive(tmp_path: Path, name: str, fails: bool) -> None:
    weights, path = tmp_path / "model.weights.h5", tmp_path / "model.keras"
    with zipfile.ZipFile(release("k3") / "lstm.keras") as old:
        weights.write_bytes(old.read("model.weights.h5"))
        with h5py.File(weights, "r+") as file:
            file[name] = np.ones(2, "float32")
        with zipfile.ZipFile(path, "w") as new:
            for member in ("config.json", "metadata.json"):
                new.writestr(member, old.read(member))
            new.write(weights, "model.weights.h5")
    if fails:
        with pytest.raises(InvalidFileError, match=name):
            convert(read_keras_file(path))
    else:
        assert any("'info/input_size'" in text for text in convert(read_keras_file(path)).warnings)
