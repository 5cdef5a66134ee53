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


def processor() -> str:
    """Model name with what tells generations apart, and the cores this process may use."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        told = ""
    fields = dict(re.findall(r"^(model name|cpu family|model|flags)\s*: (.*)$", told, re.MULTILINE))
    name = fields.get("model name") or platform.processor() or platform.machine()
    facts = [f"{label} {fields[key]}" for key, label in (("cpu family", "family"), ("model", "model")) if key in fields]
    flags = fields.get("flags", "").split()
    facts += [label for flag, label in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags][:1]
    return f"{name} ({', '.join(facts)}), {cores()} cores" if facts else f"{name}, {cores()} cores"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_average() -> float:
    """Runnable programs over the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def versions() -> dict[str, str]:
    """Python, the BLAS that NumPy was built with, and every package that is installed."""
    blas: Any = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    found = {
        "python": platform.python_version(),
        "system": platform.system(),
        "blas": f"{blas['name']} {blas['version']}",
    }
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
