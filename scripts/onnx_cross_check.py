"""Writes docs/onnx-cross-check.md: Keras's own ONNX export of every parity case, and ours, in other engines.

python scripts/onnx_cross_check.py [--jobs N] [--ours] [CASE…]

Cases that are named are checked anew, the others keep their row; with --ours all keep what is said of Keras's export.
Needs the `parity` extra, and OpenVINO for its column; takes some seconds per case, with --ours a tenth of one.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("runtime", "converter", "tests/common")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    from vector_files import Vector

DOCUMENT = ROOT / "docs" / "onnx-cross-check.md"
TOLERANCE, HALF_TOLERANCE = 1e-5, 2e-2


class Row(NamedTuple):
    """What came of one case: agrees, differs, or fails, the largest difference, and the reason in short.

    Of our ONNX in onnxruntime and in OpenVINO, the difference, or what is wrong.
    """

    case: str
    verdict: str
    difference: str
    reason: str
    ours: str = ""
    openvino: str = ""


def cross_check(name: str) -> Row:
    """One case: exported by Keras, run by onnxruntime, compared with what Keras computes."""
    from lstmconv.parity.engines import EngineMissing, Subject, import_quietly, onnxruntime_engine
    from vector_files import apart, read_vector

    import_quietly("keras").backend.clear_session()
    vector = read_vector(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(vector.keras_file)
        try:
            subject = Subject.from_file(path)
            inputs = dict(zip(subject.runtime.input_names, vector.inputs, strict=True))
            made = onnxruntime_engine(subject)(inputs)
        except EngineMissing as reason:
            return Row(name, "fails", "", str(reason))
    if len(made) != len(vector.outputs):
        return Row(name, "differs", "", f"it has {len(made)} outputs, the model {len(vector.outputs)}")
    pairs = list(zip(made, vector.outputs, strict=True))
    worst = max(apart(y, expected) for y, expected in pairs)
    if worst <= (HALF_TOLERANCE if vector.half else TOLERANCE):
        return Row(name, "agrees", f"{worst:.1e}", "")
    return Row(name, "differs", f"{worst:.1e}" if worst < float("inf") else "", why(pairs))


def with_ours(row: Row) -> Row:
    """The row with what comes of our ONNX."""
    from lstmconv.errors import UnsupportedError
    from lstmconv.onnx.model import write_model
    from lstmconv.onnx.running import EngineRefusal, onnxruntime_of
    from vector_files import read_vector

    vector = read_vector(row.case)
    try:
        model = write_model(vector.graph, "0", {})
        ours = judged(vector, onnxruntime_of(model)(dict(zip(vector.graph.inputs, vector.inputs, strict=True))))
    except UnsupportedError as error:
        return row._replace(ours=f"refused: {error}", openvino="refused")
    except EngineRefusal as error:
        ours = f"fails: {error}"
    return row._replace(ours=ours, openvino=in_openvino(vector) or row.openvino)


def judged(vector: Vector, made: Iterable[object]) -> str:
    """The largest difference from Keras, of the scale, with a word before it where that is too large."""
    from vector_files import apart

    worst = max(apart(one, expected) for one, expected in zip(made, vector.outputs, strict=True))
    agrees = worst <= (HALF_TOLERANCE if vector.half else TOLERANCE)
    return f"{worst:.1e}" if agrees else f"differs: {worst:.1e}"


def in_openvino(vector: Vector) -> str:
    """The same of OpenVINO; "" where it is not installed."""
    try:
        import openvino
    except ImportError:
        return ""
    from openvino_engine import ITS_MISTAKES, NOT_RUN, run_vector

    if vector.name in NOT_RUN:
        return f"fails: {NOT_RUN[vector.name]}"
    found = judged(vector, run_vector(openvino, vector))
    return f"{found}: {ITS_MISTAKES[vector.name]}" if vector.name in ITS_MISTAKES else found


def why(pairs: Sequence[tuple[object, object]]) -> str:
    """Which outputs differ, and whether by their shapes, by NaN, or by numbers."""
    import numpy as np
    from vector_files import apart

    found = []
    for index, (y, expected) in enumerate(pairs):
        a, b = np.asarray(y), np.asarray(expected)
        if a.shape != b.shape:
            found.append(f"output {index} has the shape {a.shape}, not {b.shape}")
        elif apart(a, b) > TOLERANCE:
            kind = "" if np.array_equal(np.isfinite(a), np.isfinite(b)) else " where one is not finite"
            found.append(f"output {index} of {len(pairs)} differs{kind}")
    return "; ".join(found[:2]) + ("; …" if len(found) > 2 else "")


REASONS = (  # what tf2onnx, Keras and onnxruntime say → what it comes to
    (r'In Node, \("[^"]*", (\w+), ', r"onnxruntime: the {0} of the export is not valid"),
    (r"Type '(tensor\(\w+\))' of input parameter .* of operator \((\w+)\)", r"onnxruntime: no {1} of {0}"),
    (r"Could not find an implementation for (\w+)", r"onnxruntime: no {0} of this type"),
    (r"while running (\w+) node", r"onnxruntime fails in a {0} of the export"),
    (r"has (\d+) inputs, the model has (\d+)", r"the export has {0} inputs, the model {1}"),
    (r"export of this model fails: (.*)", r"export: {0}"),
)


def short(reason: str) -> str:
    """A reason without the names of one case, so that equal reasons read alike."""
    for pattern, text in REASONS:
        found = re.search(pattern, reason)
        if found:
            return " ".join(text.format(*found.groups()).replace("|", "/").split())[:160]
    return " ".join(reason.replace("|", "/").split())[:160]


def document(rows: list[Row]) -> str:
    rows = [row._replace(reason=short(row.reason)) for row in rows]
    packages = ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "openvino")
    versions = ", ".join(f"{name} {found}" for name in packages if (found := installed(name)))
    count = collections.Counter(row.verdict for row in rows)
    reasons = collections.Counter((row.verdict, row.reason) for row in rows if row.verdict != "agrees")
    lines = [
        "# Keras's own ONNX export and ours, beside what Keras computes",
        "",
        "Every case of `tests/common/cases`: `model.export(…, format=\"onnx\")` by Keras, run by onnxruntime, compared",
        "with the outputs of Keras itself, committed in `tests/vectors/parity`. Differences are the largest, of the",
        f"scale of the output; up to {TOLERANCE:.0e} agrees ({HALF_TOLERANCE:.0e} in half precision).",
        "The last two columns are the same of the file that `lstmconv onnx` writes, in onnxruntime and in OpenVINO,",
        "which is told the sizes of the inputs and gets functions that its recurrent operators lack as a Scan.",
        "",
        f"Made by `scripts/onnx_cross_check.py` with {versions}, Python {platform.python_version()}.",
        "",
        f"Of {len(rows)} cases {count['agrees']} agree, {count['differs']} differ, {count['fails']} have no "
        "export by Keras that runs. "
        f"Of ours {agreeing(row.ours for row in rows)} agree in onnxruntime, "
        f"{agreeing(row.openvino for row in rows)} in OpenVINO.",
        "",
        "| cases | what | reason |",
        "| --- | --- | --- |",
        *(f"| {number} | {verdict} | {reason} |" for (verdict, reason), number in reasons.most_common()),
        "",
        "| case | verdict | difference | reason | our ONNX, onnxruntime | our ONNX, OpenVINO |",
        "| --- | --- | --- | --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def agreeing(found: Iterable[str]) -> int:
    """How many agree."""
    return sum(map(is_difference, found))


def is_difference(found: str) -> bool:
    """Whether it is a difference and nothing more, which is that of an engine that agrees."""
    return re.fullmatch(r"[\d.]+e[-+]\d+", found) is not None


def installed(package: str) -> str:
    """Its version; of OpenVINO, where it is not there, the one the document says."""
    try:
        return version(package)
    except PackageNotFoundError:
        found = re.search(rf"{package} ([\w.]+)", DOCUMENT.read_text("utf-8"))
        return found[1] if found else ""


def cross_checks(names: list[str], jobs: int) -> list[Row]:
    """Every case. One that brings its process down is tried again by itself, then told as such."""
    rows: list[Row] = []
    left = list(names)
    while left:
        try:
            with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
                for row in pool.map(cross_check, left):
                    print(*row, sep="  ", flush=True)
                    rows.append(row)
        except BrokenProcessPool:
            rows.append(alone(names[len(rows)]))
        left = names[len(rows) :]
    return rows


def alone(name: str) -> Row:
    """One case in a process of its own."""
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(cross_check, name).result()
    except BrokenProcessPool:
        return Row(name, "fails", "", "the process ends while it exports or runs the model")


def written_rows() -> list[Row]:
    """The rows of the document as it is."""
    row = r"^\| ([\w-]+) \| (agrees|differs|fails) \| ([^|]*) \| ([^|]*) \|(?: ([^|]*) \| ([^|]*) \|)?$"
    found = re.findall(row, DOCUMENT.read_text("utf-8"), re.M)
    return [Row(*(part.strip() for part in parts)) for parts in found]


def main() -> None:
    from vector_files import NAMES

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--ours", action="store_true", help="keep what is said of Keras's export")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    arguments = parser.parse_args()
    kept = {row.case: row for row in written_rows()} if arguments.cases or arguments.ours else {}
    names = arguments.cases or NAMES
    made = [kept[name] for name in names] if arguments.ours else cross_checks(names, arguments.jobs)
    rows = {**kept, **{row.case: with_ours(row) for row in made}}
    DOCUMENT.write_text(document([rows[name] for name in NAMES if name in rows]), encoding="utf-8")


if __name__ == "__main__":
    main()
