"""How the probes of a bundle came out: as a dict for programs, as text for people."""

from __future__ import annotations

import math
from typing import Any

from lstmconv_runtime import BundleError, InputError, Model

from ..errors import printable
from ..files.text_table import text_table


def probe_report(model: Model) -> dict[str, Any]:
    """Runs the probes. Keys: ok, digest, probes (each oracle, output, max_abs, allowed, ok, reason).

    `max_abs` and `allowed` are those of the output that came out worst; an unbounded difference is None.

    A bundle without probes proves nothing, so it is not ok.

    Raises:
        BundleError: a probe does not fit the model it lies beside.
    """
    try:
        verification = model.verify()
    except InputError as error:
        raise BundleError(f"a probe does not fit the model: {error}", "E_BUNDLE_CONTRACT") from None
    probes = [
        {
            "oracle": probe.oracle,
            "output": probe.output,
            "max_abs": probe.max_abs if math.isfinite(probe.max_abs) else None,
            "allowed": probe.allowed,
            "ok": probe.ok,
            "reason": probe.reason,
        }
        for probe in verification.probes
    ]
    return {"ok": verification.ok, "digest": model.bundle.digest, "probes": probes}


def probe_report_text(report: dict[str, Any], shown_name: str) -> str:
    """The dict of `probe_report` as text, in ASCII; its last line is the result."""
    probes = report["probes"]
    if not probes:
        return f"{shown_name}: NOT VERIFIED: the bundle has no probes"
    rows = [("probe", "largest difference", "allowed", "holds", "oracle")]
    for index, probe in enumerate(probes):
        difference = "-" if probe["max_abs"] is None else f"{probe['max_abs']:.3g}"
        holds = "yes" if probe["ok"] else "NO"
        rows.append((str(index), difference, f"{probe['allowed']:.3g}", holds, printable(probe["oracle"], 80)))
    failed = sum(not probe["ok"] for probe in probes)
    result = (
        f"NOT VERIFIED: {failed} of {len(probes)} probes do not hold" if failed else f"all {len(probes)} probes hold"
    )
    reasons = [
        f"probe {index}: {printable(probe['reason'], 300)}" for index, probe in enumerate(probes) if probe["reason"]
    ]
    return "\n".join([*text_table(rows), *reasons, f"{shown_name}: {result}"])
