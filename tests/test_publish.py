"""What scripts/wheels makes can be published: built from a copy of the sources, checked, installed where nothing is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import index_readme
import pytest
from paths import ROOT, SINE, VECTORS

URL = "https://example.org/lstmconv/blob/v0.1.0"
RELATIVE = re.compile(r"\]\((?!https?://|#)[^)]*\)")
READMES = {"README.md": "", "runtime/README.md": "runtime/"}


@pytest.mark.parametrize("name", READMES)
def test_a_readme_has_no_link_that_an_index_page_lacks(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert RELATIVE.search(text)
    linked = index_readme.absolute(text, READMES[name], URL)
    assert not RELATIVE.search(linked)
    for target in re.findall(rf"\({URL}/([^)]*)\)", linked):
        assert (ROOT / target).exists(), target
    if name == "README.md":
        assert f"({URL.replace('/blob/', '/raw/')}/docs/predict1.png)" in linked
    plain = index_readme.absolute(text, READMES[name], "")
    assert not RELATIVE.search(plain)
    assert "docs/support.md" in plain or name != "README.md"


def test_the_first_command_needs_no_clone() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"`(pip install [^`]+)`", text)[0] == "pip install lstmconv"
    assert text.index("$ lstmconv export") < text.index("scripts/test")
    assert len(text.splitlines()) <= 90


def pythons() -> list[str]:
    """Interpreters from 3.11 on: those on the path, and those of pyenv."""
    found = {sys.version_info[:2]: sys.executable}
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(11, 15):
        here = [*sorted(root.glob(f"3.{minor}.*/bin/python")), shutil.which(f"python3.{minor}")]
        here = [path for path in here if path]
        if here:
            found.setdefault((3, minor), str(here[0]))
    return list(found.values())


def run(*command: str | Path, **more: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "PIP_"))}
    environment = {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("cc"):
        pytest.skip("the kernel needs a C compiler")
    folder = tmp_path_factory.mktemp("dist")
    made = run(ROOT / "scripts" / "wheels", folder, PYTHON=sys.executable, LSTMCONV_URL=URL)
    assert made.count("PASSED") == 5 or "twine is not installed" in made
    return folder


@pytest.mark.long
def test_both_distributions_are_whole(dist: Path) -> None:
    names = {path.name for path in dist.iterdir()}
    assert len(names) == 5
    for path in dist.glob("*.whl"):
        with zipfile.ZipFile(path) as archive:
            (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            text = archive.read(metadata).decode()
            assert "py.typed" in " ".join(archive.namelist())
            assert any(name.endswith("LICENSE") for name in archive.namelist())
        assert not RELATIVE.search(text)
    with tarfile.open(next(dist.glob("lstmconv_runtime-*.tar.gz"))) as archive:
        assert any(name.endswith("_kernel_int8.h") for name in archive.getnames())


@pytest.mark.long
@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).parent.parent.name)
def test_they_install_where_nothing_is(dist: Path, python: str, tmp_path: Path) -> None:
    run(python, "-m", "venv", tmp_path / "venv")
    own = tmp_path / "venv" / "bin" / "python"
    (runtime,) = dist.glob("lstmconv_runtime-*-abi3-*.whl")
    (converter,) = dist.glob("lstmconv-*.whl")
    run(own, "-m", "pip", "install", "--quiet", runtime, converter)
    shutil.copy(SINE, tmp_path / "sine.keras")
    command = tmp_path / "venv" / "bin" / "lstmconv"
    run(command, "export", tmp_path / "sine.keras")
    run(command, "verify", tmp_path / "sine.safetensors")
    assert "kernel" in run(command, "--version")


@pytest.mark.long
def test_the_runtime_needs_numpy_alone(dist: Path, tmp_path: Path) -> None:
    """Without safetensors, as where its compiled core has no wheel: the same file, written and read."""
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    own = tmp_path / "venv" / "bin" / "python"
    (runtime,) = dist.glob("lstmconv_runtime-*-none-any.whl")
    run(own, "-m", "pip", "install", "--quiet", "--no-deps", runtime)
    run(own, "-m", "pip", "install", "--quiet", "numpy")
    bundle = VECTORS / "invalid" / "valid.safetensors"
    probe = (
        "import lstmconv_runtime as lr, sys; from lstmconv_runtime.format.bundle import to_bytes;"
        "data = open(sys.argv[1], 'rb').read(); model = lr.load(data); assert model.verify().ok;"
        "assert to_bytes(model.bundle) == data; print('safetensors' in sys.modules)"
    )
    assert run(own, "-c", probe, bundle) == "False\n"
