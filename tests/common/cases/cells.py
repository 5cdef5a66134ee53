"""RNN over a cell and over stacks of cells; ConvLSTM1D and ConvLSTM2D."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers as kl
from keras import ops

from .building import FEATURES, STEPS, Case, branches, pad, sequence

Cells = Callable[[], Any]

SINGLE: dict[str, Cells] = {
    "lstm": lambda: kl.LSTMCell(3, recurrent_activation="hard_sigmoid"),
    "gru": lambda: kl.GRUCell(3, reset_after=False),
    "simple-rnn": lambda: kl.SimpleRNNCell(3, activation="relu", use_bias=False),
}
STACKS: dict[str, Cells] = {
    "lstm-lstm": lambda: [kl.LSTMCell(3), kl.LSTMCell(2)],
    "gru-simple-rnn": lambda: [kl.GRUCell(3), kl.SimpleRNNCell(2)],
    "mixed": lambda: kl.StackedRNNCells([kl.SimpleRNNCell(2), kl.LSTMCell(3), kl.GRUCell(2, reset_after=False)]),
}


def rnn(cells: Cells, mask: bool = False, **options: Any) -> Case:
    steps = STEPS if options.get("unroll") else None

    def case() -> Any:
        x = sequence((steps, FEATURES))
        made = kl.RNN(cells(), return_state=True, **options)(kl.Masking()(x) if mask else x)
        return keras.Model(x, keras.tree.flatten(made)), pad

    return case


def from_states(mask: bool) -> Case:
    """A stack of an LSTM and a GRU cell, started from inputs."""

    def case() -> Any:
        x = sequence()
        states = [keras.Input((n,), name=name) for name, n in (("h", 3), ("c", 3), ("g", 2))]
        layer = kl.RNN([kl.LSTMCell(3), kl.GRUCell(2)], return_sequences=True, return_state=True)
        made = layer(kl.Masking()(x) if mask else x, initial_state=[states[:2], states[2]])
        return keras.Model([x, *states], keras.tree.flatten(made)), pad

    return case


CONV_LSTM: dict[str, dict[str, Any]] = {
    "last": {},
    "sequence_same": {"padding": "same", "return_sequences": True},
    "strides_no_bias": {"strides": 2, "use_bias": False, "return_sequences": True},
    "dilation": {"dilation_rate": 2, "padding": "same", "activation": "relu"},
    "backwards": {"go_backwards": True, "return_sequences": True, "recurrent_activation": "hard_sigmoid"},
    "unroll": {"unroll": True, "return_sequences": True},
    "dropouts": {"dropout": 0.3, "recurrent_dropout": 0.3},
}
CONV_MASKED: dict[str, dict[str, Any]] = {
    "last": {},
    "sequence": {"return_sequences": True},
    "backwards": {"go_backwards": True},
    "zeros": {"return_sequences": True, "zero_output_for_mask": True},
    "zeros_backwards": {"return_sequences": True, "zero_output_for_mask": True, "go_backwards": True},
    "zeros_unroll": {
        "return_sequences": True, "zero_output_for_mask": True, "go_backwards": True, "unroll": True,
    },
}  # fmt: skip


def conv_lstm(make: Any, shape: tuple[int, ...]) -> Case:
    table = {name: (lambda x, o=o, n=name: make(2, 2, **o, name=n)(x)) for name, o in CONV_LSTM.items()}
    return branches(table, shape)


def conv_lstm_states(make: Any, shape: tuple[int, ...]) -> Case:
    """All that the layer returns, and another started from its states."""

    def case() -> Any:
        x = sequence(shape)
        y, h, c = make(2, 2, return_state=True, name="first")(x)
        again = make(2, 2, return_sequences=True, return_state=True, name="again")(x, initial_state=[h, c])
        return keras.Model(x, [y, h, c, *again])

    return case


def conv_lstm_masked(make: Any, shape: tuple[int, ...]) -> Case:
    """A mask from a comparison: a step of zeros is masked."""

    def case() -> Any:
        x = sequence(shape)
        mask = ops.any(ops.not_equal(x, 0.0), axis=tuple(range(2, len(shape) + 1)))
        return keras.Model(x, [make(2, 2, **o, name=n)(x, mask=mask) for n, o in CONV_MASKED.items()]), pad

    return case


CASES: dict[str, Case] = {
    **{f"rnn-{name}-cell": rnn(cell, return_sequences=True) for name, cell in SINGLE.items()},
    **{f"masked-rnn-{name}-cell": rnn(cell, mask=True) for name, cell in SINGLE.items()},
    **{f"rnn-{name}": rnn(cells) for name, cells in STACKS.items()},
    **{f"masked-rnn-{name}": rnn(cells, mask=True, return_sequences=True) for name, cells in STACKS.items()},
    "rnn-backwards": rnn(STACKS["lstm-lstm"], return_sequences=True, go_backwards=True),
    "masked-rnn-backwards": rnn(STACKS["mixed"], mask=True, return_sequences=True, go_backwards=True),
    "masked-rnn-zero-output": rnn(STACKS["mixed"], mask=True, return_sequences=True, zero_output_for_mask=True),
    "masked-rnn-unroll": rnn(STACKS["gru-simple-rnn"], mask=True, return_sequences=True, unroll=True),
    "rnn-initial-state": from_states(mask=False),
    "masked-rnn-initial-state": from_states(mask=True),
    **{f"conv-lstm-{n}d": conv_lstm(make, shape) for n, make, shape in
       ((1, kl.ConvLSTM1D, (STEPS, 4, 2)), (2, kl.ConvLSTM2D, (STEPS, 4, 3, 1)))},
    **{f"conv-lstm-{n}d-states": conv_lstm_states(make, shape) for n, make, shape in
       ((1, kl.ConvLSTM1D, (STEPS, 4, 2)), (2, kl.ConvLSTM2D, (STEPS, 3, 3, 1)))},
    **{f"masked-conv-lstm-{n}d": conv_lstm_masked(make, shape) for n, make, shape in
       ((1, kl.ConvLSTM1D, (STEPS, 4, 2)), (2, kl.ConvLSTM2D, (STEPS, 3, 3, 1)))},
}  # fmt: skip
