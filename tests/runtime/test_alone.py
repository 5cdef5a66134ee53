"""The runtime's tests pass where nothing but the runtime's wheel, NumPy and safetensors is installed.

The test tools are in a folder of their own, so that the environment itself holds the three packages alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from paths import ROOT

FOREIGN = ("tensorflow", "keras", "onnx", "onnxruntime", "typer", "pyfive", "h5py", "lstmconv", "matplotlib")


def run(*command: str | Path, path: Path | None = None) -> str:
    """Standard output of a command in an environment without this one's paths."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "PYTEST"))
    }
    env = {**inherited, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **({"PYTHONPATH": str(path)} if path else {})}
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The Python of an environment with the runtime's wheel, and the folder of the test tools."""
    folder = tmp_path_factory.mktemp("alone")
    source = shutil.copytree(  # building in place would leave build/ in the sources
        ROOT / "runtime", folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    )
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (python, "-m", "pip", "--quiet")
    run(*pip, "wheel", "--no-deps", "-w", folder / "wheels", source)
    (wheel,) = (folder / "wheels").glob("*.whl")
    constraints = ("-c", ROOT / "constraints.txt")
    run(*pip, "install", *constraints, wheel)
    run(*pip, "install", *constraints, "--target", folder / "tools", "pytest", "hypothesis")
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
