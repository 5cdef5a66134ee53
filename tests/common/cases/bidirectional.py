"""Bidirectional: merging the directions, with sequences, states, masks, initial states, other backward layers."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers as kl

from .building import FEATURES, ROWS, Case, pad, sequence
from .recurrent import KINDS

MERGES = ("concat", "sum", "ave", "mul", None)


def both_ways(layer: Any, mask: bool = False, backward: Any = None, fixed: bool = False, **options: Any) -> Case:
    """`layer` and `backward` make the directions."""

    def case() -> Any:
        x = sequence((None, FEATURES), **({"batch_size": ROWS} if fixed else {}))
        given = {"backward_layer": backward()} if backward else {}
        wrapped = kl.Bidirectional(layer(), **given, **options)
        return keras.Model(x, wrapped(kl.Masking()(x) if mask else x)), pad

    return case


def lstm(**options: Any) -> Any:
    return lambda: kl.LSTM(2, **options)


def from_states(kind: str, mask: bool) -> Case:
    """Half of the initial states for each direction."""

    def case() -> Any:
        x = sequence()
        count = 4 if kind == "lstm" else 2
        states = [keras.Input((2,), name=f"s{index}") for index in range(count)]
        layer = kl.Bidirectional(KINDS[kind](2, return_sequences=True, return_state=True))
        made = layer(kl.Masking()(x) if mask else x, initial_state=states)
        return keras.Model([x, *states], made), pad

    return case


def chain() -> Any:
    """Two of them over a masked sequence: the second sees the mask of the first."""
    x = sequence()
    y = kl.Bidirectional(kl.LSTM(2, return_sequences=True))(kl.Masking()(x))
    return keras.Model(x, kl.Dense(1)(kl.Bidirectional(kl.GRU(2))(y))), pad


def merged(mask: bool) -> dict[str, Case]:
    prefix = "masked-bidirectional" if mask else "bidirectional"
    return {
        f"{prefix}-{str(mode).lower()}-{'sequences' if sequences else 'last'}": both_ways(
            lstm(return_sequences=sequences), mask, merge_mode=mode
        )
        for mode in MERGES
        for sequences in (False, True)
    }


CASES: dict[str, Case] = {
    **merged(mask=False),
    **merged(mask=True),
    "bidirectional-state": both_ways(lstm(return_state=True)),
    "bidirectional-none-sequences-state": both_ways(lstm(return_state=True, return_sequences=True), merge_mode=None),
    "masked-bidirectional-state": both_ways(lstm(return_state=True, return_sequences=True), mask=True),
    "masked-bidirectional-none-state": both_ways(lstm(return_state=True), mask=True, merge_mode=None),
    **{f"bidirectional-{kind}": both_ways(lambda make=make: make(2, return_sequences=True))
       for kind, make in KINDS.items() if kind != "lstm"},
    **{f"masked-bidirectional-{kind}": both_ways(lambda make=make: make(2), mask=True)
       for kind, make in KINDS.items() if kind != "lstm"},
    "bidirectional-forward-backwards": both_ways(
        lstm(return_sequences=True, go_backwards=True), mask=True, backward=lstm(return_sequences=True)
    ),
    "bidirectional-initial-state": from_states("lstm", mask=False),
    "masked-bidirectional-initial-state": from_states("lstm", mask=True),
    "masked-bidirectional-gru-initial-state": from_states("gru", mask=True),
    "bidirectional-other-class": both_ways(
        lstm(return_sequences=True), backward=lambda: kl.GRU(2, return_sequences=True, go_backwards=True)
    ),
    "bidirectional-other-units": both_ways(
        lstm(), mask=True, backward=lambda: kl.LSTM(3, go_backwards=True, activation="relu", use_bias=False)
    ),
    "bidirectional-other-activation-ave": both_ways(
        lstm(return_sequences=True), mask=True, merge_mode="ave",
        backward=lambda: kl.LSTM(2, return_sequences=True, go_backwards=True, recurrent_activation="hard_sigmoid"),
    ),
    "bidirectional-stateful": both_ways(lstm(stateful=True, return_sequences=True), fixed=True),
    "bidirectional-cell": both_ways(lambda: kl.RNN(kl.LSTMCell(2), return_sequences=True), mask=True),
    "bidirectional-chain": chain,
}  # fmt: skip
