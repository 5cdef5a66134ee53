"""Many seeds, one after the other, and the summary."""

from __future__ import annotations

import gc
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from .check import Outcome, check
from .grammar import draw, ops_table
from .plan import Plan
from .shrink import shrink

COLLECT_EVERY = 50  # seeds: it takes a third of a second
PREDICT_EVERY = 10  # seeds: the others call the model eagerly, which is quicker


@dataclass
class Summary:
    """What came of all seeds."""

    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    refusals: dict[str, list[int]] = field(default_factory=dict)
    keras_reasons: Counter[str] = field(default_factory=Counter)
    keras_errors: list[float] = field(default_factory=list)
    our_errors: list[float] = field(default_factory=list)
    chaotic: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    streamed: int = 0

    def add(self, seed: int, plan: Plan, kinds: set[str], outcome: Outcome) -> None:
        self.statuses[outcome.status] += 1
        if outcome.status == "unsupported":
            reason = re.sub(r"'[^']*'", "'…'", outcome.what)[:150]
            self.refusals.setdefault(reason, []).append(seed)
        elif outcome.status == "refused_by_keras":
            self.keras_reasons[outcome.what] += 1
        elif outcome.status == "failed":
            self.failures.append(seed)
        elif outcome.status in ("chaotic", "keras_rounds"):
            self.chaotic.append(f"{outcome.status}, seed {seed}: {outcome.notes[0]}")
        if outcome.status in ("agrees", "chaotic", "keras_rounds"):
            self.kinds.update(kinds)
            self.streamed += outcome.streamed
        if outcome.status in ("agrees", "keras_rounds") and plan.policy == "float32" and outcome.our_error is not None:
            self.keras_errors.append(outcome.keras_error or 0.0)
            self.our_errors.append(outcome.our_error)

    def lines(self) -> Iterator[str]:
        yield "seeds: " + ", ".join(f"{count} {status}" for status, count in self.statuses.most_common())
        if self.our_errors:
            keras, ours = np.array(self.keras_errors), np.array(self.our_errors)
            yield (f"error against float64, of the output's scale, over {len(ours)} float32 models: "
                   f"median Keras {np.median(keras):.2e}, ours {np.median(ours):.2e}; "
                   f"99 % are below {np.quantile(keras, 0.99):.1e} and {np.quantile(ours, 0.99):.1e}")  # fmt: skip
        yield f"streamed: {self.streamed}"
        yield "ops: " + ", ".join(f"{name} {count}" for name, count in self.kinds.most_common())
        if self.keras_reasons:
            yield "Keras refused: " + ", ".join(f"{count} {what}" for what, count in self.keras_reasons.most_common())
        for reason, seeds in sorted(self.refusals.items(), key=lambda item: -len(item[1])):
            yield f"refused by lstmconv, {len(seeds)} (seed {', '.join(map(str, seeds[:4]))}): {reason}"
        yield from self.chaotic
        if self.failures:
            yield f"FAILED: seeds {', '.join(map(str, self.failures))}"


def predicts(seed: int) -> bool:
    """Whether this seed goes through `model.predict`."""
    return seed % PREDICT_EVERY == 0


def one(seed: int, only: str | None = None) -> tuple[Plan, set[str], Outcome]:
    """Draws and checks the plan of one seed."""
    with _quiet():
        plan, kinds = draw(seed, only)
        if not plan.outputs or (only and only not in kinds):
            return plan, kinds, Outcome("empty")
        return plan, kinds, check(plan, predict=predicts(seed))


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings, and Keras left with its own defaults afterwards."""
    import keras

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            keras.config.set_floatx("float32")
            keras.config.set_dtype_policy("float32")


def explain(plan: Plan, outcome: Outcome, predict: bool) -> str:
    """The smallest plan that fails in the same way, as Keras source."""

    def fails(candidate: Plan) -> bool:
        with _quiet():
            made = check(candidate, predict=predict)
        return made.status == "failed" and made.what == outcome.what

    small = shrink(plan, fails)
    with _quiet():
        again = check(small, predict=predict)
    inputs = ", ".join(f"{spec.name} {spec.shape}" for spec in small.inputs)
    scales = f"batch {small.batch}, inputs scaled by {small.scale}, weights by {small.gain}"
    return f"{again.what}: {again.detail}\n{scales}, {inputs}\n{again.source}"


def main(count: int, first: int, only: str | None, show: bool) -> int:
    if only and only not in {op.name for op in ops_table()}:
        print(f"--only {only}: there are {', '.join(op.name for op in ops_table())}", file=sys.stderr)
        return 2
    summary, start, terminal = Summary(), time.monotonic(), sys.stderr.isatty()
    for done, seed in enumerate(range(first, first + count), 1):
        plan, kinds, outcome = one(seed, only)
        summary.add(seed, plan, kinds, outcome)
        if show:
            print(f"# seed {seed}: {outcome.status} {outcome.what}\n{outcome.source}\n")
        if outcome.status == "failed":
            print(f"\nseed {seed}: {outcome.what}: {outcome.detail}\n"
                  f"smallest model:\n{explain(plan, outcome, predicts(seed))}\n", flush=True)  # fmt: skip
        if done % COLLECT_EVERY == 0:
            gc.collect()  # Keras models are full of cycles; some 2 MB each
        rate = done / (time.monotonic() - start)
        if terminal or done % 50 == 0 or done == count:
            left = f"{rate:.1f}/s, {(count - done) / rate:.0f} s left"
            over = terminal and done < count  # the next line is written over this one
            print(f"{done}/{count} seeds, {left}, {len(summary.failures)} failed   ",
                  end="\r" if over else "\n", file=sys.stderr, flush=True)  # fmt: skip
    print("\n".join(summary.lines()))
    return 1 if summary.failures else 0
