"""Writes tests/vectors/parity: what Keras computes for the models of tests/common/cases.

    python scripts/make_vectors.py [CASE…]        default: every case, and files of no case are removed

One NAME.npz per case: `model`, the bytes of the .keras file, its members compressed; `input/N` and `output/N`, in
Keras's order; `exact/N`, what Keras computes for the same weights with every layer in float64, where it does;
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
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("runtime", "converter", "tests/common")]

import keras  # noqa: E402
import numpy as np  # noqa: E402
from cases import CASES  # noqa: E402
from cases.building import ROWS, STEPS, valid_steps  # noqa: E402
from lstmconv.bundles.keras_oracle import arguments, computed  # noqa: E402
from lstmconv.parity.engines import EngineMissing, float64_twin  # noqa: E402

FOLDER = ROOT / "tests" / "vectors" / "parity"
LIMIT = 40_000  # bytes of one file
IDS = 6
SHARED = re.compile(rb'("shared_object_id": )(\d+)')


def seed_weights(model: keras.Model, random: np.random.Generator) -> None:
    """Weights that leave gates neither idle nor saturated; variances are positive. What is quantised stays."""
    for weight in model.weights:
        if "seed_generator" in weight.path or "int" in str(weight.dtype) or weight.path.endswith("_scale"):
            continue
        fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 4
        value = random.standard_normal(weight.shape) / np.sqrt(fan_in)
        positive = any(word in weight.path for word in ("variance", "stddev"))
        weight.assign(np.abs(value) + 0.5 if positive else value)
    finalize(model)


def finalize(model: keras.Model) -> None:
    """Lets the layers that keep something made of their weights make it anew."""
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def draw_inputs(model: keras.Model, random: np.random.Generator) -> list[Any]:
    """One array per Input layer; open sizes become STEPS."""
    return [
        draw(random, (ROWS, *(STEPS if n is None else n for n in tensor.shape[1:])), tensor.dtype)
        for tensor in model.inputs
    ]


def draw(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    """Numbers, ids, or a mask with one row of each kind."""
    if dtype == "bool":
        valid = valid_steps(*shape[:2])
        return valid if len(shape) == 2 else random.random(shape) < 0.7
    if dtype.startswith("int"):
        return random.integers(1, IDS, shape).astype(dtype)
    return random.standard_normal(shape).astype("float32" if dtype == "bfloat16" else dtype)


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
                new.writestr(plain, content, zipfile.ZIP_DEFLATED, 9)
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


def predicted(model: keras.Model, inputs: list[Any]) -> list[Any]:
    """The outputs as NumPy arrays; bfloat16, which NumPy has not, as float32."""
    given = arguments(model, dict(zip([tensor.name for tensor in model.inputs], inputs, strict=True)))
    if len(inputs[0]):
        made = computed(model, given, len(inputs[0]))
    else:
        made = of_no_rows(model, given)
    arrays = [np.asarray(array) for array in flat(made)]
    return [array.astype("float32") if "bfloat16" in str(array.dtype) else array for array in arrays]


def of_no_rows(model: keras.Model, x: Any) -> Any:
    """What the graph of the model makes of an empty batch, which `predict` refuses."""
    import tensorflow

    signature = tensorflow.TensorSpec((None, *x.shape[1:]), x.dtype)
    return tensorflow.function(lambda given: model(given, training=False), input_signature=[signature])(x)


def exact(model: keras.Model, inputs: list[Any]) -> dict[int, Any]:
    """The outputs of the model in float64; none for a model of another dtype than float32, or that TensorFlow cannot
    run so, or one part of which stays behind: what is done to the inputs alone, and casts."""
    if any(policy != "float32" for policy in {layer.dtype_policy.name for layer in model._flatten_layers()}):
        return {}
    try:
        outputs = predicted(float64_twin(model), inputs)
    except EngineMissing:
        return {}
    return {index: array for index, array in enumerate(outputs) if array.dtype == "float64"}


def make(name: str) -> dict[str, Any]:
    """The arrays of one vector."""
    keras.backend.clear_session()  # layer names count up otherwise, and depend on the cases before
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(zlib.crc32(name.encode()))
    built = CASES[name]()
    model, change = built if isinstance(built, tuple) else (built, None)
    seed_weights(model, random)
    inputs = draw_inputs(model, random)
    if change is not None:
        inputs = change(inputs)
    data = saved(model)
    outputs = predicted(model, inputs)
    versions = {"keras": keras.__version__, "backend": keras.backend.backend(), "python": platform.python_version()}
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        versions["tensorflow"] = tensorflow.__version__
    return {
        "model": np.frombuffer(data, np.uint8),
        **{f"input/{index}": np.asarray(array) for index, array in enumerate(inputs)},
        **{f"output/{index}": array for index, array in enumerate(outputs)},
        **{f"exact/{index}": array for index, array in exact(model, inputs).items()},
        "versions": np.array(json.dumps(versions)),
    }


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    names = sys.argv[1:] or list(CASES)
    if not sys.argv[1:]:
        for path in FOLDER.glob("*.npz"):
            if path.stem not in CASES:
                path.unlink()
    for name in names:
        path = FOLDER / f"{name}.npz"
        np.savez_compressed(path, **make(name))
        size = path.stat().st_size
        print(f"{size:7,d}  {path.name}", flush=True)
        if size > LIMIT:
            sys.exit(f"{path.name} is larger than {LIMIT:,} bytes: make the model smaller")


if __name__ == "__main__":
    main()
