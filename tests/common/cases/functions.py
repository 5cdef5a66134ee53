"""The functions of keras.ops that came after arithmetic: statistics, arrangement, einsum. One output per expression."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from .building import Case, masked, sequence
from .dtypes import under
from .operations import Expressions, expressions

TABLE: dict[str, Expressions] = {
    "statistics": {
        "std": lambda x, y: ops.std(x, axis=1), "std_kept": lambda x, y: ops.std(x, axis=[1, 2], keepdims=True),
        "var": lambda x, y: ops.var(x, axis=-1), "var_of_int": lambda x, y: ops.var(ops.cast(9 * x, "int32"), axis=1),
        "std_of_bool": lambda x, y: ops.std(x > 0, axis=1), "norm": lambda x, y: ops.norm(x, axis=-1),
        "norm_1": lambda x, y: ops.norm(x, ord=1, axis=1, keepdims=True),
        "norm_3": lambda x, y: ops.norm(x, ord=3, axis=-1), "norm_0": lambda x, y: ops.norm(ops.relu(x), ord=0, axis=1),
        "norm_half": lambda x, y: ops.norm(x, ord=0.5, axis=-1),
        "frobenius": lambda x, y: ops.norm(x, axis=(1, 2)), "fro": lambda x, y: ops.norm(x, ord="fro", axis=(1, 2)),
        "norm_of_int": lambda x, y: ops.norm(ops.cast(9 * x, "int32"), axis=1),
        "normalize": lambda x, y: ops.normalize(x), "normalize_1": lambda x, y: ops.normalize(x, axis=1, order=1),
        "normalize_epsilon": lambda x, y: ops.normalize(x, axis=-1, order=3, epsilon=2.0),
        "normalize_zero": lambda x, y: ops.normalize(ops.relu(x - 1), axis=-1),
        "normalize_all": lambda x, y: ops.normalize(x, axis=(1, 2)),
        "logsumexp": lambda x, y: ops.logsumexp(9 * x, axis=-1),
        "logsumexp_kept": lambda x, y: ops.logsumexp(x, axis=1, keepdims=True),
        "logsumexp_all": lambda x, y: ops.logsumexp(x, axis=(1, 2)),
        "logsumexp_infinite": lambda x, y: ops.logsumexp(1 / ops.relu(x), axis=-1),
        "logsumexp_nothing": lambda x, y: ops.logsumexp(-1 / (0 * abs(x)), axis=-1),
        "cumsum": lambda x, y: ops.cumsum(x, axis=1), "cumsum_last": lambda x, y: ops.cumsum(x, axis=-1),
        "cumsum_of_bool": lambda x, y: ops.cumsum(x > 0, axis=1),
        "cumsum_of_int8": lambda x, y: ops.cumsum(ops.cast(50 + x, "int8"), axis=1),
        "cumsum_as_int": lambda x, y: ops.cumsum(9 * x, axis=1, dtype="int32"),
        "argmax": lambda x, y: ops.argmax(x, axis=-1), "argmin": lambda x, y: ops.argmin(x, axis=1),
        "argmax_kept": lambda x, y: ops.argmax(x, axis=1, keepdims=True),
        "argmax_of_equals": lambda x, y: ops.argmax(ops.relu(x), axis=-1),
        "argmax_of_zeros": lambda x, y: ops.argmax(ops.where(x > 0, 0.0, -0.0), axis=-1),
        "argmin_of_zeros": lambda x, y: ops.argmin(ops.where(x > 0, 0.0, -0.0), axis=-1),
        "argmin_of_int": lambda x, y: ops.argmin(ops.cast(2 * x, "int32"), axis=-1),
        "rsqrt": lambda x, y: ops.rsqrt(1 + x * x),
        "round": lambda x, y: ops.round(2 * x), "round_2": lambda x, y: ops.round(x, 2),
        "round_tens": lambda x, y: ops.round(99 * x, -1), "round_halves": lambda x, y: ops.round(ops.floor(8 * x) / 2),
        "rms": lambda x, y: ops.rms_normalization(x), "rms_axes": lambda x, y: ops.rms_normalization(x, axis=(1, 2)),
        "rms_scaled": lambda x, y: ops.rms_normalization(x, ops.exp(y), axis=1, epsilon=0.1),
    },
    "arrangement": {
        "split": lambda x, y: ops.split(x, 2, axis=1)[1], "split_at": lambda x, y: ops.split(x, [1, 3], axis=1)[1],
        "split_last": lambda x, y: ops.split(x, [1], axis=-1)[1],
        "split_three": lambda x, y: ops.split(x, 3, axis=2)[0],
        "unstack": lambda x, y: ops.unstack(x, axis=1)[2], "unstack_last": lambda x, y: ops.unstack(x, 3, axis=-1)[0],
        "tile": lambda x, y: ops.tile(x, [1, 2, 1]), "tile_last": lambda x, y: ops.tile(x, 2),
        "tile_both": lambda x, y: ops.tile(x, (1, 3, 2)),
        "tile_one": lambda x, y: ops.tile(ops.sum(x, axis=1, keepdims=True), [1, 4, 1]),
        "pad": lambda x, y: ops.pad(x, ((0, 0), (1, 2), (0, 1))),
        "pad_with": lambda x, y: ops.pad(x, [[0, 0], [1, 2], [0, 0]], constant_values=2.5),
        "pad_int": lambda x, y: ops.pad(ops.cast(9 * x, "int32"), [[0, 0], [1, 2], [0, 0]], constant_values=-1),
        "pad_reflect": lambda x, y: ops.pad(x, ((0, 0), (3, 2), (0, 2)), mode="reflect"),
        "pad_symmetric": lambda x, y: ops.pad(x, ((0, 0), (0, 4), (3, 0)), mode="symmetric"),
        "take": lambda x, y: ops.take(x, [0, -1, 2, 2], axis=1), "take_one": lambda x, y: ops.take(x, 1, axis=-1),
        "take_last": lambda x, y: ops.take(x, -1, axis=1),
        "take_lists": lambda x, y: ops.take(x, np.array([[0, 1], [3, 2]]), axis=1),
        "moveaxis": lambda x, y: ops.moveaxis(x, 1, -1),
        "moveaxes": lambda x, y: ops.moveaxis(ops.expand_dims(x, 2), [1, 3], [2, 1]),
    },
    "einsum": {
        "scores": lambda x, y: ops.einsum("bij,bkj->bik", x, y),
        "product": lambda x, y: ops.einsum("btf,bsf,bsg->btg", x, y, x),
        "weights": lambda x, y: ops.einsum("btf,fg->btg", x, np.arange(6.0, dtype="float32").reshape(3, 2)),
        "sum": lambda x, y: ops.einsum("btf->bf", x), "turned": lambda x, y: ops.einsum("btf->bft", x),
        "dots": lambda x, y: ops.einsum("btf,btf->bt", x, y), "outer": lambda x, y: ops.einsum("btf,bsg->btsfg", x, y),
        "ellipsis": lambda x, y: ops.einsum("...f,fg->...g", x, np.arange(6.0, dtype="float32").reshape(3, 2)),
        "ellipses": lambda x, y: ops.einsum("b...f,b...f->b...", x, y),
        "heads": lambda x, y: ops.einsum("bthd,bshd->bhts", *(ops.reshape(z, (-1, 2, 2, 3)) for z in (x, y))),
    },
    "promotion": {
        "int_and_float": lambda x, y: ops.cast(9 * x, "int32") * y,
        "int_widths": lambda x, y: ops.cast(9 * x, "int32") + ops.cast(9 * y, "int64"),
        "int_and_uint": lambda x, y: ops.cast(9 * x, "int8") - ops.cast(9 * abs(y), "uint8"),
        "int_and_number": lambda x, y: ops.cast(9 * x, "int32") + 0.5,
        "int8_and_whole": lambda x, y: ops.cast(9 * x, "int8") + 1, "bool_and_whole": lambda x, y: (x > 0) * 2,
        "bool_and_int": lambda x, y: ops.where(x > 0, ops.cast(9 * x, "int8"), y > 0),
        "places": lambda x, y: ops.argmax(x, axis=-1) * ops.cast(3 * y[:, :, 0], "int64"),
        "stacked": lambda x, y: ops.stack([ops.argmax(x, axis=-1), ops.cast(y[:, :, 0] > 0, "int64")], axis=1),
        "clipped": lambda x, y: ops.clip(ops.cast(9 * x, "int32"), -3, 4),
        "where_numbers": lambda x, y: ops.where(x > 0, 1, 0.5), "where_whole": lambda x, y: ops.where(x > 0, 1, 0),
    },
}  # fmt: skip


def open_lengths() -> Any:
    """On a time axis whose size is open, where a mask comes in, or is seen again behind the function."""
    x = sequence((None, 3))
    y = kl.Masking()(x)
    outputs = [
        ops.cumsum(y, axis=1), ops.argmax(y, axis=-1), ops.take(y, [2, 0], axis=-1), ops.take(y, -1, axis=1),
        ops.tile(y, (1, 2, 1)), ops.pad(y, ((0, 0), (1, 1), (0, 0)), constant_values=1.0),
        ops.einsum("btf,bsf->bts", y, y), ops.logsumexp(y, axis=-1), ops.std(y, axis=1), ops.round(y),
        *ops.split(y, [1, 2], axis=-1),
    ]  # fmt: skip
    outputs += [kl.LSTM(2)(made) for made in (ops.moveaxis(y, 1, 1), ops.round(y), ops.tile(y, 1), ops.normalize(y))]
    return keras.Model(x, outputs)


def halves() -> Any:
    x = sequence((4, 3))
    y = kl.LSTM(3, return_sequences=True)(x)
    return keras.Model(x, [
        ops.std(y, axis=1), ops.var(y, axis=-1), ops.norm(y, axis=-1), ops.normalize(y), ops.logsumexp(y, axis=1),
        ops.cumsum(y, axis=1), ops.rms_normalization(y), ops.einsum("btf,bsf->bts", y, y),
        ops.pad(y, ((0, 0), (1, 0), (0, 0)), constant_values=0.1), ops.tile(y, 2),
        kl.RMSNormalization()(y), kl.EinsumDense("btf,fg->btg", (None, 2), "tanh", "g")(y),
        kl.GroupQueryAttention(2, 4, 2)(y, y),
    ])  # fmt: skip


CASES: dict[str, Case] = {
    **{f"functions-{name}": expressions(table) for name, table in TABLE.items()},
    "functions-open-lengths": masked(open_lengths),
    **{f"{policy.replace('_', '-')}-functions": under(policy, halves) for policy in ("mixed_float16", "float64")},
}
