"""The page: complete, closed to the outside, bounded, escaped, and with words for all that is drawn."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from html_page import Element, read_page
from legacy_vectors import ENTRIES, model_path, release
from lstmconv.bundles.compare import Deviation, Pair
from lstmconv.parity.divergence import NodeDifference
from lstmconv.report.findings import Findings, Sequences, findings
from lstmconv.report.markup import policy_hash
from lstmconv.report.page import page
from lstmconv.report.subject import open_model
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from lstmconv_runtime.format.graph import Graph
from lstmconv_runtime.format.nodes import Concatenate, Input
from paths import ROOT, SINE, VECTORS
from small_bundles import bundle_bytes, chain_graph, lstm_graph
from vector_files import read_vector

HOSTILE = "<script>window.hurt=1;"
WORSE = '"><img src=x onerror=window.hurt=1><b x="'


def look(path: Path, **options: object) -> Findings:
    return findings(open_model(path), engines=False, **options)  # type: ignore[arg-type]


def made(path: Path) -> Element:
    return read_page(page(look(path)))


def bundle(folder: Path, *given: object, **options: object) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(bundle_bytes(lstm_graph(*given, **options)))  # type: ignore[arg-type]
    return path


def assert_sound(tree: Element) -> None:
    """What holds of every page."""
    identities = [one.attributes["id"] for one in tree.all() if "id" in one.attributes]
    assert len(set(identities)) == len(identities)
    for one in tree.all():
        for name, value in one.attributes.items():
            assert not name.startswith("on") and name != "style", (one.tag, name)
            if name in ("href", "src"):
                assert re.match(r"#[\w-]+$|data:image/png;base64,", str(value)), value
            if name == "href":
                assert str(value)[1:] in identities
            if name in ("for", "aria-labelledby"):
                assert value in identities
    assert {one.tag for one in tree.all()} & {"link", "iframe", "object", "embed", "base", "form"} == set()
    # Words for what is drawn, and names for what can be used.
    for one in tree.all("svg"):
        attributes = one.attributes
        assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        assert attributes.get("role") or attributes.get("aria-hidden") == "true"
    assert all("alt" in one.attributes for one in tree.all("img"))
    for table in tree.all("table"):
        assert table.children[0].tag == "caption" and table.children[0].text
        assert all(cell.attributes.get("scope") in ("col", "row") for cell in table.all("th"))
        columns = {len(row.children) for row in table.all("tr")}
        assert len(columns) == 1
    labelled = {one.attributes.get("for") for one in tree.all("label")}
    for one in tree.all("input"):
        assert one.attributes["id"] in labelled
    assert all(one.attributes.get("aria-label") or one.text for tag in ("button", "a") for one in tree.all(tag))
    levels = [int(one.tag[1]) for one in tree.all() if re.fullmatch("h[1-6]", one.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    (html,) = tree.all("html")
    assert html.attributes["lang"] == "en"


def test_the_policy_allows_what_is_there_and_no_more() -> None:
    tree = made(SINE)
    (policy,) = [
        m.attributes["content"] for m in tree.all("meta") if "Policy" in (m.attributes.get("http-equiv") or "")
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy).split(";"))
    assert rules["default-src"] == "'none'"
    scripts = [one for one in tree.all("script") if one.attributes.get("type") != "application/json"]
    (script,), (style,) = scripts, list(tree.all("style"))
    folder = ROOT / "converter" / "lstmconv" / "report"
    assert rules["script-src"] == policy_hash((folder / "page.js").read_text())
    assert rules["style-src"] == policy_hash((folder / "page.css").read_text())
    assert script.texts == [(folder / "page.js").read_text()]
    assert style.texts == [(folder / "page.css").read_text()]
    assert "http" not in script.texts[0] + style.texts[0] and "url(" not in style.texts[0]


def test_a_keras_file() -> None:
    tree = made(SINE)
    assert_sound(tree)
    assert [one.attributes["id"] for one in tree.all("section") if "id" in one.attributes] == [
        "about", "graph", "engines", "nodes", "gates", "weights",
    ]  # fmt: skip
    about = tree.by_id("about").text
    for words in ("sine.keras", "Keras 3.15.1", "101", "any × 5 × 1, float32"):
        assert words in about
    nodes = list(tree.by_id("drawing").all("a"))
    assert [one.attributes["aria-label"] for one in nodes] == [
        "Input input_layer, gives any × 5 × 1, 0 parameters", "LSTM lstm, gives any × 4, 96 parameters",
        "Dense dense, gives any × 1, 5 parameters",
    ]  # fmt: skip
    article = tree.by_id("node-1")
    assert "lstm/W_f" in article.text
    assert len(list(article.all("figure"))) == 12
    data = json.loads(tree.by_id("gates-data").texts[0])
    assert [len(node["gates"]) for node in data] == [6]
    assert len(page(look(SINE))) < 100_000


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    shutil.copy(SINE, tmp_path)
    assert page(look(SINE)) == page(look(tmp_path / "sine.keras"))


@pytest.mark.parametrize("name", [HOSTILE, WORSE, "a\u202eb", "ünï🙂"])
def test_names_are_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.safetensors".replace("/", "")
    path.write_bytes(bundle_bytes(lstm_graph(name, given=f"x{name}")))
    tree = made(path)
    assert_sound(tree)
    assert len(list(tree.all("script"))) == 2
    assert all(str(one.attributes["src"]).startswith("data:") for one in tree.all("img"))
    assert "\u202e" not in tree.text


@pytest.mark.parametrize(
    "name",
    [
        "masked-multi-head-attention", "nested-several", "masked-conv-lstm-1d", "mixed-float16-recurrent", "dicts",
        "bidirectional-state", "embedding-mask-zero", "operations-of-bool", "float64-recurrent", "int8", "autoencoder",
        "returned-input", "next-frames", "functions-statistics",
    ],
)  # fmt: skip
def test_models_of_every_kind(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.keras"
    path.write_bytes(read_vector(name).keras_file)
    found = look(path)
    tree = read_page(page(found))
    assert_sound(tree)
    assert found.ok
    assert found.summary is not None
    assert len(list(tree.by_id("drawing").all("a"))) == len(found.summary["nodes"])


def test_old_files_and_weights_alone(tmp_path: Path) -> None:
    tree = made(release("k224") / "lstm.h5")
    assert_sound(tree)
    assert "refuses it" in tree.by_id("about").text
    opened = open_model(VECTORS / "keras_file" / "recurrent.h5")
    assert_sound(read_page(page(findings(opened, engines=False))))


def test_a_file_that_cannot_be_converted() -> None:
    entry = next(one for one in ENTRIES if one["case"] == "lambda_layer")
    found = look(model_path(entry))
    tree = read_page(page(found))
    assert not found.ok
    assert_sound(tree)
    assert [one.attributes["id"] for one in tree.all("section") if "id" in one.attributes] == ["about"]
    assert "In the way" in tree.by_id("about").text


def test_a_large_graph_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    path.write_bytes(bundle_bytes(chain_graph(2000)))
    made_of_it = page(look(path))
    tree = read_page(made_of_it)
    assert_sound(tree)
    assert len(list(tree.by_id("drawing").all("a"))) == 300
    assert "1,701 more are left out" in tree.by_id("graph").text
    assert len(made_of_it) < 1_000_000


def test_a_wide_model_is_bounded(tmp_path: Path) -> None:
    path = bundle(tmp_path, units=260, layers=2)
    x = {"x": np.random.default_rng(0).normal(size=(70, 500, 2)).astype("float32")}
    found = look(path, given=Sequences(x, 70, "x.npy"), row=69)
    assert found.compared_rows == 4
    made_of_it = page(found)
    tree = read_page(made_of_it)
    assert_sound(tree)
    text = tree.by_id("gates").text
    assert "Sequence 69 of 70" in text
    assert re.search(r"167 of 500 time steps .* 87 of 260 units", text)
    assert len(made_of_it) < 3_000_000


def test_where_engines_part() -> None:
    """Keras and the runtime, told to differ from the Dense layer on."""
    found = look(SINE)
    assert not isinstance(found.engines, str)
    (output,) = found.engines.outputs
    output = replace(
        output, differences=(Pair("Keras", "runtime", 0.5, 0.5),),
        deviations=(Deviation("Keras", 0.5, 0.1), *output.deviations),
    )  # fmt: skip
    nodes = (NodeDifference("lstm", "LSTM", 1e-8, 1e-6), NodeDifference("dense", "Dense", 0.5, 1e-6))
    report = replace(found.engines, engines=("Keras", "runtime"), outputs=(output,), nodes=nodes)
    parted = replace(found, engines=report)
    assert not parted.ok
    tree = read_page(page(parted))
    assert_sound(tree)
    classes = {one.attributes["aria-label"]: str(one.attributes["class"]) for one in tree.by_id("drawing").all("a")}
    assert [label for label, names in classes.items() if "parted" in names] == [
        "Dense dense, gives any × 1, 5 parameters, where engines part"
    ]
    assert "engines differ" in tree.text
    (first,) = [line.text for line in tree.by_id("nodes").all("li") if "part first at" in line.text]
    assert "Runtime and Keras" in first and "dense" in first
    assert not any("runtime beside Keras" in one.text for one in tree.by_id("engines").all("p"))
    assert "DIFFERS" in tree.by_id("engines").text and "DIFFERS" in tree.by_id("node-2").text


def test_masks_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "masked.keras"
    path.write_bytes(read_vector("masked-lstm-backwards").keras_file)
    assert "It reads a mask" in made(path).by_id("gates").text
    assert "It reads a mask" not in made(SINE).by_id("gates").text


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, 0.0, 1e-40])
@pytest.mark.filterwarnings("error")
def test_odd_numbers(tmp_path: Path, value: float) -> None:
    """In weights and in inputs: all that is drawn of them is there, and no warning is given."""
    graph = lstm_graph(units=3)
    path = tmp_path / "odd.safetensors"
    for arrays in ({key: np.full_like(array, value) for key, array in graph.arrays.items()}, graph.arrays):
        path.write_bytes(to_bytes(Bundle(replace(graph, arrays=arrays), {}, {}, ())))
        x = Sequences({"x": np.full((2, 4, 2), value, "float32")}, 2, "x.npy")
        for given in (None, x):
            tree = read_page(page(look(path, given=given)))
            assert_sound(tree)
            assert len(list(tree.by_id("gates").all("figure"))) == 7


def test_many_values_are_bounded(tmp_path: Path) -> None:
    inputs = [Input(name=f"i{place}", shape=(None, 2), dtype="float32") for place in range(700)]
    names = tuple(node.name for node in inputs)
    nodes = (*inputs, Concatenate(name="all", args=names, axis=1))
    path = tmp_path / "many.safetensors"
    path.write_bytes(bundle_bytes(Graph(names, ("all", *names), None, nodes, {})))
    made_of_it = page(look(path))
    tree = read_page(made_of_it)
    assert_sound(tree)
    assert "and 650 more" in tree.by_id("about").text
    assert len(made_of_it) < 1_000_000


WITHOUT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "onnx", "onnxruntime", "tf2onnx", "matplotlib", "h5py"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from lstmconv.__main__ import main
sys.exit(main())
"""


def test_without_engines(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "report", str(SINE), "-o", str(out)], capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    tree = read_page(out.read_bytes())
    assert_sound(tree)
    text = tree.by_id("engines").text
    assert "needs keras, which is not installed: pip install 'lstmconv[parity]'" in text
    assert "needs onnxruntime, which is not installed" in text
    assert "Runtime and float64" in tree.by_id("nodes").text
