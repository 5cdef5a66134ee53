"""The section on the tensors: their figures, and what storing them in fewer bits has moved."""

from __future__ import annotations

from math import isfinite

from ..findings import MOST_TENSORS, Findings
from ..markup import Markup, element, joined, name
from ..pieces import count, figure, number, section, shape, table
from ..reduction import Reduction
from .graph import histogram


def weights_section(found: Findings) -> Markup:
    tensors = found.tensors
    rows = [
        (
            name(one.name),
            shape(one.shape),
            one.dtype,
            figure(one.least),
            figure(one.most),
            figure(one.mean),
            figure(one.deviation),
            f"{one.zeros / one.size:.0%}" if one.zeros and one.size else "–",
            histogram(one, 24),
        )
        for one in tensors
    ]
    head = ("Tensor", "Shape", "Dtype", "Least", "Most", "Mean", "σ", "Zeros", "Histogram")
    total = 0 if found.summary is None else len(found.summary["tensors"])
    left_out = total - len(tensors)
    return section(
        "weights",
        "Weights",
        *(_reduced(found.reduction) if found.reduction is not None else ()),
        table("The tensors and their numbers", head, rows, range(3, 8))
        if rows
        else element("p", "The model has none."),
        element("p", f"{left_out:,} tensors after the first {MOST_TENSORS:,} are left out.", class_="note")
        if left_out > 0
        else None,
        lead=count(total, "tensor"),
    )


def _reduced(reduction: Reduction) -> list[Markup]:
    kind = element("h3", f"Weights are stored as {reduction.kind}")
    if reduction.full is None:
        known = (
            f"When it was written: {reduction.told}."
            if reduction.told
            else "How far that moved the outputs is not said."
        )
        text = joined(
            f"{known} Beside the model it was made from, ",
            element("code", "lstmconv report --full MODEL"),
            " shows it for each tensor too.",
        )
        return [kind, element("p", text)]
    text = joined(
        "What that moved, beside ", name(reduction.full), ": the outputs on the probes, in float64, and the weights."
    )
    outputs = [(name(one.output), number(one.max_abs), _percent(one.relative)) for one in reduction.outputs]
    tensors = [(name(one.name), number(one.largest), _percent(one.relative)) for one in reduction.tensors]
    head = ("Largest difference", "Of its largest magnitude")
    return [
        kind,
        element("p", text),
        table("Drift of the outputs", ("Output", *head), outputs, (1, 2)),
        table("Drift of the weights", ("Tensor", *head), tensors, (1, 2)),
        element("h3", "All tensors"),
    ]


def _percent(share: float) -> str:
    return f"{share:.3%}" if isfinite(share) else "unbounded"
