"""Writes tests/vectors/parity: what Keras computes for the models of tests/parity/cases.py.

    python scripts/make_vectors.py [CASE…]        default: every case

One NAME.npz per case: `model`, the bytes of the .keras file; `input/N` and `output/N`, in Keras's order;
`versions`, JSON. The same versions of Keras and its backend on the same processor give the same bytes.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "parity"))

import keras
import numpy as np
from cases import CASES

FOLDER = Path(__file__).parent.parent / "tests" / "vectors" / "parity"
ROWS, STEPS = 3, 7
LIMIT = 40_000
SHARED = re.compile(rb'("shared_object_id": )(\d+)')


def seed_weights(model: keras.Model, random: np.random.Generator) -> None:
    """Weights that leave gates neither idle nor saturated; variances are positive."""
    for weight in model.weights:
        if "seed_generator" in weight.path:
            continue
        fan_in = weight.shape[-2] if len(weight.shape) > 1 else 4
        value = random.standard_normal(weight.shape) / np.sqrt(fan_in)
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.path else value)


def draw_inputs(model: keras.Model, random: np.random.Generator) -> list[Any]:
    """One array per Input layer; open sizes become STEPS."""
    return [
        random.standard_normal((ROWS, *(STEPS if n is None else n for n in tensor.shape[1:]))).astype(tensor.dtype)
        for tensor in model.inputs
    ]


def saved(model: keras.Model) -> bytes:
    """The .keras file without what differs between two runs: the time it was saved at, addresses that serve as ids."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        data = io.BytesIO()
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(data, "w") as new:
            for info in old.infolist():
                content = old.read(info)
                if info.filename == "metadata.json":
                    content = json.dumps({**json.loads(content), "date_saved": "2026-01-01@00:00:00"}).encode()
                if info.filename == "config.json":
                    content = renumbered(content)
                plain = zipfile.ZipInfo(info.filename)
                plain.compress_type = info.compress_type
                new.writestr(plain, content)
    return data.getvalue()


def renumbered(config: bytes) -> bytes:
    """Shared objects numbered from 1 in the order they appear."""
    ids: dict[bytes, int] = {}
    return SHARED.sub(lambda found: found[1] + b"%d" % ids.setdefault(found[2], len(ids) + 1), config)


def flat(outputs: Any) -> list[Any]:
    """Outputs in the order of the bundle: a list's own, a dict's by key."""
    if isinstance(outputs, dict):
        return [one for key in sorted(outputs) for one in flat(outputs[key])]
    return [one for item in outputs for one in flat(item)] if isinstance(outputs, list | tuple) else [outputs]


def make(name: str) -> dict[str, Any]:
    """The arrays of one vector."""
    keras.backend.clear_session()  # layer names count up otherwise, and depend on the cases before
    random = np.random.default_rng(zlib.crc32(name.encode()))
    built = CASES[name]()
    model, inputs = built if isinstance(built, tuple) else (built, None)
    seed_weights(model, random)
    inputs = inputs or draw_inputs(model, random)
    outputs = flat(model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0))
    versions = {"keras": keras.__version__, "backend": keras.backend.backend(), "python": platform.python_version()}
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        versions["tensorflow"] = tensorflow.__version__
    return {
        "model": np.frombuffer(saved(model), np.uint8),
        **{f"input/{index}": np.asarray(array) for index, array in enumerate(inputs)},
        **{f"output/{index}": np.asarray(array) for index, array in enumerate(outputs)},
        "versions": np.array(json.dumps(versions)),
    }


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or CASES:
        path = FOLDER / f"{name}.npz"
        np.savez_compressed(path, **make(name))
        size = path.stat().st_size
        print(f"{size:7,d}  {path.name}")
        if size > LIMIT:
            sys.exit(f"{path.name} is larger than {LIMIT:,} bytes: make the model smaller")


if __name__ == "__main__":
    main()
