"""Every array and config of files that Keras wrote, beside what h5py, json and zipfile read of them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from lstmconv.errors import LstmconvError
from lstmconv.reading import (
    ArchiveWeights,
    KerasFile,
    LegacyWeights,
    parse_keras_file,
    read_architecture,
    read_keras_file,
)
from paths import VECTORS

if TYPE_CHECKING:
    import h5py
else:
    h5py = pytest.importorskip("h5py")

_MODELS = os.environ.get("LSTMCONV_MODELS", "")
_REAL = sorted(path for path in Path(_MODELS).glob("*") if path.suffix in (".h5", ".keras")) if _MODELS else []
_REAL = [path for path in _REAL if not path.name.endswith(".io.h5")]  # inputs and outputs, no model
_COMMITTED = sorted((VECTORS / "keras_file").glob("*"))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _texts(group: h5py.Group, name: str) -> list[str]:
    pieces = [name] if name in group.attrs else sorted(key for key in group.attrs if key.rstrip("0123456789") == name)
    return [_text(value) for piece in pieces for value in group.attrs[piece]]


def _assert_same(ours: np.ndarray, stored: np.ndarray) -> None:
    expected = np.asarray(stored)
    if expected.dtype.kind == "V":
        expected = (expected.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    assert ours.flags.c_contiguous
    assert ours.flags.owndata or (ours.base is not None and ours.base.flags.owndata)
    assert ours.dtype.isnative
    assert ours.dtype == expected.dtype.newbyteorder("=")
    assert ours.shape == expected.shape
    assert ours.tobytes() == expected.astype(ours.dtype).tobytes()


def _assert_legacy_like_h5py(file: KerasFile, path: Path) -> int:
    weights = file.weights
    assert isinstance(weights, LegacyWeights)
    count = 0
    with h5py.File(path) as oracle:
        root = oracle.get("model_weights", oracle)
        assert list(weights.layer_names) == _texts(root, "layer_names")
        for layer in weights.layer_names:
            names = _texts(root[layer], "weight_names")
            assert list(weights.weight_names(layer)) == names
            for array, name in zip(weights.arrays(layer), names, strict=True):
                _assert_same(array, root[layer][name][()])
                count += 1
        if file.config is None:
            assert "model_config" not in oracle.attrs
        else:
            assert file.config == json.loads(_text(oracle.attrs["model_config"]))
        version = oracle.attrs.get("keras_version", root.attrs.get("keras_version"))
        assert file.keras_version == (None if version is None else _text(version))
    return count


def _assert_archive_like_h5py(file: KerasFile, path: Path) -> int:
    weights = file.weights
    assert isinstance(weights, ArchiveWeights)
    count = 0
    with zipfile.ZipFile(path) as archive:
        assert file.config == json.loads(archive.read("config.json"))
        assert file.keras_version == json.loads(archive.read("metadata.json"))["keras_version"]
        content = archive.read("model.weights.h5")
    with h5py.File(io.BytesIO(content)) as oracle:
        owners: list[str] = []
        oracle.visit(lambda name: owners.append(name[: -len("vars")].rstrip("/")) if name.endswith("vars") else None)
        for owner in owners:
            if owner.startswith("optimizer"):
                continue
            variables = oracle[f"{owner}/vars"] if owner else oracle["vars"]
            assert weights.has(owner)
            assert weights.name(owner) == variables.attrs.get("name")
            arrays = weights.arrays(owner)
            assert len(arrays) == len(variables)
            for index, array in enumerate(arrays):
                _assert_same(array, variables[str(index)][()])
                count += 1
    assert weights.unread() == ()
    return count


@pytest.mark.parametrize("path", _COMMITTED + _REAL, ids=lambda path: path.name)
def test_reads_the_same_as_h5py(path: Path) -> None:
    file = read_keras_file(path)
    assert file.size == path.stat().st_size
    compare = _assert_archive_like_h5py if file.container == "keras-zip" else _assert_legacy_like_h5py
    assert compare(file, path) > 0


def test_committed_files_are_there() -> None:
    containers = {path.name: read_keras_file(path).container for path in _COMMITTED}
    assert len(containers) == 7
    assert containers["recurrent.keras"] == "keras-zip"
    assert containers["recurrent.h5"] == "legacy-h5"
    assert containers["recurrent-weights-only.h5"] == "legacy-weights-h5"


def test_paths_in_an_archive(archive: bytes) -> None:
    weights = parse_keras_file(archive, "m").weights
    assert isinstance(weights, ArchiveWeights)
    assert weights.groups("layers") == ("dense", "dropout", "sequential")
    assert weights.groups("layers/none") == ()
    assert not weights.has("layers/none")
    assert weights.arrays("layers/none") == []
    assert [array.shape for array in weights.arrays("layers/sequential/layers/lstm/cell")] == [(2, 8), (2, 8), (8,)]
    assert weights.name("layers/dense") == "last"
    assert weights.dtype_name("layers/dense", 0) == "float32"
    assert set(weights.unread()) >= {"layers/dense/vars/0", "layers/dense/vars/1"}


def test_bfloat16_is_told_apart(vectors: Path) -> None:
    archive, legacy = (read_keras_file(vectors / f"bfloat16.{suffix}").weights for suffix in ("keras", "h5"))
    assert isinstance(archive, ArchiveWeights)
    assert isinstance(legacy, LegacyWeights)
    assert archive.dtype_name("layers/lstm/cell", 0) == legacy.dtype_name("half", 0) == "bfloat16"
    assert archive.arrays("layers/lstm/cell")[0].dtype == np.float32


def test_weights_h5_alone(archive: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as outer:
        file = parse_keras_file(outer.read("model.weights.h5"), "m")
    assert (file.container, file.config, file.keras_version) == ("weights-h5", None, None)
    assert isinstance(file.weights, ArchiveWeights)
    assert len(file.weights.arrays("layers/dense")) == 2


def test_layers_of_keras_2_13(archive: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as outer:
        content = io.BytesIO(outer.read("model.weights.h5"))
    with h5py.File(content, "r+") as file:
        file.move("layers/sequential/layers", "layers/sequential/_layer_checkpoint_dependencies")
        file.move("layers", "_layer_checkpoint_dependencies")
    new, old = parse_keras_file(archive, "m").weights, parse_keras_file(content.getvalue(), "m").weights
    assert isinstance(new, ArchiveWeights)
    assert isinstance(old, ArchiveWeights)
    path = "layers/sequential/layers/lstm/cell"
    assert old.has(path)
    assert "layers" in old.groups("")
    assert old.unread() == new.unread()
    for ours, theirs in zip(old.arrays(path), new.arrays(path), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert old.unread() == new.unread()


def _weights_h5(write: object, **options: object) -> ArchiveWeights:
    content = io.BytesIO()
    with h5py.File(content, "w", **options) as file:
        write(file.create_group("layers/dense/vars"))  # type: ignore[operator]
    weights = parse_keras_file(content.getvalue(), "m").weights
    assert isinstance(weights, ArchiveWeights)
    return weights


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i1", "u4", ">i8", "?"])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_types_and_file_versions(dtype: str, libver: str) -> None:
    values = np.arange(12).reshape(3, 4).astype(dtype)
    weights = _weights_h5(lambda group: group.create_dataset("0", data=values), libver=libver)
    (array,) = weights.arrays("layers/dense")
    _assert_same(array, values)


@pytest.mark.parametrize(
    "options",
    [{"chunks": (2, 3)}, {"compression": "gzip"}, {"chunks": (4, 4), "compression": "gzip", "shuffle": True}],
    ids=["plain", "gzip", "shuffle"],
)
def test_chunks(options: dict[str, object]) -> None:
    values = np.random.default_rng(0).normal(size=(7, 10)).astype("f4")
    weights = _weights_h5(lambda group: group.create_dataset("0", data=values, **options))
    for _ in range(2):  # the second reading must not take the chunks for another object's
        np.testing.assert_array_equal(weights.arrays("layers/dense")[0], values)


def test_uneven_rows_over_4_mib() -> None:
    """pyfive 1.3.0 reads these wrongly from memory, without an error."""
    values = np.arange(3 * 1_500_001, dtype="f4").reshape(3, -1)
    weights = _weights_h5(lambda group: group.create_dataset("0", data=values))
    np.testing.assert_array_equal(weights.arrays("layers/dense")[0], values)


def test_numbers_are_counted_as_numbers() -> None:
    def write(group: h5py.Group) -> None:
        for index in range(12):
            group[str(index)] = np.full(2, index, "f4")

    arrays = _weights_h5(write).arrays("layers/dense")
    assert [array[0] for array in arrays] == list(range(12))


def test_arrays_of_other_names_stay_unread() -> None:
    def write(group: h5py.Group) -> None:
        group["0"] = np.zeros(2, "f4")
        group["extra"] = np.zeros(2, "f4")

    weights = _weights_h5(write)
    assert len(weights.arrays("layers/dense")) == 1
    assert weights.unread() == ("layers/dense/vars/extra",)


def _legacy_h5(names: list[str], as_bytes: bool, libver: str, fixed: bool) -> bytes:
    content = io.BytesIO()
    config = json.dumps({"class_name": "Sequential", "config": {"name": "é"}}, ensure_ascii=False)
    with h5py.File(content, "w", libver=libver) as file:
        file.attrs["model_config"] = config.encode() if as_bytes else config
        file.attrs["training_config"] = '{"loss": NaN'
        file.attrs["keras_version"] = np.bytes_(b"2.0.0") if fixed else "2.0.0"
        root = file.create_group("model_weights")
        pieces = [names] if len(names) < 9 else [names[:5], names[5:]]
        for index, piece in enumerate(pieces):
            key = "layer_names" if len(pieces) == 1 else f"layer_names{index}"
            root.attrs[key] = [name.encode() for name in piece] if fixed else piece
        for name in names:
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode()] if fixed else [f"{name}/kernel:0"]
            group[f"{name}/kernel:0"] = np.ones(3, "f4")
    return content.getvalue()


@pytest.mark.parametrize("as_bytes", [True, False])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("count", [1, 3, 12])
def test_forms_of_legacy_attributes(as_bytes: bool, libver: str, fixed: bool, count: int) -> None:
    names = [f"layer/{index}" for index in range(count)]
    file = parse_keras_file(_legacy_h5(names, as_bytes, libver, fixed), "m")
    assert isinstance(file.weights, LegacyWeights)
    assert file.container == "legacy-h5"
    assert file.keras_version == "2.0.0"
    assert file.config == {"class_name": "Sequential", "config": {"name": "é"}}
    assert file.weights.layer_names == tuple(names)
    assert file.weights.weight_names(names[-1]) == (f"{names[-1]}/kernel:0",)
    assert file.weights.arrays(names[-1])[0].sum() == 3
    assert file.weights.unread() == ()


def test_long_config_and_dense_attributes() -> None:
    content = io.BytesIO()
    with h5py.File(content, "w", libver="latest") as file:
        for index in range(20):
            file.attrs[f"other{index}"] = index
        file.attrs["model_config"] = json.dumps({"class_name": "M", "config": "x" * 300_000})
        file.attrs["layer_names"] = np.zeros(0)
    config = parse_keras_file(content.getvalue(), "m").config
    assert isinstance(config, dict)
    assert len(config["config"]) == 300_000


def test_architecture(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"class_name": "Sequential", "config": [], "keras_version": "1.2.2"}')
    assert read_architecture(path) == {"class_name": "Sequential", "config": [], "keras_version": "1.2.2"}
    path.write_text("[]")
    with pytest.raises(LstmconvError, match="not one of a Keras model"):
        read_architecture(path)


def test_needs_no_heavy_library(vectors: Path) -> None:
    program = (
        "import sys\n"
        "seen = []\n"
        "sys.addaudithook(lambda event, args: seen.append((event, args)))\n"
        "from lstmconv.reading import read_keras_file\n"
        "seen.clear()\n"
        "file = read_keras_file(sys.argv[1])\n"
        "file.weights.arrays('layers/dense')\n"
        "opened = [args[0] for event, args in seen if event == 'open']\n"
        "assert opened == [sys.argv[1]], opened\n"
        "bad = {'exec', 'compile', 'import', 'marshal.loads', 'pickle.find_class', 'subprocess.Popen', 'os.system'}\n"
        "assert not [event for event, _ in seen if event in bad or event.startswith(('socket', 'ctypes'))], seen\n"
        "assert not {'tensorflow', 'keras', 'h5py', 'torch', 'typer'} & set(sys.modules)\n"
    )
    path = str(vectors / "recurrent.keras")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for flags in ([], ["-O"]):
        subprocess.run([sys.executable, *flags, "-c", program, path], check=True, env=environment)
