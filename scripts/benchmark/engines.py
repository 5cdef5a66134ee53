"""The engines, each a function from a case's subject to what is timed: x (batch, time, features) → y, as NumPy arrays.

For a streaming case, what is timed takes one step x_t (1, features) and carries the state itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from lstmconv.exporting import export
from lstmconv.onnx.exporting import export_onnx
from lstmconv.parity.engines import EngineMissing, export_onnx_by_keras, import_quietly
from lstmconv_runtime import EngineError, load
from lstmconv_runtime.difference import difference
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.format.nodes import GRU, LSTM, Dense

from . import naive, pytorch
from .cases import MASKED_VALUE, Case, input_of, keras_model, step_model
from .silence import silence

Run = Callable[[Array], Array]
Call = Callable[[Sequence[Array]], Sequence[Array]]  # all inputs of a model → all outputs

THREADS = 2  # LiteRT's; the other engines choose their own
CHECKED_STEPS = 50  # of a stream


class Subject:
    """One case as a Keras model, a bundle, an ONNX file; each made when first asked for."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self._folder = case, folder
        self.sequence_model = keras_model(case)
        self.keras = self.sequence_model if case.kind != "stream" else step_model(self.sequence_model, case)
        self.x = input_of(case, CHECKED_STEPS if case.kind == "stream" else None)

    @cached_property
    def expected(self) -> Array:
        """Keras's prediction for x."""
        made: Array = self.sequence_model.predict(self.x, batch_size=self.case.batch, verbose=0)
        return made

    @cached_property
    def bundle(self) -> Path:
        archive, path = self._folder / "model.keras", self._folder / "model.safetensors"
        self.sequence_model.save(archive)
        export(archive, path, force=True)
        return path

    @cached_property
    def onnx(self) -> Path:
        """Keras's own ONNX export."""
        path = self._folder / "model.onnx"
        export_onnx_by_keras(self.keras, path)
        return path

    @cached_property
    def our_onnx(self) -> Path:
        """The ONNX file that this project writes of the bundle; for a stream it carries its states."""
        path = self._folder / "ours.onnx"
        export_onnx(self.bundle, path, states=self.case.kind == "stream", force=True)
        return path

    @cached_property
    def named(self) -> tuple[list[dict[str, Array]], dict[str, Array]]:
        """The arrays of the recurrent layers in their order, and those of the Dense, by the bundle's names."""
        graph = load(self.bundle).bundle.graph
        layers = [graph.node_arrays(node) for node in graph.nodes if isinstance(node, LSTM | GRU)]
        (dense,) = (graph.node_arrays(node) for node in graph.nodes if isinstance(node, Dense))
        return layers, dense

    @property
    def specs(self) -> dict[str, tuple[int, ...]]:
        """The inputs of the Keras model by name, with the case's batch."""
        return {tensor.name: (self.case.batch, *tensor.shape[1:]) for tensor in self.keras.inputs}

    def run_of(self, call: Call) -> Run:
        """What is timed, of an engine that runs the Keras model or its conversion."""
        if self.case.kind != "stream":
            return lambda x: call([x])[0]
        states: Sequence[Array] = [np.zeros((1, self.case.units), np.float32) for _ in "hc"]

        def step(x_t: Array) -> Array:
            nonlocal states
            y, *states = call([x_t[:, None], *states])
            return y

        return step


def _module(name: str, distribution: str) -> Any:
    try:
        return import_quietly(name)
    except EngineMissing:
        raise EngineMissing(f"not installed: pip install {distribution}") from None


def runtime(subject: Subject) -> Run:
    """This project's runtime, on its compiled kernel."""
    return _runtime(subject, "kernel")


def runtime_numpy(subject: Subject) -> Run:
    """The same on NumPy."""
    return _runtime(subject, "numpy")


def _runtime(subject: Subject, engine: str) -> Run:
    try:
        model = load(subject.bundle, engine=engine)
    except EngineError as reason:
        raise EngineMissing(str(reason)) from None
    run: Any = model.stream().step if subject.case.kind == "stream" else model.predict
    return cast(Run, run)


def onnxruntime(subject: Subject) -> Run:
    """onnxruntime on Keras's own ONNX export, with the threads it chooses."""
    return _onnxruntime(subject, 0)


def onnxruntime_1(subject: Subject) -> Run:
    """The same with one thread."""
    return _onnxruntime(subject, 1)


def _onnxruntime(subject: Subject, threads: int) -> Run:
    session = _session(subject.onnx, threads)
    names = _in_order([arg.name for arg in session.get_inputs()], list(subject.specs))

    def call(inputs: Sequence[Array]) -> Sequence[Array]:
        made: list[Array] = session.run(None, dict(zip(names, inputs, strict=True)))
        return made

    return subject.run_of(call)


def _session(path: Path, threads: int) -> Any:
    module = _module("onnxruntime", "onnxruntime")
    options = module.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    return module.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def our_onnx(subject: Subject) -> Run:
    """onnxruntime on the ONNX file that `lstmconv onnx` writes, with the threads it chooses."""
    session = _session(subject.our_onnx, 0)
    x, *past = (arg.name for arg in session.get_inputs())
    if not past:
        return lambda batch: cast(Array, session.run(None, {x: batch})[0])
    states: list[Array] = [np.zeros((1, subject.case.units), np.float32) for _ in past]

    def step(x_t: Array) -> Array:
        nonlocal states
        y, *states = session.run(None, {x: x_t[:, None], **dict(zip(past, states, strict=True))})
        return cast(Array, y[:, 0])

    return step


def litert(subject: Subject) -> Run:
    """LiteRT on the frozen function of the Keras model for one fixed batch."""
    interpreters = _module("ai_edge_litert.interpreter", "ai-edge-litert")
    interpreter = interpreters.Interpreter(model_content=litert_model(subject), num_threads=THREADS)
    interpreter.allocate_tensors()
    takes, gives = interpreter.get_input_details(), interpreter.get_output_details()
    indices = {detail["name"]: detail["index"] for detail in takes}
    places = [indices[name] for name in _in_order(list(indices), list(subject.specs))]
    results = [detail["index"] for detail in gives]

    def call(inputs: Sequence[Array]) -> Sequence[Array]:
        for place, array in zip(places, inputs, strict=True):
            interpreter.set_tensor(place, array)
        interpreter.invoke()
        return [interpreter.get_tensor(result) for result in results]

    return subject.run_of(call)


def litert_model(subject: Subject) -> bytes:
    """The LiteRT file: the converter does not freeze variables that a loop reads, so they are made constants before."""
    tf = import_quietly("tensorflow")
    freeze = import_quietly("tensorflow.python.framework.convert_to_constants").convert_variables_to_constants_v2
    frozen = freeze(_tf_function(subject).get_concrete_function())
    made: bytes = tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
    return made


def openvino(subject: Subject) -> Run:
    """OpenVINO on Keras's own ONNX export for one fixed batch: CPU, latency, float32."""
    module = _module("openvino", "openvino")
    core = module.Core()
    try:
        model = core.read_model(subject.onnx)
    except RuntimeError as error:
        last = str(error).strip().splitlines()[-1].strip("- ")  # the lines before say where in its sources
        raise EngineMissing(f"OpenVINO does not read Keras's ONNX export: {last}") from None
    names = _in_order([port.any_name for port in model.inputs], list(subject.specs))
    model.reshape(dict(zip(names, (list(shape) for shape in subject.specs.values()), strict=True)))
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def call(inputs: Sequence[Array]) -> Sequence[Array]:
        return list(request.infer(dict(zip(names, inputs, strict=True))).values())

    return subject.run_of(call)


def torch(subject: Subject) -> Run:
    """PyTorch on the CPU: torch.nn.LSTM or GRU in inference mode."""
    _module("torch", "torch")
    _only_lstm_and_gru(subject)
    layers, dense = subject.named
    if subject.case.kind == "stream":
        return pytorch.stream(layers[0], dense, subject.case.units)
    return pytorch.network(subject.case.kind, layers, dense, MASKED_VALUE)


def _only_lstm_and_gru(subject: Subject) -> None:
    if subject.case.kind in ("SimpleRNN", "masked GRU", "masked SimpleRNN"):
        raise EngineMissing("written for LSTM and GRU alone")


def tf_function(subject: Subject) -> Run:
    """The Keras model as one tf.function for one fixed batch."""
    tf = import_quietly("tensorflow")
    function = _tf_function(subject).get_concrete_function()

    def call(inputs: Sequence[Array]) -> Sequence[Array]:
        made = function(*(tf.constant(array) for array in inputs))
        return [tensor.numpy() for tensor in (made if isinstance(made, list | tuple) else [made])]

    return subject.run_of(call)


def _tf_function(subject: Subject) -> Any:
    tf = import_quietly("tensorflow")
    signature = [tf.TensorSpec(shape, tf.float32, name=name) for name, shape in subject.specs.items()]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def function(*inputs: Any) -> Any:
        return subject.keras(inputs[0] if len(inputs) == 1 else list(inputs), training=False)

    return function


def keras(subject: Subject) -> Run:
    """keras.Model.predict, the whole batch at once."""
    model, rows = subject.keras, subject.case.batch

    def call(inputs: Sequence[Array]) -> Sequence[Array]:
        made = model.predict(inputs[0] if len(inputs) == 1 else list(inputs), batch_size=rows, verbose=0)
        return made if isinstance(made, list | tuple) else [made]

    return subject.run_of(call)


def by_hand(subject: Subject) -> Run:
    """A script in NumPy, gate by gate."""
    _only_lstm_and_gru(subject)
    layers, dense = subject.named
    if subject.case.kind == "stream":
        return naive.stream(layers[0], dense, subject.case.units)
    return naive.network(subject.case.kind, layers, dense, MASKED_VALUE)


ENGINES: dict[str, Callable[[Subject], Run]] = {
    "runtime": runtime,
    "runtime-numpy": runtime_numpy,
    "onnxruntime": onnxruntime,
    "onnxruntime-1": onnxruntime_1,
    "our-onnx": our_onnx,
    "litert": litert,
    "openvino": openvino,
    "torch": torch,
    "tf.function": tf_function,
    "keras": keras,
    "naive": by_hand,
}
REFERENCE = "onnxruntime"
OURS = "runtime"
TOLERANCE = 1e-4  # of the largest output of Keras


def open_engines(subject: Subject, names: Sequence[str]) -> tuple[dict[str, Run], dict[str, str]]:
    """The engines whose results agree with Keras's, and for the others the reason in words."""
    opened: dict[str, Run] = {}
    refused: dict[str, str] = {}
    for name in names:
        try:
            with silence():
                run = ENGINES[name](subject)
                apart = _apart(subject, run)
        except EngineMissing as reason:
            refused[name] = str(reason)
        except Exception as error:  # converters raise what they like; the others are measured all the same
            refused[name] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
        else:
            if apart <= TOLERANCE:
                opened[name] = run
            else:
                refused[name] = f"differs from Keras by {apart:.1e} of the largest output"
    return opened, refused


def _apart(subject: Subject, run: Run) -> float:
    """The largest difference from Keras in units of its largest output."""
    if subject.case.kind == "stream":
        made = np.stack([run(subject.x[:, t]) for t in range(subject.x.shape[1])], axis=1)
    else:
        made = run(subject.x)
    return difference(made, subject.expected).relative


def _in_order(found: list[str], wanted: list[str]) -> list[str]:
    """The names a conversion gave the inputs x, h, c: `h`, `h:0`, `serving_default_h:0`; in the order of `wanted`."""
    if len(wanted) == 1:
        return found
    bare = {name.removeprefix("serving_default_").partition(":")[0]: name for name in found}
    return [bare[name] for name in wanted]
