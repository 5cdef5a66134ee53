"""A bundle reads back as it was written, and no changed byte goes unnoticed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lstmconv_runtime import BundleError, Model
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.activations import ACTIVATIONS
from lstmconv_runtime.format.bundle import Bundle, Probe, from_bytes, to_bytes
from lstmconv_runtime.format.graph import Activation
from lstmconv_runtime.format.graph_json import DECODE, graph_from_json, graph_to_json
from outputs import single


def test_reads_back_what_it_wrote(build: Any) -> None:
    bundle = build.sine().bundle
    data = to_bytes(bundle)
    read = from_bytes(data)
    assert read.graph.nodes == bundle.graph.nodes
    assert (read.source, read.semantics, read.format_version) == (bundle.source, {}, "1.0")
    assert {k: v.tobytes() for k, v in read.graph.arrays.items()} == {
        k: v.tobytes() for k, v in bundle.graph.arrays.items()
    }
    assert to_bytes(read) == data


def test_one_model_is_written_in_one_way(build: Any) -> None:
    """An axis from the end, a whole number and no namespace are written as those of the other spelling."""

    def written(axis: float, alpha: float, weights: str) -> bytes:
        nodes = [
            build.input(4, 2),
            build.dense("d", "x", 2, 3, Activation("softmax", (("axis", axis),))).replace(weights=weights),
            n.Activate(name="y", x="d", activation=Activation("elu", (("alpha", alpha),))),
        ]
        made: bytes = build.bytes(build.graph(nodes))
        return made

    assert written(2, 1.0, "d") == written(2.0, 1, "") == written(-1, 1.0, "d")
    assert b'\\"axis\\":2' in written(-1.0, 1, "")
    assert b'\\"alpha\\":1.0' in written(-1.0, 1, "")


def test_a_writer_refuses_what_a_reader_would(build: Any) -> None:
    graph = build.graph(
        [build.input(4, 2), n.Pool(name="y", x="x", op="max", size=(2,), strides=(1,), padding="valid")]
    )
    for change in ({"op": "median"}, {"padding": "full"}, {"strides": (0,)}):
        nodes = (graph.nodes[0], graph.nodes[1].replace(**change))
        with pytest.raises(BundleError, match="field"):
            build.bytes(replace(graph, nodes=nodes))


def test_the_same_bundle_gives_the_same_bytes(build: Any) -> None:
    bundle = build.sine().bundle
    turned = replace(bundle.graph, arrays=dict(reversed(bundle.graph.arrays.items())))
    assert to_bytes(bundle) == to_bytes(replace(bundle, graph=turned))


def test_layout_of_arrays_does_not_matter(build: Any) -> None:
    bundle = build.sine().bundle
    for change in (np.asfortranarray, lambda a: a.astype(">f4"), lambda a: np.repeat(a, 2, axis=-1)[..., ::2]):
        changed = replace(bundle.graph, arrays={k: change(v) for k, v in bundle.graph.arrays.items()})
        assert to_bytes(replace(bundle, graph=changed)) == to_bytes(bundle)


def test_every_changed_bit_is_noticed(build: Any) -> None:
    data = to_bytes(build.sine().bundle)
    for place in range(0, len(data), 3):
        for bit in (0, 1, 5):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises(BundleError):
                from_bytes(bytes(changed))


def test_every_cut_is_noticed(build: Any) -> None:
    data = to_bytes(build.sine().bundle)
    for end in [*range(0, len(data), 97), len(data) - 1]:
        with pytest.raises(BundleError):
            from_bytes(data[:end])


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        from_bytes(data)
    with pytest.raises(BundleError):
        from_bytes(len(data).to_bytes(8, "little") + b"{" + data)


def test_odd_names_and_scalars_read_back(build: Any) -> None:
    nodes = [
        n.Input(name='a "b"\\é😀', shape=(None, 2), dtype="float32"),
        n.Constant(name="k", shape=(), dtype="float32"),
        n.Constant(name="none", shape=(1, 0), dtype="int32"),
        n.Elementwise(name="sum", op="add", args=('a "b"\\é😀', "k")),
    ]
    graph = build.graph(nodes)
    graph.arrays["none/value"] = np.zeros((1, 0), np.int32)
    read = from_bytes(build.bytes(graph))
    assert read.graph.nodes == tuple(nodes)
    assert read.graph.arrays["k/value"].shape == ()


def test_every_field_annotation_can_be_read() -> None:
    for node in n.NODES.values():
        for name, annotation in node.FIELDS.items():
            assert annotation in DECODE, f"{node.__name__}.{name}"
            assert name != "node"  # the key of the class name


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_reads_back(build: Any, name: str) -> None:
    activation = Activation(name, tuple((key, 1.0) for key in ACTIVATIONS[name].constants))
    graph = build.graph([build.input(2), n.Activate(name="act", x="x", activation=activation)])
    assert graph_from_json(graph_to_json(graph), graph.arrays) == graph


def test_arrays_of_a_loaded_model_are_read_only(build: Any) -> None:
    model = build.sine()
    for arrays in model.program.prepared.values():
        for array in arrays.values() if isinstance(arrays, dict) else arrays.traced.arrays.values():
            assert not array.flags.writeable


def test_a_probe_must_fit(build: Any) -> None:
    bundle = build.sine().bundle
    x, y = bundle.probes[0].inputs["x"], bundle.probes[0].outputs[0]
    bad = [
        Probe("o", {"x": x[..., :1]}, (y,)),
        Probe("o", {"x": x}, (y[:, 0],)),
        Probe("o", {"x": x}, (y, y)),
        Probe("o", {"z": x}, (y,)),
        Probe("o", {"x": x.astype(np.int32)}, (y,)),
    ]
    for probe in bad:
        with pytest.raises(BundleError) as caught:
            from_bytes(to_bytes(replace(bundle, probes=(probe,))))
        assert caught.value.code == "E_BUNDLE_CONTRACT"


def test_no_mapping_of_the_file_is_kept(build: Any, tmp_path: Any) -> None:
    import lstmconv_runtime

    path = tmp_path / "m.safetensors"
    path.write_bytes(to_bytes(build.sine().bundle))
    model: Model = lstmconv_runtime.load(path)
    x = np.ones((1, 3, 2), np.float32)
    before = single(model.predict(x))
    path.write_bytes(b"")
    assert np.array_equal(single(model.predict(x)), before)


def test_messages_are_short_and_printable(build: Any) -> None:
    evil = "\u202e\x9b" + "x" * 5000
    graph = build.graph([build.input(2), build.dense("d", "x", 2, 1)])
    for nodes in (
        (graph.nodes[0], graph.nodes[1].replace(x=evil)),
        (graph.nodes[0], graph.nodes[1].replace(name=evil, weights="d")),
    ):
        with pytest.raises(BundleError) as caught:
            from_bytes(to_bytes(Bundle(replace(graph, nodes=nodes), {}, {}, ())))
        message = str(caught.value)
        assert len(message) < 1500
        assert message.isprintable()
