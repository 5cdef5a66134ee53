"""Every engine over every vector: what Keras computed, from the runtime in each of its ways, and from Keras again.

Differences are measured against the scale of the output, the larger of 1 and its largest magnitude.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from lstmconv.conversion import bundle_of, convert
from lstmconv.keras_file import read_keras_file
from lstmconv_runtime import Model, StreamError, engine

FOLDER = Path(__file__).parent.parent / "vectors" / "parity"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))
TOLERANCE = 2e-6  # the promise is 1e-5; none of the committed vectors needs it
LOOSER: dict[str, float] = {}  # by vector, with the reason beside it


class Vector(NamedTuple):
    """One committed case."""

    keras_file: Path
    bundle: bytes
    inputs: list[Any]
    outputs: list[Any]


@pytest.fixture(scope="module")
def vector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vector:
    with np.load(FOLDER / f"{request.param}.npz", allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files}
    path = tmp_path_factory.mktemp("vector") / "model.keras"
    path.write_bytes(arrays["model"].tobytes())
    inputs, outputs = ([arrays[f"{kind}/{i}"] for i in range(len(arrays)) if f"{kind}/{i}" in arrays] for kind in KINDS)
    return Vector(path, bundle_of(convert(read_keras_file(path))), inputs, outputs)


KINDS = ("input", "output")


def as_list(outputs: Any) -> list[Any]:
    if isinstance(outputs, dict):
        return list(outputs.values())
    return outputs if isinstance(outputs, list) else [outputs]


def predict(vector: Vector) -> list[Any]:
    return as_list(Model(vector.bundle).predict(vector.inputs))


def reference(vector: Vector) -> list[Any]:
    """The cells gate by gate, as `trace` shows them."""
    model = Model(vector.bundle)
    values = engine.run(model.program, model.check_inputs(vector.inputs), gates={})
    return [values[name] for name in model.bundle.graph.outputs]


def float64(vector: Vector) -> list[Any]:
    return as_list(Model(vector.bundle, dtype="float64").predict(vector.inputs))


def stream(vector: Vector) -> list[Any]:
    """In two chunks and single steps between them; outputs of the sequence so far as they are at its end."""
    model = Model(vector.bundle)
    given = dict(zip(model.input_names, vector.inputs, strict=True))
    from lstmconv_runtime.streaming import stream_inputs

    moving = stream_inputs(model.nodes)
    try:
        run = model.stream(len(vector.inputs[0]), {name: x for name, x in given.items() if name not in moving})
    except StreamError as error:
        pytest.skip(str(error))
    steps = next(x.shape[1] for name, x in given.items() if name in moving)
    parts = []
    for start, stop in ((0, 2), (2, 3), (3, steps)):
        piece = {name: given[name][:, start:stop] for name in moving}
        parts.append(as_list(run.chunk(piece)))
    return [np.concatenate(column, axis=1) if column[0].ndim > 2 else column[-1] for column in zip(*parts, strict=True)]


def keras_again(vector: Vector) -> list[Any]:
    keras = pytest.importorskip("keras")
    made = keras.models.load_model(vector.keras_file, compile=False).predict(
        vector.inputs if len(vector.inputs) > 1 else vector.inputs[0], verbose=0
    )
    return [made[key] for key in sorted(made)] if isinstance(made, dict) else as_list(made)


def onnxruntime(vector: Vector) -> list[Any]:
    """onnxruntime on the ONNX export that Keras makes of the same model."""
    keras, ort = pytest.importorskip("keras"), pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    path = vector.keras_file.with_suffix(".onnx")
    model = keras.models.load_model(vector.keras_file, compile=False)
    model(
        vector.inputs if len(vector.inputs) > 1 else vector.inputs[0]
    )  # the export wants a model that has been called
    model.export(path, format="onnx", verbose=False)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return list(session.run(None, dict(zip(names, vector.inputs, strict=True))))


QUICK: tuple[Callable[[Vector], list[Any]], ...] = (predict, reference, float64, stream)
LONG: tuple[Callable[[Vector], list[Any]], ...] = (keras_again, onnxruntime)
ENGINES = [*QUICK, *(pytest.param(run, marks=pytest.mark.long) for run in LONG)]


@pytest.mark.parametrize("run", ENGINES)
@pytest.mark.parametrize("vector", NAMES, indirect=True)
def test_vector(vector: Vector, run: Callable[[Vector], list[Any]], request: pytest.FixtureRequest) -> None:
    allowed = LOOSER.get(request.node.callspec.params["vector"], TOLERANCE)
    made = run(vector)
    assert len(made) == len(vector.outputs)
    for one, expected in zip(made, vector.outputs, strict=True):
        assert one.shape == expected.shape
        scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
        difference = float(np.abs(one.astype(np.float64) - expected).max(initial=0.0)) / scale
        assert difference <= allowed, f"{difference:.2g} of scale {scale:.2g}"


@pytest.mark.parametrize("name", NAMES)
def test_versions_are_recorded(name: str) -> None:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as held:
        assert json.loads(str(held["versions"]))["keras"]
    assert (FOLDER / f"{name}.npz").stat().st_size <= 40_000
