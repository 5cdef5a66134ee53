"""keras.ops and Python arithmetic on Keras tensors, as the grammar draws them."""

from __future__ import annotations

from collections.abc import Callable

from .drawing import Draw

BINARY = (
    "{0} + {1}", "{0} - {1}", "{0} * {1}", "ops.maximum({0}, {1})", "ops.minimum({0}, {1})",
    "{0} / (1.5 + ops.absolute({1}))", "ops.where({0} > {1}, {0}, {1})", "ops.where({0} <= 0.1, {1}, {0})",
    "ops.stack([{0}, {1}], axis=1)", "ops.concatenate([{0}, {1}], axis=-1)", "ops.concatenate([{0}, {1}], axis=1)",
)  # fmt: skip
UNARY = (
    "{0} * 0.5", "2 * {0}", "1 - {0}", "{0} / 3", "1.0 / (2.0 + ops.square({0}))", "-{0}", "{0} ** 2", "abs({0})",
    "ops.exp(-ops.absolute({0}))", "ops.log(1 + ops.square({0}))", "ops.sqrt(ops.absolute({0}) + 0.1)", "ops.sin({0})",
    "ops.cos({0})", "ops.tanh({0})", "ops.sigmoid({0})", "ops.relu({0})", "ops.softmax({0}, axis=-1)", "ops.gelu({0})",
    "ops.silu({0})", "ops.leaky_relu({0}, 0.1)", "ops.elu({0})", "ops.hard_sigmoid({0})", "ops.softplus({0})",
    "ops.clip({0}, -0.5, 0.8)", "ops.zeros_like({0})", "ops.ones_like({0})", "ops.stop_gradient({0})",
    "ops.cast({0}, 'float32')", "ops.cast({0} > 0, 'float32')", "{0} + [0.5]", "ops.add({0}, 1)", "ops.sign({0})",
    "ops.softmax({0}, axis=1)", "ops.log_softmax({0})", "ops.reciprocal(ops.square({0}) + 1.0)", "ops.selu({0})",
    "ops.log_sigmoid({0})", "ops.softsign({0})", "ops.relu6({0})", "ops.hard_tanh({0})", "ops.celu({0}, 0.7)",
    "ops.flip({0}, axis=1)", "ops.flip({0}, axis=-1)", "ops.expand_dims({0}, -1)", "ops.expand_dims({0}, 1)",
    "ops.mean({0}, axis=-1, keepdims=True)", "ops.sum({0}, axis=1, keepdims=True)", "ops.repeat({0}, 2, axis=1)",
    "ops.repeat({0}, 2, axis=-1)", "{0}[..., :2]", "{0}[..., 0:1]", "{0}[..., ::-1]", "{0}[:, 1:]", "{0}[:, :-1]",
    "{0}[:, ::2]", "{0}[:, None]", "{0}[:, ::-1]", "ops.max({0}, axis=-1, keepdims=True)",
    "ops.cumsum({0}, axis=-1)", "ops.cumsum({0}, axis=1)", "ops.std({0}, axis=-1, keepdims=True)",
    "ops.var({0}, axis=1)",
    "ops.normalize({0}, axis=-1)", "ops.normalize({0}, axis=1, order=3)", "ops.norm({0}, axis=-1, keepdims=True)",
    "ops.norm({0}, ord=1, axis=1)", "ops.logsumexp({0}, axis=-1)", "ops.logsumexp({0}, axis=1, keepdims=True)",
    "ops.rms_normalization({0})", "ops.rsqrt(1 + ops.square({0}))", "ops.take({0}, [0, 0, -1], axis=-1)",
    "ops.take({0}, -1, axis=1)", "ops.tile({0}, 2)", "ops.unstack({0}, axis=-1)[0]", "ops.split({0}, [1], axis=-1)[0]",
    "ops.einsum('...i->...', {0})", "ops.moveaxis({0}, 1, -1)", "ops.cumsum({0} > 0, axis=1)",
)  # fmt: skip
WITH_ARRAY = (
    "{0} + {1}", "{0} - {1}", "{0} * {1}", "ops.add({1}, {0})", "ops.subtract({1}, {0})", "ops.maximum({0}, {1})",
    "ops.where({1} > 0, {0}, {1})", "ops.where({0} > {1}, {1}, {0})",
)  # fmt: skip
ON_SEQUENCES = (
    "{0}[:, -1]", "{0}[:, 0]", "{0}[:, -1:]", "{0}[:, 0:2, 0:1]", "{0}[:, :, 0]", "{0}[:, :, -1:]", "{0}[:, -1, :]",
    "ops.mean({0}, axis=1)", "ops.sum({0}, axis=1)", "ops.max({0}, axis=1)", "ops.min({0}, axis=1)",
    "ops.mean({0}, axis=-1)", "ops.mean({0}, axis=(1, 2))", "ops.mean({0}, axis=[1, 2], keepdims=True)",
    "ops.transpose({0}, (0, 2, 1))", "ops.swapaxes({0}, 1, 2)", "{0} - ops.mean({0}, axis=1, keepdims=True)",
    "ops.matmul({0}, ops.transpose({0}, (0, 2, 1)))", "{0} @ ops.swapaxes({0}, 1, 2)", "{0} * ops.softmax({0}, axis=1)",
    "ops.squeeze({0}[:, :, 0:1], axis=-1)", "ops.sum({0} * ops.softmax({0}, 1), axis=1)",
    "ops.einsum('bij,bkj->bik', {0}, {0})", "ops.einsum('bij->bj', {0})", "ops.einsum('bij,bij->bi', {0}, {0})",
    "ops.pad({0}, ((0, 0), (1, 0), (0, 2)))", "ops.pad({0}, ((0, 0), (0, 1), (1, 0)), constant_values=0.5)",
    "ops.tile({0}, (1, 2, 1))", "ops.moveaxis({0}, 2, 1)", "ops.std({0}, axis=(1, 2))",
    "ops.cast(ops.argmax({0}, axis=-1), 'float32')", "ops.cast(ops.argmin({0}, axis=1), 'float32')",
    "ops.take({0}, [0], axis=1)", "ops.norm({0}, axis=(1, 2))",
)  # fmt: skip


def _shaped(d: Draw) -> bool:
    """A reshape that keeps the batch."""
    if (x := d.ranked(2, 3)) is None:
        return False
    sizes = x.shape[1:]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        d.emit(
            f"ops.reshape({{0}}, (-1, {', '.join('1' for _ in range(1))}, {sizes[-1]}))"
            if len(sizes) == 1
            else f"ops.expand_dims({{0}}, {d.pick(1, 2, 3)})",
            x,
        )
    elif len(known) == 2:
        d.emit(f"ops.reshape({{0}}, (-1, {d.pick(f'{known[0] * known[1]}', f'{known[1]}, {known[0]}')}))", x)
    else:
        d.emit(f"ops.reshape({{0}}, (-1, {sizes[0]}, 1))", x)
    return True


def _binary(d: Draw) -> bool:
    if (x := d.ranked(2, 3, 3)) is None or (y := d.like(x)) is None:
        return False
    d.emit(d.rng.choice(BINARY), x, y)
    return True


def _from(expressions: tuple[str, ...], *ranks: int) -> Callable[[Draw], bool]:
    def op(d: Draw) -> bool:
        if (x := d.ranked(*ranks)) is None:
            return False
        d.emit(d.rng.choice(expressions), x)
        return True

    return op


def _with_array(d: Draw) -> bool:
    """An operation on a value and an array that broadcasts against it."""
    if (x := d.ranked(2, 3, 3)) is None:
        return False
    shape = tuple(1 if axis == 0 or d.chance(0.3) else n for axis, n in enumerate(x.shape))
    array = d.array(shape[d.pick(0, 0, 1) :], "float32", "float64", "tensor", "int32")
    if array is None:
        return False
    d.emit(d.rng.choice(WITH_ARRAY), x, array)
    return True


OPS = (
    ("ops_binary", 1.0, _binary),
    ("ops_unary", 1.5, _from(UNARY, 2, 3, 3, 4)),
    ("ops_sequence", 1.5, _from(ON_SEQUENCES, 3)),
    ("ops_reshape", 0.3, _shaped),
    ("ops_array", 0.8, _with_array),
)
