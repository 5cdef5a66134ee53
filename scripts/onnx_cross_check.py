"""Writes docs/onnx-cross-check.md: Keras's own ONNX export of every parity case, run by onnxruntime.

python scripts/onnx_cross_check.py [--jobs N] [CASE…]

Cases that are named are checked anew, the others keep their row. Needs the `parity` extra; takes some seconds per case.
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
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("runtime", "converter", "tests/common")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

DOCUMENT = ROOT / "docs" / "onnx-cross-check.md"
TOLERANCE, HALF_TOLERANCE = 1e-5, 2e-2


class Row(NamedTuple):
    """What came of one case: agrees, differs, or fails, the largest difference, and the reason in short."""

    case: str
    verdict: str
    difference: str
    reason: str


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


def why(pairs: list[tuple[object, object]]) -> str:
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
    packages = ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    count = collections.Counter(row.verdict for row in rows)
    reasons = collections.Counter((row.verdict, row.reason) for row in rows if row.verdict != "agrees")
    lines = [
        "# Keras's own ONNX export, beside what Keras computes",
        "",
        "Every case of `tests/common/cases`: `model.export(…, format=\"onnx\")` by Keras, run by onnxruntime, compared",
        "with the outputs of Keras itself, committed in `tests/vectors/parity`. Differences are the largest, of the",
        f"scale of the output; up to {TOLERANCE:.0e} agrees ({HALF_TOLERANCE:.0e} in half precision).",
        "",
        f"Made by `scripts/onnx_cross_check.py` with {versions}, Python {platform.python_version()}.",
        "",
        f"Of {len(rows)} cases {count['agrees']} agree, {count['differs']} differ, {count['fails']} have no "
        "export that runs.",
        "",
        "| cases | what | reason |",
        "| --- | --- | --- |",
        *(f"| {number} | {verdict} | {reason} |" for (verdict, reason), number in reasons.most_common()),
        "",
        "| case | verdict | difference | reason |",
        "| --- | --- | --- | --- |",
        *(f"| {row.case} | {row.verdict} | {row.difference} | {row.reason} |" for row in rows),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


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
    found = re.findall(
        r"^\| ([\w-]+) \| (agrees|differs|fails) \| ([^|]*) \| (.*) \|$", DOCUMENT.read_text("utf-8"), re.M
    )
    return [Row(case, verdict, difference.strip(), reason) for case, verdict, difference, reason in found]


def main() -> None:
    from vector_files import NAMES

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    arguments = parser.parse_args()
    kept = {row.case: row for row in written_rows()} if arguments.cases else {}
    rows = {**kept, **{row.case: row for row in cross_checks(arguments.cases or NAMES, arguments.jobs)}}
    DOCUMENT.write_text(document([rows[name] for name in NAMES if name in rows]), encoding="utf-8")


if __name__ == "__main__":
    main()
