"""Masks inside the recurrence and between layers; every batch has a row masked left, right, in a gap, first, whole."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers as kl
from keras import ops

from .building import FEATURES, ROWS, STEPS, Case, branches, masked, pad, pad_with, sequence, shown, stack
from .recurrent import KINDS, STATES, UNITS

OPTIONS: dict[str, dict[str, Any]] = {
    "last-state": {"return_state": True},
    "sequences-state": {"return_sequences": True, "return_state": True},
    "zero-output": {"zero_output_for_mask": True, "return_sequences": True},
    "zero-output-last": {"zero_output_for_mask": True},
    "backwards": {"go_backwards": True, "return_state": True},
    "backwards-sequences": {"go_backwards": True, "return_sequences": True},
    "backwards-zero-output": {"go_backwards": True, "return_sequences": True, "zero_output_for_mask": True},
    "unroll": {"unroll": True, "return_sequences": True},
    "unroll-zero-output": {"unroll": True, "return_sequences": True, "zero_output_for_mask": True},
    "unroll-backwards-zero-output": {
        "unroll": True, "go_backwards": True, "return_sequences": True, "zero_output_for_mask": True,
    },
    "stateful": {"stateful": True, "return_sequences": True},
}  # fmt: skip


def layer(kind: str, **options: Any) -> Case:
    fixed = {"batch_size": ROWS} if options.get("stateful") else {}
    steps = STEPS if options.get("unroll") else None

    def case() -> Any:
        x = sequence((steps, FEATURES), **fixed)
        return keras.Model(x, KINDS[kind](UNITS, **options)(kl.Masking()(x)))

    return masked(case)


def from_states(kind: str, **options: Any) -> Case:
    """Masked first steps with initial states that are not zero."""

    def case() -> Any:
        x = sequence()
        states = [keras.Input((UNITS,), name=name) for name in "hc"[: STATES[kind]]]
        made = KINDS[kind](UNITS, return_state=True, **options)(kl.Masking()(x), initial_state=states)
        return keras.Model([x, *states], made)

    return masked(case)


def explicit() -> Any:
    """mask= from an input of its own, from a comparison, and beside a mask that the tensor carries."""
    x, given = sequence(), keras.Input((None,), dtype="bool", name="given")
    compared = ops.any(ops.not_equal(x, 0.0), axis=-1)
    outputs = [
        kl.LSTM(UNITS, return_sequences=True, name="of_input")(x, mask=given),
        kl.GRU(UNITS, name="of_comparison")(x, mask=compared),
        kl.SimpleRNN(UNITS, return_sequences=True, name="instead")(kl.Masking()(x), mask=given),
        kl.Bidirectional(kl.LSTM(UNITS, return_sequences=True), name="both_ways")(x, mask=given),
    ]
    return keras.Model([x, given], outputs), pad


def left_on_its_input() -> Any:
    """A model that is called with a mask leaves it on its input, where a layer that runs later finds it."""
    x, given = sequence(), keras.Input((None,), dtype="bool", name="given")
    earlier = kl.LSTM(UNITS, name="earlier")(x)
    inner = keras.Sequential([kl.GRU(UNITS, return_sequences=True, name="inner")], name="model")(x, mask=given)
    later = kl.LSTM(UNITS, name="later")(x)
    return keras.Model([x, given], [earlier, inner, later]), pad


def embedding(**options: Any) -> Case:
    def case() -> Any:
        ids = keras.Input((None,), dtype="int32", name="ids")
        vectors = kl.Embedding(7, 3, **options)(ids)
        outputs = [vectors, kl.LSTM(UNITS, return_sequences=True)(vectors), kl.GRU(UNITS)(vectors)]
        return keras.Model(ids, outputs), pad

    return case


def float_ids() -> Any:
    """Ids that come as floats are cut, and 0.5 is not masked though its row is that of 0."""
    ids = keras.Input((None,), name="ids")
    vectors = kl.Embedding(7, 3, mask_zero=True)(ids)
    model = keras.Model(ids, [vectors, kl.LSTM(UNITS, return_sequences=True)(vectors)])

    def change(inputs: list[Any]) -> list[Any]:
        return pad([(abs(inputs[0]) * 2.5).clip(0, 6.5)])

    return model, change


def lost_and_passed() -> dict[str, Any]:
    """What follows a layer on a masked sequence: with the mask where the layer passes it on, without elsewhere."""
    return {
        "dense": lambda x: shown(kl.Dense(2, name="dense"))(x),
        "dropout": lambda x: shown(kl.Dropout(0.2, name="dropout"))(x),
        "conv": lambda x: shown(kl.Conv1D(2, 2, padding="same", name="conv"))(x),
        "pooling": lambda x: shown(kl.MaxPooling1D(2, padding="same", name="pooling"))(x),
        "distributed": lambda x: shown(kl.TimeDistributed(kl.Dense(2), name="distributed"))(x),
        "bidirectional": lambda x: shown(kl.Bidirectional(kl.GRU(2, return_sequences=True), name="bidirectional"))(x),
        "permute": lambda x: shown(kl.Permute((1, 2), name="permute"))(x),
        "reshape": lambda x: shown(kl.Reshape((-1, 2), name="reshape"))(x),
        "average": lambda x: kl.GlobalAveragePooling1D(name="average")(kl.Dense(2, name="before")(kl.Masking()(x))),
        "again": lambda x: shown(kl.Masking(mask_value=0.5, name="again"))(x),
    }


def same_tensor() -> Any:
    """Operations that give back the very tensor they were given, whose mask stays, and such as make a new one.

    In float16, because a cast to the model's own dtype would be another in float64.
    """
    x = sequence()
    given = kl.Masking(dtype="float16")(x)
    operations = {
        "cast": lambda x: ops.cast(x, "float16"),
        "cast_twice": lambda x: ops.cast(ops.cast(x, "float32"), "float16"),
        "convert": ops.convert_to_tensor,
        "stop_gradient": ops.stop_gradient,
    }
    made = [
        kl.LSTM(2, dtype="float16", name=f"after_{name}")(operation(given)) for name, operation in operations.items()
    ]
    return keras.Model(x, made)


CASES: dict[str, Case] = {
    **{f"masked-{kind}-{name}": layer(kind, **options) for kind in KINDS for name, options in OPTIONS.items()},
    "masked-gru-reset-before": layer("gru", reset_after=False, return_sequences=True),
    **{f"masked-{kind}-initial-state": from_states(kind) for kind in KINDS},
    **{f"masked-{kind}-initial-state-sequences": from_states(kind, return_sequences=True) for kind in KINDS},
    "masked-lstm-initial-state-zero-output": from_states("lstm", return_sequences=True, zero_output_for_mask=True),
    "masked-lstm-initial-state-backwards": from_states("lstm", return_sequences=True, go_backwards=True),
    "masked-stack": masked(stack(
        kl.Masking, lambda: kl.LSTM(3, return_sequences=True), lambda: kl.Dense(3, activation="relu"),
        lambda: kl.GRU(3, return_sequences=True), lambda: kl.SimpleRNN(2), lambda: kl.Dense(2),
    )),
    "mask-value": lambda: (stack(lambda: kl.Masking(mask_value=-1.5), lambda: kl.LSTM(3))(), pad_with(-1.5)),
    "mask-of-output": lambda: (branches({"masking": kl.Masking()})(), pad),
    "mask-explicit": explicit,
    "mask-left-on-its-input": left_on_its_input,
    "embedding": embedding(),
    "embedding-mask-zero": embedding(mask_zero=True),
    "embedding-float-ids": float_ids,
    "mask-passed-or-lost": masked(lambda: branches(lost_and_passed())()),
    "mask-of-same-tensor": masked(same_tensor),
}  # fmt: skip
