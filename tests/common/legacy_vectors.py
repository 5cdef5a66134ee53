"""The models of tests/vectors/legacy, each saved and evaluated by an old release of Keras, as the tests use them."""

from __future__ import annotations

import json
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from lstmconv.reading import read_architecture
from lstmconv_runtime.difference import difference
from paths import VECTORS

FOLDER = VECTORS / "legacy"
ENTRIES: list[dict[str, Any]] = json.loads((FOLDER / "manifest.json").read_text())
IDS = [f"{entry['env']}-{entry['file']}" for entry in ENTRIES]

# Of every case and kind of file, and those with the paths of Windows apart, the one of the oldest release.
FIRST = list({(entry["case"], entry["kind"], entry.get("paths")): entry for entry in reversed(ENTRIES)}.values())

# What cannot be converted, by case, and the code of the refusal. Everything else must be.
REFUSED = {"lambda_layer": "E_UNSUPPORTED_LAYER", "masking_infinite": "E_CONFIG_JSON"}


OPENED = tempfile.TemporaryDirectory(prefix="legacy-")  # until the process ends


@cache
def release(environment: str) -> Path:
    """The folder with the files of one release, out of its archive."""
    folder = Path(OPENED.name) / environment
    with zipfile.ZipFile(FOLDER / f"{environment}.zip") as archive:
        archive.extractall(folder)
    return folder


def model_path(entry: dict[str, Any]) -> Path:
    return release(entry["env"]) / str(entry["file"])


def config_path(entry: dict[str, Any]) -> Path | None:
    return release(entry["env"]) / entry["architecture"] if "architecture" in entry else None


def architecture(entry: dict[str, Any]) -> Any:
    path = config_path(entry)
    return None if path is None else read_architecture(path)


def arrays(entry: dict[str, Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs, and the outputs that the release itself predicted."""
    with np.load(release(entry["env"]) / entry["npz"]) as stored:
        inputs = [stored[key] for key in sorted(stored) if key.startswith("x")]
        return inputs, [stored[key] for key in sorted(stored) if key.startswith("y")]


def called(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a Keras model, as `predict` gives them, without compiling a graph for one call."""
    made = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return [np.asarray(y) for y in (made if isinstance(made, list | tuple) else [made])]


def apart(made: Any, wanted: list[np.ndarray]) -> float:
    """The largest difference relative to each output's scale; infinite where shapes or places of NaN differ."""
    made = list(made) if isinstance(made, list | tuple) else [made]
    assert len(made) == len(wanted)
    return max(difference(np.asarray(a), np.asarray(b)).relative for a, b in zip(made, wanted, strict=True))
