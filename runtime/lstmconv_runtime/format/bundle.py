"""The bundle: bytes ⇄ graph. FORMAT.md is the specification; the MUST-reject rules are numbered there and here.

N01  not a safetensors file: its length, header or offsets do not add up; a header over 16 MiB   E_BUNDLE_FORMAT
N02  header or metadata are not strict JSON in the canonical form and order, or have unknown fields   E_BUNDLE_FORMAT
N03  the metadata is not exactly one key, "lstmconv", with an object in it                       E_BUNDLE_FORMAT
N04  the format version is missing or malformed                                                  E_BUNDLE_VERSION
N05  another major version, a newer minor one with something unknown, or one older than what it holds   E_BUNDLE_VERSION
N06  a node, field, activation or constant is unknown, missing, or not what the tables allow     E_BUNDLE_GRAPH
N07  the graph does not type-check: order, names, inputs, outputs, ranks, sizes, dtypes, spelling     E_BUNDLE_GRAPH
N08  a tensor is missing, left over, or of another shape or dtype than the graph says            E_BUNDLE_CONTRACT
N09  a probe, or what it allows, does not fit the inputs and outputs of the graph                E_BUNDLE_CONTRACT
N10  the digest does not match                                                                   E_BUNDLE_DIGEST
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..errors import BundleError, InputError, VersionError
from .container import checked_header, digest, metadata_of
from .fields import check_fields
from .graph import FLOATS, SCALE, Array, Graph, GraphError, Type, Value, infer_types, same_size
from .graph_json import canonical, graph_from_json, graph_to_json, object_with, refuse, strings
from .nodes import GRU, LSTM, Constant, ConvLSTM, Input, SimpleRNN
from .spelling import check_spelling, in_one_spelling
from .tensors import read_tensors, write_tensors

__all__ = ["FORMAT_VERSION", "Bundle", "Probe", "canonical", "digest", "from_bytes", "graph_to_json", "to_bytes"]

FORMAT_VERSION = (1, 1)  # the newest that this package reads
MAX_ELEMENTS = 2**31  # of a value, per row of the batch
MAX_PROBES = 100
PROBE = "$probe"  # prefix of the tensors of probes; no node name starts with $


@dataclass(frozen=True, eq=False, repr=False)
class Probe:
    """Inputs and the outputs an oracle computed for them.

    Attributes:
        oracle: who computed the outputs, for example "keras 3.15.1".
        inputs: arrays by input name.
        outputs: arrays in the order of Graph.outputs.
        allowed: for each output the largest difference and the largest root mean square of differences that are
            rounding, or None where the rule of `verifying` says so; empty where it does for all.
    """

    oracle: str
    inputs: dict[str, Array]
    outputs: tuple[Array, ...]
    allowed: tuple[tuple[float, float] | None, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Bundle:
    """Everything a bundle file holds.

    Attributes:
        source: where the model comes from: "framework", "version", and "sha256" of the file where there was one;
            "weights" is "float16" where they were rounded to it for storage.
        semantics: facts of the source framework's version that decided what the nodes say.
        format_version: as the file says; "" for a bundle not yet written, which gets the lowest that has all it holds.
    """

    graph: Graph
    source: dict[str, str]
    semantics: dict[str, str]
    probes: tuple[Probe, ...]
    format_version: str = ""
    digest: str = ""


def to_bytes(bundle: Bundle) -> bytes:
    """The bundle as a file: the same bundle gives the same bytes.

    Raises:
        BundleError: the graph breaks a rule of FORMAT.md.
    """
    try:
        for node in bundle.graph.nodes:
            check_fields(node)
        types = infer_types(bundle.graph)
        graph = in_one_spelling(bundle.graph, types)
    except GraphError as error:
        refuse(str(error))
    # The library writes the buffer of an array whatever its strides and byte order are.
    tensors = {name: _plain(array) for name, array in bundle.graph.arrays.items()}
    for index, probe in enumerate(bundle.probes):
        for name, array in probe.inputs.items():
            tensors[f"{PROBE}{index}/input/{name}"] = _plain(array)
        for position, array in enumerate(probe.outputs):
            tensors[f"{PROBE}{index}/output/{position}"] = _plain(array)
    metadata: dict[str, Any] = {
        "format": ".".join(map(str, needed_version(bundle.graph, types, bundle.probes))),
        "source": bundle.source,
        "semantics": bundle.semantics,
        "graph": graph_to_json(graph),
        "probes": [probe.oracle for probe in bundle.probes],
    }
    if any(map(_has_allowance, bundle.probes)):
        metadata["rounding"] = [list(probe.allowed) or [None] * len(probe.outputs) for probe in bundle.probes]
    metadata["digest"] = digest(metadata, tensors)
    return write_tensors(tensors, {"lstmconv": canonical(metadata)})


def needed_version(graph: Graph, types: Mapping[Value, Type], probes: tuple[Probe, ...] = ()) -> tuple[int, int]:
    """The lowest version of the format that has everything in a bundle of this graph and these probes."""
    newer = (
        any(map(_has_allowance, probes))
        or _has_state_for_all_rows(graph, types)
        or any(graph.int8_arrays(node) for node in graph.nodes)
    )
    return max(((1, 1) if newer else (1, 0), *(node.since() for node in graph.nodes)))


def _has_state_for_all_rows(graph: Graph, types: Mapping[Value, Type]) -> bool:
    """Whether an initial state of one row stands for all rows, which version 1.0 did not have."""
    return any(
        state is not None and types[state].shape[0] == 1 and types[node.x].shape[0] != 1
        for node in graph.nodes
        if isinstance(node, LSTM | GRU | SimpleRNN | ConvLSTM)
        for state in node.states
    )


def _has_allowance(probe: Probe) -> bool:
    return any(pair is not None for pair in probe.allowed)


def _plain(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).reshape(array.shape)


def from_bytes(data: bytes) -> Bundle:
    """Reads and checks a bundle.

    Raises:
        BundleError: it breaks one of the rules above; the code says which kind.
        VersionError: it needs a newer runtime.
    """
    if not isinstance(data, bytes):
        raise InputError(f"a bundle is bytes, not {type(data).__name__}; `load` takes paths", "E_ARGUMENT")
    header = checked_header(data)
    metadata = metadata_of(header)
    newer = _check_version(metadata)
    try:
        return _read(data, header, metadata)
    except BundleError as error:
        if newer and error.code in ("E_BUNDLE_FORMAT", "E_BUNDLE_GRAPH", "E_BUNDLE_CONTRACT"):
            raise VersionError(
                f"the bundle has format {metadata['format']} and holds what this lstmconv_runtime, made for format "
                f"{'.'.join(map(str, FORMAT_VERSION))}, does not know: {error}"
            ) from None
        raise


def _read(data: bytes, header: dict[str, Any], metadata: dict[str, Any]) -> Bundle:
    _check_fields(metadata)
    tensors = read_tensors(data, header)
    # The contract comes before the digest: it says what is wrong, the digest only that something is.
    model_tensors = {name: array for name, array in tensors.items() if not name.startswith("$")}
    graph = graph_from_json(metadata["graph"], model_tensors)
    version = tuple(map(int, metadata["format"].split(".")))
    try:
        _check_contract(graph)
        types = infer_types(graph)
        if version >= (1, 1):
            check_spelling(graph, types, metadata["graph"]["nodes"])
    except GraphError as error:
        refuse(str(error))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        refuse(f"the settings of a node contradict each other: {error}")
    _check_graph(graph, types)
    probes = _probes(metadata, {name: array for name, array in tensors.items() if name.startswith("$")})
    for probe in probes:
        _check_probe(probe, graph, types)
    needed = needed_version(graph, types, probes)
    if version < needed:
        raise VersionError(
            f"the bundle says format {metadata['format']} and holds what came with {'.'.join(map(str, needed))}"
        )
    if digest(_without(metadata, "digest"), tensors) != metadata["digest"]:
        refuse("the digest does not match: the file was damaged or changed", "E_BUNDLE_DIGEST")
    return Bundle(graph, metadata["source"], metadata["semantics"], probes, metadata["format"], metadata["digest"])


def _without(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in mapping.items() if k != key}


# --- N04, N05: the metadata -----------------------------------------------------------------------


def _check_version(metadata: dict[str, Any]) -> bool:
    """N04, N05: whether the bundle is of a newer minor version than this reader."""
    version = metadata.get("format")
    if type(version) is not str or not re.fullmatch(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})", version):
        refuse("the format version is missing or malformed", "E_BUNDLE_VERSION")
    major, minor = map(int, version.split("."))
    if major != FORMAT_VERSION[0]:
        hint = ": install a newer one" if major > FORMAT_VERSION[0] else ""
        raise VersionError(
            f"the bundle has format {version}; this lstmconv_runtime reads format {FORMAT_VERSION[0]}{hint}"
        )
    return minor > FORMAT_VERSION[1]


def _check_fields(metadata: dict[str, Any]) -> None:
    code = "E_BUNDLE_FORMAT"
    optional = {"rounding"} & set(metadata)
    object_with(metadata, "metadata", {"format", "source", "semantics", "graph", "probes", "digest", *optional}, code)
    for name in ("source", "semantics"):
        entry = metadata[name]
        if type(entry) is not dict or not all(type(value) is str for value in entry.values()):
            refuse(f"metadata field {name!r} does not map strings to strings", code)


# --- N07 to N09: the graph, its tensors, its probes -------------------------------------------------------------------


def _check_graph(graph: Graph, types: Mapping[Value, Type]) -> None:
    """N07, beyond what `infer_types` checks."""
    made = [node.name for node in graph.nodes if isinstance(node, Input)]
    if not made or sorted(made) != sorted(graph.inputs):
        refuse("the inputs are not the names of the Input nodes, each once")
    if not all(types[name].rank >= 1 for name in made):
        refuse("an input has no batch axis")
    keys = graph.output_keys
    if not graph.outputs or (keys is not None and (len(set(keys)) != len(keys) or len(keys) != len(graph.outputs))):
        refuse("there are no outputs, or their keys are not one for each")
    for value, (shape, _) in types.items():
        if any(n is not None and n < 0 for n in shape) or prod(n for n in shape[1:] if n is not None) > MAX_ELEMENTS:
            refuse(f"the value {value!r:.100} has the shape {shape}")


def _check_contract(graph: Graph) -> None:
    """N08: the tensors are exactly those the nodes declare."""
    code = "E_BUNDLE_CONTRACT"
    declared: dict[str, tuple[int, ...]] = {}
    dtypes: dict[str, str] = {}  # of what is not stored as floats
    for node in graph.nodes:
        scaled = node.scaled()
        for name, shape in node.parameters().items():
            key = f"{node.namespace()}/{name}"
            if declared.setdefault(key, shape) != shape:
                refuse(f"tensor {key!r:.200} is shared by nodes that disagree on its shape", code)
            if isinstance(node, Constant):
                dtypes[key] = node.dtype
            elif name in scaled and f"{key}{SCALE}" in graph.arrays:
                along = (shape[scaled[name]],)
                if declared.setdefault(f"{key}{SCALE}", along) != along:
                    refuse(f"tensor {key!r:.200} is shared by nodes that disagree on its scales", code)
                dtypes[key] = "int8"
                _check_scales(f"{key}{SCALE}", graph.arrays[f"{key}{SCALE}"])
    for key in sorted(set(declared) ^ set(graph.arrays)):
        refuse(f"tensor {key!r:.200} is {'missing' if key in declared else 'left over'}", code)
    for key, shape in declared.items():
        array = graph.arrays[key]
        if array.shape != shape:
            refuse(f"tensor {key!r:.200} has the shape {array.shape}, the graph needs {shape}", code)
        _check_dtype(f"tensor {key!r:.200}", array, dtypes.get(key, "float32"))


def _check_scales(key: str, scales: Array) -> None:
    if scales.dtype != np.float32 or not (np.isfinite(scales) & (scales >= 0)).all():
        refuse(f"tensor {key!r:.200} is not float32 numbers of at least 0", "E_BUNDLE_CONTRACT")


def _check_dtype(where: str, array: Array, dtype: str) -> None:
    """A tensor of any floating point type may stand for a value of any other; whole numbers and bool are exact."""
    fits = array.dtype.kind == "f" if dtype in FLOATS else array.dtype.name == dtype
    if not fits:
        refuse(f"{where} is {array.dtype}, the graph needs {dtype}", "E_BUNDLE_CONTRACT")
    if array.dtype.kind == "b" and array.size and int(array.view(np.uint8).max()) > 1:
        refuse(f"{where} holds bytes other than 0 and 1", "E_BUNDLE_CONTRACT")


def _probes(metadata: dict[str, Any], tensors: dict[str, Array]) -> tuple[Probe, ...]:
    """N09: the probes, from the tensors whose names begin with $."""
    code = "E_BUNDLE_CONTRACT"
    oracles = strings(metadata["probes"], "probes")
    if len(oracles) > MAX_PROBES:
        refuse(f"more than {MAX_PROBES} probes", code)
    inputs: list[dict[str, Array]] = [{} for _ in oracles]
    outputs: list[dict[int, Array]] = [{} for _ in oracles]
    for name, array in tensors.items():
        found = re.fullmatch(r"\$probe(0|[1-9][0-9]{0,5})/(?:input/(.+)|output/(0|[1-9][0-9]{0,5}))", name)
        if found is None or int(found[1]) >= len(oracles):
            refuse(f"tensor {name!r:.200} belongs to no probe", code)
        if found[2] is not None:
            inputs[int(found[1])][found[2]] = array
        else:
            outputs[int(found[1])][int(found[3])] = array
    probes = []
    for oracle, given, made, allowed in zip(oracles, inputs, outputs, _allowed(metadata, len(oracles)), strict=True):
        if sorted(made) != list(range(len(made))):
            refuse("the outputs of a probe are not numbered from 0", code)
        probes.append(Probe(oracle, given, tuple(made[place] for place in range(len(made))), allowed))
    return tuple(probes)


def _allowed(metadata: dict[str, Any], count: int) -> list[tuple[tuple[float, float] | None, ...]]:
    """N09: for each probe its allowances; there is one at least, or the field is left out."""
    code = "E_BUNDLE_CONTRACT"
    if "rounding" not in metadata:
        return [()] * count
    rows = metadata["rounding"]
    if type(rows) is not list or len(rows) != count or not all(type(row) is list for row in rows):
        refuse("the allowances are not a list for each probe", code)
    pairs = [pair for row in rows for pair in row if pair is not None]
    if not pairs or not all(type(pair) is list and len(pair) == 2 and all(map(_bound, pair)) for pair in pairs):
        refuse("an allowance is not two numbers of at least 0, or there is none", code)
    return [tuple(None if pair is None else (float(pair[0]), float(pair[1])) for pair in row) for row in rows]


def _bound(number: Any) -> bool:
    return type(number) is float and number >= 0  # JSON has no infinity and no NaN


def _check_probe(probe: Probe, graph: Graph, types: Mapping[Value, Type]) -> None:
    code = "E_BUNDLE_CONTRACT"
    if set(probe.inputs) != set(graph.inputs) or len(probe.outputs) != len(graph.outputs):
        refuse("a probe does not have the inputs and outputs of the graph", code)
    if probe.allowed and len(probe.allowed) != len(graph.outputs):
        refuse("a probe does not have an allowance or null for each output", code)
    pairs = [*probe.inputs.items(), *zip(graph.outputs, probe.outputs, strict=True)]
    for name, array in pairs:
        shape, dtype = types[name]
        if array.ndim != len(shape) or not all(same_size(n, m) for n, m in zip(shape, array.shape, strict=True)):
            refuse(f"a probe has the shape {array.shape} for {name!r:.100}, which has {shape}", code)
        _check_dtype(f"a probe of {name!r:.100}", array, dtype)
    if len({array.shape[0] for array in probe.inputs.values()}) != 1:
        refuse("the inputs of a probe have different numbers of rows", code)
