"""What an engine costs before its first prediction: time, memory, room on disk; each in processes of its own."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lstmconv_runtime import load
from packaging.requirements import Requirement

FIRST_PREDICTION = {
    # what a program does first, with the model's file in `path`; NumPy alone is what all of them stand on
    "numpy alone": "import numpy as np",
    "runtime": "import numpy as np, lstmconv_runtime as lr; lr.load(path).predict(np.zeros({shape}, 'float32'))",
    "onnxruntime": "import numpy as np, onnxruntime as ort; s = ort.InferenceSession(path); "
    "s.run(None, {{s.get_inputs()[0].name: np.zeros({shape}, 'float32')}})",
    "litert": "import numpy as np; from ai_edge_litert.interpreter import Interpreter; i = Interpreter(path); "
    "i.allocate_tensors(); i.set_tensor(i.get_input_details()[0]['index'], np.zeros({shape}, 'float32')); "
    "i.invoke(); i.get_tensor(i.get_output_details()[0]['index'])",
    "openvino": "import numpy as np, openvino as ov; m = ov.Core().compile_model(path, 'CPU'); "
    "m(np.zeros({shape}, 'float32'))",
    "keras": "import numpy as np, keras; m = keras.models.load_model(path); "
    "m.predict(np.zeros({shape}, 'float32'), verbose=0)",
}
# VmHWM and not ru_maxrss, which starts at the size of the process that started this one.
REPORT = """
import time; done = time.monotonic()
import json, re, resource, sys
try:
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([done, peak]))
"""
DISTRIBUTIONS = {
    "numpy alone": ("numpy",),
    "runtime": ("lstmconv-runtime",),
    "onnxruntime": ("onnxruntime",),
    "litert": ("ai-edge-litert",),
    "openvino": ("openvino",),
    "torch": ("torch",),
    "keras": ("tensorflow", "keras"),
}
PACKAGES = {"lstmconv-runtime": "lstmconv_runtime"}  # editable installs, whose files the metadata does not list


@dataclass(frozen=True)
class StartUp:
    """Of one engine; None where it is not there.

    Attributes:
        seconds: from the start of the process to the first prediction, median.
        peak: bytes of memory it needed at most.
        installed: bytes on disk with everything it depends on.
    """

    seconds: float | None
    peak: int | None
    installed: int | None
    reason: str = ""


@dataclass(frozen=True)
class Costs:
    """Start-up of every engine, and the figures that only this project has.

    Attributes:
        import_seconds: of `import lstmconv_runtime` where NumPy is imported already.
        numpy_import_seconds: of NumPy, in the same processes.
        load_seconds: of a bundle, in a running process.
        export_seconds: `lstmconv export` as a process.
        keras_load_seconds: `keras.models.load_model` of the same file, as a process.
    """

    engines: dict[str, StartUp]
    import_seconds: float
    numpy_import_seconds: float
    load_seconds: float
    bundle_bytes: int
    export_seconds: float
    keras_load_seconds: float | None


def measure(files: dict[str, Path], shape: tuple[int, ...], repeats: int) -> Costs:
    """Starts every engine that has a file `repeats` times, one after the other in turn.

    Args:
        files: the model in the format of each engine; `runtime` and `keras` at least.
        shape: of one input.
    """
    files = {"numpy alone": files["runtime"], **files}
    engines = {name: _start_up(name, files.get(name), shape) for name in FIRST_PREDICTION}  # fills the disk cache
    runs: dict[str, list[tuple[float, int]]] = {name: [] for name in engines}
    for _ in range(repeats):
        for name in [name for name, first in engines.items() if not isinstance(first, str)]:
            made = _start_up(name, files[name], shape)
            if not isinstance(made, str):
                runs[name].append(made)
    start_ups = {}
    for name in dict.fromkeys([*FIRST_PREDICTION, *DISTRIBUTIONS]):
        taken, outcome = runs.get(name), engines.get(name)
        start_ups[name] = StartUp(
            statistics.median(seconds for seconds, _ in taken) if taken else None,
            int(statistics.median(peak for _, peak in taken)) if taken else None,
            installed_bytes(DISTRIBUTIONS[name]),
            outcome if isinstance(outcome, str) else "",
        )
    imports = [_import_seconds() for _ in range(repeats)]
    exported = files["keras"].with_name("exported.safetensors")
    export = [sys.executable, "-m", "lstmconv", "export", str(files["keras"]), "-o", str(exported), "--force"]
    keras_load = f"import keras; keras.models.load_model({str(files['keras'])!r})"
    return Costs(
        start_ups,
        statistics.median(ours for ours, _ in imports),
        statistics.median(numpy for _, numpy in imports),
        _load_seconds(files["runtime"], 10 * repeats),
        files["runtime"].stat().st_size,
        statistics.median(_process_seconds(export) for _ in range(repeats)),
        statistics.median(_process_seconds([sys.executable, "-c", keras_load]) for _ in range(repeats)),
    )


def _start_up(name: str, path: Path | None, shape: tuple[int, ...]) -> tuple[float, int] | str:
    """Seconds and bytes of one start, or why there is none."""
    if path is None:
        return "there is no model in its format"
    script = f"path = {str(path)!r}\n{FIRST_PREDICTION[name].format(shape=shape)}{REPORT}"
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], env=_environment(), capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return lines[-1][:200] if lines else f"exit code {done.returncode}"
    finished, peak = json.loads(done.stdout.splitlines()[-1])
    return finished - start, int(peak)


def _environment() -> dict[str, str]:
    """That of this process; but modules are compiled once, as pip does, and not at every start."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "3"}


def _process_seconds(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, env=_environment(), capture_output=True, check=True)
    return time.monotonic() - start


def _import_seconds() -> tuple[float, float]:
    """Of lstmconv_runtime over NumPy, and of NumPy: the cumulative times that -X importtime tells."""
    command = [sys.executable, "-X", "importtime", "-c", "import numpy\nimport lstmconv_runtime"]
    told = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=True).stderr

    def cumulative(module: str) -> float:
        found = re.search(rf"^import time:\s+\d+ \|\s+(\d+) \| {module}$", told, re.MULTILINE)
        assert found, f"-X importtime does not tell of {module}"
        return int(found[1]) / 1e6

    return cumulative("lstmconv_runtime"), cumulative("numpy")


def _load_seconds(bundle: Path, repeats: int) -> float:
    """Median; the file is in the disk cache."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        load(bundle)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def installed_bytes(distributions: tuple[str, ...]) -> int | None:
    """Bytes on disk of distributions and all they depend on, without compiled bytecode; None if one is missing."""
    names: set[str] = set()
    try:
        for name in distributions:
            _collect(name, names)
        return sum(_size(name) for name in names)
    except importlib.metadata.PackageNotFoundError:
        return None


def _collect(name: str, names: set[str]) -> None:
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name in names:
        return
    names.add(name)
    for line in importlib.metadata.requires(name) or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            _collect(requirement.name, names)


def _size(name: str) -> int:
    if name in PACKAGES:
        module = __import__(PACKAGES[name])
        paths = list(Path(module.__path__[0]).rglob("*"))
    else:
        paths = [Path(str(file.locate())) for file in importlib.metadata.files(name) or []]
    return sum(path.stat().st_size for path in paths if path.is_file() and path.suffix != ".pyc")
