"""What type checkers make of the runtime's face."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

TYPED = """
import lstmconv_runtime as lr
import numpy as np
import numpy.typing as npt

model = lr.load("m.safetensors")
x = np.zeros((1, 5, 2))
y = model.predict(x)
y.tolist()
print(y[0], y.shape)
gate: npt.NDArray[np.float32] = model.gates(x)["lstm"].f
for name, array in model.predict_by_name(x).items():
    print(name.upper(), array.tolist())
stream = model.stream(batch=2)
stream.step(x[:, 0]).tolist()
stream.reset([1])
size: int | None = model.inputs[0].shape[1]
dtype: str = model.outputs[0].dtype
ok: bool = model.verify().ok
"""
SLIPS = TYPED + 'model.gates(x)["lstm"].forget\nmodel.predct(x)\nlr.load(5)\n'


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_types(checker: str, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name(checker)
    if not program.exists() or (checker == "pyright" and not shutil.which("node")):
        pytest.skip(f"{checker} is not installed")
    (tmp_path / "right.py").write_text(TYPED)
    (tmp_path / "wrong.py").write_text(SLIPS)
    config = {
        "mypy": f"[mypy]\nstrict = true\nfollow_imports = silent\nmypy_path = {ROOT / 'runtime'}\n",
        "pyright": f'{{"typeCheckingMode": "standard", "extraPaths": ["{ROOT / "runtime"}"], "include": ["."]}}',
    }[checker]
    (tmp_path / {"mypy": "mypy.ini", "pyright": "pyrightconfig.json"}[checker]).write_text(config)
    arguments = {"mypy": ["--no-error-summary", "."], "pyright": ["--pythonpath", sys.executable]}[checker]
    done = subprocess.run([str(program), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    errors = [line.strip() for line in done.stdout.splitlines() if "error" in line and ".py:" in line]
    assert [line for line in errors if "wrong.py" not in line] == [], done.stdout + done.stderr
    assert {re.search(r"wrong\.py:(\d+)", line)[1] for line in errors} == {  # type: ignore[index]
        str(SLIPS.count("\n") - k) for k in range(3)
    }, done.stdout + done.stderr
