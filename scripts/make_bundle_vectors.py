#!/usr/bin/env python3
"""Makes tests/vectors/bundles: a small valid bundle for every node, activation, operation and edge of FORMAT.md.

    scripts/make_bundle_vectors.py [FOLDER]        default: tests/vectors/bundles

Inputs and outputs are the probes of each bundle. Keras computes the outputs, on TensorFlow, from the same arrays: by
its layers, its activations and keras.ops, never this project. Needs the extra `parity`. manifest.json says what each
bundle shows, and which versions made it; README.md there, how they are laid out.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "runtime")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from bundle_vectors import arrays, edges, functions, int8, layers, operations, recurrent  # noqa: E402
from bundle_vectors.case import Case, pack  # noqa: E402
from lstmconv_runtime.format.bundle import from_bytes  # noqa: E402
from lstmconv_runtime.format.graph import Activation  # noqa: E402
from lstmconv_runtime.format.nodes import Elementwise  # noqa: E402

FOLDER = ROOT / "tests" / "vectors" / "bundles"


def cases() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for module in (operations, functions, arrays, layers, recurrent, edges, int8):
        for case in module.cases():
            assert case.name not in found, case.name
            found[case.name] = case
    return dict(sorted(found.items()))


def row(case: Case, data: bytes) -> dict[str, Any]:
    """A bundle's line in the manifest."""
    bundle = from_bytes(data)
    nodes = bundle.graph.nodes
    used = [value for node in nodes for value in node.__dict__.values() if isinstance(value, Activation)]
    return {
        "file": f"{case.name}.safetensors", "format": bundle.format_version, "shows": case.shows,
        "nodes": sorted({type(node).__name__ for node in nodes}),
        "activations": sorted({activation.name for activation in used}),
        "operations": sorted({node.op for node in nodes if isinstance(node, Elementwise)}),
        "digest": bundle.digest, "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    oracle, rows = f"keras {keras.__version__}", []
    for case in cases().values():
        data = pack(case, oracle)
        (folder / f"{case.name}.safetensors").write_bytes(data)
        rows.append(row(case, data))
    lines = ",\n  ".join(json.dumps(line, ensure_ascii=False) for line in rows)
    made_by = json.dumps({"keras": keras.__version__, "tensorflow": tf.__version__})
    (folder / "manifest.json").write_text(f'{{"made_by": {made_by},\n "bundles": [\n  {lines}\n]}}\n', encoding="utf-8")
    print(f"{len(rows)} bundles, {sum(p.stat().st_size for p in folder.glob('*.safetensors')):,} bytes in {folder}")


if __name__ == "__main__":
    main()
