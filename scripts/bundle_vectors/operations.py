"""A bundle for every operation of Elementwise: floats with their odd numbers, and whole numbers that wrap around."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops
from lstmconv_runtime.format.elementwise import OPERATIONS
from lstmconv_runtime.format.graph import Array, Node
from lstmconv_runtime.format.nodes import Constant, Elementwise

from .case import Case, given

INF, NAN = np.inf, np.nan
FLOATS = np.array([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 0.3, -7.75, 1e-30, 100.0, INF, -INF, NAN, 3.0, -0.5, 20.0])
OTHERS = np.array([2.0, 0.0, -0.0, 0.5, -2.0, 3.0, NAN, 1.0, -1.0, 2.0, INF, 2.0, 0.0, -INF, -0.5, 0.25])
POSITIVE = np.array([0.0, 1.0, 2.0, 0.25, 1e-30, 1e30, INF, NAN, 3.0, 7.5, 0.1, 1e-6, 100.0, 12.0, 0.7, 2.718281828])


def whole(dtype: str, seed: int, small: bool = False) -> Array:
    """Numbers of the whole range of a dtype, its ends among them; or from 0 to 3."""
    info = np.iinfo(dtype)
    low, high = (0, 4) if small else (info.min, min(int(info.max) + 1, 2**53))
    low = max(low, -(2**53))
    drawn = np.random.default_rng(seed).integers(low, high, (1, 12), dtype=np.int64).astype(dtype)
    if not small and info.bits < 64:
        drawn[0, :4] = [info.min, info.max, info.min, info.max] if seed else [info.min, info.max, info.max, 1]
    return drawn


def ordered(compare: Callable[..., Any]) -> Callable[..., Any]:
    """TensorFlow does not order bool: it is compared as 0 and 1."""
    return lambda x, y: compare(*(tf.cast(z, "int8") if z.dtype == "bool" else z for z in (x, y)))


ORACLES: dict[str, Callable[..., Any]] = {
    "add": tf.add, "subtract": tf.subtract, "multiply": tf.multiply, "divide": tf.divide, "power": tf.pow,
    "maximum": ops.maximum, "minimum": ops.minimum,
    # TensorFlow negates no unsigned numbers and takes them for absolute; 0 − x is the same modulo 2ⁿ.
    "negative": lambda x: tf.negative(x) if x.dtype.is_floating else tf.subtract(tf.zeros_like(x), x),
    "absolute": lambda x: x if x.dtype.is_unsigned else ops.absolute(x),
    "exp": ops.exp, "log": ops.log, "sqrt": ops.sqrt, "rsqrt": ops.rsqrt,
    "square": lambda x: tf.multiply(x, x), "sign": lambda x: tf.cast(ops.sign(x), x.dtype),
    "reciprocal": ops.reciprocal, "sin": ops.sin, "cos": ops.cos, "floor": ops.floor,
    "equal": ops.equal, "not_equal": ops.not_equal,
    "greater": ordered(ops.greater), "greater_equal": ordered(ops.greater_equal),
    "less": ordered(ops.less), "less_equal": ordered(ops.less_equal),
    "logical_and": ops.logical_and, "logical_or": ops.logical_or, "logical_xor": ops.logical_xor,
    "logical_not": ops.logical_not,
}  # fmt: skip


def odd(op: str) -> tuple[Array, Array]:
    """Float arguments of an operation, the odd ones among them."""
    if op in ("exp",):
        return np.clip(FLOATS, -30, 30)[None].astype("float32"), OTHERS[None].astype("float32")
    if op in ("sin", "cos"):
        return FLOATS[None].astype("float32"), OTHERS[None].astype("float32")
    if op in ("log", "sqrt", "rsqrt"):
        x = np.concatenate([POSITIVE, [-0.0, -1.0, -INF]])
        return x[None].astype("float32"), x[None].astype("float32")
    return FLOATS[None].astype("float32"), OTHERS[None].astype("float32")


def of_dtype(op: str, dtype: str) -> tuple[Array, Array]:
    if dtype == "bool":
        return np.array([[False, False, True, True]]), np.array([[False, True, False, True]])
    if dtype == "float32":
        return odd(op)
    if op == "power":
        return whole(dtype, 1), whole(dtype, 2, small=True)
    x, y = whole(dtype, 0), whole(dtype, 1)
    y[0, 5:8] = x[0, 5:8]  # some are equal
    return x, y


def case_of(op: str) -> Case:
    operation = OPERATIONS[op]
    dtypes = [dtype for dtype in ("float32", "int32", "int8", "uint8", "bool") if dtype in operation.takes]
    if op == "power":
        dtypes.remove("uint8")  # TensorFlow raises none of them
    nodes: list[Node] = []
    probe: dict[str, Any] = {}
    for dtype in dtypes:
        names = [f"{letter}_{dtype}" for letter in "xy"[: operation.arity]]
        arrays = of_dtype(op, dtype)[: operation.arity]
        nodes += [given(None, name=name, dtype=dtype) for name in names]
        nodes.append(Elementwise(name=f"z_{dtype}", op=op, args=tuple(names)))
        probe |= dict(zip(names, arrays, strict=True))

    def oracle(x: Mapping[str, Any], _: Mapping[str, Array]) -> list[Any]:
        return [ORACLES[op](*(x[f"{letter}_{d}"] for letter in "xy"[: operation.arity])) for d in dtypes]

    shows = f"{op} of {', '.join(dtypes)}, with infinities, NaN and zeros of both signs, and the ends of whole numbers"
    outputs = [f"z_{dtype}" for dtype in dtypes]
    finite = {  # else the largest number hides the others
        name: np.where(np.isfinite(a) & (np.abs(a) < 1e3), a, 1).astype(a.dtype) if a.dtype.kind == "f" else a
        for name, a in probe.items()
    }
    return Case(f"elementwise-{op.replace('_', '-')}", shows, nodes, outputs, [probe, finite], oracle)


def cases() -> Iterator[Case]:
    yield from map(case_of, OPERATIONS)
    x = np.array([[2**63 - 1, -(2**63), 2**62, 3_037_000_500, 2**53 + 1, -5]], np.int64)
    y = np.array([[1, -1, 2**62, 3_037_000_500, 2**53, 2**63 - 1]], np.int64)
    nodes: list[Node] = [given(None, name="x", dtype="int64"), given(None, name="y", dtype="int64")]
    nodes += [Elementwise(name=op, op=op, args=("x", "y")) for op in ("add", "multiply", "less", "equal")]
    yield Case(
        "elementwise-of-int64", "whole numbers beyond 2^53, where doubles are not exact, and modulo 2^64",
        nodes, ["add", "multiply", "less", "equal"], [{"x": x, "y": y}],
        lambda v, _: [tf.add(v["x"], v["y"]), tf.multiply(v["x"], v["y"]), v["x"] < v["y"], tf.equal(v["x"], v["y"])],
    )  # fmt: skip
    bases = np.array([[1, 1, 1, NAN, NAN, -1, -1, 0, -0.0, 0, -0.0, INF, -INF, -INF, -2, -2, 0.5]], np.float32)
    powers = np.array([[NAN, INF, -INF, 0, -0.0, INF, -INF, -1, -1, 0, 0, -2, 3, 2, 2, 3, INF]], np.float32)
    yield Case(
        "elementwise-power-odd", "as pow of C: 1 to any power and anything to the power 0 is 1, of NaN too",
        [given(None), given(None, name="y"), Elementwise(name="z", op="power", args=("x", "y"))], ["z"],
        [{"x": bases, "y": powers}], lambda v, _: [tf.pow(v["x"], v["y"])],
    )  # fmt: skip
    shapes = {"x": (2, 3, 4), "y": (2, 1, 4), "z": (4,)}
    nodes = [given(3, 4), given(1, 4, name="y")]
    constant = np.array([0.5, -1, 2, 3], np.float32)
    arrays = {name: np.random.default_rng(3).standard_normal(shape).astype("float32") for name, shape in shapes.items()}
    yield Case(
        "elementwise-broadcast", "axes aligned at the last one, those of size 1 or absent repeated",
        [*nodes, Constant(name="z", shape=(4,), dtype="float32"), Elementwise(name="sum", op="add", args=("x", "y")),
         Elementwise(name="product", op="multiply", args=("sum", "z")),
         Elementwise(name="turned", op="subtract", args=("z", "y"))],
        ["product", "turned"], [{"x": arrays["x"], "y": arrays["y"]}],
        lambda v, a: [ops.multiply(ops.add(v["x"], v["y"]), a["z/value"]), ops.subtract(a["z/value"], v["y"])],
        {"z/value": constant},
    )  # fmt: skip
