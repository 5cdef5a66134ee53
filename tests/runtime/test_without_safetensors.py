"""The runtime works in a process where `import safetensors` fails, with NumPy alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT


@pytest.fixture(scope="session")
def engine() -> None:
    """Not once for each engine, as elsewhere: the process that is started runs both."""


BLOCK = """
import sys


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "safetensors":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


assert "safetensors" not in sys.modules
sys.meta_path.insert(0, Blocked())
"""


def test_the_core_of_the_tests_passes_without(tmp_path: Path) -> None:
    """In a process where `import safetensors` fails: what is loaded, predicted, traced, streamed, pickled, refused."""
    (tmp_path / "blocked.py").write_text(BLOCK)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    path = os.pathsep.join([str(tmp_path), str(ROOT / "runtime"), environment.get("PYTHONPATH", "")])
    core = ["test_model.py", "test_verifying.py", "format/test_bundle.py"]
    command = [sys.executable, "-m", "pytest", "-p", "blocked", *[str(ROOT / "tests" / "runtime" / c) for c in core]]
    done = subprocess.run(
        [*command, "-m", "not long"],
        cwd=ROOT, env={**environment, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    probe = "import blocked, lstmconv_runtime.format.tensors as t; print(t.library)"
    shown = subprocess.run(
        [sys.executable, "-c", probe],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "None\n"
