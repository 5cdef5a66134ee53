"""Merge layers and attention, with and without masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers as kl

from .building import STEPS, Case, pad_with, valid_steps

PLACE_BY_PLACE = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")


def two_pads(inputs: list[Any]) -> list[Any]:
    """The first input masked row by row, the second with the rows in another order."""
    a, *others = pad_with(0)(inputs[:1]) + inputs[1:]
    for x in others:
        if x.ndim > 2 and x.shape[1] == STEPS:
            x[~valid_steps(len(x))[::-1]] = 0
    return [a, *others]


def merge(name: str, masks: str) -> Case:
    """`masks`: which of the two inputs are masked; LSTMs show the mask that comes out."""

    def case() -> Any:
        inputs = [keras.Input((STEPS, 2), name=key) for key in "ab"]
        tensors = [kl.Masking()(x) if key in masks else x for key, x in zip("ab", inputs, strict=True)]
        made = [getattr(kl, name)()(tensors)]
        if masks:
            made.append(kl.LSTM(2, return_sequences=True)(made[0]))
        if not masks and name != "Subtract":
            made.append(getattr(kl, name)()([*tensors, kl.Dense(2)(tensors[0])]))
            made.append(getattr(kl, name)()([tensors[0], kl.GRU(2)(tensors[1])]))  # of lower rank
        return keras.Model(inputs, made), two_pads

    return case


def concatenate(masks: str) -> Case:
    def case() -> Any:
        inputs = [keras.Input((STEPS, 2), name=key) for key in "ab"]
        tensors = [kl.Masking()(x) if key in masks else x for key, x in zip("ab", inputs, strict=True)]
        made = [kl.Concatenate(axis=axis)(tensors) for axis in (-1, 1)]
        return keras.Model(inputs, [*made, *(kl.LSTM(2, return_sequences=True)(y) for y in made)]), two_pads

    return case


def dot() -> Any:
    a, b, v = keras.Input((4, 3), name="a"), keras.Input((5, 3), name="b"), keras.Input((3,), name="v")
    turned = kl.Permute((2, 1))(b)
    made = [
        kl.Dot(axes=2)([a, b]), kl.Dot(axes=(2, 1))([a, turned]), kl.Dot(axes=-1, normalize=True)([a, b]),
        kl.Dot(axes=(2, 1))([a, v]), kl.Dot(axes=(1, 2))([v, b]), kl.Dot(axes=1, normalize=True)([v, v]),
    ]  # fmt: skip
    return keras.Model([a, b, v], made)


def attend(layer: Callable[[], Any], masks: str = "", key: bool = False, **arguments: Any) -> Case:
    """Attention of a query over a value of another length, and the mask that comes out of it."""

    def case() -> Any:
        q, v = keras.Input((STEPS, 3), name="q"), keras.Input((STEPS + 2, 3), name="v")
        query = kl.Masking()(q) if "q" in masks else q
        value = kl.Masking()(v) if "v" in masks else v
        given = [query, value, kl.Dense(3)(v)] if key else [query, value]
        made = layer()
        result = made(*given, **arguments) if isinstance(made, kl.MultiHeadAttention) else made(given, **arguments)
        outputs = list(result) if isinstance(result, list | tuple) else [result]
        return keras.Model([q, v], [*outputs, kl.LSTM(2, return_sequences=True)(outputs[0])]), gaps

    return case


def gaps(inputs: list[Any]) -> list[Any]:
    """The query as `pad`, the value without its end or its middle, or whole, or empty."""
    query, value = pad_with(0)(inputs[:1])[0], inputs[1]
    value[1, -3:] = value[2, 2:4] = value[3] = value[4, :1] = 0
    return [query, value]


def transformer() -> Any:
    """Two blocks: the first takes the mask off its argument, so the sum and the second run without it."""
    x = keras.Input((STEPS, 4), name="x")
    y = kl.Masking()(x)
    for _ in range(2):
        y = kl.LayerNormalization()(kl.Add()([y, kl.MultiHeadAttention(2, 3)(y, y)]))
    return keras.Model(x, y), pad_with(0)


def masks_by_hand() -> Any:
    x = keras.Input((STEPS, 4), name="x")
    pairs = keras.Input((STEPS, STEPS), dtype="bool", name="pairs")
    steps = keras.Input((STEPS,), dtype="bool", name="steps")
    made = [
        kl.Attention()([x, x], mask=[steps, steps]),
        kl.MultiHeadAttention(2, 2)(x, x, attention_mask=pairs),
        kl.MultiHeadAttention(2, 2)(x, x, value_mask=steps),
        kl.MultiHeadAttention(2, 2, dropout=0.1)(x, x, attention_mask=pairs, key_mask=steps),
    ]
    return keras.Model([x, pairs, steps], made)


def multi_head(**options: Any) -> Callable[[], Any]:
    return lambda: kl.MultiHeadAttention(num_heads=2, key_dim=2, **options)


CASES: dict[str, Case] = {
    **{f"{name.lower()}": merge(name, "") for name in PLACE_BY_PLACE},
    **{f"masked-{name.lower()}": merge(name, "ab") for name in PLACE_BY_PLACE},
    **{f"half-masked-{name.lower()}": merge(name, "b") for name in PLACE_BY_PLACE},
    "concatenate": concatenate(""),
    "masked-concatenate": concatenate("ab"),
    "half-masked-concatenate": concatenate("a"),
    "dot": dot,
    "attention": attend(kl.Attention, key=True),
    "attention-scale-scores": attend(lambda: kl.Attention(use_scale=True, dropout=0.2), return_attention_scores=True),
    "attention-concat": attend(lambda: kl.Attention(score_mode="concat", use_scale=True)),
    "masked-attention": attend(kl.Attention, "qv"),
    "masked-attention-causal": attend(kl.Attention, "qv", use_causal_mask=True),
    "masked-attention-concat": attend(lambda: kl.Attention(score_mode="concat"), "v", key=True),
    "additive-attention": attend(kl.AdditiveAttention, key=True),
    "masked-additive-attention": attend(lambda: kl.AdditiveAttention(use_scale=False), "qv"),
    "multi-head-attention": attend(multi_head(), key=True),
    "multi-head-attention-options": attend(multi_head(value_dim=3, use_bias=False, output_shape=2)),
    "multi-head-attention-scores": attend(multi_head(), return_attention_scores=True),
    "multi-head-attention-gate": attend(multi_head(use_gate=True)),
    "masked-multi-head-attention": attend(multi_head(), "qv"),
    "masked-multi-head-attention-dropout": attend(multi_head(dropout=0.2), "qv", use_causal_mask=True),
    "attention-masks-by-hand": masks_by_hand,
    "transformer": transformer,
}
