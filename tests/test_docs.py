"""What the documents say is true: code blocks run, generated parts are fresh, links lead somewhere."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from legacy_vectors import release
from paths import ROOT, VECTORS

DOCUMENTS = [
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "guides").glob("*.md")),
    "docs/exactness.md", "docs/comparison.md",
    "README.md", "CHANGELOG.md", "SECURITY.md", "docs/decisions.md", "docs/support.md",
    "docs/onnx-cross-check.md", "docs/architecture.md", "docs/scoring.md", "CONTRIBUTING.md", "runtime/README.md",
    "runtime/FORMAT.md", "tests/second_reader/README.md", "tests/vectors/bundles/README.md",
]  # fmt: skip
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str, *languages: str) -> list[tuple[str, str]]:
    found = BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))
    return [(language, text) for language, text in found if language in languages]


def run(folder: Path, *command: str) -> str:
    source = os.pathsep.join([str(ROOT / "converter"), str(ROOT / "runtime"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": source}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def commands(document: str) -> list[tuple[str, str]]:
    """What a document shows, in order: blocks of Python, and the command lines of blocks and of sentences."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = []
    for block, python, shown in re.findall(
        r"^```(?:console\n(.*?)|python\n(.*?))^```$|(?<!`)`(lstmconv [a-z]+ [^`]+)`", text, re.MULTILINE | re.DOTALL
    ):
        found += [("python", python)] if python else []
        found += [("lstmconv", line.removeprefix("$ ")) for line in (block or shown).splitlines()]
    return found


def make_files(folder: Path) -> None:
    """The files that the README speaks of."""
    shutil.copy(VECTORS / "cli" / "sine.keras", folder)
    shutil.copy(release("k224") / "lstm.h5", folder / "old.h5")


def test_readme_runs(tmp_path: Path) -> None:
    """The README's commands in their order, then those of the runtime's README, in one folder."""
    make_files(tmp_path)
    found = commands("README.md") + commands("runtime/README.md")
    assert [text for kind, text in found if kind == "lstmconv"] == [
        "lstmconv export sine.keras", "lstmconv verify sine.safetensors", "lstmconv report sine.safetensors",
        "lstmconv doctor old.h5",
        "lstmconv export old.h5", "lstmconv upgrade old.h5 -o new.keras",
        "lstmconv onnx sine.safetensors",
        "lstmconv onnx sine.safetensors --states -o step.onnx",
    ]  # fmt: skip
    assert sum(kind == "python" for kind, _ in found) == 2
    for kind, text in found:
        if kind == "python":
            run(tmp_path, sys.executable, "-W", "error", "-c", text)
        else:
            run(tmp_path, sys.executable, "-m", *shlex.split(text))


def test_readme_names_scripts_that_are_there() -> None:
    """The lines that make an environment of their own: what they do in it is for other tests."""
    ((_, text),) = blocks("README.md", "sh")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    assert lines == ["scripts/demo", "scripts/test"]
    for line in lines:
        assert os.access(ROOT / line, os.X_OK)
        run(ROOT, "bash", "-n", line)


PIP = re.findall(r"`(pip install \./[^`]+)`", (ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.long
def test_readme_runs_in_an_empty_environment(tmp_path: Path) -> None:
    """Each `pip install` of the README in a fresh environment; and all that it shows, after the last of them."""
    assert len(PIP) == 3
    clone, folder = tmp_path / "clone", tmp_path / "folder"
    folder.mkdir()
    make_files(folder)
    for name in ("converter", "runtime"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)

    def fresh(name: str, install: str) -> dict[str, str]:
        run(tmp_path, sys.executable, "-m", "venv", name)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
        environment = {**kept, "PATH": f"{tmp_path / name / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        reached = shell("pip download --quiet --no-deps --dest . setuptools", tmp_path, environment)
        if reached.returncode != 0:
            pytest.skip(f"NOT RUN: pip reaches no index: {reached.stderr[-300:]}")
        succeeds(install, clone, environment)
        return environment

    alone = fresh("alone", "pip install ./runtime")  # "the machine that runs the model needs `./runtime` alone"
    both = fresh("both", PIP[0])
    succeeds("lstmconv export sine.keras", folder, both)
    succeeds(shlex.join(["python", "-c", commands("runtime/README.md")[0][1]]), folder, alone)
    assert shell("python -c 'import lstmconv'", folder, alone).returncode != 0
    # What an error says to install can be installed.
    refused = shell("lstmconv upgrade old.h5 -o new.keras", folder, both)
    assert refused.returncode == 2
    (advice,) = re.findall(r"pip install '[^']+'", refused.stderr)
    succeeds(advice, folder, both)
    succeeds("lstmconv upgrade old.h5 -o new.keras", folder, both)

    shutil.rmtree(folder)
    folder.mkdir()
    make_files(folder)
    all_of_it = fresh("all", PIP[1])
    succeeds(PIP[2], clone, all_of_it)
    for kind, text in commands("README.md") + commands("runtime/README.md"):
        succeeds(text if kind == "lstmconv" else shlex.join(["python", "-c", text]), folder, all_of_it)


def shell(line: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = shlex.split(line)
    program = shutil.which(command[0], path=environment["PATH"])
    assert program is not None, line
    return subprocess.run(
        [program, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def succeeds(line: str, folder: Path, environment: dict[str, str]) -> None:
    done = shell(line, folder, environment)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_the_specification_runs(tmp_path: Path) -> None:
    shutil.copy(VECTORS / "invalid" / "valid.safetensors", tmp_path / "model.safetensors")
    ((_, text),) = blocks("runtime/FORMAT.md", "python")
    assert "LSTM lstm reads x" in run(tmp_path, sys.executable, "-c", text + "\nassert W_f.shape == (1, 2)\n")


def test_the_digest_can_be_checked_as_specified() -> None:
    """From FORMAT.md alone: the metadata's text without its first member, then the tensors."""
    data = (VECTORS / "invalid" / "valid.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    text = header.pop("__metadata__")["lstmconv"]
    claimed = json.loads(text)["digest"]
    sha = hashlib.sha256(text.replace(f'"digest":"{claimed}",', "", 1).encode())
    long_names = {"F32": b"float32", "BOOL": b"bool"}
    for name in sorted(header):
        start, stop = header[name]["data_offsets"]
        shape = json.dumps(header[name]["shape"], separators=(",", ":")).encode()
        sha.update(b"\0" + name.encode() + b"\0" + long_names[header[name]["dtype"]] + b"\0" + shape + b"\0")
        sha.update(data[8 + length + start : 8 + length + stop])
    assert claimed == f"sha256:{sha.hexdigest()}"


def test_generated_parts_are_fresh() -> None:
    run(ROOT, sys.executable, "scripts/make_docs", "--check")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_paths_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    folder = (ROOT / document).parent
    for target in re.findall(r"(?<!!)\[[^]]*\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (folder / target).exists(), target
    for path in re.findall(r"`((?:tests|scripts|converter|runtime|docs)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path


def test_tests_named_in_security_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"\b(test_\w+)(?!\.py)\b", text):
        assert f"def {name}(" in sources or list((ROOT / "tests").rglob(f"{name}.py")), name
