"""The section that says what a file is, who wrote it, and what can be done with it."""

from __future__ import annotations

from typing import Any

from ...doctor.examine import VERSION, today_line, way_back
from ..findings import Findings
from ..markup import Markup, element, joined, name
from ..pieces import chip, count, facts, items, section, shape, size, table

CONTAINERS = {
    "keras-zip": "Keras archive (.keras)",
    "keras-folder": "Keras archive as a folder",
    "legacy-h5": "HDF5 with architecture and weights",
    "weights-h5": "HDF5 with weights alone, of Keras 3",
    "legacy-weights-h5": "HDF5 with weights alone",
}
MOST_VALUES = 50  # inputs, and outputs
TODAY = {
    "agrees": ("good", f"Keras {VERSION} computes the same"),
    "differs": ("bad", f"Keras {VERSION} computes something else"),
    "refuses": ("bad", f"Keras {VERSION} refuses it"),
    "unknown": ("warn", f"what Keras {VERSION} computes is not known"),
}


def verdicts(found: Findings) -> Markup:
    """The findings in a line of chips."""
    about = found.opened.about
    chips = []
    if about["kind"] == "bundle":
        held = ("good", "its probes hold") if about["verified"] else ("bad", "its probes do not hold")
        chips.append(chip(*(held if about["probes"] else ("warn", "it has no probes"))))
    else:
        able = ("good", "can be converted") if about["convertible"] else ("bad", "cannot be converted")
        chips += [chip(*able), chip(*TODAY[about["today"]["verdict"]])]
    if not isinstance(found.engines, str):
        report = found.engines
        names = count(len(report.engines), "engine")
        if "DIFFER" in report.verdicts:
            chips.append(chip("bad", "engines differ"))
        elif len(report.engines) < 2:
            chips.append(chip("warn", "no second engine ran"))
        else:
            chips.append(chip("good", f"{names} agree") if report.ok else chip("warn", "engines undecided"))
    if found.reduction is not None:
        chips.append(chip("plain", f"weights as {found.reduction.kind}"))
    return element("p", *chips, class_="chips")


def about_section(found: Findings) -> Markup:
    about = found.opened.about
    parts = _of_bundle(about) if about["kind"] == "bundle" else _of_keras(about)
    source = about.get("source", {})
    bundle = about["kind"] == "bundle"
    what = f"bundle of lstmconv, format {about['format']}" if bundle else CONTAINERS[about["container"]]
    writer = " ".join(source[key] for key in ("framework", "version") if key in source)
    exact = f" ({about['bytes']:,} bytes)" if about["bytes"] >= 1000 else ""
    rows: list[tuple[str, object]] = [
        ("File", name(found.opened.name)),
        ("Kind", what),
        ("Size", f"{size(about['bytes'])}{exact}"),
        ("Made from" if bundle else "Written by", writer if bundle else about["written_by"]),
        ("SHA-256", element("code", found.opened.sha256) if found.opened.sha256 else None),
        ("Digest", element("code", about["digest"]) if "digest" in about else None),
    ]
    if found.summary is not None:
        rows += [("Parameters", f"{found.summary['parameters']:,}")]
        for kind, key in (("Input", "inputs"), ("Output", "outputs")):
            values = found.summary[key]
            rows += [(kind, _value(item)) for item in values[:MOST_VALUES]]
            rows += [(kind, f"and {len(values) - MOST_VALUES:,} more")] if len(values) > MOST_VALUES else []
    warnings = items(about.get("warnings", ()))
    return section(
        "about",
        "What it is",
        facts(rows),
        joined(element("h3", "Notes"), warnings) if warnings else None,
        *parts,
    )


def _value(item: dict[str, Any]) -> Markup:
    key = joined(" as ", name(item["key"])) if item.get("key") else None
    return joined(name(item["name"]), key, f" {shape(item['shape'])}, {item['dtype']}")


def _of_bundle(about: dict[str, Any]) -> list[Markup]:
    probes = count(about["probes"], "probe")
    if about["verified"]:
        text = f"It is whole: its digest holds, and its {probes} hold on this machine."
    elif about["probes"]:
        text = "Its digest holds, and its probes do not: lstmconv verify shows by how much."
    else:
        text = "Its digest holds. It has no probes, so whether it computes what it should cannot be checked."
    return [element("p", text)]


def _of_keras(about: dict[str, Any]) -> list[Markup | None]:
    layers = [
        (name(layer["name"]), name(layer["class_name"]), f"{layer['units']:,}" if layer["units"] else "–")
        for layer in about["layers"]
    ]
    today = about["today"]
    obstacles = items(
        joined(
            item["message"], " ", element("code", item["code"]), element("br"), f"What can be done: {item['advice']}."
        )
        for item in about["obstacles"]
    )
    convertible = "Yes: lstmconv export writes a bundle that runs with NumPy alone."
    back = (
        [line.strip().removeprefix("- ") for line in way_back(about)]
        if today["verdict"] in ("refuses", "differs")
        else []
    )
    return [
        element("h3", "Layers"),
        table("The layers of the Keras model", ("Layer", "Class", "Units"), layers, (2,)),
        element("h3", "Can lstmconv convert it?"),
        element("p", convertible if about["convertible"] else "No. In the way:"),
        obstacles,
        element("h3", f"What would today’s Keras ({VERSION}) do with it?"),
        element("p", f"{today_line(today)}{'' if today['words'] else '.'}"),
        element("blockquote", today["words"]) if today["words"] else None,
        element("p", f"That is to say: {today['meaning']}.") if today["meaning"] else None,
        items(today["reasons"]),
        joined(element("h3", "Can it be brought back?"), *(element("p", line) for line in back)) if back else None,
    ]
