"""Whether a model computes what its probes say.

Two numbers of each output are judged: the largest difference from what the oracle computed, and the root mean square
of all differences, which shows a small error everywhere that one large number would hide. Each is allowed a share of
the output's own: of its largest magnitude, and of its root mean square. The share is that of the lowest precision the
output or anything before it is computed in. A sum in another order, as another machine's BLAS does it, stays well
below it; a damaged weight or a wrong formula does not. There is no least scale: an output of small numbers is as exact
as one of large ones.

Where a model amplifies rounding further, or less is right, the probe itself says what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Protocol

from .difference import Difference, difference, share
from .format.bundle import Bundle
from .format.graph import Graph, Type, Value
from .format.nodes import Constant, Input
from .format.record import Record
from .inputs import Inputs, Outputs
from .programs import Program

SHARES = {"float16": 1e-2, "bfloat16": 1e-2, "float32": 1e-5, "float64": 1e-5}
COARSEST_FIRST = ("bfloat16", "float16", "float32", "float64")


class ProbeResult(Record):
    """How one probe came out, in the output that came out worst.

    Attributes:
        oracle: who computed what was expected.
        max_abs: the largest difference; infinite where a NaN, an infinity or the shape is not the expected one.
        allowed: the largest that is allowed.
        output: the name of the output.
        reason: why the probe does not hold; "" where it does.
    """

    oracle: str
    max_abs: float
    allowed: float
    ok: bool
    output: str
    reason: str


class Verification(Record):
    """What `Model.verify` found.

    Attributes:
        ok: there are probes and all hold. A bundle without probes proves nothing.
    """

    ok: bool
    probes: tuple[ProbeResult, ...]


class Verified(Protocol):
    """What is taken of a model to verify it."""

    @property
    def bundle(self) -> Bundle: ...
    @property
    def program(self) -> Program: ...
    @property
    def output_names(self) -> tuple[str, ...]: ...
    def predict(self, x: Inputs) -> Outputs: ...


def verify(model: Verified) -> Verification:
    """Runs the probes of a model's bundle."""
    bundle = model.bundle
    lowest = lowest_precision(bundle.graph, model.program.types)
    results = []
    for probe in bundle.probes:
        made = model.predict(probe.inputs)
        arrays = list(made.values()) if isinstance(made, dict) else made if isinstance(made, list) else [made]
        judged = []
        for place, (value, array, expected) in enumerate(zip(bundle.graph.outputs, arrays, probe.outputs, strict=True)):
            found = difference(array, expected)
            stored = probe.allowed[place] if probe.allowed else None
            allowed = stored or allowed_by_rule(lowest[value], found)
            judged.append((_worse(found, allowed), found, allowed, model.output_names[place]))
        worst, found, allowed, name = max(judged, key=lambda item: item[0])
        reason = f"output {name!r:.100}: {_why(found, allowed)}" if worst > 1 else ""
        results.append(
            ProbeResult(
                oracle=probe.oracle,
                max_abs=found.largest,
                allowed=allowed[0],
                ok=not reason,
                output=name,
                reason=reason,
            )
        )
    return Verification(ok=bool(results) and all(result.ok for result in results), probes=tuple(results))


def allowed_by_rule(dtype: str, found: Difference) -> tuple[float, float]:
    """The largest difference and root mean square that are rounding, in an output of which `dtype` is the lowest
    precision; nothing where no floating point is on the way."""
    part = SHARES.get(dtype, 0.0)
    return part * found.scale, part * found.scale_rms


def lowest_precision(graph: Graph, types: Mapping[Value, Type]) -> dict[Value, str]:
    """By value: the coarsest floating point dtype that it, or a value before it, is computed in; its own dtype where
    none is. What comes in and what is stored is not computed."""
    lowest: dict[Value, str] = {}
    for node in graph.nodes:
        met = {lowest[value] for value in node.reads()}
        for value in node.makes():
            own = types[value].dtype
            found = met if isinstance(node, Input | Constant) else {*met, own}
            lowest[value] = next((dtype for dtype in COARSEST_FIRST if dtype in found), "")
    return {value: dtype or types[value].dtype for value, dtype in lowest.items()}


def _worse(found: Difference, allowed: tuple[float, float]) -> float:
    """How often the allowance goes into the difference: more than 1 does not hold."""
    return inf if found.misfit else max(share(found.largest, allowed[0]), share(found.rms, allowed[1]))


def _why(found: Difference, allowed: tuple[float, float]) -> str:
    if found.misfit:
        return found.misfit
    if found.largest > allowed[0]:
        return f"differs by {found.largest:.3g}, allowed is {allowed[0]:.3g}"
    return f"differs by {found.rms:.3g} in the root mean square, allowed is {allowed[1]:.3g}"
