"""An array of one row that an old model merges: today's Keras leaves the batch open, and computes the merge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lstmconv.errors import UnsupportedError
from lstmconv.upgrading.merged_arrays import with_rows

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((3, 6, 2)).astype("float32")
WHOLE, ROW = (RANDOM.standard_normal(shape).astype("float32") for shape in ((1, 6, 2), (1, 2)))
MERGES = {
    "Add": lambda a, x, b: a + x + b,
    "Multiply": lambda a, x, b: a * x * b,
    "Average": lambda a, x, b: (a + x + b) / 3,
    "Maximum": lambda a, x, b: np.maximum(np.maximum(a, x), b),
    "Minimum": lambda a, x, b: np.minimum(np.minimum(a, x), b),
    "Subtract": lambda a, x, b: a - x,
}


def stored(array: np.ndarray) -> dict[str, Any]:
    return {"class_name": "__numpy__", "config": {"value": array.tolist(), "dtype": str(array.dtype)}}


def tensor(name: str, shape: list[int | None]) -> dict[str, Any]:
    config = {"shape": shape, "dtype": "float32", "keras_history": [name, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


def merged(class_name: str) -> dict[str, Any]:
    """The config of a model that merges two arrays of one row, of two ranks, with its input."""
    inputs = [stored(WHOLE), tensor("x", [None, 6, 2]), *([stored(ROW)] if class_name != "Subtract" else [])]
    operations, calls = with_rows("y", class_name, [{"args": [inputs], "kwargs": {}}], {"x", "y", "y_array"})
    input_layer: dict[str, Any] = {
        "module": "keras.layers", "class_name": "InputLayer", "registered_name": None, "name": "x",
        "config": {"batch_shape": [None, 6, 2], "dtype": "float32", "name": "x"}, "inbound_nodes": [],
    }  # fmt: skip
    layer = {
        "module": "keras.layers", "class_name": class_name, "registered_name": None, "name": "y",
        "config": {"name": "y"}, "inbound_nodes": calls,
    }  # fmt: skip
    config = {
        "name": "model", "layers": [input_layer, *operations, layer],
        "input_layers": [["x", 0, 0]], "output_layers": [["y", 0, 0]],
    }  # fmt: skip
    return {"module": "keras.models", "class_name": "Model", "config": config, "registered_name": None}


@pytest.mark.parametrize("class_name", MERGES)
def test_keras_leaves_the_batch_open_and_computes_the_merge(class_name: str) -> None:
    pytest.importorskip("tensorflow")
    from lstmconv.parity.engines import import_quietly

    keras = import_quietly("keras")
    model = keras.saving.deserialize_keras_object(merged(class_name))
    assert tuple(model.get_layer("y").output.shape) == (None, 6, 2)
    wanted = MERGES[class_name](WHOLE.astype("float64"), X.astype("float64"), ROW[:, None].astype("float64"))
    np.testing.assert_allclose(np.asarray(model(X)), wanted, rtol=1e-6, atol=1e-6)


def test_operations_take_no_name_that_is_taken() -> None:
    names = [layer["name"] for layer in merged("Add")["config"]["layers"]]
    assert names == ["x", "y_array_1", "y_array_2", "y"]


def test_an_array_of_more_axes_than_any_tensor_is_refused_by_name() -> None:
    call = {"args": [[tensor("x", [None, 2]), stored(WHOLE)]], "kwargs": {}}
    with pytest.raises(UnsupportedError, match=r"layer 'y' \(Add\)") as raised:
        with_rows("y", "Add", [call], set())
    assert raised.value.code == "E_NO_EQUIVALENT"


def test_where_every_batch_is_one_row_nothing_changes() -> None:
    calls = [{"args": [[tensor("x", [1, 6, 2]), stored(WHOLE)]], "kwargs": {}}]
    assert with_rows("y", "Add", calls, set()) == ([], calls)
