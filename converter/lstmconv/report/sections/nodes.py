"""The sections that say how far engines are apart: on the outputs, and node by node."""

from __future__ import annotations

from itertools import islice
from math import inf, log10

from ...bundles.compare import OutputComparison
from ...parity.divergence import NodeDifference, first_divergence
from ..findings import Findings
from ..markup import Markup, element, joined, name
from ..pieces import chip, count, items, number, section, shape, table

MOST_OUTPUTS = 20  # and inputs
LOWEST, HIGHEST = -6.0, 2.0  # of the scale: shares of what rounding explains, as powers of ten
WIDE, TALL = 200.0, 22.0


def comparisons(found: Findings) -> list[tuple[str, dict[str, NodeDifference]]]:
    """What was compared node by node: its title, and the differences by value."""
    if isinstance(found.engines, str):
        return []
    listed = [
        ("Runtime and Keras", found.engines.nodes),
        ("Our ONNX and runtime", found.engines.onnx_nodes),
        ("Runtime and float64", found.float64_nodes),
    ]
    return [(title, {one.node: one for one in nodes}) for title, nodes in listed if not isinstance(nodes, str)]


def parted_nodes(found: Findings) -> frozenset[str]:
    """The nodes with a value on which engines do not agree."""
    return frozenset(
        value.partition(":")[0] for _, of in comparisons(found) for value, one in of.items() if not one.agrees
    )


def engines_section(found: Findings) -> Markup:
    lead = "The same inputs through every engine there is, and through a float64 evaluation of the graph."
    report = found.engines
    if isinstance(report, str):
        return section("engines", "Engines", element("p", f"Nothing was compared: {report}."), lead=lead)
    given = joined(
        "Compared on ", count(found.compared_rows, "sequence"), f" of {found.origin}: ", *_inputs(report.inputs)
    )
    reasons: dict[str, list[str]] = {}
    for engine, why in report.missing.items():
        reasons.setdefault(why, []).append(engine)
    missing = items(
        joined(element("strong", " and ".join(names)), f" did not run: {why}") for why, names in reasons.items()
    )
    tables = [
        _matrix(output, report.engines, verdict)
        for output, verdict in zip(report.outputs[:MOST_OUTPUTS], report.verdicts, strict=False)
    ]
    left_out = len(report.outputs) - MOST_OUTPUTS
    float64 = report.keras_float64
    return section(
        "engines",
        "Engines",
        element("p", given),
        *tables,
        element("p", f"{left_out:,} more outputs are left out.", class_="note") if left_out > 0 else None,
        element("p", f"Keras and the bundle, both in float64, differ by {number(max(float64, default=0.0))}.")
        if isinstance(float64, tuple)
        else None,
        *(
            element("p", line)
            for line in islice(report.conclusion(where=False), 2 * MOST_OUTPUTS)
            if len(report.engines) > 1
        ),
        missing,
        lead=lead,
    )


def _inputs(inputs: dict[str, tuple[tuple[int, ...], str]]) -> list[object]:
    parts: list[object] = []
    for key, (sizes, dtype) in islice(inputs.items(), MOST_OUTPUTS):
        parts += [", " if parts else None, name(key), f" {shape(sizes)}, {dtype}"]
    if len(inputs) > MOST_OUTPUTS:
        parts.append(f" and {len(inputs) - MOST_OUTPUTS:,} more")
    return [*parts, "."]


def _matrix(output: OutputComparison, engines: tuple[str, ...], verdict: str) -> Markup:
    """The engines against each other, and against float64."""
    pairs = {frozenset((pair.first, pair.second)): pair.absolute for pair in output.differences}
    errors = {one.engine: one for one in output.deviations}
    rows = []
    for engine in engines:
        against = ["–" if engine == other else _judged(output, pairs[frozenset((engine, other))]) for other in engines]
        rows.append((engine, *against, _judged(output, errors[engine].largest), number(errors[engine].typical)))
    head = ("", *engines, "float64", "float64, rms")
    kind = {"agree": "good", "agree in float64": "good", "undecided": "warn"}.get(verdict, "bad")
    return element(
        "div",
        element("h3", "Output ", name(output.name), " ", chip(kind, verdict)),
        table(f"Largest differences on output {output.name}", head, rows, range(1, len(head))),
        element(
            "p",
            f"Rounding explains {number(output.allowed)}; one ulp everywhere moves it by {number(output.movement)}. "
            f"Its largest magnitude is {output.scale:.3g}.",
            class_="note",
        ),
    )


def _judged(output: OutputComparison, apart: float) -> Markup:
    word = output.word(apart)
    differs = element("strong", " DIFFERS", class_="bad") if word == "DIFFER" else None
    return joined(number(apart), differs, element("span", " chaotic", class_="warn") if word == "chaotic" else None)


def nodes_section(found: Findings) -> Markup:
    compared = comparisons(found)
    lead = (
        "The difference at every node, beside what rounding explains there. Where engines part, the first node that "
        "differs says where to look."
    )
    if not compared or isinstance(found.engines, str):
        return section(
            "nodes", "Node by node", element("p", f"Nothing was compared: {found.float64_nodes}."), lead=lead
        )
    values = list(dict.fromkeys(value for _, of in compared for value in of))
    rows = []
    for value in values:
        ones = [(title, of[value]) for title, of in compared if value in of]
        shown = [number(of[value].largest) if value in of else "–" for _, of in compared]
        word = chip("good", "agrees") if all(one.agrees for _, one in ones) else chip("bad", "differs")
        rows.append((name(value), ones[0][1].op, *shown, number(ones[0][1].allowed), _shares(ones), word))
    head = ("Value", "Class", *(title for title, _ in compared), "Rounding explains", "Share of that", "")
    absent = {"Keras": found.engines.nodes, "Our ONNX": found.engines.onnx_nodes}
    missing = {engine.lower() for engine in found.engines.missing}
    why = {
        engine: "it did not run" if engine.lower() in missing else reason
        for engine, reason in absent.items()
        if isinstance(reason, str)
    }
    return section(
        "nodes",
        "Node by node",
        _first(compared),
        table("Differences node by node", head, rows, range(2, len(compared) + 3)),
        _legend(compared),
        items(f"{engine} is not compared node by node: {reason}." for engine, reason in why.items()),
        lead=lead,
    )


def _first(compared: list[tuple[str, dict[str, NodeDifference]]]) -> Markup:
    lines = []
    for title, of in compared:
        first = first_divergence(tuple(of.values()))
        where = (
            "agree on all of " + count(len(of), "value")
            if first is None
            else joined("part first at ", name(first.node))
        )
        lines.append(joined(element("strong", title), " ", where, "."))
    return element("div", items(lines))


def _share(one: NodeDifference) -> float:
    if not one.largest:
        return 0.0
    return one.largest / one.allowed if one.allowed else inf


def _shares(ones: list[tuple[str, NodeDifference]]) -> Markup:
    """A mark for each comparison on a scale of powers of ten; the line is all that rounding explains."""
    marks = []
    for row, (title, one) in enumerate(ones):
        share = _share(one)
        power = LOWEST if share == 0 else HIGHEST if share == inf else min(HIGHEST, max(LOWEST, log10(share)))
        x = (power - LOWEST) / (HIGHEST - LOWEST) * WIDE
        y = (row + 0.5) * TALL / len(ones)
        marks.append(
            element("path", d=f"M0,{y:.1f}H{x:.1f}", class_=f"bar {_mark(title)}{'' if one.agrees else ' parted'}")
        )
    line = -LOWEST / (HIGHEST - LOWEST) * WIDE
    words = ", ".join(f"{title} {_percent(_share(one))}" for title, one in ones)
    return element(
        "svg",
        *marks,
        element("path", d=f"M{line:g},0V{TALL:g}", class_="limit"),
        viewBox=f"0 0 {WIDE:g} {TALL:g}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"Of what rounding explains: {words}",
        class_="shares",
    )


def _percent(share: float) -> str:
    return "beyond any" if share == inf else f"{share:.1%}"


def _mark(title: str) -> str:
    return {"Runtime and Keras": "keras", "Our ONNX and runtime": "onnx"}.get(title, "float64")


def _legend(compared: list[tuple[str, dict[str, NodeDifference]]]) -> Markup:
    keys = [element("span", element("span", class_=f"swatch {_mark(title)}"), title) for title, _ in compared]
    return element(
        "p",
        *keys,
        "On a logarithmic scale, from a millionth of what rounding explains to a hundred times as much; the "
        "line stands at all of it.",
        class_="note legend",
    )
