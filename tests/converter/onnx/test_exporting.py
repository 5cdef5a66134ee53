"""`lstmconv.export_onnx`: what it takes, what it says of a file, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import builtins
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import lstmconv
import lstmconv_runtime
import numpy as np
import pytest
from legacy_vectors import ENTRIES, IDS, REFUSED, apart, arrays, config_path, model_path
from lstmconv.errors import (
    FileAccessError,
    InvalidFileError,
    LstmconvError,
    MissingPackageError,
    UnsupportedError,
    UsageError,
)
from lstmconv_runtime.format.graph import Graph
from lstmconv_runtime.format.nodes import LSTM, Dense, Elementwise, Embedding, Input
from paths import SINE

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from lstmconv.onnx import model  # noqa: E402
from lstmconv.onnx.nodes import by_node, recurrent  # noqa: E402
from lstmconv.onnx.running import EngineRefusal, onnxruntime_of  # noqa: E402


def metadata(proto: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in proto.metadata_props}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "sine.safetensors"
    lstmconv.export(SINE, path)
    return path


def test_a_file_its_bundle_and_the_loaded_bundle_give_the_same_bytes(tmp_path: Path, bundle: Path) -> None:
    sources = {"file": SINE, "text": str(SINE), "bundle": bundle, "loaded": lstmconv_runtime.load(bundle)}
    sources["record"] = lstmconv_runtime.load(bundle).bundle
    for name, source in sources.items():
        lstmconv.export_onnx(source, tmp_path / f"{name}.onnx")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == len(sources)


def test_the_same_bytes_whatever_the_order_of_hashing(tmp_path: Path, bundle: Path) -> None:
    code = "import lstmconv, sys; lstmconv.export_onnx(sys.argv[1], sys.argv[2])"
    for seed in ("0", "1"):
        subprocess.run(
            [sys.executable, "-c", code, str(bundle), str(tmp_path / f"{seed}.onnx")],
            check=True, env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
    assert (tmp_path / "0.onnx").read_bytes() == (tmp_path / "1.onnx").read_bytes()


def test_what_the_file_says_of_itself(tmp_path: Path, bundle: Path) -> None:
    made = lstmconv.export_onnx(bundle, tmp_path / "sine.onnx")
    proto = onnx.load(tmp_path / "sine.onnx")
    said, held = metadata(proto), lstmconv_runtime.load(bundle).bundle
    assert said["lstmconv.source.sha256"] == hashlib.sha256(SINE.read_bytes()).hexdigest()
    assert said["lstmconv.version"] == lstmconv.__version__
    assert said["lstmconv.bundle"] == held.digest
    assert {f"lstmconv.semantics.{key}": text for key, text in held.semantics.items()}.items() <= said.items()
    assert (proto.producer_name, proto.producer_version) == ("lstmconv", lstmconv.__version__)
    assert made.operators["LSTM"] == 1
    assert made.opset == proto.opset_import[0].version == 14  # that of LSTM, GRU and RNN as they are used
    assert "onnxruntime" in made.checked[1]


def test_weights_stored_as_halves_stay_halves(tmp_path: Path) -> None:
    """The arrays of the recurrent layer take half the bytes, and the probes of the bundle hold."""
    lstmconv.export(SINE, tmp_path / "half.safetensors", weights="float16")
    lstmconv.export_onnx(tmp_path / "half.safetensors", tmp_path / "half.onnx")
    stored = {array.name: array.data_type for array in onnx.load(tmp_path / "half.onnx").graph.initializer}
    assert {stored[f"lstm/{name}"] for name in "WRB"} == {onnx.TensorProto.FLOAT16}


def test_open_sizes_are_named(tmp_path: Path) -> None:
    lstmconv.export_onnx(SINE, tmp_path / "sine.onnx")
    proto = onnx.load(tmp_path / "sine.onnx")
    (given,), (made,) = proto.graph.input, proto.graph.output
    assert given.type.tensor_type.shape.dim[0].dim_param == made.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_nothing_of_keras_is_imported(tmp_path: Path) -> None:
    code = (
        "import lstmconv, sys; lstmconv.export_onnx(sys.argv[1], sys.argv[2]);"
        "print([name for name in ('tensorflow', 'keras', 'tf2onnx') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(SINE), str(tmp_path / "sine.onnx")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"


def test_it_is_replaced_only_when_told(tmp_path: Path, bundle: Path) -> None:
    out = tmp_path / "sine.onnx"
    out.write_bytes(b"mine")
    with pytest.raises(FileAccessError, match="force=True"):
        lstmconv.export_onnx(bundle, out)
    assert out.read_bytes() == b"mine"
    lstmconv.export_onnx(bundle, out, force=True)
    assert list(tmp_path.iterdir()) == [out]
    assert onnx.load(out).producer_name == "lstmconv"


def test_refusals_before_anything_is_read(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"must end in \.onnx"):
        lstmconv.export_onnx(bundle, tmp_path / "sine.pb")
    with pytest.raises(UsageError, match="bundle"):
        lstmconv.export_onnx(bundle, tmp_path / "sine.onnx", deterministic=True)
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "onnx":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"lstmconv\[onnx\]"):
        lstmconv.export_onnx(bundle, tmp_path / "sine.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_computes_something_else_is_not_published(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped = {**recurrent.GATES, LSTM: ("i", "f", "o", "c")}
    monkeypatch.setattr(recurrent, "GATES", swapped)
    with pytest.raises(InvalidFileError, match=r"differs from .* in 'dense'"):
        lstmconv.export_onnx(bundle, tmp_path / "sine.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_valid_onnx_is_not_published(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(by_node.WRITERS, Dense, lambda w, node: w("Gemm", w.tensors[node.x]))
    with pytest.raises(InvalidFileError, match="not valid"):
        lstmconv.export_onnx(bundle, tmp_path / "sine.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_onnx_cannot_say_is_refused_by_node() -> None:
    x = Input(name="x", shape=(None, 3), dtype="int32")
    power = Elementwise(name="lifted", op="power", args=("x", "x"))
    with pytest.raises(UnsupportedError, match=r"node 'lifted' \(Elementwise\).*power"):
        model.write_model(Graph(("x",), ("lifted",), None, (x, power), {}), "0", {})


def test_a_negative_id_is_an_error_and_not_a_row_from_the_end() -> None:
    """Gather would count it from the end."""
    x = Input(name="x", shape=(None, None), dtype="int32")
    table = Embedding(name="table", x="x", weights="table", input_size=4, units=2, dtype="float32")
    graph = Graph(("x",), ("table",), None, (x, table), {"table/E": np.arange(8, dtype=np.float32).reshape(4, 2)})
    run = onnxruntime_of(model.write_model(graph, "0", {}))
    (rows,) = run({"x": np.array([[3, 0]])})
    assert rows.tolist() == [[[6, 7], [0, 1]]]
    for odd in (-1, 4):
        with pytest.raises(EngineRefusal):
            run({"x": np.array([[odd, 0]])})


def test_a_model_that_cannot_run_step_by_step_is_refused(tmp_path: Path) -> None:
    entry = next(one for one in ENTRIES if one["case"] == "bidirectional" and config_path(one) is None)
    with pytest.raises(UnsupportedError, match="cannot stream"):
        lstmconv.export_onnx(model_path(entry), tmp_path / "model.onnx", states=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_old_files(entry: dict[str, Any], tmp_path: Path) -> None:
    """Files of ten releases of Keras, through onnxruntime, beside what these releases predicted."""
    if entry["case"] in REFUSED:
        with pytest.raises(LstmconvError):
            lstmconv.export_onnx(model_path(entry), tmp_path / "model.onnx", config=config_path(entry))
        assert list(tmp_path.iterdir()) == []
        return
    lstmconv.export_onnx(model_path(entry), tmp_path / "model.onnx", config=config_path(entry))
    proto = onnx.load(tmp_path / "model.onnx")
    inputs, wanted = arrays(entry)
    names = [info.name for info in proto.graph.input]
    assert apart(onnxruntime_of(proto, threads=1)(dict(zip(names, inputs, strict=True))), wanted) < 1e-5


def test_a_model_in_memory(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lstmconv.parity.engines import import_quietly

    keras = import_quietly("keras")
    keras.utils.set_random_seed(0)
    x = keras.Input((None, 3), name="x")
    live = keras.Model(x, {"a": keras.layers.GRU(4, return_sequences=True)(x), "b": keras.layers.SimpleRNN(2)(x)})
    lstmconv.export_onnx(live, tmp_path / "live.onnx")
    proto = onnx.load(tmp_path / "live.onnx")
    assert [info.name for info in proto.graph.output] == ["a", "b"]
    sizes = [dim.dim_param or dim.dim_value for dim in proto.graph.output[0].type.tensor_type.shape.dim]
    assert sizes == ["batch", "time", 4]
    given = np.random.default_rng(0).standard_normal((2, 7, 3)).astype(np.float32)
    expected = live.predict(given, verbose=0)
    made = onnxruntime_of(proto)({"x": given})
    assert apart(made, [expected["a"], expected["b"]]) < 1e-5
