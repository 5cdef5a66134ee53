"""Archives that tf.keras 2.13 to 2.15 wrote on Windows: HDF5 groups called `layers\\gru\\cell`.

That the real ones are read as the release predicted, foretold and upgraded, the tests of legacy files show.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from legacy_vectors import ENTRIES, model_path, release
from lstmconv.doctor.examine import examine, report_text
from lstmconv.errors import LstmconvError
from lstmconv.reading import ArchiveWeights, KerasFile, parse_keras_file, read_keras_file

h5py = pytest.importorskip("h5py")

FROM_WINDOWS = [entry for entry in ENTRIES if entry.get("paths") == "windows"]


def parsed(paths: Iterable[str]) -> KerasFile:
    """A file of weights with an array at each path."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for path in paths:
            file[path] = np.ones(2, "float32")
    return parse_keras_file(content.getvalue(), "x.weights.h5")


def code(paths: Iterable[str]) -> str:
    with pytest.raises(LstmconvError) as caught:
        parsed(paths)
    return caught.value.code


def test_the_vectors_hold_such_paths() -> None:
    assert {entry["env"] for entry in FROM_WINDOWS} == {"tf213", "tf215"}
    for entry in FROM_WINDOWS:
        data = read_keras_file(model_path(entry))
        assert isinstance(data.weights, ArchiveWeights) and data.weights.windows_paths
        plain = read_keras_file(model_path(entry).with_name(entry["file"].replace(".windows", "")))
        assert isinstance(plain.weights, ArchiveWeights) and not plain.weights.windows_paths
        assert not any("backslashes" in warning for warning in plain.warnings)


def test_doctor_says_so() -> None:
    text = report_text(examine(release("tf213") / "trained.windows.keras"))
    assert "Note: the paths in its HDF5 file are joined by backslashes" in text
    assert "Yes: lstmconv export" in text and "Yes: lstmconv upgrade" in text
    assert "damaged" not in text and "get the file once more" not in text


def test_groups_above_are_there_though_the_file_has_none() -> None:
    weights = parsed(["layers\\gru\\cell/vars/0", "layers\\gru\\cell/vars/1", "layers\\gru_1\\cell/vars/0"]).weights
    assert isinstance(weights, ArchiveWeights)
    assert weights.groups("") == ("layers",)
    assert weights.groups("layers") == ("gru", "gru_1")
    assert weights.groups("layers/gru") == ("cell",)
    assert [array.shape for array in weights.arrays("layers/gru/cell")] == [(2,), (2,)]
    assert weights.dtype_name("layers/gru/cell", 1) == "float32"
    assert weights.unread() == ("layers/gru_1/cell/vars/0",)


def test_one_path_written_in_two_ways_is_refused() -> None:
    assert code(["layers\\gru/vars/0", "layers/gru/vars/0"]) == "E_H5_ALIAS"
    assert code(["layers\\gru/vars\\0", "layers\\gru/vars/0"]) == "E_H5_ALIAS"


def test_a_name_of_separators_alone_is_over_the_limit() -> None:
    assert code(["layers/vars/0", "\\" * 1000 + "/vars/0"]) == "E_LIMIT_DEPTH"


def test_the_state_of_training_is_left_aside(tmp_path: Path) -> None:
    assert parsed(["layers\\dense/vars/0", "metrics\\mean/vars/0", "optimizer\\state/vars/0"]).warnings[1:] == ()
