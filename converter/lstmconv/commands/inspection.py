"""The summary of a bundle or of a Keras file: as a dict for programs, as text for people."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, TypeAlias

import typer
from lstmconv_runtime import BundleError
from lstmconv_runtime.format.bundle import Bundle, from_bytes

from ..bundles.load import is_keras_file
from ..bundles.summary import summary
from ..doctor import examine
from ..errors import printable
from ..exporting import convert
from ..files.read_bytes import read_bytes
from ..files.standard_streams import print_note
from ..files.terminal import BAD, SOFT, TITLE, Cell, drawn, facts, table
from ..files.text_table import shape_text, text_table
from ..reading import KerasFile, parse_keras_file, read_keras_file
from ..reading.folder import is_model_folder
from .failures import Outcome, examine_several
from .options import SETTINGS, AnyFiles, Json, print_report, print_table
from .progress import Working

app = typer.Typer(**SETTINGS)


def inspect_file(path: Path) -> dict[str, Any]:
    """The summary of a file; of a Keras file, the graph that its export would have.

    Keys: kind ("bundle" or "keras"), file, bytes, sha256, source, semantics, inputs, outputs, nodes, tensors,
    parameters, warnings; of a bundle also format, digest and probes; of a Keras file also written_by and today, which
    says what today's Keras would do with it (`doctor.forecast`).

    Raises:
        LstmconvError, BundleError: the file cannot be read, or not be understood.
    """
    if is_model_folder(path):
        return _keras_summary(read_keras_file(path), path)
    data = read_bytes(path)
    if is_keras_file(data) or data[8:9] != b"{":  # what is neither gets the message of the Keras reader
        return _keras_summary(parse_keras_file(data, path.name), path)
    about = {"file": str(path), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    try:
        bundle = from_bytes(data)
    except BundleError as error:
        raise type(error)(f"{printable(path.name, 80)}: {error}", error.code) from None
    return {
        "kind": "bundle", **about, "format": bundle.format_version, "digest": bundle.digest,
        "source": bundle.source, "semantics": bundle.semantics,
        **summary(bundle.graph), "probes": _probes(bundle), "warnings": [],
    }  # fmt: skip


def _keras_summary(file: KerasFile, path: Path) -> dict[str, Any]:
    conversion = convert(file, allow_nonfinite=True)
    return {
        "kind": "keras", "file": str(path), "bytes": file.size, "sha256": file.sha256,
        "written_by": examine.written_by(conversion.source["version"]), "today": examine.forecast(file),
        "source": conversion.source, "semantics": conversion.semantics, **summary(conversion.graph),
        "warnings": list(conversion.warnings),
    }  # fmt: skip


def _probes(bundle: Bundle) -> list[dict[str, Any]]:
    return [
        {
            "oracle": probe.oracle,
            "inputs": {name: list(array.shape) for name, array in probe.inputs.items()},
            "outputs": [list(array.shape) for array in probe.outputs],
        }
        for probe in bundle.probes
    ]


Rows: TypeAlias = list[tuple[str, ...]]


def facts_of(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What is said of the file as a whole: names, and what they are."""
    made = [("source", _pairs(found["source"])), ("semantics", _pairs(found["semantics"]))]
    if "today" in found:
        made += [("written by", found["written_by"]), ("today", examine.today_line(found["today"]))]
        made += [("", f"{found['today'][key]}") for key in ("words", "meaning") if found["today"][key]]
        made += [("", reason) for reason in found["today"]["reasons"]]
    made += [("digest", found["digest"])] if "digest" in found else []
    made += [("input", _value(item)) for item in found["inputs"]]
    made += [("output", _value(item)) for item in found["outputs"]]
    made += [("probe", _probe(item)) for item in found.get("probes", ())]
    made += [("parameters", f"{found['parameters']:,}")]
    return [(name, printable(text, 400)) for name, text in made]


NODES = ("name", "node", "shape", "dtype", "parameters", "reads", "settings")
TENSORS = ("tensor", "shape", "dtype")


def nodes_of(found: dict[str, Any]) -> Rows:
    """A line for each node, under NODES."""
    return [
        (
            printable(node["name"], 60), node["node"], shape_text(node["shape"]), node["dtype"],
            f"{node['parameters']:,}" if node["parameters"] else "-",
            ", ".join(printable(name, 60) for name in node["reads"]) or "-", _settings_text(node["settings"]),
        )
        for node in found["nodes"]
    ]  # fmt: skip


def tensors_of(found: dict[str, Any]) -> Rows:
    """A line for each tensor, under TENSORS."""
    return [(printable(item["name"], 80), shape_text(item["shape"]), item["dtype"]) for item in found["tensors"]]


def kind_of(found: dict[str, Any]) -> str:
    """What kind of file it is, in words."""
    if found["kind"] == "bundle":
        return f"bundle of format {found['format']}"
    return f"Keras file ({found['source']['container']})"


def inspection_text(found: dict[str, Any]) -> str:
    """The dict of `inspect_file` as text, in ASCII."""
    lines = [f"{printable(found['file'])}: {kind_of(found)}, {found['bytes']:,} bytes"]
    lines += text_table(facts_of(found))
    return "\n".join(
        [*lines, "", *text_table([NODES, *nodes_of(found)]), "", *text_table([TENSORS, *tensors_of(found)])]
    )


def terminal_inspection(found: dict[str, Any]) -> str:
    """The same for a terminal."""
    title = [(printable(found["file"]), TITLE), (f"  {kind_of(found)}, {found['bytes']:,} bytes", SOFT)]
    nodes: list[list[Cell]] = [[(line[0], TITLE), (line[1], "cyan"), *line[2:]] for line in nodes_of(found)]
    return drawn(title, facts(facts_of(found)), table(NODES, nodes, (4,)), table(TENSORS, tensors_of(found)))


def _pairs(mapping: dict[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in mapping.items())


def _value(item: dict[str, Any]) -> str:
    key = f" as '{item['key']}'" if item.get("key") else ""
    return f"{item['name']}{key} {shape_text(item['shape'])} {item['dtype']}"


def _probe(item: dict[str, Any]) -> str:
    given = ", ".join(shape_text(shape) for shape in item["inputs"].values())
    made = ", ".join(shape_text(shape) for shape in item["outputs"])
    return f"{given} -> {made} by {item['oracle']}"


def _settings_text(settings: dict[str, Any]) -> str:
    """Settings in a line: what is false or absent is left out, what is true is its name alone."""
    shown = []
    for key, value in settings.items():
        if isinstance(value, dict):
            constants = ", ".join(f"{name} {number}" for name, number in value.items() if name != "name")
            shown.append(f"{key}={value['name']}{f'({constants})' if constants else ''}")
        elif value is True:
            shown.append(key)
        elif value not in (None, False) and key not in ("weights", "input_size"):
            shown.append(f"{key}={shape_text(value) if isinstance(value, list) else printable(value, 60)}")
    return " ".join(shown) or "-"


@app.command(
    epilog="Exit codes: 0 done, 2 usage, 3 unsupported, 4 invalid, 5 over a limit, 6 input or output. Of several "
    "files, the largest."
)
def inspect(files: AnyFiles, as_json: Json = False) -> None:
    """Show what is in a bundle or a Keras file.

    Layers with their settings, named tensors with shapes and dtypes, the number of parameters, where the model comes
    from, its inputs, outputs and probes; of a Keras file, what its bundle would hold. Of several files: the same for
    each, and at the end a table with a line for each.

    \b
    Example:
      lstmconv inspect sine.safetensors
      lstmconv inspect models/*.keras
    """
    if len(files) == 1:
        found = _read(files[0])
        print_report(found, inspection_text(found), as_json, terminal_inspection)
        return

    def show(found: dict[str, Any]) -> None:
        print_report(found, f"{inspection_text(found)}\n\n", False, lambda _: f"{terminal_inspection(found)}\n")

    outcomes, exit_code = examine_several(files, _read, show, lambda found: True, as_json)
    if not as_json:
        print_table(("file", "kind", "nodes", "parameters"), [_line(one) for one in outcomes])
    if exit_code:
        raise typer.Exit(exit_code)


def _read(file: Path) -> dict[str, Any]:
    with Working("reading"):
        found = inspect_file(file)
    for warning in found["warnings"]:
        print_note("warning", warning)
    return found


def _line(outcome: Outcome) -> tuple[Cell, ...]:
    name, found = printable(outcome.file.name, 60), outcome.report
    if found is None:
        return name, (outcome.failure.error_code if outcome.failure else "", BAD), "-", "-"
    return name, kind_of(found), f"{len(found['nodes'])}", f"{found['parameters']:,}"
