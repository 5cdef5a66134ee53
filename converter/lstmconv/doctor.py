"""One page about a Keras file: what it is, whether it can be converted, and what today's Keras would do with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from lstmconv_runtime.graph import Array, Graph

from .builder import Builder
from .conversion import architecture_of, convert, todays_form, understand, version_of
from .dialects import untranslated
from .errors import LstmconvError, UnsupportedError, printable
from .graph import convert_config
from .keras_archive_writer import KERAS_VERSION as VERSION
from .keras_file import KerasFile, read_architecture, read_keras_file
from .legacy_weights import Ledger, LegacyPlace
from .modern_config import activation_name
from .probes import float64_oracle, make_probes
from .semantics import Semantics, semantics_of, version_tuple
from .todays_keras import layers_inside, refusal
from .upgrading import planned

TOLERANCE = 1e-5  # of the output's scale

ADVICE = {
    "E_UNSUPPORTED_LAYER": "rebuild the model without this layer, or compute its step outside the model",
    "E_CUSTOM_OBJECT": "its code is not in the file: rebuild the model from layers of Keras itself",
    "E_NEEDS_CONFIG": "write model.to_json() to a file where the code still runs, and give it with --config",
    "E_UNSUPPORTED_OPERATION": "rebuild the model with a layer of Keras, such as Rescaling, in place of this function",
    "E_UNSUPPORTED_OPTION": "rebuild the model without this option",
    "E_UNSUPPORTED_ACTIVATION": "rebuild the layer with an activation of the list",
    "E_UNSUPPORTED_DTYPE": "save the model in float32",
    "E_WEIGHT_NONFINITE": "convert with --allow-nonfinite, if the model is meant to hold NaN or infinity",
}
DAMAGED = "get the file once more from where it came from: it is not as Keras wrote it"


def examine(path: str | os.PathLike[str], config: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The report on a file.

    Keys: file, bytes, container, keras_version, written_by, layers, convertible, obstacles, today, upgrade, warnings.

    Raises:
        LstmconvError: the file cannot be read as a Keras file at all.
    """
    return report(read_keras_file(path), Path(path), None if config is None else read_architecture(config))


def report(file: KerasFile, path: Path, architecture: Any = None) -> dict[str, Any]:
    """The same for a file that has been read."""
    config = architecture_of(file, architecture)
    version, guessed = version_of(file, config)
    found = obstacles(file, architecture)
    return {
        "file": str(path), "bytes": file.size, "container": file.container, "keras_version": version,
        "written_by": written_by(version), "layers": _layers(config), "convertible": not found, "obstacles": found,
        "today": forecast(file, architecture), "upgrade": _upgrade(file, architecture),
        "warnings": [*file.warnings, *guessed],
    }  # fmt: skip


def written_by(version: str) -> str:
    """The age of a Keras version in words."""
    number = version_tuple(version)
    if number < (2,):
        return f"Keras {version} (before 2017)"
    if number >= (3,):
        return f"Keras {version}"
    if "tf" in version or number >= (2, 4):
        return f"tf.keras {version}, part of TensorFlow"
    return f"Keras {version}, before it was part of TensorFlow"


def _layers(config: Any) -> list[dict[str, Any]]:
    made = []
    for name, item in layers_inside(config):
        values = item.get("config")
        values = values if type(values) is dict else {}
        units = values.get("units", values.get("output_dim", values.get("filters")))
        made.append({"name": name, "class_name": item["class_name"], "units": units if type(units) is int else None})
    return made


# --- what stands in the way -------------------------------------------------------------------------------------------


def obstacles(file: KerasFile, architecture: Any = None) -> list[dict[str, str]]:
    """Everything that keeps a file from being converted: message, code and advice of each; [] where nothing does."""
    try:
        convert(file, architecture=architecture)
    except LstmconvError as first:
        found = [first, *_further(file, architecture)]
    else:
        return []
    unique = {str(error): error for error in found}
    return [
        {"message": message, "code": error.code, "advice": ADVICE.get(error.code, _general(error))}
        for message, error in unique.items()
    ]


def _general(error: LstmconvError) -> str:
    return "rebuild the model without it" if isinstance(error, UnsupportedError) else DAMAGED


def _further(file: KerasFile, architecture: Any) -> list[LstmconvError]:
    """What else is unsupported, by converting once more without weights, each refused layer replaced by a stand-in."""
    try:
        config = architecture_of(file, architecture)
        version, _ = version_of(file, config)
        semantics = semantics_of(version)
        if file.container in ("legacy-h5", "legacy-weights-h5") or not semantics.modern:
            refused = untranslated(config, version)
            if refused:
                return refused
        config = todays_form(file, config, semantics)
        build = Builder(semantics, allow_nonfinite=True, obstacles=[])
        convert_config(config, LegacyPlace(Ledger(file.size)), build)
    except LstmconvError:
        pass  # the stand-ins fit no further; what was found before counts
    else:
        return list(build.obstacles or ())
    return list(build.obstacles or ()) if "build" in locals() else []


# --- what today's Keras would do --------------------------------------------------------------------------------------


def forecast(file: KerasFile, architecture: Any = None) -> dict[str, Any]:
    """What Keras 3.15.1 does with a file.

    Keys: keras, verdict ("agrees", "differs", "refuses", "unknown"), words (of a refusal), difference, reasons.
    """
    config = architecture_of(file, architecture)
    version, _ = version_of(file, config)
    made: dict[str, Any] = {"keras": VERSION, "verdict": "agrees", "words": None, "difference": None, "reasons": []}
    try:
        words = refusal(file, config, version)
    except (AttributeError, KeyError, TypeError):  # a config that is not of the form of its age
        words = "the config"
    if words is not None:
        return {**made, "verdict": "refuses", "words": words}
    try:
        known = understand(file, architecture)
        old = Builder(known.semantics, allow_nonfinite=True)
        graph = convert_config(known.config, known.weights, old)
        today = replace(semantics_of(VERSION), modern=known.semantics.modern)
        now = convert_config(known.config, known.weights, Builder(today, allow_nonfinite=True))
    except LstmconvError:
        return {**made, "verdict": "unknown", "reasons": ["the file cannot be converted, so nothing is computed here"]}
    difference = apart(graph, now)
    made["difference"] = difference
    if difference > TOLERANCE:
        made |= {"verdict": "differs", "reasons": _reasons(config, known, graph, today)}
    return made


def apart(old: Graph, new: Graph) -> float:
    """The largest difference of two graphs on probes, relative to the output's scale."""
    oracle, worst = float64_oracle(new), 0.0
    for probe in make_probes(old, "doctor", float64_oracle(old)):
        given: Mapping[str, Array] = dict(zip(new.inputs, (probe.inputs[name] for name in old.inputs), strict=True))
        for a, b in zip(probe.outputs, oracle(given), strict=True):
            if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
                return float("inf")
            finite = np.isfinite(a)
            if finite.any():
                scale = max(float(np.abs(a[finite]).max()), 1e-6)
                worst = max(worst, float(np.abs(a[finite].astype("float64") - b[finite]).max()) / scale)
    return worst


def _reasons(config: Any, known: Any, graph: Graph, today: Semantics) -> list[str]:
    """Why today's Keras computes something else."""
    reasons = [
        f"layer '{printable(name)}' ({printable(item['class_name'])}): hard_sigmoid is clip(x/6 + 0.5) in Keras 3, "
        "and was clip(0.2x + 0.5)"
        for name, item in layers_inside(config)
        if type(item.get("config")) is dict and not known.semantics.modern and "hard_sigmoid" in {
            activation_name(item["config"].get(key))
            for key in ("activation", "recurrent_activation", "inner_activation")
        }
    ]  # fmt: skip
    same = replace(today, hard_sigmoid_slope=known.semantics.hard_sigmoid_slope)
    masked = convert_config(known.config, known.weights, Builder(same, allow_nonfinite=True))
    if not reasons or apart(graph, masked) > TOLERANCE:
        reasons.append("masks: Keras 3 joins, passes on or writes out masked steps differently")
    return reasons


def _upgrade(file: KerasFile, architecture: Any) -> dict[str, Any]:
    """Whether `lstmconv upgrade` brings the model back."""
    try:
        plan = planned(file, architecture)
    except LstmconvError as error:
        return {"possible": False, "why_not": str(error), "notes": []}
    return {"possible": True, "why_not": None, "notes": list(plan.upgrade.notes)}


# --- in words ---------------------------------------------------------------------------------------------------------


def report_text(found: dict[str, Any]) -> str:
    """The page for people, in ASCII."""
    lines = [f"{printable(found['file'])}: {found['container']}, {found['bytes']:,} bytes"]
    lines.append(f"Written by {printable(found['written_by'])}.")
    lines += [f"Note: {printable(text, 400)}" for text in found["warnings"]]
    lines += ["", "What is inside"]
    for layer in found["layers"]:
        units = f", {layer['units']}" if layer["units"] else ""
        lines.append(f"  {printable(layer['name'], 60)}: {printable(layer['class_name'], 60)}{units}")
    lines += ["", "Can lstmconv convert it?"]
    if found["convertible"]:
        lines.append("  Yes: lstmconv export writes a bundle that runs with NumPy alone.")
    else:
        lines.append("  No. In the way:")
    for item in found["obstacles"]:
        lines += [f"  - {item['message']} [{item['code']}]", f"    What can be done: {item['advice']}."]
    lines += ["", f"What would today's Keras ({VERSION}) do with it?", f"  {today_line(found['today'])}"]
    lines += [f"  - {reason}" for reason in found["today"]["reasons"]]
    if found["today"]["verdict"] == "refuses" or found["today"]["verdict"] == "differs":
        lines += ["", "Can it be brought back?"]
        if found["upgrade"]["possible"]:
            lines.append("  Yes: lstmconv upgrade writes the same model as a .keras file that today's Keras opens.")
            lines += [f"  - {note}" for note in found["upgrade"]["notes"]]
        else:
            lines.append(f"  No: {found['upgrade']['why_not']}")
    return "\n".join(lines)


def today_line(today: dict[str, Any]) -> str:
    """The dict of `forecast` as a line."""
    if today["verdict"] == "refuses":
        return f"Keras {VERSION} refuses it: {today['words']}"
    if today["verdict"] == "differs":
        return f"Keras {VERSION} opens it and computes something else (up to {today['difference']:.1g} of the scale)"
    if today["verdict"] == "agrees":
        return f"Keras {VERSION} opens it and computes the same"
    return f"Keras {VERSION} may open it; whether it computes the same is not known"
