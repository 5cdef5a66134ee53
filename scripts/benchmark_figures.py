"""Figures for other documents, taken from docs/benchmark.md, so that no number is copied by hand."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "benchmark.md"


def tables() -> dict[str, list[list[str]]]:
    """The rows of the first table under each heading, the head first."""
    found = {}
    for part in re.split(r"^## ", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
        found[part.partition("\n")[0].partition(" on ")[0].partition(",")[0]] = [r for r in rows if r[0] != "---"]
    return found


def speed() -> str:
    """The README's sentences on speed."""
    overall = tables()["Overall: time by that of onnxruntime (below 1: faster than onnxruntime)"]
    head = [re.sub(r" \(\d+\)$", "", name) for name in overall[0]]
    named = {row[0]: dict(zip(head, row, strict=True)) for row in overall[1:]}
    start = {row[0]: row for row in tables()["Before the first prediction"][1:]}
    machine = DOCUMENT.read_text(encoding="utf-8").split("\n\n")[2].partition("; load average")[0].partition("\n")[0]

    def times(engine: str) -> str:
        return ", ".join(
            f"{named[engine][kind].split(' ')[0]} {words}"
            for kind, words in (
                ("one LSTM", "for an LSTM"),
                ("GRU, masked", "for GRU and masks"),
                ("streaming", "for a step of a stream"),
            )
        )

    more = float(start["runtime"][1]) - float(start["numpy alone"][1])
    keras, other = start["keras"], start["onnxruntime"]
    return (
        f"By the time of onnxruntime on Keras's own export ({machine}; below 1 is faster): on the compiled kernel "
        f"{times('runtime')}; on NumPy alone {times('runtime-numpy')}.\n"
        f"A process that predicts starts {1000 * more:.0f} ms later than one that imports NumPy (Keras: {keras[1]} s), "
        f"and takes {start['runtime'][3]} MB on disk with everything (onnxruntime: {other[3]}, Keras: {keras[3]}).\n"
    )


def cold_start() -> str:
    """The table of starts."""
    head, *rows = tables()["Before the first prediction"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
