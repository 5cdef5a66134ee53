"""A reader that shares no line with ours, written from FORMAT.md in another language, takes and refuses what FORMAT.md
says and computes what Keras computed."""

from __future__ import annotations

import json
import random
import re
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import legacy_vectors
import numpy as np
import pytest
from legacy_vectors import REFUSED, architecture, arrays, model_path
from lstmconv.exporting import convert
from lstmconv.reading import read_keras_file
from lstmconv_runtime import load
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.bundle import Bundle, Probe, to_bytes
from lstmconv_runtime.format.graph import Graph, infer_types
from paths import ROOT, VECTORS
from vector_files import NAMES, read_vector

FOLDER = ROOT / "tests" / "second_reader"
INVALID = VECTORS / "invalid"
VALID = INVALID / "valid.safetensors"
NODE = shutil.which("node") or ""
# What Keras makes in float64 of a layer that was adapted in float32 was not adapted.
ONLY_FLOAT32 = {"discretization-adapted"}

pytestmark = pytest.mark.skipif(
    not NODE, reason="THE SECOND READER DID NOT RUN: node is not installed (apt-get install nodejs)"
)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [NODE, str(FOLDER / "run.mjs"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def judged(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """What the reader says of each file, by its name, in one process: node takes longer to start than to read one."""
    done = run("--json", *paths)
    assert done.stderr == ""
    found = {Path(row["file"]).name: row for row in json.loads(done.stdout)}
    assert len(found) == len(paths)
    assert done.returncode == int(any(row["result"] != "ok" for row in found.values()))
    return found


def not_ok(paths: Sequence[Path]) -> dict[str, Any]:
    return {name: row for name, row in judged(paths).items() if row["result"] != "ok"}


def with_probe(graph: Graph, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> bytes:
    """A bundle whose one probe is what Keras was given and computed."""
    types = infer_types(graph)
    given = {name: x.astype(types[name].dtype) if x.dtype != types[name].dtype != "bfloat16" else x
             for name, x in zip(graph.inputs, inputs, strict=True)}  # fmt: skip
    return to_bytes(
        Bundle(graph, {"framework": "keras", "version": "as saved"}, {}, (Probe("keras", given, tuple(outputs)),))
    )


def valid_bundles(folder: Path) -> list[Path]:
    """Every committed bundle that is valid, those in archives unpacked to `folder`."""
    found = [VALID, *(path for path in VECTORS.rglob("*.safetensors") if INVALID not in path.parents)]
    for archive in VECTORS.rglob("*.zip"):
        with zipfile.ZipFile(archive) as held:
            members = [name for name in held.namelist() if name.endswith(".safetensors")]
            found += [Path(held.extract(name, folder / archive.stem)) for name in members]
    return found


def test_valid_bundles(tmp_path: Path) -> None:
    paths = valid_bundles(tmp_path)
    found = judged(paths)
    assert {name: row for name, row in found.items() if row["result"] != "ok"} == {}
    assert {name for name, row in found.items() if not row["probes"]} == {"no-probes.safetensors"}


def test_invalid_bundles() -> None:
    """Refused under the rule that they were made to break, and with its code."""
    manifest = json.loads((INVALID / "manifest.json").read_text())
    found = judged([INVALID / row["file"] for row in manifest])
    wanted = {row["file"]: ("refused", row["rule"], row["code"]) for row in manifest}
    assert {name: (row["result"], row.get("rule"), row.get("code")) for name, row in found.items()} == wanted


def test_what_keras_computed(tmp_path: Path) -> None:
    """The models of tests/vectors/parity, with Keras's outputs for probes: those in float64 where there are such."""
    paths = []
    for name in NAMES:
        vector = read_vector(name)
        exact = {} if name in ONLY_FLOAT32 else vector.exact
        outputs = [exact.get(position, y) for position, y in enumerate(vector.outputs)]
        paths.append(tmp_path / f"{name}.safetensors")
        paths[-1].write_bytes(with_probe(vector.graph, vector.inputs, outputs))
    assert not_ok(paths) == {}


def test_what_old_releases_computed(tmp_path: Path) -> None:
    paths = []
    for entry, name in zip(legacy_vectors.ENTRIES, legacy_vectors.IDS, strict=True):
        if entry["case"] not in REFUSED:
            graph = convert(read_keras_file(model_path(entry)), architecture=architecture(entry)).graph
            paths.append(tmp_path / f"{name}.safetensors")
            paths[-1].write_bytes(with_probe(graph, *arrays(entry)))
    assert len(paths) > 200
    assert not_ok(paths) == {}


def changed_weight(tmp_path: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """The valid file with another forget gate, and the digest of what it holds then."""
    bundle = load(VALID).bundle
    graph = replace(bundle.graph, arrays={**bundle.graph.arrays, "lstm/W_f": change(bundle.graph.arrays["lstm/W_f"])})
    path = tmp_path / "changed.safetensors"
    path.write_bytes(to_bytes(replace(bundle, graph=graph)))
    return path


def test_a_changed_weight_differs(tmp_path: Path) -> None:
    path = changed_weight(tmp_path, lambda weights: weights + np.float32(0.01))
    row = judged([path])[path.name]
    (difference,) = row["differences"]
    assert (row["result"], difference["probe"], difference["output"], difference["name"]) == ("differs", 0, 0, "dense")
    assert difference["largest"] > difference["allowed"] > 0
    shown = run(path)
    assert shown.returncode == 1
    assert re.search(r"differs: probe 0, output 0 \(dense\): largest \S+ of \S+ allowed", shown.stdout)


def test_a_weight_that_is_not_a_number_differs(tmp_path: Path) -> None:
    path = changed_weight(tmp_path, lambda weights: weights * np.float32("nan"))
    assert "NaN instead of" in judged([path])[path.name]["differences"][0]["why"]


def test_every_flipped_byte_is_refused(tmp_path: Path) -> None:
    """Header, padding and data: no byte is free."""
    data = VALID.read_bytes()
    places = [*range(8), *random.Random(0).sample(range(8, len(data)), 200), len(data) - 1]
    paths = [tmp_path / f"{place}.safetensors" for place in places]
    for place, path in zip(places, paths, strict=True):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    assert {row["result"] for row in judged(paths).values()} == {"refused"}


def test_output_and_exit_codes(tmp_path: Path) -> None:
    fine, refused = run(VALID), run(VALID, INVALID / "N10-metadata-changed.safetensors")
    assert (fine.returncode, fine.stdout) == (0, f"{VALID}: ok, 1 probe\n")
    assert (refused.returncode, len(refused.stdout.splitlines())) == (1, 2)
    assert "refused E_BUNDLE_DIGEST" in refused.stdout
    assert run("--help").returncode == 0
    assert run().returncode == 2
    missing = run(tmp_path / "none.safetensors")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)


NAN = float("nan")
# What has no numbers, by node, with an input that leads there and how it is said.
ERRORS: dict[str, tuple[list[Any], Any, str]] = {
    "id": (
        [n.Embedding(name="y", x="x", weights="e", input_size=2, units=1, dtype="float32")],
        np.array([[2]], np.int32),
        "id",
    ),
    "cast": ([n.Cast(name="y", x="x", dtype="int8")], np.array([[128]], np.float32), "beyond int8"),
    "cast-nan": ([n.Cast(name="y", x="x", dtype="int8")], np.array([[NAN]], np.float32), "NaN is no int8"),
    "power": ([n.Elementwise(name="y", op="power", args=("x", "x"))], np.array([[-1]], np.int32), "power -1"),
    "take": ([n.Take(name="y", x="x", axis=1, indices=(-2,))], np.array([[1]], np.int32), "beyond the axis"),
    "max": ([n.Reduce(name="y", x="x", op="max", axes=(1,), keepdims=True)], np.zeros((1, 0), np.int32), "empty"),
    "arg": ([n.ArgReduce(name="y", x="x", op="max", axis=1)], np.zeros((1, 0), np.int32), "max of nothing"),
    "squeeze": ([n.Squeeze(name="y", x="x", axis=1)], np.array([[1, 2]], np.int32), "do not fit"),
    "reshape": ([n.Reshape(name="y", x="x", shape=(0, 3))], np.array([[1, 2]], np.int32), "do not fit"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_when_it_runs(case: str, tmp_path: Path) -> None:
    """A reader must not give numbers for these. The probe holds zeros of the shape that there would be."""
    nodes, x, said = ERRORS[case]
    arrays_ = {"e/E": np.zeros((2, 1), np.float32)} if case == "id" else {}
    nodes = [n.Input(name="x", shape=(None, None), dtype=x.dtype.name), *nodes]
    graph = Graph(("x",), ("y",), None, tuple(nodes), arrays_)
    type_ = infer_types(graph)["y"]
    made = np.zeros([1 if size is None else size for size in type_.shape], type_.dtype)
    path = tmp_path / "error.safetensors"
    path.write_bytes(to_bytes(Bundle(graph, {}, {}, (Probe("by hand", {"x": x}, (made,)),))))
    (difference,) = judged([path])[path.name]["differences"]
    assert difference["output"] is None
    assert said in difference["why"]


def test_an_input_too_large_for_its_dtype_is_an_error(tmp_path: Path) -> None:
    graph = Graph(("x",), ("x",), None, (n.Input(name="x", shape=(None, 1), dtype="float16"),), {})
    x = np.array([[1e6]], np.float32)
    path = tmp_path / "large.safetensors"
    path.write_bytes(to_bytes(Bundle(graph, {}, {}, (Probe("by hand", {"x": x}, (x,)),))))
    assert "too large for float16" in judged([path])[path.name]["differences"][0]["why"]


def in_node(code: str, given: Any) -> Any:
    """What `code`, a function body of the module `m` of json.mjs and of `given`, returns."""
    script = f"""import * as m from {json.dumps((FOLDER / "json.mjs").as_uri())};
import {{ readFileSync }} from "node:fs";
const given = JSON.parse(readFileSync(0, "utf-8"));
console.log(JSON.stringify((() => {{ {code} }})()));"""
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", script], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_canonical_json() -> None:
    """Numbers and texts as Python spells them are canonical; in every other spelling they are refused."""
    draw = random.Random(0)
    numbers = [struct.unpack("<d", draw.randbytes(8))[0] for _ in range(2000)]
    numbers = [x for x in numbers if x - x == 0] + [
        float(f"{sign}1e{power}") for power in range(-320, 309) for sign in ("", "-")
    ]
    numbers += [0.0, -0.0, 0.1, 1e15, 123456789012345680.0, 5e-324, 1.7976931348623157e308]
    fine = json.dumps(
        {"": numbers, "texts": ["é", "\x7f", '\x00\b\t\n\f\r"\\/', "😀", "\uffff"], "whole": [0, -1, 2**70]}
    )
    wrong = [
        "1e5", "1E+16", "1.0e+16", "0.00001", "01", "-0", "+1", ".5", "1.", "NaN", "1e400",
        '"\\u0041"', '"\\/"', '"é"', '"\\ud83d"', '"\\u00E9"', "'a'",
        "[1, 2]", "[1,]", "[", "1 ", '{"b":1,"a":1}', '{"a":1,"a":1}', '{"\\ud83d\\ude00":1,"\\uffff":1}',
    ]  # fmt: skip
    code = """return given.map((text) => {
        try {
            m.parse(text, { canonical: true });
            return true;
        } catch (error) {
            return !(error instanceof SyntaxError) && error.message;
        }
    });"""
    texts = [
        json.dumps(json.loads(fine), sort_keys=True, separators=(",", ":")),
        '{"\\uffff":1,"\\ud83d\\ude00":1}',
        *wrong,
    ]
    found = dict(zip(texts, in_node(code, texts), strict=True))
    assert [text for text, taken in found.items() if taken is not (text not in wrong)] == []


def test_it_needs_no_packages_and_none_of_ours() -> None:
    imported = {
        name
        for path in FOLDER.glob("*.mjs")
        for name in re.findall(r'from "([^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert {name for name in imported if not name.startswith(("./", "node:"))} == set()
    assert {name for name in imported if name.startswith("node:")} == {"node:crypto", "node:fs"}
