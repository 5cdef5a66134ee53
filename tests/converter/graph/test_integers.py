"""Whole numbers in the functions that tf.keras 2 recorded, which are TensorFlow's own: TensorFlow is the oracle.

What today's keras.ops makes of whole numbers is in tests/common/cases/operations.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lstmconv.errors import UnsupportedError
from lstmconv.graph.building import Builder
from lstmconv.graph.convert import convert_config
from lstmconv.history.dialects import todays_config
from lstmconv.history.legacy_arrays import Ledger, LegacyPlace
from lstmconv.history.semantics import semantics_of
from lstmconv.reading.form import todays
from lstmconv_runtime import Model
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from outputs import single

VERSION = "2.15.0"
WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
X = np.array([[[1, 2, 3], [4, 5, 100]], [[7, 0, 90], [3, 1, 120]]])


def model(function: str, dtype: str, second: Any = None, **options: Any) -> Model:
    """A tf.keras 2 model of one function of x (B, 2, 3)."""
    given = {} if second is None else {"y": second}
    config = {
        "name": "model",
        "layers": [
            {"class_name": "InputLayer", "name": "x", "inbound_nodes": [],
             "config": {"batch_input_shape": [None, 2, 3], "dtype": dtype, "sparse": False, "ragged": False,
                        "name": "x"}},
            {"class_name": "TFOpLambda", "name": "f", "inbound_nodes": [["x", 0, 0, {**given, **options}]],
             "config": {"name": "f", "trainable": True, "dtype": "float32", "function": function}},
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["f", 0, 0]],
    }  # fmt: skip
    today = todays(todays_config({"class_name": "Functional", "config": config}, VERSION))
    graph = convert_config(today, LegacyPlace(Ledger(1 << 20)), Builder(semantics_of(VERSION)))
    return Model(to_bytes(Bundle(graph, {"framework": "keras", "version": VERSION}, {}, ())))


@pytest.mark.parametrize("dtype", WHOLE)
def test_tensorflows_functions_of_whole_numbers(dtype: str) -> None:
    tf = pytest.importorskip("tensorflow")
    x = X.astype(dtype)
    for computed, expected in (
        (model("math.truediv", dtype, 3), x / tf.constant(3, dtype)),
        (model("math.reduce_sum", dtype, axis=1), tf.reduce_sum(x, axis=1)),
        (model("math.reduce_max", dtype, axis=2), tf.reduce_max(x, axis=2)),
        (model("nn.relu", dtype), tf.nn.relu(x)),
        (model("math.square", dtype), tf.math.square(x) if dtype not in ("uint16", "uint32") else x * x),
        (model("__operators__.add", dtype, 2), tf.constant(x) + 2),
    ):
        made = single(computed.predict(x))
        assert made.dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(made, np.asarray(expected), rtol=1e-7 if made.dtype == "float32" else 0, atol=0)


@pytest.mark.parametrize("dtype", [*WHOLE, "bool"])
def test_tensorflows_mean_of_whole_numbers_is_refused(dtype: str) -> None:
    """It is cut to a whole number, where Keras's own is not."""
    with pytest.raises(UnsupportedError, match=f"'f'.*TensorFlow's mean of {dtype}") as caught:
        model("math.reduce_mean", dtype, axis=1)
    assert caught.value.code == "E_UNSUPPORTED_DTYPE"
