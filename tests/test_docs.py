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

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"
DOCUMENTS = [
    "README.md", "CHANGELOG.md", "SECURITY.md", "docs/decisions.md", "docs/support.md",
    "docs/onnx-cross-check.md", "runtime/README.md", "runtime/FORMAT.md",
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


def test_readme_runs(tmp_path: Path) -> None:
    """The README's blocks in their order, then those of the runtime's README, in one folder with a small sine.keras."""
    shutil.copy(VECTORS / "cli" / "sine.keras", tmp_path)
    found = blocks("README.md", "console", "python") + blocks("runtime/README.md", "python")
    assert {language for language, _ in found} == {"console", "python"}
    for language, text in found:
        if language == "python":
            run(tmp_path, sys.executable, "-W", "error", "-c", text)
            continue
        for line in text.splitlines():
            name, *arguments = shlex.split(line.removeprefix("$ "))
            assert name == "lstmconv"
            run(tmp_path, sys.executable, "-m", "lstmconv", *arguments)


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
