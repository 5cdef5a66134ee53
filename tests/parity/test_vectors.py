"""Every engine over every vector: what Keras computed, from the runtime in each of its ways, and from Keras again.

A difference is of the scale of the output, its largest magnitude. The promise is PROMISE; what is TYPICAL holds for
all vectors but those named, with the reason beside them. Half precision keeps 8 to 11 bits, and Keras rounds after
every operation in an order of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from lstmconv.exporting import bundle_of, convert
from lstmconv.graph.keras_classes import HANDLERS
from lstmconv.graph.keras_functions import OPERATIONS
from lstmconv.parity.engines import EngineMissing, Subject, import_quietly, keras_engine, onnxruntime_engine
from lstmconv_runtime import Model, programs
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from lstmconv_runtime.stream_kinds import STREAM, classify, stream_inputs
from outputs import as_list
from vector_files import FOLDER, NAMES, Vector, apart, classes, of_outputs, read_vector, stream_refusals

PROMISE, TYPICAL = 1e-5, 2e-6
HALF = {"float16": 4e-3, "bfloat16": 2e-2}
DOUBLE = 1e-12  # between two evaluations in float64
LOOSER = dict.fromkeys(
    (
        "activation-elu", "activation-tanh-shrink",  # as gates of a GRU: they grow without bounds, or cancel near 0
        "saturated-gates",  # sums of 300, whose last bit is 3e-5: from float64 it is 1.4e-6 to Keras, 2.8e-6 to us
    ), PROMISE,
)  # fmt: skip
LOOSER_DOUBLE = dict.fromkeys(
    (
        # TensorFlow keeps the slope of leaky_relu and the constants of gelu in float32, whatever x is.
        "activation-gelu", "activation-leaky-relu", "activation-objects", "conv1d", "dense", "leaky-relu",
        "masked-companions",
        # Numbers of the config and statistics become constants in the dtype the layer was saved with.
        "normalization", "rescaling", "rms-normalization",
        "up-sampling2d", "frames-encoded",  # TensorFlow interpolates in float32, whatever x is
        "masked-spatial-dropout-3d",  # a SpatialDropout keeps the dtype it was made with, and casts to it
        "nested",  # what enters a model inside is cast to the float32 of its Input layer
        "fixed-rows",  # an operation has no dtype: the input and an array, both float32, are added in float32
    ), 1e-7,
)  # fmt: skip
NOT_IN_DOUBLE = {
    "int8-nice-numbers": "it rounds numbers that are halves in float32 alone",
    "discretization-adapted": "what Keras makes of it in float64 was not adapted",
}

TABLE = FOLDER.parents[2] / "docs" / "onnx-cross-check.md"


class Subjects:
    """A vector made ready for the engines."""

    def __init__(self, vector: Vector) -> None:
        self.vector = vector
        self.bundle = bundle_of(convert(vector.read()))

    def model(self, dtype: str | None = None, engine: str | None = None) -> Model:
        return Model(self.bundle, dtype=dtype, engine=engine)


@lru_cache(maxsize=4)
def subject_of(name: str) -> Subjects:
    return Subjects(read_vector(name))


def predict(subject: Subjects) -> list[Any]:
    return as_list(subject.model().predict(subject.vector.inputs))


def predict_on_numpy(subject: Subjects) -> list[Any]:
    """Where the kernel is built, `predict` and `stream` are its."""
    return as_list(subject.model(engine="numpy").predict(subject.vector.inputs))


def reference(subject: Subjects) -> list[Any]:
    """The cells gate by gate, as `trace` shows them."""
    model = subject.model()
    values = programs.run(model.program, model.check_inputs(subject.vector.inputs), gates={})
    return model._owned(values)


def float64(subject: Subjects) -> list[Any]:
    return as_list(subject.model("float64").predict(subject.vector.inputs))


def stream(subject: Subjects) -> list[Any]:
    """In two chunks and single steps between them; outputs of the sequence so far as they are at its end.

    Of a model some outputs of which cannot stream, the others alone; those come out as they were expected.
    """
    graph, expected = subject.vector.graph, subject.vector.outputs
    held = dict(zip(graph.inputs, subject.vector.inputs, strict=True))
    refused = stream_refusals(graph)
    able = [position for position, why in enumerate(refused) if why is None]
    if not able:
        pytest.skip(str(refused[0]))
    part = of_outputs(graph, able)
    model = Model(to_bytes(Bundle(part, {}, {}, ())))
    given = {name: held[name] for name in model.input_names}
    moving = stream_inputs(model.nodes)
    steps, rows = {given[name].shape[1] for name in moving}, {len(x) for x in given.values()}
    if len(steps) > 1 or rows == {0}:
        pytest.skip("its inputs have different numbers of steps" if rows != {0} else "a stream has at least one row")
    run = model.stream(rows.pop(), {name: x for name, x in given.items() if name not in moving})
    (length,) = steps
    parts = []
    for start, stop in ((0, 2), (2, 3), (3, length)):
        piece = {name: given[name][:, start : min(stop, length)] for name in moving}
        if start < length:
            parts.append(as_list(run.chunk(piece)))
    kinds = classify(model.nodes, model.program.types)
    made = list(expected)
    for position, name, column in zip(able, part.outputs, zip(*parts, strict=True), strict=True):
        made[position] = np.concatenate(column, axis=1) if kinds[name] == STREAM else column[-1]
    return made


def on_file(open_engine: Callable[[Subject], Any], subject: Subjects, folder: Path) -> list[Any]:
    """An engine of `lstmconv parity`, on the vector's file."""
    path = folder / "model.keras"
    path.write_bytes(subject.vector.keras_file)
    held = Subject(subject.bundle, path)
    try:
        run = open_engine(held)
        return list(run(dict(zip(held.runtime.input_names, subject.vector.inputs, strict=True))))
    except EngineMissing as reason:
        pytest.skip(str(reason))


def allowed(vector: Vector, typical: float = TYPICAL) -> float:
    return HALF[vector.half] if vector.half else max(typical, LOOSER.get(vector.name, 0))


def agree(made: list[Any], expected: list[Any], limit: float) -> None:
    assert len(made) == len(expected)
    for index, (one, other) in enumerate(zip(made, expected, strict=True)):
        found = apart(one, other)
        assert found <= limit, f"output {index} differs by {found:.2g} of its scale"


@pytest.mark.parametrize("run", [predict, predict_on_numpy, reference, float64, stream])
@pytest.mark.parametrize("name", NAMES)
def test_vector(name: str, run: Callable[[Subjects], list[Any]]) -> None:
    if run is float64 and name in NOT_IN_DOUBLE:
        pytest.skip(NOT_IN_DOUBLE[name])
    subject = subject_of(name)
    vector = subject.vector
    made = run(subject)
    agree(made, vector.outputs, allowed(vector))
    if run in (predict, predict_on_numpy):
        assert [y.dtype for y in made] == [y.dtype for y in vector.outputs]
    if run is float64:
        exact = list(vector.exact.values())
        agree([made[index] for index in vector.exact], exact, LOOSER_DOUBLE.get(name, DOUBLE))


# --- Keras and onnxruntime --------------------------------------------------------------------------------------------

# One of each family, for every run; the others are marked long.
ALSO_SHORT = (
    "lstm-stacked", "masked-lstm-initial-state", "gru-reset-before", "masked-rnn-mixed", "conv-lstm-1d-states",
    "masked-bidirectional-concat-sequences", "bidirectional-other-class", "embedding-mask-zero", "dicts",
    "masked-attention", "nested-masked", "sequence-to-sequence",
)  # fmt: skip
EITHER = [name if name in ALSO_SHORT else pytest.param(name, marks=pytest.mark.long) for name in NAMES]


@pytest.mark.parametrize("name", EITHER)
def test_keras_again(name: str, tmp_path: Path) -> None:
    """Keras computes from the committed file what it computed when the file was made."""
    pytest.importorskip("tensorflow")
    subject = subject_of(name)
    if len(subject.vector.inputs[0]) == 0:
        pytest.skip("Keras's predict refuses an empty batch")
    agree(on_file(keras_engine, subject, tmp_path), subject.vector.outputs, allowed(subject.vector, PROMISE))


@pytest.mark.parametrize("name", EITHER)
def test_onnxruntime(name: str, tmp_path: Path) -> None:
    """Where the document says that onnxruntime agrees on Keras's own ONNX export, it does."""
    for package in ("tensorflow", "tf2onnx", "onnxruntime"):
        pytest.importorskip(package)
    verdict, reason = onnx_verdicts()[name]
    if verdict != "agrees":
        pytest.skip(f"{verdict}: {reason}")
    subject = subject_of(name)
    agree(on_file(onnxruntime_engine, subject, tmp_path), subject.vector.outputs, allowed(subject.vector, PROMISE))


def onnx_verdicts() -> dict[str, tuple[str, str]]:
    """By case, what docs/onnx-cross-check.md says of it."""
    rows = re.findall(r"^\| ([\w-]+) \| (agrees|differs|fails) \| [^|]* \| ([^|]*) \|", TABLE.read_text("utf-8"), re.M)
    return {case: (verdict, reason) for case, verdict, reason in rows}


# --- the table as a whole ---------------------------------------------------------------------------------------------


def test_the_runtime_is_as_exact_as_keras() -> None:
    """Over all outputs whose float64 values Keras gave: the median error of the runtime is no larger than Keras's."""
    ours, theirs = [], []
    for name in NAMES:
        vector = read_vector(name)
        if not vector.exact:
            continue
        program = programs.prepare(vector.graph)
        values = programs.run(program, dict(zip(vector.graph.inputs, vector.inputs, strict=True)), None)
        for index, exact in vector.exact.items():
            if vector.outputs[index].dtype != np.float32:
                continue
            ours.append(apart(values[vector.graph.outputs[index]], exact))
            theirs.append(apart(vector.outputs[index], exact))
    print(f"{len(ours)} outputs; median error: runtime {median(ours):.2e}, Keras {median(theirs):.2e}; "
          f"largest: runtime {max(ours):.2e}, Keras {max(theirs):.2e}")  # fmt: skip
    assert len(ours) > 500
    assert median(ours) <= median(theirs)


def test_every_class_and_operation_has_a_case() -> None:
    covered: set[str] = set().union(*(classes(read_vector(name).config) for name in NAMES))
    assert set(HANDLERS) - covered == set()
    assert {f"{module}.{name}" for module, name in OPERATIONS} - covered == set()


def test_the_vectors_are_those_of_the_cases() -> None:
    pytest.importorskip("tensorflow")
    import_quietly("keras")
    from cases import CASES

    assert set(CASES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_versions_are_recorded(name: str) -> None:
    assert read_vector(name).versions["keras"]
    assert (FOLDER / f"{name}.npz").stat().st_size <= 40_000


def test_the_vectors_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.npz")) <= 4_000_000
