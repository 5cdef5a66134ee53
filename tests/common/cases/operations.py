"""The functions of keras.ops, and Python arithmetic on Keras tensors: one output per expression of x (B, 4, 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from .building import Case

Expressions = dict[str, Callable[[Any, Any], Any]]  # of x (B, 4, 3) and y (B, 4, 3)


def of_x(name: str) -> Callable[[Any, Any], Any]:
    """A function of keras.ops, of x alone."""
    return lambda x, y: getattr(ops, name)(x)


TABLE: dict[str, Expressions] = {
    "arithmetic": {
        "add": lambda x, y: x + y, "add_number": lambda x, y: x + 0.5, "subtract": lambda x, y: x - y,
        "from_number": lambda x, y: 1 - x, "multiply": lambda x, y: x * y,
        "divide": lambda x, y: ops.divide(x, 1.5 + y * y),
        "power": lambda x, y: abs(x) ** 1.5, "negative": lambda x, y: -x, "absolute": lambda x, y: abs(x),
        "array": lambda x, y: x * np.array([1.0, 2.0, 3.0], "float32"),
        "maximum": lambda x, y: ops.maximum(x, y), "minimum": lambda x, y: ops.minimum(x, 0.3),
        "true_divide": lambda x, y: x / 3, "matmul": lambda x, y: x @ ops.transpose(y, (0, 2, 1)),
    },
    "comparisons": {
        "equal": lambda x, y: ops.equal(x, x), "not_equal": lambda x, y: ops.not_equal(x, y),
        "greater": lambda x, y: x > y, "greater_equal": lambda x, y: x >= 0.0, "less": lambda x, y: x < y,
        "less_equal": lambda x, y: x <= 0.1, "and": lambda x, y: ops.logical_and(x > 0, y > 0),
        "or": lambda x, y: ops.logical_or(x > 0, y > 0), "xor": lambda x, y: ops.logical_xor(x > 0, y > 0),
        "not": lambda x, y: ops.logical_not(x > 0), "where": lambda x, y: ops.where(x > y, x, 0.0),
        "any": lambda x, y: ops.any(x > 1, axis=1), "all": lambda x, y: ops.all(x < 1, axis=(1, 2)),
        "cast": lambda x, y: ops.cast(x > 0, "float32"), "cast_int": lambda x, y: ops.cast(3 * x, "int32"),
    },
    "functions": {
        "square": lambda x, y: ops.square(x), "sign": lambda x, y: ops.sign(x), "exp": lambda x, y: ops.exp(x),
        "log": lambda x, y: ops.log(1 + x * x), "sqrt": lambda x, y: ops.sqrt(abs(x)),
        "reciprocal": lambda x, y: ops.reciprocal(1 + x * x), "sin": lambda x, y: ops.sin(x),
        "cos": lambda x, y: ops.cos(x), "floor": lambda x, y: ops.floor(2 * x), "tanh": lambda x, y: ops.tanh(x),
        "clip": lambda x, y: ops.clip(x, -0.5, 0.8), "stop_gradient": lambda x, y: ops.stop_gradient(x),
        "zeros_like": lambda x, y: ops.zeros_like(x), "ones_like": lambda x, y: ops.ones_like(x),
        "convert": lambda x, y: ops.convert_to_tensor(x),
    },
    "reductions": {
        "mean": lambda x, y: ops.mean(x, axis=1), "mean_kept": lambda x, y: ops.mean(x, axis=-1, keepdims=True),
        "sum": lambda x, y: ops.sum(x, axis=(1, 2)), "max": lambda x, y: ops.max(x, axis=1),
        "min": lambda x, y: ops.min(x, axis=2), "sum_of_bool": lambda x, y: ops.sum(x > 0, axis=1),
        "mean_of_int": lambda x, y: ops.mean(ops.cast(5 * x, "int32"), axis=1),
    },
    "shapes": {
        "concatenate": lambda x, y: ops.concatenate([x, y], axis=1), "stack": lambda x, y: ops.stack([x, y], axis=2),
        "expand": lambda x, y: ops.expand_dims(x, 2), "squeeze": lambda x, y: ops.squeeze(x[:, :, 0:1], axis=-1),
        "reshape": lambda x, y: ops.reshape(x, (-1, 6, 2)), "transpose": lambda x, y: ops.transpose(x, (0, 2, 1)),
        "swapaxes": lambda x, y: ops.swapaxes(x, 1, 2), "flip": lambda x, y: ops.flip(x, axis=1),
        "repeat": lambda x, y: ops.repeat(x, 2, axis=1), "last": lambda x, y: x[:, -1],
        "item": lambda x, y: x[:, 1, 2:], "new_axis": lambda x, y: x[:, None, ..., 0], "steps": lambda x, y: x[:, 1::2],
        "reversed": lambda x, y: x[..., ::-1],
    },
    "activations": {
        name: of_x(name)
        for name in (
            "relu", "relu6", "sigmoid", "softmax", "log_softmax", "softplus", "softsign", "leaky_relu", "elu", "selu",
            "celu", "gelu", "silu", "hard_silu", "hard_sigmoid", "hard_shrink", "soft_shrink", "tanh_shrink",
            "hard_tanh", "log_sigmoid", "sparse_plus", "sparse_sigmoid", "sparsemax",
        )
    },
    "activations-with-constants": {
        "leaky_relu": lambda x, y: ops.leaky_relu(x, 0.1), "elu": lambda x, y: ops.elu(x, 0.5),
        "celu": lambda x, y: ops.celu(x, 0.7), "gelu": lambda x, y: ops.gelu(x, approximate=False),
        "softmax": lambda x, y: ops.softmax(x, axis=1), "log_softmax": lambda x, y: ops.log_softmax(x, axis=1),
        "hard_shrink": lambda x, y: ops.hard_shrink(x, 0.2), "soft_shrink": lambda x, y: ops.soft_shrink(x, 0.2),
        "sparsemax": lambda x, y: ops.sparsemax(x, axis=1),
    },
}  # fmt: skip


def expressions(table: Expressions) -> Case:
    def case() -> Any:
        x = keras.Input((4, 3), name="x")
        y = kl.LSTM(3, return_sequences=True)(x)
        return keras.Model(x, [make(x, y) for make in table.values()])

    return case


# What Keras makes of whole numbers and bool, x int32 (B, 4, 3): which dtype, and by which rule.
OF_INTEGERS: dict[str, Callable[[Any], Any]] = {
    "divide": lambda x: ops.divide(x, 3), "true_divide": lambda x: x / x, "exp": ops.exp, "log": ops.log,
    "sqrt": ops.sqrt, "sin": ops.sin, "cos": ops.cos, "tanh": ops.tanh, "floor": ops.floor, "square": ops.square,
    "absolute": ops.absolute, "power": lambda x: x**2, "relu": ops.relu, "relu6": ops.relu6,
    "leaky_relu": ops.leaky_relu, "clip": lambda x: ops.clip(x, 2, 3), "mean": lambda x: ops.mean(x, axis=1),
    "sum": lambda x: ops.sum(x, axis=1), "max": lambda x: ops.max(x, axis=1), "min": lambda x: ops.min(x, axis=1),
    "average": lambda x: kl.Average()([x, x + 1, x]), "rescaled": lambda x: kl.Rescaling(0.5)(x),
}  # fmt: skip
OF_BOOL = (
    "divide",
    "exp",
    "log",
    "sqrt",
    "sin",
    "cos",
    "tanh",
    "floor",
    "square",
    "absolute",
    "mean",
    "sum",
    "max",
    "min",
)


def of_integers(dtype: str) -> Case:
    """Every function of integers, around 0 where the dtype has a sign; 100 and more in int8 would wrap in a sum."""

    def case() -> Any:
        x = keras.Input((4, 3), dtype="int32", name="x")
        given = ops.cast(x - 3 if dtype.startswith("int") else x, dtype)
        made = [make(given) for make in OF_INTEGERS.values()]
        if dtype.startswith("int"):
            made += [ops.negative(given), ops.sign(given), ops.sum(ops.cast(x * 25, dtype), axis=1)]
        return keras.Model(x, made)

    return case


def of_bool() -> Any:
    x = keras.Input((4, 3), dtype="int32", name="x")
    return keras.Model(x, [OF_INTEGERS[name](x > 2) for name in OF_BOOL])


CASES: dict[str, Case] = {f"operations-{name}": expressions(table) for name, table in TABLE.items()}
CASES |= {f"operations-of-{dtype}": of_integers(dtype) for dtype in ("int8", "int16", "int32", "uint8", "uint32")}
CASES["operations-of-bool"] = of_bool
