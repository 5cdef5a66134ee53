"""Writes the small Keras file that the tests of the command line use, with the Keras that is installed.

    python scripts/make_cli_vectors.py [FOLDER]        default: tests/vectors/cli

`sine.keras` is the demo's model in miniature; `sine.json` says what made it, and what Keras predicts for which input.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

FOLDER = Path(__file__).parent.parent / "tests" / "vectors" / "cli"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(7)
    layers = [keras.Input((5, 1)), keras.layers.LSTM(4, name="lstm"), keras.layers.Dense(1, name="dense")]
    model = keras.Sequential(layers, name="sine")
    model.save(folder / "sine.keras")
    x = np.sin(np.arange(15, dtype="float32") / 3).reshape(3, 5, 1)
    record = {
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "x": x.tolist(),
        "y": model.predict(x, verbose=0).tolist(),
    }
    (folder / "sine.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
