"""Every guide's code runs, in its order, in a folder with the files that it speaks of."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from guide_files import make_guide_files
from paths import ROOT

DOCS = ROOT / "docs"
GUIDES = sorted([*(DOCS / "guides").glob("*.md"), DOCS / "index.md", DOCS / "exactness.md"])
BLOCK = re.compile(r'^```(python|console|sh)(?: title="([\w.]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
# What a guide needs beside the converter; `onnxruntime` also for parity.
NEEDS = {
    "service.md": ("fastapi", "httpx2"), "onnx.md": ("onnx", "onnxruntime"), "old-files.md": ("h5py",),
    "exactness.md": ("keras", "onnxruntime", "tf2onnx"),
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guides")
    make_guide_files(folder)
    return folder


def run(folder: Path, *command: str) -> str:
    path = os.pathsep.join([str(ROOT / "converter"), str(ROOT / "runtime"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_a_guide_runs(guide: Path, files: Path, tmp_path: Path) -> None:
    missing = [name for name in NEEDS.get(guide.name, ()) if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{guide.name} needs {', '.join(missing)}")
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    if guide.name in ("index.md", "old-files.md"):  # which export it themselves
        (tmp_path / "sine.safetensors").unlink()
    found = BLOCK.findall(guide.read_text(encoding="utf-8"))
    assert any(language != "sh" for language, _, _ in found)
    for language, title, text in found:
        if title:
            (tmp_path / title).write_text(text, encoding="utf-8")
        elif language == "python":
            run(tmp_path, "-c", text)
        elif language == "console":
            for line in text.splitlines():
                assert line.startswith("$ lstmconv "), line
                run(tmp_path, "-m", *shlex.split(line.removeprefix("$ ")))
        else:
            subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_inline_commands_are_commands() -> None:
    """`lstmconv NAME` in the text of a page names a command that is there."""
    listed = run(ROOT, "-m", "lstmconv", "--help")
    for guide in GUIDES:
        for name in re.findall(r"`lstmconv ([a-z]+)", guide.read_text(encoding="utf-8")):
            assert re.search(rf"^  {name} ", listed, re.MULTILINE), (guide.name, name)
