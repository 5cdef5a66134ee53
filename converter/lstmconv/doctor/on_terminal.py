"""The page of `examine` for a terminal."""

from __future__ import annotations

from typing import Any

from ..errors import printable
from ..files.terminal import BAD, GOOD, SOFT, TITLE, WARN, drawn, table
from .examine import VERSION, bundle_text, today_line, way_back

STYLES = {"agrees": GOOD, "differs": BAD, "refuses": BAD, "unknown": WARN}


def terminal_page(found: dict[str, Any]) -> str:
    """What `report_text` says, in colours, with its lists as tables."""
    return drawn(*(_bundle(found) if found["kind"] == "bundle" else _keras(found)))


def _bundle(found: dict[str, Any]) -> list[Any]:
    first, *lines = bundle_text(found).splitlines()
    pieces: list[Any] = [(first, TITLE)]
    for line in lines:
        style = BAD if " NOT " in line else WARN if "no probes" in line else GOOD if "hold on" in line else ""
        pieces.append((line, style))
    return pieces


def _keras(found: dict[str, Any]) -> list[Any]:
    pieces: list[Any] = [
        [(printable(found["file"]), TITLE), (f"  {found['container']}, {found['bytes']:,} bytes", SOFT)],
        f"Written by {printable(found['written_by'])}.",
    ]
    pieces += [(f"Note: {printable(text, 400)}", WARN) for text in found["warnings"]]
    rows = [
        (printable(layer["name"], 60), printable(layer["class_name"], 60), f"{layer['units'] or ''}")
        for layer in found["layers"]
    ]
    pieces += ["", table(("layer", "class", "units"), rows, (2,)), "", ("Can lstmconv convert it?", TITLE)]
    if found["convertible"]:
        pieces.append([("  Yes", GOOD), ": lstmconv export writes a bundle that runs with NumPy alone."])
    else:
        pieces.append([("  No", BAD), ". In the way:"])
        obstacles = [((item["message"], BAD), item["code"], item["advice"]) for item in found["obstacles"]]
        pieces.append(table(("in the way", "code", "what can be done"), obstacles))
    today = found["today"]
    pieces += ["", (f"What would today's Keras ({VERSION}) do with it?", TITLE)]
    pieces.append((f"  {today_line(today)}", STYLES[today["verdict"]]))
    pieces += [f"  - {reason}" for reason in today["reasons"]]
    if today["words"]:
        pieces += [(f"    {today['words']}", SOFT), f"  That is to say: {today['meaning']}."]
    if today["verdict"] in ("refuses", "differs"):
        pieces += ["", ("Can it be brought back?", TITLE)]
        pieces += [(line, GOOD if line.startswith("  Yes") else BAD if line.startswith("  No") else "")
                   for line in way_back(found)]  # fmt: skip
    return pieces
