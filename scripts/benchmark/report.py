"""The report: the same sections as text for a terminal and as a Markdown document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lstmconv.files.text_table import text_table

from .engines import ENGINES, OURS, REFERENCE, TOLERANCE
from .results import CaseResult, Results, mean_ratio

NONE = "–"
START_UP = "start-up"  # what its cases are called where an engine did not start
TAIL = 1000  # steps below which a 99th percentile says nothing

Table = list[tuple[str, ...]]  # the first row is the heading


@dataclass(frozen=True)
class Section:
    """A heading, what the figures mean, and the figures."""

    title: str
    note: str
    table: Table


def sections(results: Results) -> Iterator[Section]:
    whole = [result for result in results.cases if result.case.kind != "stream"]
    streams = [result for result in results.cases if result.case.kind == "stream"]
    brackets = "Geometric means over the cases both have; their number in brackets where it is not all."
    for to, meaning in ((REFERENCE, f"below 1: faster than {REFERENCE}"), (OURS, "above 1: the runtime is faster")):
        yield Section(f"Overall: time by that of {to} ({meaning})", brackets, _means(results, to))
    if whole:
        yield Section(
            "Whole sequences: time by onnxruntime's",
            "A case is batch × time steps × features × units, and a Dense(1) on the last step.",
            _per_case(results, whole, lambda result, name: _ratio(result.ratio(name))),
        )
        yield Section(
            f"Whole sequences: µs per call on {results.processor}",
            "Median over the rounds; in brackets the interquartile range as a share of it.",
            _per_case(results, whole, _time),
        )
        yield Section(
            "Whole sequences: share of the roofline",
            f"Operations of the matrix products by time, as a share of the {results.rate / 1e9:.0f} GFLOP/s that a "
            f"large float32 np.matmul ({results.settings.matrix}²) reached at best between the cases of this run.",
            _per_case(results, whole, lambda result, name: _share(result.roofline_share(name, results.rate))),
        )
    if streams:
        yield Section(
            f"Streaming, one step per call: µs on {results.processor}",
            "p50 / p99 over single steps, batch 1, with the state carried from call to call. No p99 from fewer than "
            f"{TAIL} steps.",
            _per_case(results, streams, _percentiles),
        )
        yield Section(
            "Streaming: time by onnxruntime's",
            "Of the medians.",
            _per_case(results, streams, lambda result, name: _ratio(result.ratio(name))),
        )
    if results.costs is not None:
        yield Section(
            f"Before the first prediction, on {results.processor}",
            "LSTM(100) on 5 steps: a process from its start to its first prediction (median), the memory it needed at "
            "most, and room on disk with every dependency.",
            _start_up(results),
        )
        yield Section("Loading and exporting", "Medians; the same model.", _costs(results))
    if reasons := results.reasons(START_UP):
        yield Section(
            "Not measured",
            f"An engine is timed only where it agrees with Keras within {TOLERANCE:g} of the largest output.",
            [("engine", "cases", "why"), *((e, ", ".join(cases), why) for (e, why), cases in reasons.items())],
        )


def _means(results: Results, to: str) -> Table:
    groups = results.groups()
    rows: Table = [("engine", *(f"{name} ({len(group)})" for name, group in groups.items()))]
    for engine in results.engines:
        cells = []
        for group in groups.values():
            mean = mean_ratio(group, engine, to)
            some = f" ({mean.cases})" if mean and mean.cases < len(group) else ""
            cells.append(_ratio(mean.value if mean else None) + some)
        rows.append((engine, *cells))
    return rows


def _per_case(results: Results, cases: list[CaseResult], cell: Callable[[CaseResult, str], str]) -> Table:
    rows: Table = [("case", *results.engines)]
    for result in cases:
        rows.append((result.case.name, *(cell(result, engine) for engine in results.engines)))
    return rows


def _time(result: CaseResult, engine: str) -> str:
    if engine not in result.timings:
        return NONE
    timing = result.timings[engine]
    low, high = timing.quartiles
    return f"{_micro(timing.median)} ({(high - low) / timing.median:.0%})"


def _percentiles(result: CaseResult, engine: str) -> str:
    if engine not in result.timings:
        return NONE
    timing = result.timings[engine]
    tail = _micro(timing.percentile(99)) if timing.calls >= TAIL else NONE
    return f"{_micro(timing.percentile(50))} / {tail}"


def _start_up(results: Results) -> Table:
    assert results.costs is not None
    rows: Table = [("program", "seconds", "peak memory, MB", "installed, MB")]
    for name, cost in results.costs.engines.items():
        if cost.seconds is None and cost.installed is None:
            continue
        seconds = NONE if cost.seconds is None else f"{cost.seconds:.3f}"
        rows.append((name, seconds, _mega(cost.peak), _mega(cost.installed)))
    return rows


def _costs(results: Results) -> Table:
    costs = results.costs
    assert costs is not None
    return [
        ("what", "ms"),
        ("import numpy", _milli(costs.numpy_import_seconds)),
        ("import lstmconv_runtime after it", _milli(costs.import_seconds)),
        (f"load a bundle of {costs.bundle_bytes / 1000:.0f} kB", _milli(costs.load_seconds)),
        ("lstmconv export, as a process", _milli(costs.export_seconds)),
        ("keras.models.load_model of the same file, as a process", _milli(costs.keras_load_seconds)),
    ]


def _ratio(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.1%}" if value < 0.1 else f"{value:.0%}"


def _micro(seconds: float) -> str:
    value = seconds * 1e6
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _milli(seconds: float | None) -> str:
    return NONE if seconds is None else f"{seconds * 1000:.1f}"


def _mega(size: int | None) -> str:
    return NONE if size is None else f"{size / 1e6:.1f}" if size < 10e6 else f"{size / 1e6:.0f}"


def as_text(results: Results) -> str:
    parts = [_provenance(results), *(f"WARNING: {warning}" for warning in results.warnings)]
    for section in sections(results):
        parts.append("\n".join(["", section.title, section.note, *text_table(section.table)]))
    return "\n".join(parts)


def as_markdown(results: Results, command: str, plot: str | None) -> str:
    """The document.

    Args:
        command: what writes it.
        plot: the picture's path as seen from the document.
    """
    lines = [
        "# Benchmark",
        "",
        "<!-- Written by scripts/bench --markdown; not by hand. -->",
        f"This document is generated: `{command}` writes it.",
        "",
        _provenance(results),
        "",
        *(f"**Warning: {warning}.**\n" for warning in results.warnings),
        _method(results),
        "",
    ]
    if plot:
        lines += [f"![Time of every engine by onnxruntime's, case by case]({plot})", ""]
    for section in sections(results):
        lines += [f"## {section.title}", "", section.note, "", *_markdown_table(section.table), ""]
    return "\n".join(lines)


def _provenance(results: Results) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    start, end = results.load
    return f"{results.processor}; load average {start:.1f} at the start, {end:.1f} at the end. {versions}."


def _method(results: Results) -> str:
    said = {name: (make.__doc__ or "").strip().rstrip(".") for name, make in ENGINES.items()}
    engines = "\n".join(f"- **{name}**: {said[name]}." for name in results.engines)
    settings = results.settings
    return (
        "One process measures all engines on the same weights and inputs, NumPy arrays in and out. In each of "
        f"{settings.rounds} rounds every engine has a burst of calls, in another order each time, after a pause of "
        f"{settings.pause * 1000:.0f} ms in which the threads of the engine before come to rest. Ratios are taken "
        f"within a round, and the median over the rounds is shown.\n\n{engines}"
    )


def _markdown_table(table: Table) -> list[str]:
    head, *rows = table
    align = ("---", *(("---:",) * (len(head) - 1)))
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (head, align, *rows)]
