"""Data flows downwards: what may import what, how large a module or a folder may be, and what is public."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from collections import Counter
from graphlib import CycleError, TopologicalSorter

import lstmconv
import lstmconv_runtime
import pytest
from paths import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

from architecture import ROOMS, SOURCES, imports, modules, room

# What is imported when it is used: extras that may be missing, and what takes long to import and is seldom used.
EXTRAS = {
    "h5py",
    "rich",
    "matplotlib",
    "tensorflow",
    "keras",
    "onnx",
    "onnxruntime",
    "tf2onnx",
    "concurrent",
    "multiprocessing",
    "hashlib",
    "importlib",
    "pyarrow",
    "pandas",
    "polars",
    "dask",
    "distributed",
    "threadpoolctl",
}
# Modules that import an extra at once, and are imported by what has asked for it first.
NEED_EXTRAS = {
    "lstmconv.onnx.checking",
    "lstmconv.onnx.model",
    "lstmconv.onnx.running",
    "lstmconv.files.tables.rows",
    "lstmconv.files.tables.cells",
    "lstmconv.files.tables.writing",
}
EXTRAS_INSIDE = (
    "lstmconv.files.tables.reading",
    "lstmconv.files.tables.joining",
    "lstmconv.onnx.nodes",
    "lstmconv.onnx.writer",
    "lstmconv.onnx.graph_writer",
    "lstmconv.onnx.dimensions",
    "lstmconv.onnx.states",
)
LONGEST = 400  # lines
LONGER = {"lstmconv_runtime.format.nodes"}  # the vocabulary
FULLEST = 17  # modules of one folder

# What the converter takes from the inside of the runtime: nothing else of it may be relied upon.
TAKEN = {
    "format.bundle", "format.elementwise", "format.graph", "format.graph_json", "format.nodes",
    "format.operation_nodes", "format.spelling", "format.windows", "layers.activations", "layers.by_node",
    "layers.precision", "recurrent.states", "splitting", "stream_kinds", "threads", "difference", "errors", "inputs",
    "model", "programs", "verifying",
}  # fmt: skip


def test_no_import_is_hidden_in_a_function() -> None:
    """`__main__` alone imports inside functions: a signal that comes while it does ends the command quietly."""
    inside = [found for found in imports() if found.inside and found.by != "lstmconv.__main__"]
    allowed = {*EXTRAS, *NEED_EXTRAS}
    hidden = [
        f"{found.by}:{found.line} {found.of}" for found in inside
        if not allowed.intersection((found.of, found.of.partition(".")[0]))
    ]  # fmt: skip
    assert hidden == []


def test_extras_are_not_needed_to_import() -> None:
    """What needs onnx is imported by what has asked for it: `parity` names a package that is missing."""
    code = """
import importlib, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
for name in sys.argv[2:]:
    importlib.import_module(name)
"""
    wanted = {found.of for found in imports() if found.inside} & NEED_EXTRAS
    assert wanted == NEED_EXTRAS
    names = [
        name.removesuffix(".__init__") for name in modules()
        if name not in NEED_EXTRAS and not name.startswith(EXTRAS_INSIDE) and name != "lstmconv.__main__"
    ]  # fmt: skip
    extras = " ".join(EXTRAS - {"concurrent", "multiprocessing", "hashlib", "importlib"})
    subprocess.run([sys.executable, "-c", code, extras, *names], check=True)


def test_there_is_no_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for found in imports():
        if found.of in graph and found.of != found.by:
            graph[found.by].add(found.of)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))


def test_rooms_import_from_those_below() -> None:
    wrong = []
    for found in imports():
        (package, own), (of_package, of) = room(found.by), room(found.of)
        if of_package == package:
            order = ROOMS[package]
            if order.index(of) > order.index(own):
                wrong.append(f"{found.by}:{found.line} {found.of}")
        elif package == "lstmconv_runtime" and of_package == "lstmconv":
            wrong.append(f"{found.by}:{found.line} {found.of}")
    assert wrong == []


def test_every_room_is_on_the_plan() -> None:
    for package in SOURCES:
        rooms = {room(name)[1] for name in modules() if room(name)[0] == package}
        assert rooms == set(ROOMS[package])


def test_what_the_converter_takes_from_inside_the_runtime() -> None:
    taken = {
        found.of.removeprefix("lstmconv_runtime.") for found in imports()
        if room(found.by)[0] == "lstmconv" and found.of.startswith("lstmconv_runtime.")
    } - {"__init__"}  # fmt: skip
    assert taken == TAKEN


def test_modules_and_folders_stay_small() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    assert {name: n for name, n in lengths.items() if n > LONGEST and name not in LONGER} == {}
    counts = Counter(path.parent for path in set(modules().values()))
    assert {str(folder): n for folder, n in counts.items() if n > FULLEST} == {}


@pytest.mark.parametrize(
    ("package", "document"), [("lstmconv", "README.md"), ("lstmconv_runtime", "runtime/README.md")]
)
def test_what_is_public_is_documented(package: str, document: str) -> None:
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name).__doc__
    text = (ROOT / document).read_text(encoding="utf-8")
    documented = set(re.findall(rf"`{package}\.(\w+)", text)) | set(re.findall(r"^\| `(\w+)[`(]", text, re.MULTILINE))
    assert set(module.__all__) - documented == set()


def test_the_version_stands_in_one_place() -> None:
    """In each package; pyproject.toml reads it from there."""
    for folder, package, where in (
        (ROOT, lstmconv, "lstmconv.version"), (ROOT / "runtime", lstmconv_runtime, "lstmconv_runtime"),
    ):  # fmt: skip
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        assert "version" not in project["project"]
        assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": f"{where}.__version__"}
        sources = [path for path in modules().values() if package.__name__ in path.parts]
        assert len({path for path in sources if f'"{package.__version__}"' in path.read_text(encoding="utf-8")}) == 1
    converter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"lstmconv-runtime=={lstmconv_runtime.__version__}" in converter["dependencies"]


def test_types_of_every_script_are_checked() -> None:
    """mypy finds modules in folders by their suffix; scripts that have none are named."""
    files = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["files"]
    scripts = {path for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix}
    python = {path for path in scripts if "python" in path.read_text(encoding="utf-8").partition("\n")[0]}
    assert python
    assert {str(path.relative_to(ROOT).as_posix()) for path in python} == {f for f in files if f.startswith("scripts/")}
