"""The bundle: bytes ⇄ graph. FORMAT.md is the specification; the MUST-reject rules are numbered there and here.

N01  not a safetensors file: length, header, offsets             E_BUNDLE_FORMAT
N02  header JSON: duplicate keys, unknown fields, not canonical  E_BUNDLE_FORMAT
N03  metadata is not exactly one key, "lstmconv"                 E_BUNDLE_FORMAT
N04  format version is malformed                                 E_BUNDLE_FORMAT
N05  format version is newer than this reader                    E_BUNDLE_VERSION
N06  an unknown node, field, activation or value                 E_BUNDLE_GRAPH
N07  the graph does not type-check                               E_BUNDLE_GRAPH
N08  a tensor is missing, extra, or of another shape or dtype    E_BUNDLE_CONTRACT
N09  the digest does not match                                   E_BUNDLE_DIGEST
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NoReturn

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from .activations import ACTIVATIONS
from .errors import BundleError, VersionError
from .graph import Activation, Array, Graph, GraphError, Node, infer_types
from .nodes import NODES

FORMAT_VERSION = (1, 0)
MAX_HEADER = 100 * 1024 * 1024  # the container's own limit
PROBE = "$probe"  # prefix of the tensors of probes; no node name starts with $
TENSOR_DTYPES = {
    "F16": "float16", "F32": "float32", "F64": "float64", "BOOL": "bool",
    "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "U8": "uint8", "U16": "uint16", "U32": "uint32",
}  # fmt: skip


@dataclass(frozen=True)
class Probe:
    """Inputs and the outputs an oracle computed for them.

    Attributes:
        oracle: who computed the outputs, for example "keras 3.15.1".
        inputs: arrays by input name.
        outputs: arrays in the order of Graph.outputs.
    """

    oracle: str
    inputs: dict[str, Array]
    outputs: tuple[Array, ...]


@dataclass(frozen=True)
class Bundle:
    """Everything a bundle file holds.

    Attributes:
        source: where the model comes from: "framework", "version", and "sha256" of the file where there was one.
        semantics: facts of the source framework's version that decided what the nodes say.
    """

    graph: Graph
    source: dict[str, str]
    semantics: dict[str, str]
    probes: tuple[Probe, ...]
    format_version: str = ".".join(map(str, FORMAT_VERSION))
    digest: str = ""


def to_bytes(bundle: Bundle) -> bytes:
    """The bundle as a file: the same bundle gives the same bytes."""
    tensors = {name: np.ascontiguousarray(array) for name, array in bundle.graph.arrays.items()}
    for index, probe in enumerate(bundle.probes):
        for name, array in probe.inputs.items():
            tensors[f"{PROBE}{index}/input/{name}"] = np.ascontiguousarray(array)
        for position, array in enumerate(probe.outputs):
            tensors[f"{PROBE}{index}/output/{position}"] = np.ascontiguousarray(array)
    metadata = {
        "format": bundle.format_version,
        "source": bundle.source,
        "semantics": bundle.semantics,
        "graph": graph_to_json(bundle.graph),
        "probes": [probe.oracle for probe in bundle.probes],
    }
    metadata["digest"] = digest(metadata, tensors)
    return save_tensors(tensors, {"lstmconv": canonical(metadata)})


def from_bytes(data: bytes) -> Bundle:
    """Reads and checks a bundle.

    Raises:
        BundleError: it breaks one of the rules above; the code says which kind.
        VersionError: it needs a newer runtime.
    """
    header = _check_container(data)
    metadata = _check_metadata(header)
    try:
        tensors = load_tensors(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"not a safetensors file: {error}") from None
    if digest(_without(metadata, "digest"), tensors) != metadata["digest"]:
        raise BundleError("the digest does not match: the file was damaged or changed", "E_BUNDLE_DIGEST")
    probes = _take_probes(metadata, tensors)
    try:
        graph = graph_from_json(metadata["graph"], tensors)
        _check_contract(graph)
        types = infer_types(graph)
    except GraphError as error:
        raise BundleError(f"bad graph: {error}", "E_BUNDLE_GRAPH") from None
    for probe in probes:
        _check_probe(probe, graph)
    del types
    return Bundle(graph, metadata["source"], metadata["semantics"], probes, metadata["format"], metadata["digest"])


def canonical(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII, no NaN or infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(metadata: Mapping[str, Any], tensors: Mapping[str, Array]) -> str:
    """SHA-256 over the canonical metadata without its digest, then each tensor by name: name, dtype, shape, data."""
    import hashlib  # not needed to import the package

    sha = hashlib.sha256(canonical(metadata).encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(f"\0{name}\0{array.dtype.name}\0{canonical(list(array.shape))}\0".encode())
        sha.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).data)
    return f"sha256:{sha.hexdigest()}"


# --- graph ⇄ JSON -----------------------------------------------------------------------------------------------------


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """The graph without its arrays."""
    return {
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "output_keys": None if graph.output_keys is None else list(graph.output_keys),
        "nodes": [node_to_json(node) for node in graph.nodes],
    }


def node_to_json(node: Node) -> dict[str, Any]:
    """A node as {"op": class name, field: value, …}."""
    return {"op": type(node).__name__, **{f.name: _field_to_json(getattr(node, f.name)) for f in fields(node)}}


def _field_to_json(value: Any) -> Any:
    if isinstance(value, Activation):
        return {"name": value.name, **dict(value.constants)}
    return list(value) if isinstance(value, tuple) else value


def graph_from_json(data: Any, tensors: dict[str, Array]) -> Graph:
    """The graph that `graph_to_json` wrote, checked field by field.

    Raises:
        BundleError: unknown or missing fields, wrong types.
    """
    data = _object(data, "graph", {"inputs", "outputs", "output_keys", "nodes"})
    nodes = data["nodes"]
    if type(nodes) is not list:
        _bad("graph.nodes is not a list")
    keys = data["output_keys"]
    return Graph(
        _strings(data["inputs"], "graph.inputs"),
        _strings(data["outputs"], "graph.outputs"),
        None if keys is None else _strings(keys, "graph.output_keys"),
        tuple(_node_from_json(node) for node in nodes),
        tensors,
    )


def _node_from_json(data: Any) -> Node:
    if type(data) is not dict or type(data.get("op")) is not str:
        _bad("a node is not an object with an op")
    kind = NODES.get(data["op"])
    if kind is None:
        _bad(f"unknown node {data['op']!r}")
    declared = {field.name: str(field.type) for field in fields(kind)}
    _object(data, f"node {data.get('name')!r}", {"op", *declared})
    values = {}
    for name, annotation in declared.items():
        try:
            values[name] = DECODE[annotation](data[name])
        except (TypeError, ValueError) as error:
            _bad(f"node {data['name']!r}, field {name}: {error}")
    node = kind(**values)
    if not node.name or node.name.startswith("$") or not re.fullmatch(r"[^\x00-\x1f/:]+", node.name):
        _bad(f"node name {node.name!r} is empty or has '/', ':', a leading '$' or control characters")
    return node


def _exactly(kind: type) -> Any:
    def decode(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"not a {kind.__name__}")
        return value

    return decode


def _tuple_of(kind: type, optional: bool = False) -> Any:
    def decode(value: Any) -> Any:
        if type(value) is not list:
            raise TypeError("not a list")
        return tuple(None if optional and item is None else _exactly(kind)(item) for item in value)

    return decode


def _or_none(decode: Any) -> Any:
    return lambda value: None if value is None else decode(value)


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError("not a number")
    return float(value)


def _activation(value: Any) -> Activation:
    if type(value) is not dict or value.get("name") not in ACTIVATIONS:
        raise ValueError("unknown activation")
    constants = ACTIVATIONS[value["name"]][1]
    if set(value) != {"name", *constants}:
        raise ValueError(f"activation {value['name']} has the constants {', '.join(constants) or 'none'}")
    return Activation(value["name"], tuple((key, _or_none(_number)(value[key])) for key in constants))


# By the annotation of a node's field.
DECODE: dict[str, Any] = {
    "str": _exactly(str),
    "int": _exactly(int),
    "int | None": _or_none(_exactly(int)),
    "float": _number,
    "bool": _exactly(bool),
    "Value": _exactly(str),
    "Value | None": _or_none(_exactly(str)),
    "tuple[Value, ...]": _tuple_of(str),
    "tuple[int, ...]": _tuple_of(int),
    "Shape": _tuple_of(int, optional=True),
    "Activation": _activation,
}


# --- checks -----------------------------------------------------------------------------------------------------------


def _bad(message: str, code: str = "E_BUNDLE_GRAPH") -> NoReturn:
    raise BundleError(message, code)


def _object(value: Any, what: str, keys: set[str], code: str = "E_BUNDLE_GRAPH") -> dict[str, Any]:
    if type(value) is not dict:
        _bad(f"{what} is not an object", code)
    for problem, names in (("unknown", set(value) - keys), ("missing", keys - set(value))):
        if names:
            _bad(f"{what}: {problem} field {sorted(names)[0]!r}", code)
    return value


def _strings(value: Any, what: str) -> tuple[str, ...]:
    if type(value) is not list or not all(type(item) is str for item in value):
        _bad(f"{what} is not a list of strings")
    return tuple(value)


def _without(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in mapping.items() if k != key}


def _strict_json(text: bytes | str, what: str) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) != len(items):
            _bad(f"{what}: duplicate key", "E_BUNDLE_FORMAT")
        return made

    def constant(name: str) -> NoReturn:
        _bad(f"{what}: {name} is not a number", "E_BUNDLE_FORMAT")

    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        _bad(f"{what} is not JSON: {error}", "E_BUNDLE_FORMAT")


def _check_container(data: bytes) -> dict[str, Any]:
    """N01, N02: the header, after checking that the tensors fill the file without gap, overlap or rest."""
    format_ = "E_BUNDLE_FORMAT"
    if len(data) < 10:
        _bad("not a safetensors file: too short", format_)
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER or 8 + length > len(data) or data[8:9] != b"{":
        _bad("not a safetensors file: bad header length", format_)
    text = data[8 : 8 + length]
    if b"\0" in text:
        _bad("the header holds NUL bytes", format_)
    header = _strict_json(text, "header")
    if type(header) is not dict:
        _bad("the header is not an object", format_)
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        _object(entry, f"tensor {name[:200]!r}", {"dtype", "shape", "data_offsets"}, format_)
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if type(dtype) is not str or dtype not in TENSOR_DTYPES:
            _bad(
                f"tensor {name[:200]!r}: dtype {dtype!r} is not one of {', '.join(TENSOR_DTYPES)}", "E_BUNDLE_CONTRACT"
            )
        for numbers in (shape, offsets):
            if type(numbers) is not list or not all(type(k) is int and 0 <= k <= len(data) for k in numbers):
                _bad(f"tensor {name[:200]!r}: bad shape or offsets", format_)
        size = np.dtype(TENSOR_DTYPES[dtype]).itemsize
        for k in shape:
            size *= k
        if len(offsets) != 2 or offsets[1] - offsets[0] != size:
            _bad(f"tensor {name[:200]!r}: {dtype} {shape} does not take the bytes {offsets}", format_)
        spans.append(tuple(offsets))
    position = 0
    for start, stop in sorted(spans):
        if start != position:
            _bad("tensors overlap or leave a gap", format_)
        position = stop
    if 8 + length + position != len(data):
        _bad("bytes are missing or left over at the end", format_)
    return header


def _check_metadata(header: dict[str, Any]) -> dict[str, Any]:
    """N03, N04, N05."""
    code = "E_BUNDLE_FORMAT"
    outer = header.get("__metadata__")
    if type(outer) is not dict or set(outer) != {"lstmconv"} or type(outer["lstmconv"]) is not str:
        _bad('the metadata is not exactly one key, "lstmconv": this is not an lstmconv bundle', code)
    metadata = _strict_json(outer["lstmconv"], "metadata")
    if type(metadata) is not dict:
        _bad("the metadata is not an object", code)
    version = metadata.get("format")
    if type(version) is not str or not re.fullmatch(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})", version):
        _bad("the format version is missing or malformed", code)
    major, minor = map(int, version.split("."))
    if major != FORMAT_VERSION[0]:
        known = ".".join(map(str, FORMAT_VERSION))
        raise VersionError(f"the bundle has format {version}; this lstmconv_runtime reads {known}: install a newer one")
    newer = f" (format {version}: a newer lstmconv_runtime may know it)" if minor > FORMAT_VERSION[1] else ""
    names = {"format", "source", "semantics", "graph", "probes", "digest"}
    if set(metadata) != names:
        odd = sorted(set(metadata) ^ names)[0]
        _bad(f"metadata field {odd!r} is unknown or missing{newer}", code)
    for name in ("source", "semantics"):
        entry = metadata[name]
        if type(entry) is not dict or not all(type(value) is str for value in entry.values()):
            _bad(f"metadata field {name!r} does not map strings to strings", code)
    if canonical(metadata) != outer["lstmconv"]:
        _bad("the metadata is not canonical JSON", code)
    return metadata


def _check_contract(graph: Graph) -> None:
    """N08: the tensors are exactly those the nodes declare."""
    declared: dict[str, tuple[int, ...]] = {}
    whole_numbers = set()
    for node in graph.nodes:
        for name, shape in node.parameters().items():
            key = f"{node.namespace()}/{name}"
            if declared.setdefault(key, shape) != shape:
                _bad(f"tensor {key!r} is shared by nodes that disagree on its shape", "E_BUNDLE_CONTRACT")
            if type(node).__name__ == "Constant":
                whole_numbers.add(key)
    for key in sorted(set(declared) ^ set(graph.arrays)):
        _bad(f"tensor {key[:200]!r} is {'missing' if key in declared else 'extra'}", "E_BUNDLE_CONTRACT")
    for key, shape in declared.items():
        array = graph.arrays[key]
        if array.shape != shape:
            _bad(f"tensor {key!r} has shape {array.shape}, the graph needs {shape}", "E_BUNDLE_CONTRACT")
        if array.dtype.kind != "f" and key not in whole_numbers:
            _bad(f"tensor {key!r} is {array.dtype}, not floating point", "E_BUNDLE_CONTRACT")


def _take_probes(metadata: dict[str, Any], tensors: dict[str, Array]) -> tuple[Probe, ...]:
    """Moves the probes' tensors out of `tensors`."""
    probes = []
    for index, oracle in enumerate(_strings(metadata["probes"], "probes")):
        start = f"{PROBE}{index}/"
        own = {name[len(start) :]: tensors.pop(name) for name in sorted(tensors) if name.startswith(start)}
        inputs = {name[len("input/") :]: array for name, array in own.items() if name.startswith("input/")}
        outputs = {name: array for name, array in own.items() if not name.startswith("input/")}
        places = [f"output/{position}" for position in range(len(outputs))]
        if set(outputs) != set(places):
            _bad(f"probe {index}: outputs are not numbered from 0", "E_BUNDLE_CONTRACT")
        probes.append(Probe(oracle, inputs, tuple(outputs[place] for place in places)))
    return tuple(probes)


def _check_probe(probe: Probe, graph: Graph) -> None:
    if set(probe.inputs) != set(graph.inputs) or len(probe.outputs) != len(graph.outputs):
        _bad("a probe does not have the model's inputs and outputs", "E_BUNDLE_CONTRACT")
