"""Old configs in today's form: dict to dict, one case per change and age."""

from __future__ import annotations

from typing import Any

import pytest
from lstmconv.errors import UnsupportedError
from lstmconv.history.dialects import todays_config, untranslated


def sequential(layer: dict[str, Any], version: str) -> dict[str, Any]:
    """The layer of a Sequential model, in today's form."""
    layer = {**layer, "config": {"name": "it", "batch_input_shape": [None, 6, 3], **layer["config"]}}
    items: Any = [layer] if version < "2.2.3" else {"name": "s", "layers": [layer]}
    made = todays_config({"class_name": "Sequential", "config": items}, version)
    assert made["config"]["layers"][0]["class_name"] == "InputLayer"
    assert made["config"]["layers"][0]["config"]["batch_shape"] == [None, 6, 3]
    last: dict[str, Any] = made["config"]["layers"][-1]
    return last


LAYERS = [
    ("1.2.2", "LSTM", {"output_dim": 4, "inner_activation": "hard_sigmoid", "consume_less": "cpu"},
     "LSTM", {"units": 4, "recurrent_activation": "hard_sigmoid"}, ("consume_less", "output_dim")),
    ("1.2.2", "GRU", {"output_dim": 4}, "GRU", {"units": 4, "reset_after": False}, ()),
    ("1.2.2", "Convolution1D", {"nb_filter": 4, "filter_length": 3, "border_mode": "same", "subsample_length": 2},
     "Conv1D", {"filters": 4, "kernel_size": 3, "padding": "same", "strides": 2}, ()),
    ("1.2.2", "UpSampling1D", {"length": 2}, "UpSampling1D", {"size": 2}, ("length",)),
    ("1.2.2", "Dropout", {"p": 0.3}, "Dropout", {"rate": 0.3}, ("p",)),
    ("1.2.2", "TimeDistributedDense", {"output_dim": 4}, "TimeDistributed", {}, ()),
    ("2.0.2", "Embedding", {"input_dim": 9, "output_dim": 4, "dtype": "int32"}, "Embedding", {"dtype": "float32"}, ()),
    ("2.0.8", "GRU", {"units": 4}, "GRU", {"reset_after": False}, ()),
    ("2.2.4", "CuDNNLSTM", {"units": 4}, "LSTM", {"activation": "tanh", "recurrent_activation": "sigmoid"}, ()),
    ("2.2.4", "CuDNNGRU", {"units": 4}, "GRU", {"reset_after": True}, ()),
    ("2.2.4", "LeakyReLU", {"alpha": {"type": "ndarray", "value": 0.1}}, "LeakyReLU", {"negative_slope": 0.1},
     ("alpha",)),
    ("2.3.1", "ThresholdedReLU", {"theta": 0.7}, "ReLU", {"threshold": 0.7}, ("theta",)),
    ("2.3.0-tf", "LSTM", {"units": 4, "time_major": False}, "LSTM", {"units": 4}, ("time_major",)),
    ("2.4.0", "Attention", {"causal": False}, "Attention", {}, ("causal",)),
    ("2.4.0", "BatchNormalizationV2", {"axis": [2], "fused": None}, "BatchNormalization", {"axis": [2]}, ("fused",)),
]  # fmt: skip


@pytest.mark.parametrize(("version", "old", "options", "new", "wanted", "gone"), LAYERS)
def test_layers(
    version: str, old: str, options: dict[str, Any], new: str, wanted: dict[str, Any], gone: tuple[str, ...]
) -> None:
    made = sequential({"class_name": old, "config": options}, version)
    assert made["class_name"] == new
    assert wanted.items() <= made["config"].items()
    assert not set(gone) & set(made["config"])


def functional(item: dict[str, Any], version: str) -> list[dict[str, Any]]:
    """What an entry of a functional model becomes, after its inputs x and y."""
    inputs: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "name": name, "config": {"name": name, "batch_input_shape": [None, 6, 3]},
         "inbound_nodes": []} for name in ("x", "y")
    ]  # fmt: skip
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [[item["name"], 0, 0]]}
    config = {"name": "m", "layers": [*inputs, item], **ends}
    made: list[dict[str, Any]] = todays_config({"class_name": "Model", "config": config}, version)["config"]["layers"]
    return made[2:]


def ref(name: str) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}


def test_initial_states_among_the_inputs_become_an_argument() -> None:
    item = {"class_name": "GRU", "name": "g", "config": {"name": "g", "units": 3},
            "inbound_nodes": [[["x", 0, 0, {}], ["y", 0, 0, {}]]]}  # fmt: skip
    made = functional(item, "2.2.4")[0]
    assert made["inbound_nodes"] == [{"args": [ref("x")], "kwargs": {"initial_state": [ref("y")]}}]


def test_a_merge_of_keras_1_by_its_mode() -> None:
    item = {"class_name": "Merge", "name": "m", "config": {"name": "m", "mode": "concat", "concat_axis": 1},
            "inbound_nodes": [[["x", 0, 0], ["y", 0, 0]]]}  # fmt: skip
    made = functional(item, "1.2.2")[0]
    assert made["class_name"] == "Concatenate" and made["config"]["axis"] == 1
    assert made["inbound_nodes"][0]["args"] == [[ref("x"), ref("y")]]


def test_a_constant_as_the_first_argument_of_a_function() -> None:
    item = {"class_name": "TFOpLambda", "name": "f", "config": {"name": "f", "function": "math.subtract"},
            "inbound_nodes": [["_CONSTANT_VALUE", -1, 1.0, {"y": ["x", 0, 0], "name": None}]]}  # fmt: skip
    made = functional(item, "2.4.0")[0]
    assert (made["class_name"], made["module"]) == ("Subtract", "keras.src.ops.numpy")
    assert made["inbound_nodes"] == [{"args": [1.0, ref("x")], "kwargs": {}}]


def test_a_transposed_factor_becomes_two_operations() -> None:
    item = {"class_name": "TFOpLambda", "name": "f", "config": {"name": "f", "function": "linalg.matmul"},
            "inbound_nodes": [["x", 0, 0, {"b": ["y", 0, 0], "transpose_b": True}]]}  # fmt: skip
    first, second = functional(item, "2.15.0")
    assert first["class_name"] == "Swapaxes" and first["inbound_nodes"][0]["args"] == [ref("y"), -2, -1]
    assert second["inbound_nodes"][0]["args"] == [ref("x"), ref("f_transposed")]


def test_a_node_of_tensorflows_own_graph() -> None:
    node = {"name": "s", "op": "StridedSlice", "input": [], "attr": {
        "begin_mask": {"i": "1"}, "end_mask": {"i": "1"}, "shrink_axis_mask": {"i": "2"},
    }}  # fmt: skip
    item = {"class_name": "TensorFlowOpLayer", "name": "f", "inbound_nodes": [[["x", 0, 0, {}]]], "config": {
        "name": "f", "node_def": node, "constants": {"1": [0, -1], "2": [0, 0], "3": [1, 1]},
    }}  # fmt: skip
    made = functional(item, "2.3.0-tf")[0]
    everything = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}
    assert made["class_name"] == "GetItem" and made["inbound_nodes"][0]["args"] == [ref("x"), [everything, -1]]


def test_an_operation_in_an_h5_file_of_keras_3_gets_its_module() -> None:
    item = {"class_name": "NotEqual", "name": "n", "config": {"name": "n"},
            "inbound_nodes": [{"args": [ref("x"), 0.0], "kwargs": {}}]}  # fmt: skip
    assert functional(item, "3.5.0")[0]["module"] == "keras.src.ops.numpy"
    dropout = {**item, "class_name": "SpatialDropout1D", "config": {"name": "n", "rate": 0.1, "dtype": "float32"}}
    assert "module" not in functional(dropout, "3.5.0")[0]


def test_what_has_no_meaning_here_is_refused_by_name() -> None:
    item = {"class_name": "TFOpLambda", "name": "f", "config": {"name": "f", "function": "linalg.inv"},
            "inbound_nodes": [["x", 0, 0, {}]]}  # fmt: skip
    with pytest.raises(UnsupportedError, match=r"linalg\.inv"):
        functional(item, "2.4.0")
    layers = [{"class_name": "InputLayer", "name": "x", "config": {"name": "x"}, "inbound_nodes": []}, item,
              {**item, "name": "g", "config": {"name": "g", "function": "linalg.det"}}]  # fmt: skip
    refused = untranslated({"class_name": "Model", "config": {"layers": layers}}, "2.4.0")
    assert len(refused) == 2 and "linalg.det" in str(refused[1])
