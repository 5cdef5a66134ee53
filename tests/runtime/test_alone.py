"""The runtime's tests pass where nothing but one of the runtime's wheels, NumPy and safetensors is installed.

The test tools are in a folder of their own, so that the environment itself holds the three packages alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT

FOREIGN = ("tensorflow", "keras", "onnx", "onnxruntime", "typer", "pyfive", "h5py", "lstmconv", "matplotlib")


ONLY: dict[str, dict[str, Any]] = {"numpy": {"LSTMCONV_RUNTIME_PURE": "1"}, "kernel": {}}  # the wheels that are made
OURS = ("PYTHON", "VIRTUAL_ENV", "PYTEST", "LSTMCONV")


@pytest.fixture(scope="session")
def engine() -> None:
    """Not once for each engine, as elsewhere: what is installed decides."""


def run(*command: str | Path, path: Path | None = None, **more: str) -> str:
    """Standard output of a command in an environment without this one's paths."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    env = {**inherited, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **({"PYTHONPATH": str(path)} if path else {}), **more}
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module", params=["numpy", pytest.param("kernel", marks=pytest.mark.long)])
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The Python of an environment with a wheel of the runtime, and the folder of the test tools."""
    folder = tmp_path_factory.mktemp("alone")
    if request.param == "kernel" and not shutil.which("cc"):
        pytest.skip("the kernel needs a C compiler")
    wheels = run(
        ROOT / "scripts" / "wheels", "--runtime", folder / "wheels", PYTHON=sys.executable, **ONLY[request.param]
    )
    assert wheels.count("/lstmconv_runtime-") == (2 if request.param == "kernel" else 1)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (python, "-m", "pip", "--quiet")
    (wheel,) = (folder / "wheels").glob("*-abi3-*.whl" if request.param == "kernel" else "*-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        compiled = sum(part.compress_size for part in archive.infolist() if part.filename.endswith(".so"))
    assert compiled < 300_000
    assert wheel.stat().st_size - compiled < 150_000
    constraints = ("-c", ROOT / "constraints.txt")
    run(*pip, "install", *constraints, wheel)
    run(*pip, "install", *constraints, "--target", folder / "tools", "pytest", "hypothesis")
    assert run(python, "-c", "import lstmconv_runtime as lr; print(lr.engine().name)").strip() == request.param
    return python, folder / "tools"


def test_only_numpy_and_safetensors_are_installed(alone: tuple[Path, Path]) -> None:
    listed = json.loads(run(alone[0], "-m", "pip", "list", "--format", "json"))
    assert {package["name"] for package in listed} - {"pip", "setuptools", "wheel"} == {
        "lstmconv-runtime", "numpy", "safetensors",
    }  # fmt: skip


def test_importing_loads_nothing_foreign(alone: tuple[Path, Path]) -> None:
    """In this environment, where all of them may be installed, and in the empty one."""
    probe = "import sys, lstmconv_runtime as lr; print(*{name.split('.')[0] for name in sys.modules}, lr.__file__)"
    there = run(alone[0], "-c", probe).split()
    assert "site-packages" in there[-1]
    here = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    for loaded in (there, here):
        assert not set(loaded) & set(FOREIGN)


def test_the_tests_pass_there(alone: tuple[Path, Path]) -> None:
    python, tools = alone
    made = run(python, "-m", "pytest", "tests/runtime", "--ignore", "tests/runtime/test_alone.py", path=tools)
    assert " passed" in made
    assert " skipped" not in made
