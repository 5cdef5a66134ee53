"""Writes the small real files that tests/converter/reading reads, with the Keras that is installed.

    python scripts/make_reader_vectors.py [FOLDER]        default: tests/vectors/keras_file

Needs keras, a backend, and h5py; the tests need h5py alone. Committed, because a reader must keep reading old files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import keras
import numpy as np

FOLDER = Path(__file__).parent.parent / "tests" / "vectors" / "keras_file"


def recurrent() -> keras.Model:
    """A nested model, a layer with a random seed and no weights, and a Dense layer."""
    inner = keras.Sequential([keras.Input((4, 2)), keras.layers.LSTM(2)], name="inner")
    return keras.Sequential([keras.Input((4, 2)), inner, keras.layers.Dropout(0.1), keras.layers.Dense(1, name="last")])


def both() -> keras.Model:
    """A wrapper around two copies of a layer."""
    return keras.Sequential([keras.Input((4, 2)), keras.layers.Bidirectional(keras.layers.GRU(2), name="both")])


def half() -> keras.Model:
    """bfloat16 weights, which HDF5 has as opaque bytes."""
    policy = keras.DTypePolicy("bfloat16")
    lstm = keras.layers.LSTM(3, name="half", dtype=policy, recurrent_initializer="glorot_uniform")
    return keras.Sequential([keras.Input((3, 2)), lstm])


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(7)
    model = recurrent()
    model.save(folder / "recurrent.keras")
    model.save(folder / "recurrent.h5")
    both().save(folder / "bidirectional.keras")
    both().save(folder / "bidirectional.h5")
    half().save(folder / "bfloat16.keras")
    half().save(folder / "bfloat16.h5")
    # Keras 3 no longer writes a legacy file of weights alone; it is the group model_weights as a file of its own.
    with h5py.File(folder / "recurrent.h5") as whole, h5py.File(folder / "recurrent-weights-only.h5", "w") as alone:
        for name in whole["model_weights"]:
            whole.copy(whole["model_weights"][name], alone)
        alone.attrs.update(whole["model_weights"].attrs)
    shards(folder.parent / "sharded")


def shards(folder: Path) -> None:
    """Weights in files of at most 1,200 bytes, with the architecture and what Keras predicts."""
    folder.mkdir(exist_ok=True)
    lstms = [keras.layers.LSTM(6, return_sequences=True), keras.layers.LSTM(7)]
    model = keras.Sequential([keras.Input((None, 3)), *lstms, keras.layers.Dense(2)])
    model.save_weights(folder / "model.weights.json", max_shard_size=1200 / 1024**3)
    (folder / "architecture.json").write_text(model.to_json())
    x = np.random.default_rng(0).standard_normal((2, 4, 3)).astype("float32")
    np.savez(folder / "predicted.npz", x=x, y=model.predict(x, verbose=0), made_by=f"keras {keras.__version__}")


if __name__ == "__main__":
    main()
