"""The path from a Keras file, or a Keras model in memory, to a bundle."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np
from lstmconv_runtime.format.bundle import Bundle, Probe, from_bytes, to_bytes
from lstmconv_runtime.format.graph import Graph, infer_types
from lstmconv_runtime.format.spelling import in_one_spelling
from lstmconv_runtime.model import Model, inputs_of

from .bundles.drift import Drift
from .bundles.keras_oracle import keras_oracle, save_archive
from .bundles.probes import NoProbeError, Oracle, make_probes, with_ids_given
from .bundles.reduced_weights import Storage, check_storage, reduced_weights
from .errors import Hint, InvalidFileError, UnsupportedError, UsageError, printable
from .files.arrays import read_inputs
from .files.atomic import publish_bytes
from .files.suffixes import BUNDLE, check_suffix
from .graph.building import Builder
from .graph.convert import convert_config
from .graph.keras_classes import HANDLERS
from .graph.replacing import replacements, with_replacements
from .history.dialects import todays_config
from .history.legacy_arrays import Ledger, LegacyPlace, deal_out
from .history.semantics import Semantics, semantics_of, version_tuple
from .reading import ArchiveWeights, KerasFile, LegacyWeights, form, read_architecture, read_keras_file
from .reading.layer_weights import LayerWeights, PathWeights
from .version import __version__


@dataclass(frozen=True)
class Conversion:
    """A Keras file read and understood.

    Attributes:
        source: what the bundle says of its origin.
        semantics: facts of the Keras version that decided what the nodes say.
        warnings: lines for the user.
        drift: of each output, what storing the weights smaller has cost; empty where they are stored as they were.
        kept: the kernel matrices that are not int8 where the others are.
    """

    graph: Graph
    source: dict[str, str]
    semantics: dict[str, str]
    warnings: tuple[str, ...]
    drift: tuple[Drift, ...] = ()
    kept: tuple[str, ...] = ()


def convert(
    file: KerasFile,
    *,
    architecture: Any = None,
    allow_nonfinite: bool = False,
    deterministic: bool = False,
    replace: Mapping[str, Any] | None = None,
) -> Conversion:
    """The graph of a Keras file.

    Args:
        architecture: `model.to_json()` of the model, for files that hold weights alone.
        deterministic: take layers that are called with training=True as at inference, without their dropout.
        replace: serialised layers, by the name of the layer each is put in the place of; see `replacing`.

    Raises:
        LstmconvError: the file is damaged, or holds something unsupported.
    """
    known = understand(file, architecture, deterministic, replace)
    build = Builder(known.semantics, allow_nonfinite, deterministic)
    graph = convert_config(known.config, known.weights, build)
    refuse_unread(file)
    version = known.semantics.keras_version
    source = {"framework": "keras", "version": version, "container": file.container, "sha256": file.sha256}
    if known.replaced:
        source["replaced"] = ", ".join(f"{name}: {change}" for name, change in sorted(known.replaced.items()))
    return Conversion(graph, source, known.semantics.recorded(), (*known.warnings, *build.warnings))


@dataclass(frozen=True)
class Understood:
    """A Keras file ready to be converted.

    Attributes:
        config: in today's form.
        weights: the arrays of each layer in today's layout.
        warnings: what was guessed, and what was replaced.
        replaced: by the name of a layer, its class in the file and that which took its place.
    """

    config: form.Serialised
    weights: LayerWeights
    semantics: Semantics
    warnings: tuple[str, ...]
    replaced: dict[str, str]


def understand(
    file: KerasFile,
    architecture: Any = None,
    deterministic: bool = False,
    replace: Mapping[str, Any] | None = None,
) -> Understood:
    """What a Keras file says, in today's form.

    Raises:
        LstmconvError: the file is damaged, or holds something unsupported.
    """
    written = architecture_of(file, architecture)
    version, guessed = version_of(file, written)
    semantics = semantics_of(version)
    config = todays_form(file, written, semantics, replace)
    weights: LayerWeights
    if isinstance(file.weights, ArchiveWeights):
        weights = PathWeights(file.weights)
    else:
        ledger = Ledger(file.size)
        convert_config(config, LegacyPlace(ledger), Builder(semantics, deterministic=deterministic))
        keras1 = version_tuple(version) < (2,)
        deal_out(ledger, file.weights, keras1, written_by_theano(file.backend, file.weights, keras1))
        weights = LegacyPlace(ledger)
    replaced = replacements(config)
    told = [f"layer '{printable(name)}': {printable(change)}, as you told" for name, change in replaced.items()]
    return Understood(config, weights, semantics, (*file.warnings, *guessed, *told), replaced)


def todays_form(
    file: KerasFile, config: Any, semantics: Semantics, replace: Mapping[str, Any] | None = None
) -> form.Serialised:
    """The config of a file in the form of Keras 3, checked; only archives of Keras 3 have it already.

    Args:
        replace: as for `convert`.

    Raises:
        LstmconvError: it is not a model's, or has no such form.
    """
    if not semantics.modern or isinstance(file.weights, LegacyWeights):
        config = todays_config(config, semantics.keras_version)
    return form.todays(with_replacements(config, replace or {}, HANDLERS))


def refuse_unread(file: KerasFile) -> None:
    """Refuses a file with arrays that no layer asked for.

    Raises:
        InvalidFileError: names one.
    """
    for path in file.weights.unread():
        raise InvalidFileError(f"the file holds the array '{printable(path)}', which no layer has", "E_WEIGHT_EXTRA")


def architecture_of(file: KerasFile, given: Any) -> Any:
    """The model config, checked for its form: the file's own, or the one given beside it."""
    if file.config is not None:
        if given is not None:
            raise UsageError(
                "the file has its own architecture", hint=Hint("{} is for files of weights alone", "config", None)
            )
        return form.as_written(file.config)
    if given is not None:
        return form.as_written(given)
    raise UnsupportedError(
        f"the file holds weights and no architecture: {describe_weights(file.weights)}",
        "E_NEEDS_CONFIG",
        Hint("give the text that model.to_json() writes with {}", "config", "architecture.json"),
    )


def written_by_theano(backend: str | None, weights: LegacyWeights, keras1: bool) -> bool:
    """Whether a legacy file was written under Theano; Keras 1 shows it only in names without TensorFlow's ":0"."""
    if backend is not None or not keras1:
        return backend == "theano"
    names = [name for layer in weights.layer_names for name in weights.weight_names(layer)]
    return bool(names) and not any(name.endswith(":0") for name in names)


def describe_weights(weights: ArchiveWeights | LegacyWeights) -> str:
    """What a file of weights holds, in a few words: layers and shapes."""
    if isinstance(weights, LegacyWeights):
        names = [name for name in weights.layer_names if weights.weight_names(name)]
        described = [f"{name} {[a.shape for a in weights.arrays(name)]}" for name in names]
    else:
        described = [f"{name}" for name in weights.groups("layers")]
    return printable(", ".join(described) or "no weights", 400)


def version_of(file: KerasFile, config: Any) -> tuple[str, tuple[str, ...]]:
    """The Keras version a file was written by, and a warning where that is a guess from its layout."""
    version = file.keras_version or (config.get("keras_version") if isinstance(config, dict) else None)
    if isinstance(version, str) and version_tuple(version):
        return version, ()
    if isinstance(file.weights, ArchiveWeights):
        guess = "3"
    else:
        # Keras 1 stored every gate apart, under names that end in the gate.
        names = [name for layer in file.weights.layer_names for name in file.weights.weight_names(layer)]
        guess = "2" if any("kernel" in name or "embeddings" in name for name in names) else "1"
    return guess, (f"the file does not say which Keras wrote it; by its layout it is taken for Keras {guess}",)


@dataclass(frozen=True)
class Written:
    """A bundle that has been read back and has passed its own probes.

    Attributes:
        warnings: what could not be checked, and how it was checked instead.
    """

    data: bytes
    warnings: tuple[str, ...] = ()


def bundle_of(conversion: Conversion, oracle_name: str | None = None, oracle: Oracle | None = None) -> bytes:
    """The bytes of `written_bundle`."""
    return written_bundle(conversion, oracle_name, oracle).data


def written_bundle(conversion: Conversion, oracle_name: str | None = None, oracle: Oracle | None = None) -> Written:
    """The bundle, read back and verified.

    Where no probe can be found the bundle has none, and the part behind its tables is verified with ids of its own.

    Args:
        oracle: computes the probes' outputs; without one, the graph itself in float64.

    Raises:
        InvalidFileError: the bundle does not compute what the oracle does.
    """
    graph = conversion.graph
    itself = f"lstmconv {__version__}, float64"
    name, warnings = oracle_name or itself, []
    probes: tuple[Probe, ...] = ()
    try:
        probes = make_probes(graph, name, oracle)
    except NoProbeError as error:
        if oracle is not None:
            warnings.append(f"{name} answers no probe ({error}); the float64 evaluation of the bundle stands in for it")
            return _after(written_bundle(conversion), warnings)
        warnings.append(f"{error}. The bundle has no probes, so `lstmconv verify` cannot vouch for a copy of it; "
                        f"{_checked_behind_tables(graph, name)}")  # fmt: skip
    data = to_bytes(Bundle(graph, conversion.source, conversion.semantics, probes))
    read_back = from_bytes(data)
    written = in_one_spelling(graph, infer_types(graph))
    if set(read_back.graph.arrays) != set(graph.arrays) or read_back.graph.nodes != written.nodes:
        raise InvalidFileError("the bundle does not read back as it was written", "E_BUG")
    if not all(np.array_equal(read_back.graph.arrays[k], v, equal_nan=True) for k, v in graph.arrays.items()):
        raise InvalidFileError("an array does not read back as it was written", "E_BUG")
    if probes:
        _check_against(Model(data), name)
    return Written(data, tuple(warnings))


def _after(written: Written, before: list[str]) -> Written:
    """With some warnings before its own."""
    return changed(written, warnings=(*before, *written.warnings))


def _checked_behind_tables(graph: Graph, name: str) -> str:
    """Verifies what can be run where no inputs are found: the graph with ids put straight into its tables."""
    cut, layers = with_ids_given(graph)
    try:
        probes = make_probes(cut, name)
    except NoProbeError:
        return "its arrays were read back, and nothing was computed"
    _check_against(Model(to_bytes(Bundle(cut, {}, {}, probes))), name)
    return f"it was verified with ids put straight into {', '.join(printable(layer) for layer in layers)}"


def _check_against(model: Model, oracle_name: str) -> None:
    for result in model.verify().probes:
        if not result.ok:
            raise InvalidFileError(
                f"the conversion differs from {oracle_name} on the probes: {printable(result.reason, 300)}: "
                "please report this bug",
                "E_BUG",
            )


def export(
    model: Any,
    out_path: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    force: bool = False,
    allow_nonfinite: bool = False,
    deterministic: bool = False,
    weights: str | None = None,
    embeddings: bool = False,
    at_most: float | None = None,
    calibrate: Any = None,
    replace: Mapping[str, Any] | None = None,
) -> Conversion:
    """Writes the bundle of a Keras model.

    Args:
        model: the path of a Keras file, or a Keras model in memory. The model in memory is saved to a temporary archive
            and read like a file; its own predictions become the probes of the bundle, and must agree.
        out_path: where the bundle goes, `NAME.safetensors`.
        config: for files of weights alone, the path of the architecture that `model.to_json()` gave.
        force: replace an existing file.
        allow_nonfinite: accept NaN and infinity among the weights.
        deterministic: take layers that are called with training=True as at inference, without their dropout.
        weights: "float16" stores floating-point weights as float16, half the size of float32. They are computed with
            as before, in the dtype of the model. "int8" stores the kernel matrices as int8 with a float32 scale for
            each unit of each gate, a quarter of the size. `Conversion.drift` says what the rounding has cost, and the
            probes are the float64 evaluation of the weights as they are stored.
        embeddings: of int8, the tables of Embedding layers too, with a scale for each row.
        at_most: of int8, how far any output may drift, as a share of its largest magnitude; matrices whose rounding
            costs more stay as they are: `Conversion.kept`. Measured over `calibrate`, or else over the probes.
        calibrate: inputs as `predict` takes them, or the path of a `.npy`, `.npz` or `.csv`, of data the model is used
            on: the drift is measured over them too.
        replace: for layers that cannot be read, a Lambda or a class of your own: by name, what
            `keras.saving.serialize_keras_object` gives for a layer or a small functional model that computes the same.
            It gets the arrays that the file has for the layer it replaces, by their shapes.

    Raises:
        LstmconvError: nothing has been written; the message says why.
    """
    check_suffix(out_path, BUNDLE)
    storage = None
    if weights is not None:
        storage = Storage(weights, embeddings, at_most)
        check_storage(storage)
    elif embeddings or at_most is not None or calibrate is not None:
        raise UsageError("embeddings, at_most and calibrate are for weights stored smaller: say which")
    if isinstance(model, str | os.PathLike):
        architecture = None if config is None else read_architecture(config)
        conversion = convert(
            read_keras_file(model),
            architecture=architecture,
            allow_nonfinite=allow_nonfinite,
            deterministic=deterministic,
            replace=replace,
        )
        written = written_bundle(conversion)
    else:
        if config is not None:
            raise UsageError("a model in memory has its own architecture; config is for files of weights alone")
        conversion, written = from_memory(model, allow_nonfinite, deterministic, replace)
    if storage is not None:
        conversion, written = _reduced(conversion, written.data, storage, calibrate)
    publish_bytes(written.data, out_path, force)
    return changed(conversion, warnings=(*conversion.warnings, *written.warnings))


def _reduced(full: Conversion, data: bytes, storage: Storage, calibrate: Any) -> tuple[Conversion, Written]:
    """The conversion and the bundle with its weights stored smaller; `data` is the bundle with them as they are."""
    model = Model(data)
    if isinstance(calibrate, str | os.PathLike):
        calibrate = read_inputs(Path(calibrate), inputs_of(model))
    if calibrate is not None:
        storage = changed(storage, calibration=model.check_inputs(calibrate))
    made = reduced_weights(full.graph, storage, [probe.inputs for probe in model.bundle.probes])
    source = {**full.source, **made.source}
    less = changed(full, graph=made.graph, source=source, drift=made.drift, kept=made.kept)
    return less, written_bundle(less)


def from_memory(
    model: Any, allow_nonfinite: bool, deterministic: bool, replace: Mapping[str, Any] | None
) -> tuple[Conversion, Written]:
    if not (hasattr(model, "save") and hasattr(model, "predict")):
        raise UsageError(f"export takes the path of a Keras file or a Keras model, not {type(model).__name__}")
    with tempfile.TemporaryDirectory(prefix="lstmconv-") as folder:
        path = Path(folder) / "model.keras"
        save_archive(model, path)
        file = read_keras_file(path)
        conversion = convert(file, allow_nonfinite=allow_nonfinite, deterministic=deterministic, replace=replace)
        draws = deterministic and _draws_dropout(read_keras_file(path))
    # The archive holds the time it was saved: its digest would tell two equal models apart.
    source = {**conversion.source, "container": "memory"}
    del source["sha256"]
    conversion = Conversion(conversion.graph, source, conversion.semantics, conversion.warnings)
    if draws:  # Keras itself would give other numbers each time
        return conversion, written_bundle(conversion)
    graph = conversion.graph
    oracle = keras_oracle(model, graph.inputs, graph.output_keys, predict=False)
    return conversion, written_bundle(conversion, f"keras {source['version']}", oracle)


def _draws_dropout(file: KerasFile) -> bool:
    """Whether layers of a file are called with training=True, so that it converts as deterministic alone."""
    try:
        convert(file, allow_nonfinite=True)
    except UnsupportedError:
        return True
    return False
