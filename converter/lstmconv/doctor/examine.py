"""One page about a Keras file: what it is, whether it can be converted, and what today's Keras would do with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lstmconv_runtime import BundleError, Model, VersionError
from lstmconv_runtime.difference import difference
from lstmconv_runtime.format.graph import Array, Graph

from ..bundles.load import is_bundle
from ..bundles.probe_report import probe_report
from ..bundles.probes import NoProbeError, float64_oracle, make_probes
from ..errors import LstmconvError, UnsupportedError, printable
from ..exporting import architecture_of, convert, todays_form, understand, version_of
from ..files.read_bytes import read_bytes
from ..graph.building import Builder
from ..graph.convert import convert_config
from ..history.dialects import untranslated
from ..history.legacy_arrays import Ledger, LegacyPlace
from ..history.semantics import Semantics, semantics_of, version_tuple
from ..reading import KerasFile, keras_file_of, read_architecture, read_keras_file
from ..reading.folder import is_model_folder
from ..upgrading.archive import KERAS_VERSION
from ..upgrading.config import activation_name
from ..upgrading.file import planned
from .loading_rules import layers_inside, meaning, refusal

VERSION = KERAS_VERSION  # today's Keras

TOLERANCE = 1e-5  # of the output's scale

ADVICE = {
    "E_UNSUPPORTED_LAYER": "rebuild the model without this layer, or compute its step outside the model",
    "E_CUSTOM_OBJECT": "its code is not in the file: rebuild the model from layers of Keras itself",
    "E_UNSUPPORTED_OPERATION": "rebuild the model with a layer of Keras, such as Rescaling, in place of this function",
    "E_TRAINING": "where dropout is not meant at prediction, give export and upgrade the option --deterministic",
    "E_UNSUPPORTED_OPTION": "rebuild the model without this option",
    "E_UNSUPPORTED_ACTIVATION": "rebuild the layer with an activation of the list",
    "E_UNSUPPORTED_DTYPE": "save the model in float32",
}
DAMAGED = "get the file once more from where it came from: it is not as Keras wrote it"


def examine(path: str | os.PathLike[str], config: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The report on a file.

    Keys: kind ("keras"), file, bytes, container, keras_version, written_by, layers, convertible, obstacles, today,
    upgrade, warnings; of a bundle: kind ("bundle"), file, bytes, format, digest, source, probes, verified.

    Raises:
        LstmconvError: the file cannot be read as a Keras file at all.
        BundleError: a bundle that is damaged.
    """
    architecture = None if config is None else read_architecture(config)
    if is_model_folder(path):
        return report(read_keras_file(path), Path(path), architecture)
    data = read_bytes(path)
    if is_bundle(data):
        return bundle_report(data, Path(path))
    return report(keras_file_of(path, data), Path(path), architecture)


def report(file: KerasFile, path: Path, architecture: Any = None) -> dict[str, Any]:
    """The same for a file that has been read."""
    config = architecture_of(file, architecture)
    version, guessed = version_of(file, config)
    found = obstacles(file, architecture)
    return {
        "kind": "keras", "file": str(path), "bytes": file.size, "container": file.container, "keras_version": version,
        "written_by": written_by(version), "layers": _layers(config), "convertible": not found, "obstacles": found,
        "today": forecast(file, architecture), "upgrade": _upgrade(file, architecture),
        "warnings": [*file.warnings, *guessed],
    }  # fmt: skip


def bundle_report(data: bytes, path: Path) -> dict[str, Any]:
    """The report on a bundle of our own: whether it is whole, and whether its probes hold.

    Raises:
        BundleError: it is damaged, or of a format that this version does not know.
    """
    try:
        model = Model(data)
        probes = probe_report(model)
    except VersionError as error:
        raise VersionError(f"{printable(path.name, 80)}: is a bundle of lstmconv: {error}", error.code) from None
    except BundleError as error:
        raise BundleError(
            f"{printable(path.name, 80)}: is a bundle of lstmconv, and damaged: {error}; get it once more, or export "
            "it again from the Keras file",
            error.code,
        ) from None
    return {
        "kind": "bundle", "file": str(path), "bytes": len(data), "format": model.bundle.format_version,
        "digest": model.bundle.digest, "source": model.bundle.source, "probes": len(probes["probes"]),
        "verified": probes["ok"],
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
    unique = {error.reason: error for error in found}
    return [{"message": message, "code": error.code, "advice": _advice(error)} for message, error in unique.items()]


def _advice(error: LstmconvError) -> str:
    if error.code in ADVICE and not (error.hint and error.hint.argument == "replace"):
        return ADVICE[error.code]
    if error.hint is not None:
        return error.hint.in_shell()
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

    Keys: keras, verdict ("agrees", "differs", "refuses", "unknown"), words (of a refusal), meaning (of these words, in
    plain English), difference, reasons.
    """
    config = architecture_of(file, architecture)
    version, _ = version_of(file, config)
    made: dict[str, Any] = {
        "keras": VERSION, "verdict": "agrees", "words": None, "meaning": None, "difference": None, "reasons": []
    }  # fmt: skip
    try:
        words = refusal(file, config, version)
    except (AttributeError, KeyError, TypeError):  # a config that is not of the form of its age
        words = "the config"
    if words is not None:
        return {**made, "verdict": "refuses", "words": words, "meaning": meaning(words)}
    try:
        known = understand(file, architecture)
        old = Builder(known.semantics, allow_nonfinite=True)
        graph = convert_config(known.config, known.weights, old)
        today = replace(semantics_of(VERSION), modern=known.semantics.modern)
        now = convert_config(known.config, known.weights, Builder(today, allow_nonfinite=True))
        made["difference"] = apart(graph, now)
    except NoProbeError as error:
        return {**made, "verdict": "unknown", "reasons": [str(error)]}
    except LstmconvError:
        return {**made, "verdict": "unknown", "reasons": ["the file cannot be converted, so nothing is computed here"]}
    if made["difference"] > TOLERANCE:
        made |= {"verdict": "differs", "reasons": _reasons(config, known, graph, today)}
    return made


def apart(old: Graph, new: Graph) -> float:
    """The largest difference of two graphs on probes, relative to the output's scale.

    Raises:
        NoProbeError: no probe was found.
    """
    oracle, worst = float64_oracle(new), 0.0
    for probe in make_probes(old, "doctor"):
        given: Mapping[str, Array] = dict(zip(new.inputs, (probe.inputs[name] for name in old.inputs), strict=True))
        for a, b in zip(probe.outputs, oracle(given), strict=True):
            worst = max(worst, difference(b, a).relative)
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
    """Whether `lstmconv upgrade` brings the model back, and whether only with --deterministic."""
    refused: LstmconvError
    for deterministic in (False, True):
        try:
            plan = planned(file, architecture, deterministic)
        except LstmconvError as error:
            refused = error
            if error.code != "E_TRAINING":
                break
        else:
            notes = list(plan.upgrade.notes)
            return {"possible": True, "deterministic": deterministic, "why_not": None, "notes": notes}
    return {"possible": False, "deterministic": False, "why_not": refused.in_shell(), "notes": []}


# --- in words ---------------------------------------------------------------------------------------------------------


def report_text(found: dict[str, Any]) -> str:
    """The page for people, in ASCII."""
    return bundle_text(found) if found["kind"] == "bundle" else _keras_text(found)


def bundle_text(found: dict[str, Any]) -> str:
    """The report on a bundle, in ASCII."""
    source = found["source"]
    origin = " ".join(str(source[key]) for key in ("framework", "version") if key in source)
    lines = [f"{printable(found['file'])}: a bundle of lstmconv, format {found['format']}, {found['bytes']:,} bytes"]
    lines.append(f"It is whole: its digest holds. Made from {printable(origin or 'no known source')}.")
    if found["verified"]:
        lines.append(f"Its {found['probes']} probes hold on this machine.")
    elif found["probes"]:
        lines.append("Its probes do NOT hold on this machine: lstmconv verify shows by how much.")
    else:
        lines.append("It has no probes, so whether it computes what it should cannot be checked.")
    lines.append("There is nothing to convert: lstmconv run and lstmconv_runtime.load take it as it is.")
    return "\n".join(lines)


def _keras_text(found: dict[str, Any]) -> str:
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
    if found["today"]["words"]:
        lines += [f"    {found['today']['words']}", f"  That is to say: {found['today']['meaning']}."]
    if found["today"]["verdict"] in ("refuses", "differs"):
        lines += ["", "Can it be brought back?", *way_back(found)]
    return "\n".join(lines)


def way_back(found: dict[str, Any]) -> list[str]:
    """Whether `lstmconv upgrade` brings the model of a report back, in lines."""
    upgrade = found["upgrade"]
    if upgrade["possible"]:
        how = (
            "without its dropout: lstmconv upgrade --deterministic" if upgrade["deterministic"] else "lstmconv upgrade"
        )
        line = f"  Yes{',' if upgrade['deterministic'] else ':'} {how} writes "
        line += f"the {'' if upgrade['deterministic'] else 'same '}model as a .keras file that today's Keras opens."
        return [line, *(f"  - {note}" for note in upgrade["notes"])]
    if upgrade["why_not"] in [item["message"] for item in found["obstacles"]]:
        return ["  No, while that stands in the way which keeps it from being converted."]
    return [f"  No: {upgrade['why_not']}"]


def today_line(today: dict[str, Any]) -> str:
    """The dict of `forecast` as a line."""
    if today["verdict"] == "refuses":
        return f"Keras {VERSION} refuses it, in these words:"
    if today["verdict"] == "differs":
        return f"Keras {VERSION} opens it and computes something else (up to {today['difference']:.1g} of the scale)"
    if today["verdict"] == "agrees":
        return f"Keras {VERSION} opens it and computes the same"
    return f"Keras {VERSION} may open it; whether it computes the same is not known"
