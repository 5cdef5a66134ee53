"""The engines that compute one model: Keras, our runtime, and onnxruntime, on Keras's own ONNX export and on ours.

An engine is a function from arrays by input name to the outputs in the graph's order. `ENGINES` is the table of
contents; `open_engines` opens those that are there, and says of the others in words why they are not.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from lstmconv_runtime import Model
from lstmconv_runtime.format.bundle import Bundle
from lstmconv_runtime.format.graph import Array

from ..bundles.keras_oracle import ROWS, as_numpy, first_line, functional, keras_oracle, reset_states, states_kept
from ..bundles.load import read_model
from ..bundles.probes import Oracle as Engine
from ..bundles.probes import OracleError
from ..errors import UnsupportedError, printable
from ..exporting import bundle_of, convert
from ..onnx.exporting import onnx_of

INSTALL = "pip install 'lstmconv[parity]'"

ONNX_DTYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(bool)": "bool",
    "tensor(int8)": "int8", "tensor(int16)": "int16", "tensor(int32)": "int32", "tensor(int64)": "int64",
    "tensor(uint8)": "uint8", "tensor(uint16)": "uint16", "tensor(uint32)": "uint32",
}  # fmt: skip


class EngineMissing(Exception):  # noqa: N818 - it is what the report says, not a failure of the program
    """An engine cannot run here; the message says why, and what to do."""


@dataclass
class Subject:
    """The model under test.

    Attributes:
        bundle: the bundle's bytes, which the runtime and the float64 evaluation run.
        path: the Keras file.
        live: the Keras model where it is in memory already.
        onnx: Keras's own ONNX export where it has been made already.
    """

    bundle: bytes
    path: Path | None = None
    live: Any = None
    onnx: Path | None = None

    @classmethod
    def from_file(cls, path: Path) -> Subject:
        """Exports a Keras file to a bundle in memory; a bundle is taken as it is.

        Raises:
            LstmconvError: the file cannot be converted.
        """
        file = read_model(path)
        return cls(file) if isinstance(file, bytes) else cls(bundle_of(convert(file)), path)

    @cached_property
    def runtime(self) -> Model:
        """The bundle, loaded as any user loads it."""
        return Model(self.bundle)

    @property
    def keras(self) -> Any:
        """The Keras model.

        Raises:
            EngineMissing: Keras is not installed, or does not open the file.
        """
        if self.live is not None:
            return self.live
        if isinstance(self._opened, EngineMissing):
            raise self._opened
        return self._opened

    @cached_property
    def _opened(self) -> Any:
        """The Keras model of the file; or why there is none, which takes as long to find out."""
        if self.path is None:  # said before Keras is imported, which takes seconds
            return EngineMissing("there is no Keras model to run, only a bundle")
        try:
            keras = import_quietly("keras")
        except EngineMissing as reason:
            return reason
        try:
            with _quiet():
                return keras.models.load_model(self.path, compile=False)
        except Exception as error:  # whatever a loader of foreign files comes to raise
            why = first_line(error, self.path)  # without its folder: a report is for others to read too
            return EngineMissing(f"Keras {keras.__version__} does not open the file: {why}")


def import_quietly(name: str) -> Any:
    """Imports a package of the `parity` extra without TensorFlow's start-up messages.

    Raises:
        EngineMissing: it is not installed; says what to install.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _quiet():
            return importlib.import_module(name)
    except ImportError as error:
        package = (error.name or name).partition(".")[0]
        raise EngineMissing(f"needs {package}, which is not installed: {INSTALL}") from None


def keras_engine(subject: Subject) -> Engine:
    """`predict` of the Keras model."""
    return engine_of_keras(subject.keras, subject.runtime)


def engine_of_keras(model: Any, runtime: Model) -> Engine:
    """`predict` of a Keras model, from zero states; its outputs in the order of the runtime's graph."""
    graph = runtime.bundle.graph
    oracle = keras_oracle(model, graph.inputs, graph.output_keys)

    def evaluate(inputs: Mapping[str, Array]) -> list[Array]:
        try:
            with _quiet():
                return oracle(inputs)
        except OracleError as error:
            raise EngineMissing(str(error)) from None

    return evaluate


def runtime_engine(subject: Subject) -> Engine:
    """`predict` of our runtime on the bundle."""
    return engine_of_bundle(subject.runtime)


def engine_of_bundle(model: Model) -> Engine:
    """`predict` of a loaded bundle as an engine."""

    def evaluate(inputs: Mapping[str, Array]) -> list[Array]:
        made = model.predict(dict(inputs), batch_size=ROWS)
        if isinstance(made, dict):
            return list(made.values())
        return made if isinstance(made, list) else [made]

    return evaluate


def onnxruntime_engine(subject: Subject) -> Engine:
    """onnxruntime on Keras's own ONNX export of the model, which is made now unless the subject has one."""
    import_quietly("onnxruntime")
    if subject.onnx is not None:
        return engine_of_onnx(subject.onnx.read_bytes(), subject.runtime)
    with tempfile.TemporaryDirectory(prefix="lstmconv-") as folder:
        path = Path(folder) / "model.onnx"
        export_onnx_by_keras(subject.keras, path)
        return engine_of_onnx(path.read_bytes(), subject.runtime)


def export_onnx_by_keras(model: Any, path: Path) -> None:
    """Writes Keras's own ONNX export of a Keras model.

    Raises:
        EngineMissing: a package is missing, or Keras cannot export this model.
    """
    for package in ("onnx", "tf2onnx"):
        import_quietly(package)
    try:
        with _quiet(), states_kept(model):
            reset_states(model)
            if not getattr(model, "_called", True):  # export refuses a model that has only been loaded
                keras = import_quietly("keras")
                model(keras.tree.map_structure(_zeros, functional(model)._inputs_struct))
                reset_states(model)
            model.export(path, format="onnx", verbose=False)
    except Exception as error:  # tf2onnx raises what it likes
        raise EngineMissing(f"Keras's ONNX export of this model fails: {first_line(error)}") from None


def engine_of_onnx(data: bytes, runtime: Model) -> Engine:
    """onnxruntime on an ONNX model with the inputs and outputs of a bundle.

    Raises:
        EngineMissing: onnxruntime is not installed or refuses the model.
    """
    onnxruntime = import_quietly("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal; the same words come as an exception
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise EngineMissing(f"onnxruntime refuses Keras's ONNX export: {first_line(error)}") from None
    takes, names = session.get_inputs(), runtime.input_names
    if len(takes) != len(names):
        raise EngineMissing(f"Keras's ONNX export has {len(takes)} inputs, the model has {len(names)}")
    same_names = {arg.name for arg in takes} == set(names)
    source = {arg.name: arg.name if same_names else name for arg, name in zip(takes, names, strict=True)}
    gives = [output.name for output in session.get_outputs()]
    order = runtime.output_names if set(gives) == set(runtime.output_names) else gives

    def evaluate(inputs: Mapping[str, Array]) -> list[Array]:
        feed = {arg.name: inputs[source[arg.name]].astype(ONNX_DTYPES[arg.type], copy=False) for arg in takes}
        try:
            return list(session.run(list(order), feed))
        except Exception as error:
            raise EngineMissing(f"onnxruntime cannot run Keras's ONNX export: {first_line(error)}") from None

    return evaluate


def our_onnx_engine(subject: Subject) -> Engine:
    """onnxruntime on the ONNX file that `lstmconv onnx` writes of the bundle."""
    return engine_of_our_onnx(subject.runtime.bundle)


def engine_of_our_onnx(bundle: Bundle) -> Engine:
    """onnxruntime on a bundle as we write it as ONNX.

    Raises:
        EngineMissing: a package is missing, ONNX cannot say the model, or onnxruntime refuses it.
    """
    for package in ("onnx", "onnxruntime"):
        import_quietly(package)
    from ..onnx.running import EngineRefusal, onnxruntime_of  # needs onnx

    try:
        run = onnxruntime_of(onnx_of(bundle))
    except (UnsupportedError, EngineRefusal) as error:
        raise EngineMissing(f"the model as our ONNX: {printable(str(error), 300)}") from None

    def evaluate(inputs: Mapping[str, Array]) -> list[Array]:
        try:
            return run(inputs)
        except EngineRefusal as error:
            raise EngineMissing(f"onnxruntime cannot run our ONNX: {printable(str(error), 300)}") from None

    return evaluate


ENGINES: dict[str, Callable[[Subject], Engine]] = {
    "Keras": keras_engine,
    "runtime": runtime_engine,
    "onnxruntime": onnxruntime_engine,
    "our ONNX": our_onnx_engine,
}


def keras_in_float64(subject: Subject) -> Engine:
    """The Keras model with every layer computing in float64: a second opinion on the float64 evaluation of the graph.

    Raises:
        EngineMissing: Keras cannot rebuild this model in float64.
    """
    return engine_of_keras(float64_twin(subject.keras), subject.runtime)


def float64_twin(model: Any) -> Any:
    """A Keras model with the same weights, every layer of which computes in float64.

    Raises:
        EngineMissing: Keras cannot rebuild this model in float64.
    """
    keras = import_quietly("keras")
    try:
        with _quiet():
            config = _in_float64(keras.saving.serialize_keras_object(model))
            twin = keras.saving.deserialize_keras_object(config)
            twin.set_weights([as_numpy(array) for array in model.get_weights()])
            for layer in twin._flatten_layers():
                if hasattr(layer, "finalize_state"):  # Normalization keeps a copy of its statistics
                    layer.finalize_state()
    except Exception as error:
        raise EngineMissing(f"Keras cannot rebuild the model in float64: {first_line(error)}") from None
    return twin


def _in_float64(config: Any) -> Any:
    """A serialised model with float64 for every dtype policy; the dtypes of its inputs stay."""
    if isinstance(config, list | tuple):
        return [_in_float64(item) for item in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        return {**config, "config": {**config["config"], "name": "float64"}}
    kept = ("compile_config", "build_config")
    return {key: _in_float64(item) for key, item in config.items() if key not in kept}


NOT_WANTED = "it was not asked for"


def open_engines(
    subject: Subject, wanted: Collection[str] = tuple(ENGINES)
) -> tuple[dict[str, Engine], dict[str, str]]:
    """The engines that are there by name, and for the others the reason in words."""
    engines: dict[str, Engine] = {}
    missing: dict[str, str] = {}
    for name, open_engine in ENGINES.items():
        if name not in wanted:
            missing[name] = NOT_WANTED
            continue
        try:
            engines[name] = open_engine(subject)
        except EngineMissing as reason:
            missing[name] = str(reason)
    return engines, missing


def _zeros(tensor: Any) -> Array:
    """A small array that fits an input of a Keras model."""
    return np.zeros([size or 2 for size in tensor.shape], tensor.dtype)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the chatter of TensorFlow and tf2onnx; what goes wrong still comes as an exception.

    TensorFlow's C++ side writes to file descriptor 2 whatever TF_CPP_MIN_LOG_LEVEL says, until its log is set up.
    """
    loggers = [logging.getLogger(name) for name in ("tensorflow", "tf2onnx", "absl")]
    before = [logger.level for logger in loggers]
    try:
        kept = os.dup(2)
    except OSError:
        kept = None  # the process has no stderr
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        if kept is not None:
            if sys.stderr is not None:
                sys.stderr.flush()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if kept is not None:
            os.dup2(kept, 2)
            os.close(kept)
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
