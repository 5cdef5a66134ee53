"""The folder that `model.save(path, zipped=False)` writes is read like the archive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from legacy_vectors import FOLDER, apart, arrays, release
from lstmconv import export
from lstmconv.errors import LstmconvError
from lstmconv.exporting import convert
from lstmconv.reading import read_keras_file
from lstmconv.reading.folder import MEMBERS
from lstmconv_runtime import load

ARCHIVE = release("k3") / "lstm.keras"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(made)
    return made


def code(path: Path) -> str:
    with pytest.raises(LstmconvError) as caught:
        read_keras_file(path)
    return caught.value.code


def lstmconv(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lstmconv", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_is_the_model_of_the_archive(folder: Path) -> None:
    file, archive = read_keras_file(folder), read_keras_file(ARCHIVE)
    assert (file.container, file.config, file.keras_version) == ("keras-folder", archive.config, archive.keras_version)
    assert file.size == sum((folder / name).stat().st_size for name in MEMBERS)
    made, wanted = convert(file).graph, convert(archive).graph
    assert made.nodes == wanted.nodes
    assert all(np.array_equal(made.arrays[name], array) for name, array in wanted.arrays.items())


def test_what_keras_writes_is_read_as_keras_computes_it(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lstmconv.parity.engines import import_quietly

    keras: Any = import_quietly("keras")
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((5, 2)), keras.layers.LSTM(3), keras.layers.Dense(2)])
    model.save(tmp_path / "saved", zipped=False)
    export(tmp_path / "saved", tmp_path / "saved.safetensors")
    x = np.random.default_rng(0).normal(size=(4, 5, 2)).astype("float32")
    assert apart(load(tmp_path / "saved.safetensors").predict(x), [np.asarray(model(x))]) < 1e-5


def test_every_command_takes_it(folder: Path) -> None:
    done = lstmconv("export", folder)
    assert done.returncode == 0, done.stderr
    (entry,) = (
        e for e in json.loads((FOLDER / "manifest.json").read_text()) if (e["env"], e["file"]) == ("k3", "lstm.keras")
    )
    (x,), wanted = arrays(entry)
    model = load(folder.with_suffix(".safetensors"))
    assert apart(model.predict(x), wanted) < 1e-5
    assert model.bundle.source["container"] == "keras-folder"
    found = json.loads(lstmconv("doctor", f"{folder}/", "--json").stdout)
    assert found["container"] == "keras-folder" and found["convertible"] and found["today"]["verdict"] == "agrees"
    shown = json.loads(lstmconv("inspect", folder, "--json").stdout)
    assert shown["kind"] == "keras" and shown["bytes"] == found["bytes"]
    done = lstmconv("upgrade", folder)
    assert done.returncode == 0 and folder.with_suffix(".keras").exists(), done.stderr


def test_an_output_never_replaces_a_file_of_the_folder(folder: Path) -> None:
    before = {name: (folder / name).read_bytes() for name in MEMBERS}
    for command in ("export", "upgrade"):
        done = lstmconv(command, folder, "-o", folder / "model.weights.h5", "--force")
        assert done.returncode == 2 and "E_SUFFIX" in done.stderr
    assert {name: (folder / name).read_bytes() for name in MEMBERS} == before


@pytest.mark.parametrize("name", MEMBERS)
def test_a_symbolic_link_is_not_followed(folder: Path, name: str) -> None:
    target = folder.parent / "elsewhere"
    (folder / name).rename(target)
    (folder / name).symlink_to(target)
    assert code(folder) == "E_NOT_REGULAR"


def test_a_link_to_the_folder_is_followed(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert read_keras_file(link).sha256 == read_keras_file(folder).sha256


@pytest.mark.parametrize("name", MEMBERS)
def test_a_pipe_does_not_block(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert code(folder) == "E_NOT_REGULAR"


def test_a_folder_in_place_of_a_file(folder: Path) -> None:
    (folder / "model.weights.h5").unlink()
    (folder / "model.weights.h5").mkdir()
    assert code(folder) == "E_NOT_REGULAR"


def test_sizes_are_bounded_before_reading(folder: Path) -> None:
    with open(folder / "config.json", "wb") as file:
        file.truncate(2**34)
    assert code(folder) == "E_LIMIT_SIZE"


def test_what_is_missing_is_named(folder: Path) -> None:
    (folder / "model.weights.h5").rename(folder / "model.weights.npz")
    assert code(folder) == "E_NPZ_WEIGHTS"
    (folder / "model.weights.npz").unlink()
    assert code(folder) == "E_FOLDER_MISSING"
    (folder / "config.json").unlink()
    assert code(folder) == "E_NOT_REGULAR"


def test_metadata_may_be_missing(folder: Path) -> None:
    (folder / "metadata.json").unlink()
    assert any("metadata.json" in text for text in read_keras_file(folder).warnings)


def test_any_changed_file_changes_the_digest(folder: Path) -> None:
    seen = {read_keras_file(folder).sha256}
    for name in ("config.json", "metadata.json"):
        (folder / name).write_bytes((folder / name).read_bytes() + b" ")
        seen.add(read_keras_file(folder).sha256)
    assert len(seen) == 3
