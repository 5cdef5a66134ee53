"""Layers that stand around recurrent ones, as the grammar draws them.

UNARY: name → (weight, ranks it is drawn for, options for an input of that rank). OPS: layers of several inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .drawing import Draw, Value
from .plan import Array, Make
from .recurrent import activation, relu_options

Options = Callable[["Draw", int], dict[str, Any]]


def _some(d: Draw, **choices: tuple[Any, ...]) -> dict[str, Any]:
    """Each option with one of its values, or left out."""
    return {key: d.rng.choice(values) for key, values in choices.items() if d.chance(0.4)}


def _conv(d: Draw, rank: int) -> dict[str, Any]:
    options = {"filters": d.pick(2, 4), "kernel_size": d.pick(1, 2, 3), **_window(d, rank)}
    options |= _some(d, use_bias=(False,), groups=(1, 2)) | ({"activation": activation(d)} if d.chance(0.3) else {})
    return options


def _window(d: Draw, rank: int) -> dict[str, Any]:
    """padding, and strides or a dilation."""
    paddings = ("same", "valid", "causal", "causal") if rank == 3 else ("same", "valid")
    return _some(d, padding=paddings) | (_some(d, strides=(1, 2)) if d.chance(0.5) else _some(d, dilation_rate=(2,)))


def _depthwise(d: Draw, rank: int) -> dict[str, Any]:
    options = {"kernel_size": d.pick(1, 2, 3), **_some(d, use_bias=(False,), depth_multiplier=(2,), strides=(2,))}
    return options | {"padding": d.pick("same", "valid")}


def _separable(d: Draw, rank: int) -> dict[str, Any]:
    options = {"filters": 3, "kernel_size": d.pick(1, 2, 3), **_some(d, use_bias=(False,), depth_multiplier=(2,))}
    return options | {"padding": d.pick(*(("same", "valid", "causal") if rank == 3 else ("same", "valid")))}


def _conv_lstm(d: Draw, rank: int) -> dict[str, Any]:
    options = {"filters": 2, "kernel_size": d.pick(1, 2), "padding": d.pick("same", "valid")}
    options |= _some(d, use_bias=(False,), return_sequences=(True,), go_backwards=(True,), zero_output_for_mask=(True,),
                     recurrent_activation=("hard_sigmoid", "sigmoid", "softmax"), strides=(2,), unroll=(True,),
                     activation=("relu", "tanh", "softsign"))  # fmt: skip
    return options


def _pool(d: Draw, rank: int) -> dict[str, Any]:
    return {"pool_size": d.pick(1, 2, 3)} | _some(d, strides=(1, 2), padding=("same",))


def _max_pool(d: Draw, rank: int) -> dict[str, Any]:
    """TensorFlow dies of a window larger than its input (SIGFPE), so none is drawn where the size is open."""
    return _pool(d, rank) | ({"padding": "same"} if d.source.dynamic else {})


def _norm(d: Draw, rank: int) -> dict[str, Any]:
    return _some(d, epsilon=(1e-5, 0.01), center=(False,), scale=(False,))


def _layer_norm(d: Draw, rank: int) -> dict[str, Any]:
    return (
        _norm(d, rank)
        | _some(d, axis=(-1, [-1], -2) if rank > 2 else (-1,))
        | ({"rms_scaling": True} if d.chance(0.1) else {})
    )


def _none(d: Draw, rank: int) -> dict[str, Any]:
    return {}


def _conv_3d(d: Draw, rank: int) -> dict[str, Any]:
    options = _conv(d, rank) | {"kernel_size": d.pick(1, 2, (1, 2, 2), (2, 1, 1))}
    return options | _some(d, data_format=("channels_last",))


def _transposed(d: Draw, rank: int) -> dict[str, Any]:
    options = {"filters": d.pick(1, 2, 3), "kernel_size": d.pick(1, 2, 3), **_some(d, strides=(1, 2, 3))}
    options |= _some(d, padding=("same", "valid"), use_bias=(False,), output_padding=(0, 1))
    return options | ({"activation": activation(d)} if d.chance(0.3) else {})


def _format(d: Draw) -> dict[str, Any]:
    """Channels before space, now and then."""
    return {"data_format": "channels_first"} if d.chance(0.2) else {}


def _pool_3d(d: Draw, rank: int) -> dict[str, Any]:
    """Mostly over space alone, as between ConvLSTM2D layers."""
    size = d.pick((1, 2, 2), (1, 2, 2), 2, (2, 1, 1), 1)
    return {"pool_size": size, "padding": "same", **_some(d, strides=(1, 2)), **_format(d)}


def _global(d: Draw, rank: int) -> dict[str, Any]:
    return _some(d, keepdims=(True,)) | _format(d)


def _around(d: Draw, key: str, space: int) -> dict[str, Any]:
    """What is put, or cut, before and after each axis of space."""
    pairs = tuple((d.pick(0, 1), d.pick(0, 0, 1)) for _ in range(space))
    return {key: d.pick(1, pairs, pairs), **_format(d)}


def _sizes(d: Draw, space: int) -> dict[str, Any]:
    return {"size": tuple(d.pick(1, 2) for _ in range(space)), **_format(d)}


def _spatial_dropout(d: Draw, rank: int) -> dict[str, Any]:
    return {"rate": 0.3, **_format(d)}


# Images and volumes: name → as in UNARY.
SPATIAL: dict[str, tuple[float, tuple[int, ...], Options]] = {
    "Conv1DTranspose": (0.4, (3,), _transposed),
    "Conv2DTranspose": (0.4, (4,), _transposed),
    "Conv3DTranspose": (0.3, (5,), _transposed),
    "Conv3D": (0.8, (5,), _conv_3d),
    "ConvLSTM2D": (0.8, (5,), _conv_lstm),
    "MaxPooling3D": (0.8, (5,), _pool_3d),
    "AveragePooling3D": (0.4, (5,), _pool_3d),
    "GlobalMaxPooling3D": (0.3, (5,), _global),
    "GlobalAveragePooling3D": (0.3, (5,), _global),
    "ZeroPadding2D": (0.2, (4,), lambda d, rank: _around(d, "padding", 2)),
    "ZeroPadding3D": (0.3, (5,), lambda d, rank: _around(d, "padding", 3)),
    "Cropping2D": (0.2, (4,), lambda d, rank: _around(d, "cropping", 2)),
    "Cropping3D": (0.3, (5,), lambda d, rank: _around(d, "cropping", 3)),
    "UpSampling2D": (0.2, (4,), lambda d, rank: _sizes(d, 2) | _some(d, interpolation=("bilinear", "nearest"))),
    "UpSampling3D": (0.3, (5,), lambda d, rank: _sizes(d, 3)),
    "SpatialDropout2D": (0.1, (4,), _spatial_dropout),
    "SpatialDropout3D": (0.2, (5,), _spatial_dropout),
    "DepthwiseConv2D": (0.2, (4,), _depthwise),
    "SeparableConv2D": (0.2, (4,), _separable),
}


def _einsum(d: Draw, rank: int) -> dict[str, Any]:
    """Equations that need no other size than that of the last axis."""
    options = d.pick(
        {"equation": "abc,cd->abd", "output_shape": (None, 3)},
        {"equation": "...x,xy->...y", "output_shape": 2},
        {"equation": "abc,cde->abde", "output_shape": (None, 2, 3)},
    )
    letter = "y" if "y" in options["equation"] else "d"
    return {**options, **_some(d, bias_axes=(letter,), activation=("tanh", "relu"))}


UNARY: dict[str, tuple[float, tuple[int, ...], Options]] = {
    "ReLU": (0.3, (2, 3), lambda d, rank: relu_options(d)),
    "LeakyReLU": (0.3, (2, 3), lambda d, rank: _some(d, negative_slope=(0.1,))),
    "ELU": (0.3, (2, 3), lambda d, rank: _some(d, alpha=(0.5,))),
    "Softmax": (0.4, (2, 3), lambda d, rank: _some(d, axis=(-1, 1))),
    "PReLU": (0.3, (2, 3, 4), lambda d, rank: {"shared_axes": [1]} if rank > 2 and d.chance(0.7) else {}),
    "SpatialDropout1D": (0.1, (3,), lambda d, rank: {"rate": 0.3}),
    "GaussianDropout": (0.1, (2, 3), lambda d, rank: {"rate": 0.3}),
    "GaussianNoise": (0.1, (2, 3), lambda d, rank: {"stddev": 0.3}),
    "AlphaDropout": (0.1, (2, 3), lambda d, rank: {"rate": 0.3}),
    "ActivityRegularization": (0.1, (2, 3), lambda d, rank: {"l2": 0.3}),
    "Conv1D": (1.2, (3,), _conv),
    "Conv2D": (0.4, (4,), _conv),
    "DepthwiseConv1D": (0.4, (3,), _depthwise),
    "SeparableConv1D": (0.4, (3,), _separable),
    "ConvLSTM1D": (0.6, (4,), _conv_lstm),
    "MaxPooling1D": (0.5, (3,), _max_pool),
    "AveragePooling1D": (0.4, (3,), _pool),
    "MaxPooling2D": (0.3, (4,), _max_pool),
    "AveragePooling2D": (0.3, (4,), _pool),
    "GlobalMaxPooling1D": (0.5, (3,), lambda d, rank: _some(d, keepdims=(True,))),
    "GlobalAveragePooling1D": (0.8, (3,), lambda d, rank: _some(d, keepdims=(True,))),
    "GlobalMaxPooling2D": (0.2, (4,), lambda d, rank: _some(d, keepdims=(True,))),
    "GlobalAveragePooling2D": (0.2, (4,), lambda d, rank: _some(d, keepdims=(True,))),
    "BatchNormalization": (0.8, (2, 3, 4, 5), lambda d, rank: _norm(d, rank) | _some(d, axis=(-1, 1))),
    "LayerNormalization": (0.8, (2, 3, 4), _layer_norm),
    "GroupNormalization": (0.5, (2, 3, 4), lambda d, rank: {"groups": d.pick(1, 2, -1), **_norm(d, rank)}),
    "RMSNormalization": (0.4, (2, 3, 4), lambda d, rank: _some(d, epsilon=(1e-5, 0.01))),
    "EinsumDense": (0.4, (3,), _einsum),
    "UnitNormalization": (0.4, (2, 3), lambda d, rank: _some(d, axis=(-1, 1))),
    "Normalization": (
        0.3,
        (2, 3),
        lambda d, rank: d.pick({}, {"mean": 0.3, "variance": 2.0}) | _some(d, invert=(True,)),
    ),
    "Rescaling": (0.3, (2, 3), lambda d, rank: {"scale": 0.5, **_some(d, offset=(0.2,))}),
    "Flatten": (0.4, (2, 3, 4, 5), _none),
    "Reshape": (0.4, (2, 3), lambda d, rank: {"target_shape": d.pick((-1, 1), (1, -1), (-1,), (2, -1))}),
    "Permute": (0.4, (3, 4), lambda d, rank: {"dims": (2, 1) if rank == 3 else d.pick((2, 1, 3), (1, 3, 2))}),
    "RepeatVector": (0.8, (2,), lambda d, rank: {"n": d.pick(1, 3, 5)}),
    "ZeroPadding1D": (0.3, (3,), lambda d, rank: {"padding": d.pick(1, (0, 2), (2, 0))}),
    "Cropping1D": (0.3, (3,), lambda d, rank: {"cropping": d.pick((0, 1), (1, 0), 1)}),
    "UpSampling1D": (0.3, (3,), lambda d, rank: {"size": d.pick(1, 2, 3)}),
    **SPATIAL,
}


def _related(d: Draw, x: Value) -> Value | None:
    """A sequence with as many features."""
    return d.find(lambda v: len(v.shape) == 3 and v.shape[2] == x.shape[2] and v.dtype == x.dtype)


def _attention(name: str) -> Callable[[Draw], bool]:
    def op(d: Draw) -> bool:
        if (query := d.ranked(3)) is None:
            return False
        others: list[Value | Array | None] = [_related(d, query) for _ in range(d.pick(1, 1, 2))]
        options = _some(d, use_scale=(True, False)) | (
            _some(d, score_mode=("concat", "dot")) if name == "Attention" else {}
        )
        kwargs: dict[str, Any] = {"use_causal_mask": True} if d.chance(0.15) else {}
        if d.chance(0.15):
            kwargs["return_attention_scores"] = True
        if d.chance(0.15):
            others = [d.array((1, 3, query.shape[2]), "float32", "float64")]
        elif d.chance(0.15) and others[0] is not None:
            kwargs["mask"] = [
                d.pick(None, d.array((1, query.shape[1]), "bool")),
                d.array((1, others[0].shape[1]), "bool"),
            ]
        d.emit(Make(name, options), [query, *others], **kwargs)
        return True

    return op


def _multi_head(d: Draw) -> bool:
    if (query := d.ranked(3)) is None:
        return False
    other = d.ranked(3) if d.chance(0.5) else query
    assert other is not None
    # Not several heads of one place: Keras on TensorFlow adds their bias (heads, 1) along time if T is the same.
    heads, size = d.pick((1, 1), (1, 3), (2, 2), (2, 3))
    options = {
        "num_heads": heads,
        "key_dim": size,
        **_some(d, value_dim=(2,), use_bias=(False,), output_shape=(3,)),
    }
    kwargs: dict[str, Any] = {"use_causal_mask": True} if d.chance(0.15) else {}
    if d.chance(0.15):
        kwargs["return_attention_scores"] = True
    if d.chance(0.3) and query.shape[1] is not None and other.shape[1] is not None:
        shape = (query.shape[1], other.shape[1])
        kwargs["attention_mask"] = d.array(d.pick(shape, (1, *shape), (1, 1, *shape)), "causal", "bool", "int32")
    elif d.chance(0.1) and (mask := d.array((1, other.shape[1]), "bool")) is not None:
        kwargs["value_mask"] = mask
    d.emit(Make("MultiHeadAttention", options), query, other, **kwargs)
    return True


def _group_query(d: Draw) -> bool:
    if (query := d.ranked(3)) is None:
        return False
    other = d.ranked(3) if d.chance(0.5) else query
    assert other is not None
    heads, groups = d.pick((2, 1), (2, 2), (4, 2))
    options = {"head_dim": 3, "num_query_heads": heads, "num_key_value_heads": groups}
    options |= _some(d, use_bias=(False,), use_gate=(True,))
    kwargs: dict[str, Any] = {"use_causal_mask": True} if d.chance(0.15) else {}
    if d.chance(0.15):
        kwargs["return_attention_scores"] = True
    d.emit(Make("GroupQueryAttention", options), query, other, **kwargs)
    return True


OPS: tuple[tuple[str, float, Callable[[Draw], bool]], ...] = (
    ("Attention", 0.7, _attention("Attention")),
    ("AdditiveAttention", 0.5, _attention("AdditiveAttention")),
    ("MultiHeadAttention", 0.7, _multi_head),
    ("GroupQueryAttention", 0.5, _group_query),
)
