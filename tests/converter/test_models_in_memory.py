"""`lstmconv.export` of Keras models in memory: Keras is the oracle, and the model is left as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lstmconv
import lstmconv_runtime as lr
import numpy as np
import pytest
from lstmconv.errors import UnsupportedError, UsageError
from lstmconv_runtime.difference import difference

pytest.importorskip("tensorflow")
import keras
from keras import layers as L  # noqa: N812


def exported(model: Any, folder: Path, **options: Any) -> tuple[lr.Model, tuple[str, ...]]:
    made = lstmconv.export(model, folder / "m.safetensors", force=True, **options)
    return lr.load(folder / "m.safetensors"), made.warnings


def oracles(model: lr.Model) -> set[str]:
    return {probe.oracle.partition(" ")[0] for probe in model.bundle.probes}


def same(made: Any, expected: Any) -> bool:
    return difference(np.asarray(made), np.asarray(expected)).relative < 1e-5


def test_a_used_stateful_model_of_a_fixed_batch_keeps_its_states(tmp_path: Path) -> None:
    x = keras.Input(batch_shape=(4, None, 3))
    model = keras.Model(x, L.Dense(1)(L.LSTM(5, stateful=True)(x)))
    given = np.random.default_rng(0).standard_normal((4, 6, 3)).astype("float32")
    fresh = model.predict(given, verbose=0)
    states = [np.asarray(state).copy() for state in model.layers[1].states]
    assert np.abs(states[0]).max() > 0.01
    made, warnings = exported(model, tmp_path)
    assert [warning for warning in warnings if "stateful" not in warning] == []
    assert oracles(made) == {"keras"}
    assert made.verify().ok
    assert same(made.predict(given), fresh)
    for state, before in zip(model.layers[1].states, states, strict=True):
        np.testing.assert_array_equal(np.asarray(state), before)


def test_a_dict_of_inputs_with_keys_that_are_not_their_names(tmp_path: Path) -> None:
    a, b = keras.Input((None, 2), name="left"), keras.Input((3,), name="right")
    y = L.Concatenate()([L.GRU(4)(a), b])
    model = keras.Model({"zebra": a, "ant": b}, {"out": L.Dense(2)(y), "also": L.Dense(1)(y)})
    random = np.random.default_rng(1)
    left = random.standard_normal((5, 4, 2)).astype("float32")
    right = random.standard_normal((5, 3)).astype("float32")
    made, warnings = exported(model, tmp_path)
    assert (warnings, oracles(made), made.verify().ok) == ((), {"keras"}, True)
    expected = model.predict({"zebra": left, "ant": right}, verbose=0)
    found = made.predict({"zebra": left, "ant": right})
    assert isinstance(found, dict)
    assert {key: same(found[key], expected[key]) for key in expected} == {"out": True, "also": True}


def test_deterministic_reaches_a_model_in_memory(tmp_path: Path) -> None:
    x = keras.Input((None, 3))
    model = keras.Model(x, L.LSTM(4)(L.Dropout(0.5)(x, training=True)))
    with pytest.raises(UnsupportedError):
        exported(model, tmp_path)
    made, _ = exported(model, tmp_path, deterministic=True)
    assert made.verify().ok
    assert oracles(made) == {"lstmconv"}
    plain = keras.Model(x, model.layers[-1](x))
    given = np.random.default_rng(2).standard_normal((2, 5, 3)).astype("float32")
    assert same(made.predict(given), plain.predict(given, verbose=0))


def test_deterministic_of_a_model_without_dropout_keeps_keras_as_the_oracle(tmp_path: Path) -> None:
    made, _ = exported(keras.Sequential([keras.Input((None, 3)), L.LSTM(4)]), tmp_path, deterministic=True)
    assert oracles(made) == {"keras"}


def test_a_config_is_refused_beside_a_model_in_memory(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 3)), L.LSTM(4)])
    with pytest.raises(UsageError, match="its own architecture"):
        exported(model, tmp_path, config="architecture.json")


def test_a_model_that_is_not_built_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not built"):
        exported(keras.Sequential([L.LSTM(4)]), tmp_path)


def test_the_seeds_of_random_layers_are_left_as_they_were(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 3)), L.Dropout(0.5, seed=1), L.LSTM(4)])
    seeds = [np.asarray(v).copy() for v in model.variables if "seed" in v.path]
    exported(model, tmp_path)
    assert seeds
    after = [np.asarray(v) for v in model.variables if "seed" in v.path]
    assert all(np.array_equal(a, b) for a, b in zip(seeds, after, strict=True))


# --- ids --------------------------------------------------------------------------------------------------------------


def ids_in_features() -> Any:
    """Column 0 is an id of 11, column 1 an id of 7, the others are numbers."""
    x = keras.Input((None, 4))
    first = L.Embedding(11, 3)(x[:, :, 0])
    second = L.Embedding(7, 2)(keras.ops.cast(x[:, :, 1], "int32"))
    return keras.Model(x, L.LSTM(4)(L.Concatenate()([first, second, x[:, :, 2:]])))


def nested() -> Any:
    inner = keras.Sequential(
        [keras.Input((6,)), L.Reshape((3, 2)), L.Permute((2, 1)), L.Embedding(9, 3), L.Reshape((2, 9))]
    )
    x = keras.Input((6,))
    return keras.Model(x, L.GRU(4)(inner(x)))


def time_distributed() -> Any:
    x = keras.Input((None, 3))
    return keras.Model(x, L.LSTM(4)(L.TimeDistributed(keras.Sequential([L.Embedding(8, 2), L.Flatten()]))(x)))


def masked_and_ids() -> Any:
    """The mask value is no id."""
    x = keras.Input((None, 2))
    y = L.Masking(-1.0)(x)
    return keras.Model(x, L.LSTM(4)(L.Embedding(5, 3)(keras.ops.maximum(y[:, :, 0], 0.0))))


def where() -> Any:
    x, y = keras.Input((None,)), keras.Input((None,))
    ids = keras.ops.where(keras.ops.greater(x, y), x, y)
    return keras.Model([x, y], L.LSTM(4)(L.Embedding(6, 3)(ids)))


@pytest.mark.parametrize("build", [ids_in_features, nested, time_distributed, masked_and_ids, where])
def test_ids_are_found_behind_what_moves_and_casts_them(build: Any, tmp_path: Path) -> None:
    model = build()
    made, warnings = exported(model, tmp_path)
    assert (warnings, oracles(made), made.verify().ok) == ((), {"keras"}, True)
    tables = [node.input_size for node in made.nodes if type(node).__name__ == "Embedding"]  # type: ignore[attr-defined]
    assert max(float(x.max()) for probe in made.bundle.probes for x in probe.inputs.values()) >= min(tables) - 1


def test_without_a_probe_the_bundle_says_so_and_is_checked_behind_its_tables(tmp_path: Path) -> None:
    """Ids of 100 and more are looked up in a table of 5."""
    x = keras.Input((None,))
    ids = keras.ops.maximum(x, 100.0)
    model = keras.Model(x, L.LSTM(4)(L.Embedding(5, 3, name="table")(ids)))
    made, warnings = exported(model, tmp_path)
    assert len(warnings) >= 1
    assert "no probes" in warnings[-1]
    assert "ids put straight into table" in warnings[-1]
    assert made.bundle.probes == ()
    assert not made.verify().ok


def test_a_fixed_batch_beside_an_open_one(tmp_path: Path) -> None:
    a, b = keras.Input((3, 2), batch_size=4), keras.Input((3, 2))
    lstmconv.export(keras.Model([a, b], keras.layers.LSTM(2)(keras.layers.Add()([a, b]))), tmp_path / "m.safetensors")
    assert lr.load(tmp_path / "m.safetensors").verify().ok


def test_inputs_of_different_fixed_batches_are_refused(tmp_path: Path) -> None:
    a, b = keras.Input((3, 2), batch_size=4), keras.Input((3, 2), batch_size=3)
    model = keras.Model([a, b], [keras.layers.LSTM(2)(a), keras.layers.LSTM(2)(b)])
    with pytest.raises(UnsupportedError, match="for different numbers of rows, 3 and 4"):
        lstmconv.export(model, tmp_path / "m.safetensors")
