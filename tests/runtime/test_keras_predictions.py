"""Bundles give what Keras predicted when they were made; nothing but the runtime is needed to see it."""

from __future__ import annotations

import lstmconv_runtime as lr
import numpy as np
import pytest
from paths import VECTORS

FOLDER = VECTORS / "runtime"


@pytest.mark.parametrize("name", ["wave", "masked"])
def test_the_predictions_of_keras(name: str) -> None:
    model = lr.load(FOLDER / f"{name}.safetensors")
    with np.load(FOLDER / f"{name}.npz") as made:
        assert np.abs(model.predict(made["x"]) - made["y"]).max() <= 1e-6
        assert str(made["made_by"]).startswith("keras 3")
    verification = model.verify()
    assert verification.ok
    assert all(probe.oracle.startswith("keras 3") for probe in verification.probes)
