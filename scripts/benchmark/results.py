"""What a run found, and the figures that follow from it: ratios, shares of the roofline, geometric means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from .cases import Case
from .cold_start import Costs
from .engines import OURS, REFERENCE
from .timing import Settings, Timing


@dataclass(frozen=True)
class CaseResult:
    """One case: the time of each engine, and for those without one the reason."""

    case: Case
    timings: dict[str, Timing]
    refused: dict[str, str]

    def ratio(self, engine: str, to: str = REFERENCE) -> float | None:
        """Time of an engine by that of another; None where one of them has none."""
        if engine not in self.timings or to not in self.timings:
            return None
        return self.timings[engine].ratio_to(self.timings[to])

    def roofline_share(self, engine: str, rate: float) -> float | None:
        """Operations per second of an engine by those of a large matrix product."""
        return self.case.flops / self.timings[engine].median / rate if engine in self.timings else None


@dataclass(frozen=True)
class Mean:
    """A geometric mean of ratios, and over how many cases."""

    value: float
    cases: int


@dataclass(frozen=True)
class Results:
    """A whole run.

    Attributes:
        rate: the roofline, operations per second.
        load: load average at the start and at the end.
    """

    engines: tuple[str, ...]
    cases: tuple[CaseResult, ...]
    costs: Costs | None
    rate: float
    settings: Settings
    processor: str
    cores: int
    versions: dict[str, str]
    load: tuple[float, float]
    warnings: tuple[str, ...]

    def groups(self) -> dict[str, tuple[CaseResult, ...]]:
        """The cases by kind. GRU and masks apart: Keras's ONNX export makes loops of them, which flatters the rest."""
        kinds: dict[str, Callable[[str], bool]] = {
            "one LSTM": lambda kind: kind == "LSTM",
            "stacked, bidirectional": lambda kind: kind in ("stacked", "bidirectional"),
            "GRU, masked": lambda kind: kind in ("GRU", "masked"),
            "all whole sequences": lambda kind: kind != "stream",
            "streaming": lambda kind: kind == "stream",
        }
        found = {name: tuple(r for r in self.cases if holds(r.case.kind)) for name, holds in kinds.items()}
        return {name: group for name, group in found.items() if group}

    def reasons(self, start_up: str) -> dict[tuple[str, str], list[str]]:
        """The cases an engine has no figure for, by engine and reason; `start_up` is the name of its start."""
        found: dict[tuple[str, str], list[str]] = {}
        for result in self.cases:
            for engine, reason in result.refused.items():
                found.setdefault((engine, reason), []).append(result.case.name)
        for engine, cost in self.costs.engines.items() if self.costs else ():
            if cost.reason:
                found.setdefault((engine, cost.reason), []).append(start_up)
        return found


def mean_ratio(group: Iterable[CaseResult], engine: str, to: str) -> Mean | None:
    """Geometric mean over the cases that both engines have."""
    ratios = [ratio for result in group if (ratio := result.ratio(engine, to)) is not None]
    return Mean(math.exp(sum(map(math.log, ratios)) / len(ratios)), len(ratios)) if ratios else None


def as_json(results: Results) -> dict[str, Any]:
    """Every figure of the report, and the medians of the rounds they come from; times in seconds."""
    return {
        "processor": results.processor,
        "cores": results.cores,
        "versions": results.versions,
        "load_average": {"start": results.load[0], "end": results.load[1]},
        "warnings": list(results.warnings),
        "settings": asdict(results.settings),
        "roofline_flops_per_second": results.rate,
        "cases": [_case(result, results.rate) for result in results.cases],
        "geometric_means": {
            name: {
                engine: {
                    f"to_{REFERENCE}": _mean(mean_ratio(group, engine, REFERENCE)),
                    f"to_{OURS}": _mean(mean_ratio(group, engine, OURS)),
                }
                for engine in results.engines
            }
            for name, group in results.groups().items()
        },
        "costs": None if results.costs is None else asdict(results.costs),
    }


def _mean(mean: Mean | None) -> dict[str, float] | None:
    return None if mean is None else asdict(mean)


def _case(result: CaseResult, rate: float) -> dict[str, Any]:
    engines = {}
    for name, timing in result.timings.items():
        low, high = timing.quartiles
        engines[name] = {
            "median": timing.median,
            "quartiles": [low, high],
            "p50": timing.percentile(50),
            "p99": timing.percentile(99),
            "calls": timing.calls,
            "rounds": timing.medians.tolist(),
            f"ratio_to_{REFERENCE}": result.ratio(name),
            "roofline_share": result.roofline_share(name, rate),
        }
    return {
        "name": result.case.name,
        **asdict(result.case),
        "flops": result.case.flops,
        "engines": engines,
        "refused": result.refused,
    }
