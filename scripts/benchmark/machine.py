"""Where the figures come from: the processor, its load, and the versions of everything measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = (
    "lstmconv", "numpy", "onnxruntime", "ai-edge-litert", "openvino", "torch", "tensorflow", "keras", "tf2onnx",
)  # fmt: skip
BUSY = 0.5  # load average from which the figures of other programs are in ours


def cpu_fields() -> dict[str, str]:
    """What Linux tells of the processor; nothing elsewhere."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        told = ""
    return dict(re.findall(r"^(model name|cpu family|model|flags)\s*: (.*)$", told, re.MULTILINE))


def processor() -> str:
    """Model name with what tells generations apart, and the cores this process may use."""
    fields = cpu_fields()
    name = fields.get("model name") or platform.processor() or platform.machine()
    facts = [f"{label} {fields[key]}" for key, label in (("cpu family", "family"), ("model", "model")) if key in fields]
    flags = fields.get("flags", "").split()
    facts += [label for flag, label in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags][:1]
    return f"{name} ({', '.join(facts)}), {cores()} cores" if facts else f"{name}, {cores()} cores"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def openblas_kernels() -> str | None:
    """The processor NumPy's OpenBLAS has chosen its kernels for; None without OpenBLAS, or threadpoolctl to ask."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    chosen = [str(pool["architecture"]) for pool in threadpool_info() if pool["internal_api"] == "openblas"]
    return chosen[0] if chosen else None


def slow_kernels() -> str | None:
    """A warning where OpenBLAS leaves AVX-512 unused, as OPENBLAS_CORETYPE in the environment may make it."""
    kernels = openblas_kernels()
    if kernels not in ("Haswell", "Zen") or "avx512bw" not in cpu_fields().get("flags", "").split():
        return None
    setting = os.environ.get("OPENBLAS_CORETYPE")
    why = f"because the environment sets OPENBLAS_CORETYPE={setting}" if setting else "by its own choice"
    return f"OpenBLAS uses its {kernels} kernels, without AVX-512, {why}: engines in NumPy are slower than they can be"


def load_average() -> float:
    """Runnable programs over the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def versions() -> dict[str, str]:
    """Python, the BLAS that NumPy was built with and its kernels, and every package that is installed."""
    kernels = openblas_kernels()
    blas: Any = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    found = {
        "python": platform.python_version(),
        "system": platform.system(),
        "blas": f"{blas['name']} {blas['version']}" + (f" with kernels for {kernels}" if kernels else ""),
    }
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
