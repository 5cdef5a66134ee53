"""Weights in several files: read together, and only from the files that are the index's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lstmconv
import lstmconv_runtime as lr
import numpy as np
import pytest
from lstmconv.errors import FileAccessError, InvalidFileError, LstmconvError
from paths import VECTORS

VECTOR = VECTORS / "sharded"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(VECTOR, tmp_path / "model")


def export(folder: Path) -> Path:
    out = folder / "model.safetensors"
    lstmconv.export(folder / "model.weights.json", out, config=folder / "architecture.json")
    return out


def test_predicts_what_keras_predicted(folder: Path) -> None:
    index = json.loads((folder / "model.weights.json").read_text())
    assert any(len(shards) > 1 for shards in index["weight_map"].values())  # an object spread over shards
    with np.load(folder / "predicted.npz") as made:
        assert np.abs(lr.load(export(folder)).predict(made["x"]) - made["y"]).max() < 1e-6


def _lacks_a_shard(folder: Path, index: Any) -> None:
    (folder / "model_00001.weights.h5").unlink()


def _names_another_file(folder: Path, index: Any) -> None:
    index["weight_map"]["/layers/dense/vars"] = ["../../secret.weights.h5"]


def _twice(folder: Path, index: Any) -> None:
    shutil.copy(folder / "model_00000.weights.h5", folder / "model_00001.weights.h5")


def _no_map(folder: Path, index: Any) -> None:
    del index["weight_map"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_lacks_a_shard, FileAccessError),
        (_names_another_file, InvalidFileError),
        (_twice, InvalidFileError),
        (_no_map, InvalidFileError),
    ],
)
def test_bad_shards_are_refused(folder: Path, change: Callable[[Path, Any], None], error: type[LstmconvError]) -> None:
    index = json.loads((folder / "model.weights.json").read_text())
    change(folder, index)
    (folder / "model.weights.json").write_text(json.dumps(index))
    with pytest.raises(error):
        export(folder)
    assert not (folder / "model.safetensors").exists()
