"""A small Keras model in a file, for the tests that need Keras."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LSTM → LSTM → Dropout → Dense, features 3, open time axis."""
    pytest.importorskip("tensorflow")
    from lstmconv.parity.engines import import_quietly

    keras = import_quietly("keras")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None, 3), name="x"),
            keras.layers.LSTM(6, return_sequences=True, bias_initializer="random_normal", name="lower"),
            keras.layers.LSTM(5, bias_initializer="random_normal", name="upper"),
            keras.layers.Dropout(0.5, name="dropout"),
            keras.layers.Dense(2, name="head"),
        ]
    )
    path = tmp_path_factory.mktemp("parity") / "model.keras"
    model.save(path)
    return path
