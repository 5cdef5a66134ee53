"""Writes one broken bundle per way of breaking a rule of runtime/FORMAT.md, and the valid bundle they are made from.

    python scripts/make_invalid_bundles.py [FOLDER]       default: tests/vectors/invalid

manifest.json says which rule each file breaks and with which code a reader has to refuse it. Needs NumPy and
safetensors. Where the fault lies behind the digest, the digest matches, so that nothing else is wrong with the file.
"""

from __future__ import annotations

import copy
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "runtime"))

import numpy as np
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.bundle import Bundle, Probe, to_bytes
from lstmconv_runtime.format.graph import LINEAR, SIGMOID, TANH, Graph
from lstmconv_runtime.model import Model

FOLDER = Path(__file__).parent.parent / "tests" / "vectors" / "invalid"


def valid() -> bytes:
    """LSTM(2) → Dense(1) with a mask made in the graph and one probe."""
    nodes = (
        n.Input(name="x", shape=(None, None, 1), dtype="float32"),
        n.Constant(name="zero", shape=(), dtype="float32"),
        n.Elementwise(name="differs", op="not_equal", args=("x", "zero")),
        n.Reduce(name="mask", x="differs", op="any", axes=(2,), keepdims=False),
        n.LSTM(
            name="lstm", x="x", mask="mask", h0=None, c0=None, weights="lstm", input_size=1, units=2, use_bias=True,
            activation=TANH, recurrent_activation=SIGMOID, return_sequences=False, go_backwards=False,
            zero_output_for_mask=False, stateful=False,
        ),
        n.Dense(name="dense", x="lstm", weights="dense", input_size=2, units=1, use_bias=True, activation=LINEAR),
    )  # fmt: skip
    random = np.random.default_rng(0)
    arrays = {
        f"{node.namespace()}/{name}": random.standard_normal(shape).astype("<f4")
        for node in nodes
        for name, shape in node.parameters().items()
    }
    arrays["zero/value"] = np.zeros((), "<f4")
    graph = Graph(("x",), ("dense",), None, nodes, arrays)
    plain = Bundle(graph, {"framework": "by hand", "version": "0"}, {}, ())
    x = np.array([[[1], [0], [-1]]], "<f4")
    probe = Probe("by hand", {"x": x}, (Model(to_bytes(plain)).predict(x),))
    return to_bytes(Bundle(graph, plain.source, {}, (probe,)))


class File:
    """A bundle taken apart: the header's object, the metadata's object, and the bytes of the tensors."""

    def __init__(self, data: bytes) -> None:
        length = int.from_bytes(data[:8], "little")
        self.header: dict[str, Any] = json.loads(data[8 : 8 + length])
        self.metadata: dict[str, Any] = json.loads(self.header["__metadata__"]["lstmconv"])
        self.data = data[8 + length :]

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        return {node["name"]: node for node in self.metadata["graph"]["nodes"]}

    def tensor(self, name: str) -> bytes:
        start, stop = self.header[name]["data_offsets"]
        return self.data[start:stop]

    def retensor(self, tensors: dict[str, tuple[str, list[int], bytes]], order: Sequence[str] = ()) -> None:
        """Lays out new tensors: name → dtype, shape, bytes; in the order of FORMAT.md if not in another."""
        places = ["I64", "F64", "F32", "U32", "I32", "F16", "U16", "I16", "I8", "U8", "BOOL"]
        self.header = {"__metadata__": self.header["__metadata__"]}
        self.data = b""
        for name in order or sorted(tensors, key=lambda name: (places.index(tensors[name][0]), name)):
            dtype, shape, raw = tensors[name]
            span = [len(self.data), len(self.data) + len(raw)]
            self.header[name] = {"dtype": dtype, "shape": shape, "data_offsets": span}
            self.data += raw

    def tensors(self) -> dict[str, tuple[str, list[int], bytes]]:
        return {
            name: (entry["dtype"], entry["shape"], self.tensor(name))
            for name, entry in self.header.items()
            if name != "__metadata__"
        }

    def pack(self, *, text: str | None = None, redigest: bool = True) -> bytes:
        if redigest:
            self.metadata["digest"] = self.digest()
        self.header["__metadata__"] = {"lstmconv": dumps(self.metadata) if text is None else text}
        return self.pack_header()

    def pack_header(self) -> bytes:
        return frame(json.dumps(self.header, ensure_ascii=False, separators=(",", ":")).encode(), self.data)

    def digest(self) -> str:
        """Written from FORMAT.md, not taken from the reader it tests."""
        names = {
            "F16": "float16", "F32": "float32", "F64": "float64", "BOOL": "bool", "I8": "int8", "I16": "int16",
            "I32": "int32", "I64": "int64", "U8": "uint8", "U16": "uint16", "U32": "uint32",
        }  # fmt: skip
        metadata = {key: value for key, value in self.metadata.items() if key != "digest"}
        sha = hashlib.sha256(dumps(metadata).encode())
        for name, (dtype, shape, raw) in sorted(self.tensors().items()):
            sha.update(f"\0{name}\0{names[dtype]}\0{dumps(shape)}\0".encode() + raw)
        return f"sha256:{sha.hexdigest()}"


def dumps(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def frame(header: bytes, data: bytes) -> bytes:
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data


Break = Callable[[File, bytes], bytes]
F, V, G, C, D = (f"E_BUNDLE_{word}" for word in ("FORMAT", "VERSION", "GRAPH", "CONTRACT", "DIGEST"))
CASES: dict[str, tuple[str, Break]] = {}


def case(name: str, code: str) -> Callable[[Break], Break]:
    """Registers a way of breaking the file; the name begins with the rule."""

    def register(function: Break) -> Break:
        CASES[name] = (code, function)
        return function

    return register


def header_case(name: str, code: str, change: Callable[[File], Any]) -> None:
    """The header changed, and written again without a new digest."""

    def made(file: File, _: bytes) -> bytes:
        change(file)
        return file.pack_header()

    CASES[name] = (code, made)


def metadata_case(name: str, code: str, change: Callable[[File], Any], redigest: bool = True) -> None:
    """The metadata or the tensors changed, with a digest that matches."""

    def made(file: File, _: bytes) -> bytes:
        change(file)
        return file.pack(redigest=redigest)

    CASES[name] = (code, made)


def entry(name: str, /, **fields: Any) -> Callable[[File], Any]:
    return lambda file: file.header[name].update(fields)


def node(name: str, /, **fields: Any) -> Callable[[File], Any]:
    return lambda file: file.nodes[name].update(fields)


def graph(**fields: Any) -> Callable[[File], Any]:
    return lambda file: file.metadata["graph"].update(fields)


def meta(**fields: Any) -> Callable[[File], Any]:
    return lambda file: file.metadata.update(fields)


def replaced(text: str, by: str) -> Break:
    """The header's text changed, everything around it kept in step."""
    return lambda file, data: frame(
        data[8 : 8 + int.from_bytes(data[:8], "little")].rstrip().replace(text.encode(), by.encode(), 1), file.data
    )


def length(n: int) -> Break:
    return lambda file, data: n.to_bytes(8, "little") + data[8:]


# N01: the container
CASES["N01-empty"] = (F, lambda file, data: b"")
CASES["N01-header-length-zero"] = (F, length(0))
CASES["N01-header-length-huge"] = (F, length(2**63))
CASES["N01-header-longer-than-file"] = (F, lambda file, data: length(len(data))(file, data))
CASES["N01-trailing-byte"] = (F, lambda file, data: data + b"\0")
CASES["N01-missing-byte"] = (F, lambda file, data: data[:-1])
header_case("N01-overlap", F, entry("lstm/b_c", data_offsets=[0, 8]))
header_case("N01-offsets-reversed", F, lambda f: f.header["lstm/b_c"]["data_offsets"].reverse())
header_case("N01-offset-negative", F, entry("lstm/b_c", data_offsets=[-8, 0]))
header_case("N01-offset-float", F, entry("$probe0/input/x", data_offsets=[0.0, 12.0]))  # the first of all
header_case("N01-offset-bool", F, entry("$probe0/input/x", data_offsets=[False, 12]))
header_case("N01-offset-huge", F, entry("dense/W", data_offsets=[2**64, 2**64 + 8]))
header_case("N01-three-offsets", F, lambda f: f.header["lstm/b_c"]["data_offsets"].append(8))
header_case("N01-shape-overflow", F, entry("dense/W", shape=[0, 2**62]))
header_case("N01-shape-negative", F, entry("dense/W", shape=[-2, -1]))
header_case("N01-rank", F, entry("dense/W", shape=[2] + [1] * 100))


@case("N01-hole", F)
def _hole(file: File, data: bytes) -> bytes:
    file.data += bytes(4)
    last = max((e for k, e in file.header.items() if k != "__metadata__"), key=lambda e: e["data_offsets"][1])
    last["data_offsets"] = [k + 4 for k in last["data_offsets"]]
    return file.pack_header()


def other_order(entries: Callable[[list[str]], list[str]], data: Callable[[list[str]], list[str]]) -> Break:
    """The names of the entries put in another order, and those of their data; the digest goes by name, and matches."""

    def made(file: File, _: bytes) -> bytes:
        tensors = file.tensors()
        names = list(tensors)
        file.retensor(tensors, data(names))
        file.header = {name: file.header[name] for name in ("__metadata__", *entries(names))}
        return file.pack_header()

    return made


def as_they_are(names: list[str]) -> list[str]:
    return names


def turned(names: list[str]) -> list[str]:
    return names[::-1]


def turned_fields(entry: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(entry.items()))


CASES["N01-data-in-another-order"] = (F, other_order(as_they_are, turned))

# N02: strict JSON, canonical form
CASES["N02-entries-in-another-order"] = (F, other_order(turned, turned))
header_case(
    "N02-entry-fields-in-another-order", F, lambda f: f.header.update({"dense/W": turned_fields(f.header["dense/W"])})
)
header_case("N02-metadata-last", F, lambda f: f.header.update({"__metadata__": f.header.pop("__metadata__")}))
CASES["N02-leading-space"] = (
    F,
    lambda file, data: frame(b" " + data[8 : 8 + int.from_bytes(data[:8], "little")].rstrip(), file.data),
)
CASES["N02-byte-order-mark"] = (
    F,
    lambda file, data: frame(b"\xef\xbb\xbf" + data[8 : 8 + int.from_bytes(data[:8], "little")].rstrip(), file.data),
)
CASES["N02-space-inside"] = (F, replaced('"lstm/b_c":', '"lstm/b_c": '))
CASES["N02-escaped-name"] = (F, replaced('"lstm/b_c":', '"lstm\\u002fb_c":'))
CASES["N02-duplicate-tensor"] = (
    F,
    lambda file, data: replaced('"lstm/b_c":', f'"lstm/b_c":{dumps_in_order(file.header["lstm/b_c"])},"lstm/b_c":')(
        file, data
    ),
)
CASES["N02-not-utf-8"] = (
    F,
    lambda file, data: frame(
        data[8 : 8 + int.from_bytes(data[:8], "little")].rstrip().replace(b"lstm/b_c", b"lstm\xff_c"), file.data
    ),
)


def dumps_in_order(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@case("N02-padded-with-nul", F)
def _nul(file: File, data: bytes) -> bytes:
    packed = frame(data[8 : 8 + int.from_bytes(data[:8], "little")].rstrip() + b"\0", file.data)
    return packed


@case("N02-padded-too-much", F)
def _padding(file: File, data: bytes) -> bytes:
    return frame(data[8 : 8 + int.from_bytes(data[:8], "little")] + b" " * 8, file.data)


@case("N02-padded-too-little", F)
def _no_padding(file: File, data: bytes) -> bytes:
    header = data[8 : 8 + int.from_bytes(data[:8], "little")].rstrip()
    assert len(header) % 8
    return len(header).to_bytes(8, "little") + header + file.data


def nested(levels: int) -> Callable[[File], Any]:
    """Lists within each other where a number has to be; around them are the metadata, the graph, its nodes, a node."""
    value: Any = []
    for _ in range(levels - 5):
        value = [value]
    return node("dense", units=value)


metadata_case("N02-65-levels", F, nested(65))
metadata_case("N06-64-levels", G, nested(64))


@case("N02-deep-nesting", F)
def _deep(file: File, data: bytes) -> bytes:
    return file.pack(text="[" * 20_000 + "]" * 20_000)


header_case("N02-unknown-entry-field", F, entry("dense/W", extra=1))
header_case("N02-entry-not-object", F, lambda f: f.header.update({"lstm/b_c": []}))
TEXTS: dict[str, Callable[[str], str]] = {
    "N02-metadata-spaces": lambda text: text.replace(":", ": "),
    "N02-metadata-duplicate-key": lambda text: '{"digest":"",' + text[1:],
    "N02-metadata-nan": lambda text: text.replace('"units":1', '"units":NaN'),
    "N02-metadata-number-overflow": lambda text: text.replace('"units":1', '"units":1e999'),
    "N02-metadata-number-of-5000-digits": lambda text: text.replace('"units":1', '"units":' + "1" * 5000),
    "N02-metadata-number-of-101-digits": lambda text: text.replace('"units":1', '"units":' + "1" * 101),
    "N02-metadata-minus-zero": lambda text: text.replace('"units":1', '"units":-0'),
    "N02-metadata-delete": lambda text: text.replace("by hand", "by\x7fhand"),
    "N02-metadata-lone-surrogate": lambda text: text.replace('"by hand"', '"\\ud800"'),
    "N02-metadata-not-json": lambda text: text[:-1],
    "N02-metadata-unsorted": lambda text: text.replace('{"digest"', '{"format":"1.0","digest"').replace(
        ',"format":"1.0","graph"', ',"graph"'
    ),
}
for name, rewrite in TEXTS.items():
    CASES[name] = (F, lambda file, data, rewrite=rewrite: file.pack(text=rewrite(dumps(file.metadata))))  # type: ignore[misc]
metadata_case("N02-metadata-unknown-field", F, meta(extra={}))
metadata_case("N02-metadata-missing-field", F, lambda f: f.metadata.pop("semantics"))
metadata_case("N02-source-not-strings", F, meta(source={"version": 3}))

# N03: one metadata key
header_case("N03-no-metadata", F, lambda f: f.header.pop("__metadata__"))
header_case("N03-two-keys", F, lambda f: f.header["__metadata__"].update(other="x"))
header_case("N03-another-key", F, lambda f: f.header.update({"__metadata__": {"format": "pt"}}))
header_case("N03-not-text", F, lambda f: f.header.update({"__metadata__": {"lstmconv": {}}}))
CASES["N03-empty-header"] = (F, lambda file, data: frame(b"{}", b""))
CASES["N03-not-object"] = (F, lambda file, data: file.pack(text="[]"))

# N04, N05: versions
metadata_case("N04-missing", V, lambda f: f.metadata.pop("format"))
for word, value in {"number": 1.0, "space": "1.0 ", "one-number": "1", "zeros": "01.0", "digits": "1.٠",
                    "seven-digits": "1.1000000"}.items():  # fmt: skip
    metadata_case(f"N04-{word}", V, meta(format=value))
metadata_case("N05-major-999", V, meta(format="999.0"))
metadata_case("N05-major-0", V, meta(format="0.9"))
metadata_case("N05-newer-minor-unknown-node", V, lambda f: (meta(format="1.7")(f), node("dense", node="Kan")(f)))
metadata_case("N05-newer-minor-unknown-field", V, meta(format="1.7", licence="MIT"))
metadata_case("N05-newer-minor-old-spelling", V, lambda f: (meta(format="1.7")(f), node("dense", weights="")(f)))
metadata_case("N05-rounding-in-1.0", V, meta(rounding=[[[1.0, 1.0]]]))

# N06: the vocabulary
metadata_case("N06-unknown-node", G, node("dense", node="Lambda"))
metadata_case("N06-node-not-text", G, node("dense", node=["Dense"]))
metadata_case("N06-node-not-object", G, lambda f: f.metadata["graph"]["nodes"].append(7))
metadata_case("N06-unknown-field", G, node("dense", kernel_regularizer=None))
metadata_case("N06-missing-field", G, lambda f: f.nodes["dense"].pop("use_bias"))
metadata_case("N06-unknown-activation", G, node("dense", activation={"name": "swishh"}))
metadata_case("N06-activation-not-object", G, node("dense", activation="tanh"))
metadata_case("N06-activation-name-a-list", G, node("dense", activation={"name": ["tanh"]}))
metadata_case("N06-activation-constant-missing", G, node("dense", activation={"name": "elu"}))
metadata_case("N06-activation-constant-null", G, node("dense", activation={"name": "elu", "alpha": None}))
metadata_case("N06-activation-axis-half", G, node("dense", activation={"name": "softmax", "axis": 0.5}))
metadata_case("N06-bool-for-a-number", G, node("dense", units=True))
metadata_case("N06-float-for-a-number", G, node("dense", units=1.0))
metadata_case("N06-text-for-a-number", G, node("dense", units="1"))
metadata_case("N06-number-for-a-bool", G, node("dense", use_bias=1))
metadata_case("N06-huge-number", G, node("dense", units=2**63))
metadata_case("N06-number-of-100-digits", G, node("dense", units=int("1" * 100)))
metadata_case("N06-zero-units", G, node("dense", units=0))
metadata_case("N06-negative-units", G, node("dense", units=-1))
metadata_case("N06-negative-size", G, node("x", shape=[None, -1, 1]))
metadata_case("N06-name-a-list", G, node("dense", name=["dense"]))
metadata_case("N06-name-empty", G, node("dense", name=""))
for word, value in {
    "dollar": "$probe0",
    "slash": "a/b",
    "colon": "lstm:h",
    "control": "a\n",
    "delete": "a\x7f",
}.items():
    metadata_case(f"N06-name-with-{word}", G, node("dense", name=value))
metadata_case("N06-weights-with-slash", G, node("dense", weights="dense/W"))
metadata_case("N06-nodes-not-list", G, graph(nodes={}))
metadata_case(
    "N06-10001-nodes", G,
    lambda f: f.metadata["graph"]["nodes"].extend(
        {"node": "FoldTime", "name": f"n{place}", "x": "x"} for place in range(10_001 - len(f.nodes))
    ),
)  # fmt: skip
metadata_case("N06-graph-not-object", G, meta(graph=[]))
metadata_case("N06-graph-unknown-field", G, graph(cycles=True))
metadata_case("N06-outputs-not-text", G, graph(outputs=[None]))
metadata_case("N06-probes-not-list", G, meta(probes="by hand"))

# N07: the type check
metadata_case("N07-cycle", G, node("lstm", x="dense"))
metadata_case("N07-reads-itself", G, node("lstm", x="lstm"))
metadata_case("N07-unknown-value", G, node("dense", x="lstm:z"))
metadata_case("N07-name-twice", G, lambda f: f.metadata["graph"]["nodes"].append(dict(f.nodes["dense"])))
metadata_case("N07-wrong-order", G, lambda f: f.metadata["graph"]["nodes"].reverse())
metadata_case("N07-wrong-features", G, node("dense", x="x"))
metadata_case("N07-mask-not-bool", G, node("lstm", mask="x"))
metadata_case("N07-mask-of-rank-3", G, node("lstm", mask="differs"))
metadata_case("N06-unknown-op", G, node("differs", op="system"))
metadata_case("N06-unknown-dtype", G, node("x", dtype="float8"))
metadata_case("N07-axis-outside", G, node("mask", axes=[3]))
metadata_case("N07-activation-axis-outside", G, node("dense", activation={"name": "softmax", "axis": 2.0}))
metadata_case("N07-activation-axis-of-a-cell", G, node("lstm", activation={"name": "softmax", "axis": 2.0}))
metadata_case("N07-activation-axis-the-batch", G, node("lstm", recurrent_activation={"name": "softmax", "axis": -2.0}))


def in_1_1(name: str, /, **fields: Any) -> Callable[[File], Any]:
    """A field spelled as format 1.0 allows, in a file that says 1.1."""
    return lambda f: (meta(format="1.1")(f), node(name, **fields)(f))


metadata_case("N07-activation-axis-0", G, in_1_1("dense", activation={"name": "softmax", "axis": 0}))
metadata_case("N07-activation-axis-negative", G, in_1_1("dense", activation={"name": "softmax", "axis": -1}))
metadata_case("N07-activation-axis-with-fraction", G, in_1_1("dense", activation={"name": "softmax", "axis": 1.0}))
metadata_case("N07-number-without-fraction", G, in_1_1("dense", activation={"name": "elu", "alpha": 1}))
metadata_case("N07-weights-empty", G, in_1_1("dense", weights=""))
metadata_case("N07-glu-inside-a-node", G, node("lstm", activation={"name": "glu", "axis": -1.0}))
metadata_case("N07-input-not-listed", G, graph(inputs=[]))
metadata_case("N07-input-twice", G, graph(inputs=["x", "x"]))
metadata_case("N07-input-is-no-input", G, graph(inputs=["zero"]))
metadata_case("N07-input-without-batch", G, node("x", shape=[]))
metadata_case("N07-unknown-output", G, graph(outputs=["nothing"]))
metadata_case("N07-no-outputs", G, graph(outputs=[]))
metadata_case("N07-output-keys-too-many", G, graph(output_keys=["a", "b"]))
metadata_case("N07-output-keys-equal", G, graph(outputs=["dense", "lstm"], output_keys=["a", "a"]))


def added(**fields: Any) -> Callable[[File], Any]:
    """One more node at the end, which nothing reads."""
    return lambda f: f.metadata["graph"]["nodes"].append({"name": "more", **fields})


def integers(file: File, kind: str, **fields: Any) -> None:
    """x as int32, and a node that reads it."""
    file.metadata["graph"]["nodes"].append({"node": "Cast", "name": "ids", "x": "x", "dtype": "int32"})
    added(node=kind, **fields)(file)


metadata_case("N05-round-in-1.0", V, added(node="Round", x="x"))
metadata_case("N07-too-large-value", G, added(node="Repeat", x="x", axis=2, count=2**40))
metadata_case("N06-padding-negative", G, added(node="Pad", x="x", amounts=[0, 0, -1, 0, 0, 0]))
metadata_case(
    "N07-window-of-another-rank", G, added(node="Pool", x="x", op="max", size=[2], strides=[2, 2], padding="valid")
)
metadata_case("N07-whole-numbers-divided", G, lambda f: integers(f, "Elementwise", op="divide", args=["ids", "ids"]))
metadata_case("N07-root-of-whole-numbers", G, lambda f: integers(f, "Elementwise", op="sqrt", args=["ids"]))
metadata_case(
    "N07-mean-of-whole-numbers", G, lambda f: integers(f, "Reduce", op="mean", x="ids", axes=[1], keepdims=False)
)
metadata_case("N06-step-zero", G, added(node="Slice", x="x", axis=1, start=0, stop=None, step=0))


metadata_case("N07-axis-0", G, added(node="Flip", x="x", axis=0))
metadata_case("N07-axis-negative", G, added(node="Flip", x="x", axis=-1))
metadata_case("N07-axes-not-rising", G, added(node="Reduce", x="x", op="sum", axes=[2, 1], keepdims=False))
metadata_case("N07-too-few-arguments", G, added(node="Elementwise", op="add", args=["x"]))
metadata_case("N07-too-many-arguments", G, added(node="Elementwise", op="sqrt", args=["x", "x"]))


def _more_units(file: File) -> None:
    """Another unit in the LSTM and its tensors, which Dense does not expect."""
    node("lstm", units=3)(file)
    tensors = file.tensors()
    for name in tensors:
        if name.startswith("lstm/"):
            shape = {"W": [1, 3], "U": [3, 3], "b": [3]}[name[5]]
            tensors[name] = ("F32", shape, bytes(4 * prod(shape)))
    file.retensor(tensors)


metadata_case("N07-more-units", G, _more_units)


def with_constants(*nodes: dict[str, Any], tensors: dict[str, list[int]] | None = None, **constants: list[int]) -> Any:
    """In format 1.1: float32 Constants of these shapes, other tensors of theirs, and nodes that read them."""

    def changed(file: File) -> None:
        meta(format="1.1")(file)
        made = [{"node": "Constant", "name": k, "shape": v, "dtype": "float32"} for k, v in constants.items()]
        file.metadata["graph"]["nodes"] += [*made, *nodes]
        shapes = {**{f"{name}/value": shape for name, shape in constants.items()}, **(tensors or {})}
        file.retensor({**file.tensors(), **{k: ("F32", shape, bytes(4 * prod(shape))) for k, shape in shapes.items()}})

    return changed


def conv(kernel_size: list[int], kind: str = "Conv", **fields: Any) -> dict[str, Any]:
    """A convolution of `of` with the kernel "more/W"."""
    ones = [1] * len(kernel_size)
    own = {"padding": "valid", "groups": 1} if kind == "Conv" else {"cropping": [0, 0] * len(kernel_size)}
    return {
        "node": kind, "name": "more", "x": "of", "weights": "more", "kernel_size": kernel_size, "channels": 1,
        "filters": 1, "strides": ones, "dilation": ones, "use_bias": False, "activation": {"name": "linear"}, **own,
        **fields,
    }  # fmt: skip


def cell(file: File, **fields: Any) -> dict[str, Any]:
    """The LSTM once more, with the same weights."""
    return {**file.nodes["lstm"], "name": "more", "mask": None, **fields}


def plus(name: str, *args: str) -> dict[str, Any]:
    return {"node": "Elementwise", "name": name, "op": "add", "args": list(args)}


for word, change in {
    "kernel-over-four-axes": with_constants(conv([1] * 4), of=[1] * 6, tensors={"more/W": [1] * 6}),
    "kernel-over-no-axes": with_constants(conv([]), of=[1, 1], tensors={"more/W": [1, 1]}),
    "groups-of-channels": with_constants(
        conv([1], channels=3, filters=2, groups=2), of=[1, 1, 3], tensors={"more/W": [1, 1, 2]}
    ),
    "groups-of-filters": with_constants(
        conv([1], channels=2, filters=3, groups=2), of=[1, 1, 2], tensors={"more/W": [1, 1, 3]}
    ),
    "cropping-before-negative": with_constants(
        conv([1], "ConvTranspose", cropping=[-1, 0]), of=[1, 1, 1], tensors={"more/W": [1, 1, 1]}
    ),
    "conv-transpose-of-no-places": with_constants(
        conv([3], "ConvTranspose"), of=[1, 0, 1], tensors={"more/W": [3, 1, 1]}
    ),
    "size-known-by-broadcasting": with_constants(
        plus("five", "x", "of"), plus("more", "five", "other"), of=[1, 5, 1], other=[1, 4, 1]
    ),
    "size-known-by-concatenating": with_constants(
        {"node": "Concatenate", "name": "both", "args": ["x", "of"], "axis": 2}, plus("more", "both", "other"),
        of=[1, 5, 1], other=[1, 4, 1],
    ),
    "rows-of-two-states": lambda f: with_constants(cell(f, h0="of", c0="other"), of=[2, 2], other=[3, 2])(f),
    "unfold-time-of-other-rows": with_constants(
        {"node": "FoldTime", "name": "rows", "x": "of"},
        {"node": "UnfoldTime", "name": "more", "x": "rows", "like": "other"}, of=[2, 3, 1], other=[2, 2],
    ),
}.items():  # fmt: skip
    metadata_case(f"N07-{word}", G, change)


def _mask_of_other_rows(file: File) -> None:
    file.metadata["graph"]["nodes"].append({"node": "Constant", "name": "truth", "shape": [2, 1], "dtype": "bool"})
    with_constants(cell(file, x="of", mask="truth"), of=[3, 1, 1])(file)
    retensor(lambda t: t.update({"truth/value": ("BOOL", [2, 1], b"\1\1")}))(file)


metadata_case("N07-mask-of-other-rows", G, _mask_of_other_rows)
metadata_case("N07-no-arguments", G, added(node="Concatenate", args=[], axis=1))
metadata_case("N07-causal-mask-of-rank-2", G, added(node="CausalMask", x="lstm"))


def _fold_time_of_rank_1(file: File) -> None:
    flat = {"node": "Reduce", "name": "flat", "x": "x", "op": "sum", "axes": [1, 2], "keepdims": False}
    file.metadata["graph"]["nodes"].append(flat)
    added(node="FoldTime", x="flat")(file)


metadata_case("N07-fold-time-of-rank-1", G, _fold_time_of_rank_1)


# N08: the contract between graph and tensors
def retensor(change: Callable[[dict[str, tuple[str, list[int], bytes]]], Any]) -> Callable[[File], Any]:
    def changed(file: File) -> None:
        tensors = file.tensors()
        change(tensors)
        file.retensor(tensors)

    return changed


metadata_case("N08-missing", C, retensor(lambda t: t.pop("dense/b")))
metadata_case("N08-left-over", C, retensor(lambda t: t.update(extra=("F32", [1], bytes(4)))))
metadata_case("N08-name-with-nul", C, retensor(lambda t: t.update({"dense/b\0": ("F32", [1], bytes(4))})))
metadata_case("N08-transposed", C, retensor(lambda t: t.update({"dense/W": ("F32", [1, 2], t["dense/W"][2])})))
metadata_case("N08-whole-numbers", C, retensor(lambda t: t.update({"dense/W": ("I32", [2, 1], bytes(8))})))
header_case("N08-bfloat16", C, entry("dense/W", dtype="BF16"))
header_case("N08-float8", C, entry("dense/W", dtype="F8_E4M3"))
metadata_case("N08-constant-of-another-dtype", C, retensor(lambda t: t.update({"zero/value": ("I32", [], bytes(4))})))
metadata_case("N08-more-units", C, retensor(lambda t: t.update({"dense/b": ("F32", [2], bytes(8))})))


def _bool_constant(file: File) -> None:
    file.metadata["graph"]["nodes"].append({"node": "Constant", "name": "truth", "shape": [2], "dtype": "bool"})
    retensor(lambda t: t.update({"truth/value": ("BOOL", [2], b"\1\2")}))(file)


metadata_case("N08-bool-byte-2", C, _bool_constant)


def int8(name: str, **changes: tuple[str, list[int], bytes] | None) -> Callable[[File], Any]:
    """A tensor as I8 with scales of 1, in 1.1, and then one of the two, `q` or `scale`, left out or another."""

    def changed(file: File) -> None:
        meta(format="1.1")(file)
        tensors = file.tensors()
        shape = tensors[name][1]
        made = {
            "q": ("I8", shape, b"\1" * prod(shape)),
            "scale": ("F32", shape[-1:], ONE * prod(shape[-1:])),
            **changes,
        }
        for key, tensor in ((name, made["q"]), (f"{name}.scale", made["scale"])):
            tensors |= {} if tensor is None else {key: tensor}
        file.retensor(tensors)

    return changed


ONE = np.float32(1).tobytes()
metadata_case("N05-int8-in-1.0", V, lambda f: (int8("dense/W")(f), meta(format="1.0")(f)))
for word, change in {
    "scale-missing": {"scale": None},
    "scale-alone": {"q": None},
    "scale-of-the-other-axis": {"scale": ("F32", [2], ONE * 2)},
    "scale-of-rank-2": {"scale": ("F32", [1, 1], ONE)},
    "scale-f16": {"scale": ("F16", [1], np.float16(1).tobytes())},
    "scale-f64": {"scale": ("F64", [1], np.float64(1).tobytes())},
    "scale-negative": {"scale": ("F32", [1], np.float32(-1).tobytes())},
    "scale-nan": {"scale": ("F32", [1], np.float32("nan").tobytes())},
    "scale-infinite": {"scale": ("F32", [1], np.float32("inf").tobytes())},
    "u8": {"q": ("U8", [2, 1], b"\1\1")},
}.items():  # fmt: skip
    metadata_case(f"N08-int8-{word}", C, int8("dense/W", **change))  # type: ignore[arg-type]
metadata_case("N08-int8-bias", C, int8("dense/b"))
metadata_case("N08-int8-constant-of-floats", C, int8("zero/value"))


def _scaled_constant(file: File) -> None:
    meta(format="1.1")(file)
    file.metadata["graph"]["nodes"].append({"node": "Constant", "name": "table", "shape": [2], "dtype": "int8"})
    tensors = {"table/value": ("I8", [2], b"\1\1"), "table/value.scale": ("F32", [2], ONE * 2)}
    retensor(lambda t: t.update(tensors))(file)


metadata_case("N08-int8-constant-with-scale", C, _scaled_constant)

# N09: probes
metadata_case("N09-probe-without-tensors", C, meta(probes=["by hand", "by hand"]))
metadata_case("N09-tensors-without-probe", C, meta(probes=[]))
PROBE = "$probe0/input/x"
metadata_case("N09-unknown-input", C, retensor(lambda t: t.update({"$probe0/input/z": t.pop(PROBE)})))
metadata_case("N09-output-number", C, retensor(lambda t: t.update({"$probe0/output/1": t.pop("$probe0/output/0")})))
metadata_case("N09-shape", C, retensor(lambda t: t.update({PROBE: ("F32", [3, 1], t[PROBE][2])})))
metadata_case("N09-dtype", C, retensor(lambda t: t.update({PROBE: ("I32", [1, 3, 1], t[PROBE][2])})))
metadata_case("N09-other-name", C, retensor(lambda t: t.update({"$probe0/notes": ("F32", [1], bytes(4))})))
metadata_case("N09-no-probe", C, retensor(lambda t: t.update({"$notes": ("F32", [1], bytes(4))})))


def bool_input(data: bytes) -> Callable[[File], Any]:
    """Another input, of bool, with these bytes in the probe, where x has one row."""

    def changed(file: File) -> None:
        file.metadata["graph"]["nodes"].append({"node": "Input", "name": "truth", "shape": [None], "dtype": "bool"})
        file.metadata["graph"]["inputs"].append("truth")
        retensor(lambda t: t.update({"$probe0/input/truth": ("BOOL", [len(data)], data)}))(file)

    return changed


def _too_many_probes(file: File) -> None:
    file.metadata["probes"] *= 101
    tensors = file.tensors()
    for place in range(1, 101):
        for name in ("input/x", "output/0"):
            tensors[f"$probe{place}/{name}"] = tensors[f"$probe0/{name}"]
    file.retensor(tensors)


metadata_case("N09-bool-byte-2", C, bool_input(b"\2"))
metadata_case("N09-rows", C, bool_input(b"\1\0"))
metadata_case("N09-101-probes", C, _too_many_probes)
for word, rounding in {
    "not-a-list": {}, "of-no-probe": [], "of-no-output": [[]], "of-two-outputs": [[[1.0, 1.0], None]],
    "of-nothing": [[None]], "one-number": [[[1.0]]], "negative": [[[1.0, -1.0]]], "whole-number": [[[1, 1]]],
    "text": [[["1", "1"]]],
}.items():  # fmt: skip
    metadata_case(f"N09-rounding-{word}", C, meta(format="1.1", rounding=rounding))

# N10: the digest
metadata_case("N10-metadata-changed", D, meta(source={"framework": "keras", "version": "3.0.0"}), redigest=False)
metadata_case("N10-digest-of-another-kind", D, meta(digest=None), redigest=False)
CASES["N10-one-bit-of-a-weight"] = (D, lambda file, data: data[:-1] + bytes([data[-1] ^ 1]))
CASES["N10-upper-case"] = (
    D,
    lambda file, data: (file.metadata.update(digest=file.metadata["digest"].upper()), file.pack(redigest=False))[1],
)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    good = valid()
    (folder / "valid.safetensors").write_bytes(good)
    manifest = []
    for name, (code, make) in sorted(CASES.items()):
        broken = make(copy.deepcopy(File(good)), good)
        (folder / f"{name}.safetensors").write_bytes(broken)
        manifest.append({"file": f"{name}.safetensors", "rule": name[:3], "code": code})
    (folder / "manifest.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in manifest) + "\n]\n")
    print(f"{len(manifest)} files in {folder}")


if __name__ == "__main__":
    main()
