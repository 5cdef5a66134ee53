"""onnxruntime on a model of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import Array
from onnx import ModelProto, TensorProto, helper

Run = Callable[[Mapping[str, Array]], list[Array]]


class EngineRefusal(Exception):  # noqa: N818 - what an engine does, not a failure of the program
    """onnxruntime does not load or run a model; the message is its own, in one line."""


def onnxruntime_of(model: Any, threads: int = 0) -> Run:
    """A model as a function of arrays by input name; bfloat16 goes in and comes out as float32.

    Args:
        model: a ModelProto, which is left as it is.
        threads: 0 leaves it to onnxruntime.

    Raises:
        ImportError: onnxruntime is not installed.
        EngineRefusal: it does not load the model, or, later, does not run it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal; the same words come as an exception
    options.intra_op_num_threads = threads
    without = without_bfloat16(model)
    try:
        session = onnxruntime.InferenceSession(
            without.SerializeToString(deterministic=True), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions have no common base
        raise EngineRefusal(one_line(error)) from None
    dtypes = {info.name: dtype_of(info) for info in without.graph.input}

    def run(inputs: Mapping[str, Array]) -> list[Array]:
        feed = {name: np.asarray(inputs[name]).astype(dtype, copy=False) for name, dtype in dtypes.items()}
        if any(0 in array.shape for array in feed.values()):
            raise EngineRefusal("onnxruntime ends the whole process when its LSTM, GRU or RNN is given no rows")
        try:
            return list(session.run(None, feed))
        except Exception as error:
            raise EngineRefusal(one_line(error)) from None

    return run


def dtype_of(info: Any) -> Any:
    return helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)


def without_bfloat16(model: Any) -> Any:
    """The model with float32 for inputs and outputs of bfloat16, which NumPy does not have."""
    given = [info.name for info in model.graph.input if info.type.tensor_type.elem_type == TensorProto.BFLOAT16]
    made = [info.name for info in model.graph.output if info.type.tensor_type.elem_type == TensorProto.BFLOAT16]
    if not given and not made:
        return model
    copy = ModelProto()
    copy.CopyFrom(model)
    inner = {name: f"{name}/bfloat16" for name in (*given, *made)}
    for node in copy.graph.node:
        node.input[:] = [inner.get(name, name) for name in node.input]
        node.output[:] = [inner.get(name, name) for name in node.output]
    nodes = [helper.make_node("Cast", [name], [inner[name]], to=TensorProto.BFLOAT16) for name in given]
    nodes += [*copy.graph.node, *(helper.make_node("Cast", [inner[n]], [n], to=TensorProto.FLOAT) for n in made)]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    for info in (*copy.graph.input, *copy.graph.output):
        if info.name in inner:
            info.type.tensor_type.elem_type = TensorProto.FLOAT
    return copy


def one_line(error: Exception) -> str:
    """The message of a foreign error in one line, at most 200 characters of it."""
    return re.sub(r"\s+", " ", str(error)).strip()[:200] or type(error).__name__
