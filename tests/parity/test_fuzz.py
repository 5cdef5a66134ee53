"""Random models: every way to run them agrees with Keras. `scripts/fuzz` runs more, and makes a failure small."""

from __future__ import annotations

import sys

import pytest
from paths import ROOT

pytest.importorskip("tensorflow")
sys.path.insert(0, str(ROOT / "scripts"))

from architecture_fuzz.run import explain, one, predicts

SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_models_agree_with_keras(seed: int) -> None:
    plan, _, outcome = one(seed)
    assert outcome.status != "failed", f"seed {seed}\n{explain(plan, outcome, predicts(seed))}"
