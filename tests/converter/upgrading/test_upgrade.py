"""An upgraded file opens in today's Keras and computes what the old one did under the Keras that wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from legacy_vectors import ENTRIES, FIRST, REFUSED, apart, architecture, arrays, called, config_path, model_path
from lstmconv import upgrade
from lstmconv.errors import FileAccessError, MissingPackageError, UnsupportedError
from lstmconv.reading import read_keras_file
from lstmconv.upgrading.file import upgraded

pytest.importorskip("h5py")

# What no layer of Keras 3 computes, by environment and case.
NO_EQUIVALENT = {("k224", "stacked_cells")}
ENVIRONMENTS = sorted({entry["env"] for entry in ENTRIES})


def entry_of(environment: str, file: str) -> dict[str, Any]:
    return next(entry for entry in ENTRIES if (entry["env"], entry["file"]) == (environment, file))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_opens_in_todays_keras_and_agrees(environment: str, tmp_path: Path) -> None:
    """Of every case one file, of the first release that it was made by."""
    check([entry for entry in FIRST if entry["env"] == environment], tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_file_opens_in_todays_keras_and_agrees(environment: str, tmp_path: Path) -> None:
    check([entry for entry in ENTRIES if entry["env"] == environment], tmp_path)


def check(entries: list[dict[str, Any]], tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lstmconv.parity.engines import import_quietly

    keras = import_quietly("keras")
    wrong = {}
    for entry in entries:
        if entry["case"] in REFUSED:
            continue
        if (entry["env"], entry["case"]) in NO_EQUIVALENT:
            with pytest.raises(UnsupportedError, match="layer '"):
                upgraded(read_keras_file(model_path(entry)), architecture(entry))
            continue
        path = tmp_path / f"{entry['file']}.keras"
        upgrade(model_path(entry), path, config=config_path(entry))
        keras.utils.clear_session()
        model = keras.models.load_model(path)
        inputs, wanted = arrays(entry)
        difference = apart(called(model, inputs), wanted)
        if not difference < 1e-5:
            wrong[entry["file"]] = difference
    assert not wrong


def test_names_of_layers_are_kept() -> None:
    import json
    import zipfile
    from io import BytesIO

    _, data = upgraded(read_keras_file(model_path(entry_of("tf24", "initial_state.h5"))))
    config = json.loads(zipfile.ZipFile(BytesIO(data)).read("config.json"))
    assert {"source", "target", "encoder", "decoder", "words"} <= {item["name"] for item in config["config"]["layers"]}


def test_equal_models_give_equal_bytes() -> None:
    file = read_keras_file(model_path(entry_of("k224", "bidirectional.h5")))
    assert upgraded(file)[1] == upgraded(file)[1]


def test_the_scaled_gates_are_named() -> None:
    made, _ = upgraded(read_keras_file(model_path(entry_of("k208", "lstm.h5"))))
    assert any("hard_sigmoid" in note for note in made.notes)
    assert made.difference < 1e-5


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "new.keras"
    target.write_bytes(b"before")
    with pytest.raises(FileAccessError):
        upgrade(model_path(entry_of("k208", "lstm.h5")), target)
    assert target.read_bytes() == b"before"
    upgrade(model_path(entry_of("k208", "lstm.h5")), target, force=True)
    assert target.read_bytes()[:2] == b"PK"


def test_a_refusal_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"layer 'stack' \(RNN\)"):
        upgrade(model_path(entry_of("k224", "stacked_cells.h5")), tmp_path / "new.keras")
    assert not list(tmp_path.iterdir())


def test_without_h5py_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'lstmconv\[upgrade\]'"):
        upgrade(model_path(entry_of("k208", "lstm.h5")), tmp_path / "new.keras")
    assert not list(tmp_path.iterdir())
