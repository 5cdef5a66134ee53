"""tests/vectors/bundles: what Keras computed for every node, activation, operation and edge, and that mistakes show."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lstmconv_runtime import Error, load, programs
from lstmconv_runtime.difference import difference
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.activations import ACTIVATIONS
from lstmconv_runtime.format.bundle import Bundle, Probe, from_bytes, to_bytes
from lstmconv_runtime.format.elementwise import OPERATIONS
from lstmconv_runtime.format.fields import check_fields, field
from lstmconv_runtime.format.graph import DTYPES, Activation, Array, GraphError, Int8Array, Node
from lstmconv_runtime.inputs import InputCheck
from lstmconv_runtime.layers import activations, by_node
from lstmconv_runtime.layers.by_node import LAYERS
from lstmconv_runtime.layers.convolution import convolve
from lstmconv_runtime.recurrent.states import State
from paths import VECTORS

FOLDER = VECTORS / "bundles"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
ROWS = {row["file"].removesuffix(".safetensors"): row for row in MANIFEST["bundles"]}
DATA = {name: (FOLDER / row["file"]).read_bytes() for name, row in ROWS.items()}
BUNDLES = {name: from_bytes(data) for name, data in DATA.items()}
# Written on purpose in another version, or another spelling, than a writer would.
RESPELLED = {"spelling-of-1.0", "spelling-of-1.1", "newer-minor-version"}


@pytest.mark.parametrize("name", ROWS)
def test_what_keras_computed(name: str) -> None:
    found = load(DATA[name]).verify()
    assert found.ok or name == "no-probes", [probe.reason for probe in found.probes]
    assert all(probe.oracle == f"keras {MANIFEST['made_by']['keras']}" for probe in found.probes)


def test_the_manifest_says_what_is_there() -> None:
    assert {path.stem for path in FOLDER.glob("*.safetensors")} == set(ROWS)
    for name, row in ROWS.items():
        bundle = BUNDLES[name]
        assert row["sha256"] == hashlib.sha256(DATA[name]).hexdigest()
        assert (row["digest"], row["format"]) == (bundle.digest, bundle.format_version)
        assert row["nodes"] == sorted({type(node).__name__ for node in bundle.graph.nodes})
        assert row["shows"]
    assert sum(map(len, DATA.values())) < 800_000


def test_they_are_written_as_they_were_read() -> None:
    for name, bundle in BUNDLES.items():
        assert (to_bytes(bundle) == DATA[name]) == (name not in RESPELLED), name


def test_old_spellings_mean_what_the_new_ones_mean() -> None:
    new = load(DATA["spelling"])
    x = new.bundle.probes[0].inputs["x"]
    for name in RESPELLED:
        made: Any = load(DATA[name]).predict(x)
        for one, other in zip(made, new.predict(x), strict=True):
            assert np.array_equal(one, other)
        assert to_bytes(BUNDLES[name]) == DATA["spelling"]


def every_node() -> Iterator[Node]:
    for bundle in BUNDLES.values():
        yield from bundle.graph.nodes


def test_everything_there_is_has_a_vector() -> None:
    """Every node, activation and operation; every text a field may be; every dtype of a value and of a tensor."""
    assert {type(node).__name__ for node in every_node()} == set(n.NODES)
    assert {name for row in ROWS.values() for name in row["activations"]} == set(ACTIVATIONS)
    assert {op for row in ROWS.values() for op in row["operations"]} == set(OPERATIONS)
    for kind, node in n.NODES.items():
        for name in node.FIELDS:
            texts = set(field(kind, name).texts)
            if texts and name != "dtype":
                used = {getattr(made, name) for made in every_node() if type(made) is node}
                assert used == texts - ({"causal"} if kind == "ConvLSTM" else set()), (kind, name)
    assert {made.dtype for made in every_node() if isinstance(made, n.Cast)} == set(DTYPES)
    stored = {array.dtype.name for bundle in BUNDLES.values() for array in bundle.graph.arrays.values()}
    assert stored >= {"float16", "float32", "float64", "bool", "int32", "int64", "uint8"}


# --- mistakes ---------------------------------------------------------------------------------------------------------


def failing(names: list[str]) -> list[str]:
    """Those of some vectors that do not come out as Keras computed them."""
    found = []
    for name in names:
        try:
            ok = load(DATA[name]).verify().ok
        except Error:
            ok = False
        found += [] if ok else [name]
    return found


def with_function(name: str, function: Callable[..., Array]) -> Callable[[pytest.MonkeyPatch], list[str]]:
    """An activation computed in another way; gives the vectors that have it."""

    def mutate(patch: pytest.MonkeyPatch) -> list[str]:
        patch.setitem(activations.FUNCTIONS, name, function)
        return [vector for vector, row in ROWS.items() if name in row["activations"]]

    return mutate


def with_layer(kind: type[Node], compute: Callable[..., Array]) -> Callable[[pytest.MonkeyPatch], list[str]]:
    """A node computed in another way; gives the vectors that have it."""

    def mutate(patch: pytest.MonkeyPatch) -> list[str]:
        patch.setitem(LAYERS, kind, compute)
        return [vector for vector, row in ROWS.items() if kind.__name__ in row["nodes"]]

    return mutate


def with_operation(op: str, compute: Callable[..., Array]) -> Callable[[pytest.MonkeyPatch], list[str]]:
    def mutate(patch: pytest.MonkeyPatch) -> list[str]:
        patch.setitem(by_node.ELEMENTWISE, op, compute)
        return [vector for vector, row in ROWS.items() if op in row["operations"]]

    return mutate


def with_int8(widened: Callable[[Int8Array], Array]) -> Callable[[pytest.MonkeyPatch], list[str]]:
    """Int8 taken for other numbers; gives the vectors that have it."""

    def mutate(patch: pytest.MonkeyPatch) -> list[str]:
        patch.setattr(Int8Array, "widened", widened)
        return [name for name in ROWS if name.startswith("int8")]

    return mutate


def along_the_other_axis(stored: Int8Array) -> Array:
    """The scales of a square matrix for the places of the inner dimension."""
    q = stored.q.astype(np.float32)
    return q * stored.scale[:, None] if q.ndim == 2 and q.shape[0] == q.shape[1] else right(stored)


right = Int8Array.widened


def output_is_state(patch: pytest.MonkeyPatch) -> list[str]:
    """At masked steps the state h is given, not the previous output."""
    right = programs.initial_state

    def wrong(*args: Any) -> State:
        state = right(*args)
        return State(state.states, state.states[0])

    patch.setattr(programs, "initial_state", wrong)
    return [name for name in ROWS if "states" in name]


def martins(x: Array, *, axis: float) -> Array:
    """Sparsemax as the paper has it."""
    z = np.sort(np.moveaxis(x, int(axis), -1), axis=-1)[..., ::-1]
    k, sums = np.arange(1, z.shape[-1] + 1), np.cumsum(z, axis=-1)
    count = np.sum(z - (sums - 1) / k > 0, axis=-1, keepdims=True)
    tau = (np.take_along_axis(sums, count - 1, -1) - 1) / count
    made: Array = np.maximum(x - np.moveaxis(tau, -1, int(axis)), 0).astype(x.dtype)
    return made


def cut_last(x: Array, *, max_value: float | None, negative_slope: float, threshold: float) -> Array:
    """relu with the cut after the slope."""
    y = np.where(x > threshold, x, negative_slope * (x - np.float32(threshold))).astype(x.dtype)
    return y if max_value is None else np.clip(y, 0, max_value)


def glu_turned(x: Array, *, axis: float) -> Array:
    b, a = np.split(x, 2, axis=int(axis))
    return a * activations.sigmoid(b)


def joined_in_turn(x: Array, *, axis: float) -> Array:
    a, b = (np.take(x, range(start, x.shape[int(axis)], 2), axis=int(axis)) for start in (0, 1))
    return a * activations.sigmoid(b)


def late(node: n.ArgReduce, p: Any, v: Any) -> Array:
    """The last of equal numbers."""
    x = np.flip(v[node.x], node.axis)
    first: Array = (np.argmax if node.op == "max" else np.argmin)(x, axis=node.axis)
    last: Array = (x.shape[node.axis] - 1 - first).astype("int32")
    return last


def padded_mean(node: n.Pool, p: Any, v: Any) -> Array:
    """Padded places count."""
    places = by_node.pooled(node, p, v)
    if node.op == "max":
        return np.maximum(places, 0)
    ones = np.ones_like(v[node.x])
    padded = convolve(ones, np.ones((*node.size, 1, ones.shape[-1]), ones.dtype), node.strides, node.padding,
                              (1,) * len(node.size), ones.shape[-1])  # fmt: skip
    return places * padded / np.prod(node.size)


MISTAKES: dict[str, Callable[[pytest.MonkeyPatch], list[str]]] = {
    "output is state h": output_is_state,
    "int8: without scales": with_int8(lambda stored: stored.q.astype(np.float32)),
    "int8: scales along the other axis": with_int8(along_the_other_axis),
    "int8: -128 is -127": with_int8(lambda stored: right(stored._replace(q=np.maximum(stored.q, -127)))),
    "int8: a scale of 0 is 1": with_int8(
        lambda stored: right(stored._replace(scale=np.where(stored.scale > 0, stored.scale, np.float32(1))))
    ),
    "glu: halves the other way round": with_function("glu", glu_turned),
    "glu: every other place": with_function("glu", joined_in_turn),
    "threshold: the threshold itself passes": with_function(
        "threshold", lambda x, threshold, default_value: np.where(x >= threshold, x, np.float32(default_value))
    ),
    "threshold: zero below": with_function(
        "threshold", lambda x, threshold, default_value: np.where(x > threshold, x, np.float32(0))
    ),
    "relu: the cut after the slope": with_function("relu", cut_last),
    "relu: the threshold itself passes": with_function(
        "relu", lambda x, max_value, negative_slope, threshold: activations.relu(
            np.where(x == np.float32(threshold), x + np.float32(1e-3), x), max_value=max_value,
            negative_slope=negative_slope, threshold=threshold)
    ),
    "hard_shrink: the threshold itself passes": with_function(
        "hard_shrink", lambda x, threshold: np.where(np.abs(x) >= threshold, x, np.float32(0))
    ),
    "soft_shrink: not moved": with_function(
        "soft_shrink", lambda x, threshold: np.where(np.abs(x) > threshold, x, np.float32(0))
    ),
    "sparsemax: as in the paper": with_function("sparsemax", martins),
    "gelu: by tanh": with_function("gelu", activations.gelu_tanh),
    "gelu_tanh: by erf": with_function("gelu_tanh", activations.gelu),
    "elu: alpha 1": with_function("elu", lambda x, alpha: activations.elu(x, alpha=1.0)),
    "celu: as elu": with_function("celu", lambda x, alpha: activations.elu(x, alpha=alpha)),
    "softmax: always the last axis": with_function("softmax", lambda x, axis: activations.softmax(x, axis=-1)),
    "log_sigmoid: overflows": with_function("log_sigmoid", lambda x: -np.log1p(np.exp(-x))),
    "softplus: overflows": with_function("softplus", lambda x: np.log1p(np.exp(x))),
    "mish: of the sigmoid": with_function("mish", lambda x: x * np.tanh(activations.sigmoid(x))),
    "squareplus: b 4": with_function("squareplus", lambda x, b: activations.squareplus(x, b=4.0)),
    "sparse_plus: a bend": with_function("sparse_plus", lambda x: np.maximum(x, np.float32(0))),
    "hard_sigmoid: slope of Keras 3": with_function(
        "hard_sigmoid", lambda x, slope, offset: activations.hard_sigmoid(x, slope=1 / 6, offset=offset)
    ),
    "ArgReduce: the last": with_layer(n.ArgReduce, late),
    "ArgReduce: NaN passed over": with_layer(
        n.ArgReduce,
        lambda node, p, v: np.asarray(getattr(np, f"nanarg{node.op}")(v[node.x], axis=node.axis), "int32"),
    ),
    "ConvTranspose: cropped the other way round": with_layer(
        n.ConvTranspose,
        lambda node, p, v: by_node.conv_transpose(
            node.replace(cropping=tuple(crop for before, after in node.crops() for crop in (after, before))), p, v
        ) if min(node.cropping) >= 0 else by_node.conv_transpose(node, p, v),
    ),
    "power: 1 to the power NaN is NaN": with_operation(
        "power", lambda x, y: np.asarray(np.where((x.dtype.kind == "f") & np.isnan(y), y, np.power(x, y)), x.dtype)
    ),
    "Round: halves up": with_layer(n.Round, lambda node, p, v: np.floor(v[node.x] + np.float32(0.5))),
    "Repeat: the whole axis": with_layer(
        n.Repeat,
        lambda node, p, v: np.concatenate([v[node.x]] * node.count, axis=node.axis),
    ),
    "Reshape: column-major": with_layer(
        n.Reshape, lambda node, p, v: by_node.reshape(node, p, v).reshape(-1, order="F").reshape(
            by_node.reshape(node, p, v).shape)
    ),
    "Transpose: the other way": with_layer(
        n.Transpose, lambda node, p, v: v[node.x].transpose(np.argsort(node.axes))
    ),
    "CumSum: without the place": with_layer(
        n.CumSum, lambda node, p, v: np.cumsum(v[node.x], node.axis, dtype=v[node.x].dtype) - v[node.x]
    ),
    "CausalMask: column < row": with_layer(
        n.CausalMask, lambda node, p, v: np.tril(np.ones(v[node.x].shape[-2:], bool), -1)[None, None]
    ),
    "Where: the other one": with_layer(n.Where, lambda node, p, v: np.where(v[node.condition], v[node.b], v[node.a])),
    "UnfoldTime: time first": with_layer(
        n.UnfoldTime,
        lambda node, p, v: v[node.x].reshape(*v[node.like].shape[1::-1], -1).swapaxes(0, 1),
    ),
    "Pool: padded places count": with_layer(n.Pool, padded_mean),
    "Embedding: from 1": with_layer(n.Embedding, lambda node, p, v: np.roll(p["E"], 1, 0)[v[node.x]]),
    "PReLU: one slope": with_layer(
        n.PReLU, lambda node, p, v: np.where(v[node.x] > 0, v[node.x], p["alpha"].mean() * v[node.x])
    ),
    "Reduce: over the last axis": with_layer(
        n.Reduce, lambda node, p, v: by_node.reduce(node.replace(axes=(v[node.x].ndim - 1,)), p, v)
    ),
    "sign: of NaN is 0": with_operation("sign", lambda x: np.nan_to_num(np.sign(x)).astype(x.dtype)),
    "maximum: without NaN": with_operation("maximum", np.fmax),
    "minimum: without NaN": with_operation("minimum", np.fmin),
    "add: saturates": with_operation(
        "add", lambda x, y: (x + y) if x.dtype.kind == "f" else np.clip(
            x.astype(object) + y, np.iinfo(x.dtype).min, np.iinfo(x.dtype).max).astype(x.dtype)
    ),
    "absolute: of the least is the largest": with_operation(
        "absolute", lambda x: np.abs(x) if x.dtype.kind != "i" else np.maximum(np.abs(x), -(x + 1)).astype(x.dtype)
    ),
    "less: NaN is below": with_operation("less", lambda x, y: ~(x >= y)),
    "floor: towards zero": with_operation("floor", np.trunc),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_noticed(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    activations._named.cache_clear()
    try:
        names = MISTAKES[mistake](monkeypatch)
        assert failing(names) != []
    finally:
        activations._named.cache_clear()


def other_values(node: Node, name: str) -> list[Any]:
    """Other things that a field might have said."""
    value, annotation = getattr(node, name), node.FIELDS[name]
    texts = field(type(node).__name__, name).texts
    if texts:
        return [text for text in texts if text != value]
    if annotation == "bool":
        return [not value]
    if annotation == "float":
        return [value * 4 + 0.1]
    if annotation == "Value | None":
        return [] if value is None else [None]
    if annotation in ("int", "int | None"):
        return [value + 1, value - 1, value + 2] if value is not None else [-1]
    if annotation == "tuple[int, ...]":
        changed = [
            tuple(k + d if i == j else k for j, k in enumerate(value)) for i in range(len(value)) for d in (1, -1)
        ]
        return [*changed, value[::-1], (*value[:-2], *value[:-3:-1])]
    if annotation == "Activation" and value.constants:
        return [
            Activation(value.name, tuple((k, 2.0 if k == "axis" else (c or 0) + 0.25) if k == key else (k, c)
                                         for k, c in value.constants))
            for key, _ in value.constants
        ]  # fmt: skip
    return []


# What no number depends on: where the model comes from, and sizes and names that the tensors decide.
SAY_NOTHING = {"name", "stateful", "weights", "units", "input_size", "channels", "filters", "shape"}
# Of which there is no other value that fits the same arrays.
ALONE = {
    ("ConvTranspose", "kernel_size"), ("Conv", "kernel_size"), ("BatchNorm", "size"), ("GroupNorm", "size"),
    ("Embedding", "dtype"), ("Squeeze", "axis"), ("GroupNorm", "axis"),
}  # fmt: skip


def test_every_field_matters_to_a_vector() -> None:
    """A field that says something else, where it may, gives other numbers than Keras's in some vector."""
    wanted = {
        (kind, name)
        for kind, node in n.NODES.items()
        for name, annotation in node.FIELDS.items()
        if name not in SAY_NOTHING and annotation not in ("Value", "tuple[Value, ...]")
        if annotation != "str" or field(kind, name).texts
    }
    noticed: set[tuple[str, str]] = set()
    for bundle in BUNDLES.values():
        for node in bundle.graph.nodes:
            for name in node.FIELDS:
                key = (type(node).__name__, name)
                if key in wanted - noticed:
                    noticed |= {key} if _is_noticed(bundle, node, name) else set()
    assert sorted(wanted - noticed - ALONE) == []
    assert sorted(ALONE & noticed) == []


def _is_noticed(bundle: Bundle, node: Node, name: str) -> bool:
    for value in other_values(node, name):
        nodes = tuple(node.replace(**{name: value}) if made is node else made for made in bundle.graph.nodes)
        graph = replace(bundle.graph, nodes=nodes)
        try:
            for changed in nodes:
                check_fields(changed)
            program = programs.prepare(graph)
        except (GraphError, ArithmeticError, LookupError, ValueError):
            continue  # it is refused, or needs other arrays, which says nothing of vectors
        if not all(_same(program, probe) for probe in bundle.probes):
            return True
    return False


def _same(program: programs.Program, probe: Probe) -> bool:
    inputs = {name: InputCheck(program, name).whole(array) for name, array in probe.inputs.items()}
    try:
        values = programs.run(program, inputs)
    except Error:
        return False
    made = [difference(values[name], y) for name, y in zip(program.graph.outputs, probe.outputs, strict=True)]
    return all(not found.misfit and found.relative < 0.01 for found in made)
