"""Arrays in the calls: positional encodings, causal masks, learnt initial states, and whatever else may be one.

Also structures that inputs and calls are nested in, since both are about the arguments of calls.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from .building import FEATURES, ROWS, STEPS, Branch, Case, branches, pad, sequence

FIXED = (STEPS, FEATURES)
CAUSAL = np.tril(np.ones((STEPS, STEPS)))
VALID = np.array([[True, False, True, True, False]])


def array(*shape: int) -> Any:
    """The same numbers for the same shape."""
    return np.random.default_rng(shape).standard_normal(shape).astype("float32")


def rows(*shape: int) -> Any:
    """An array with a value for each row of the vector."""
    return array(ROWS, *shape)


def merged(name: str, *shape: int) -> Branch:
    return lambda x: getattr(kl, name)()([x, array(*shape)])


MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
MERGED: dict[str, Branch] = {
    **{f"{name}_{'x'.join(map(str, shape))}": merged(name, *shape)
       for name in MERGES for shape in ((1, STEPS, FEATURES), (1, 1, FEATURES), (1, STEPS, 1), (1, FEATURES))},
    "float64": lambda x: kl.Add()([x, array(1, *FIXED).astype("float64")]),
    "int": lambda x: kl.Add()([x, np.arange(STEPS)[None, :, None]]),
    "of_three": lambda x: kl.Average()([x, array(1, *FIXED), x, ops.convert_to_tensor(array(1, *FIXED))]),
    "dot": lambda x: kl.Dot(axes=(2, 2))([x, rows(3, FEATURES)]),
    "concatenated": lambda x: kl.Concatenate()([x, rows(*FIXED)]),
    "concatenated_int": lambda x: kl.Concatenate(axis=1)([x, np.ones((ROWS, 1, FEATURES), "int32")]),
}  # fmt: skip


def masked_merges() -> Any:
    """An array has no mask: Add passes none on, Multiply and Maximum leave masked steps of the other out."""
    x = sequence(FIXED)
    masked = kl.Masking()(x)
    made = [getattr(kl, name)()([masked, array(1, *FIXED)]) for name in ("Add", "Multiply", "Maximum")]
    made.append(kl.Concatenate()([masked, rows(*FIXED)]))
    return keras.Model(x, [kl.LSTM(2)(y) for y in made]), pad


def square() -> Any:
    """As many features as steps: what Keras adds along the features wherever it seems to lie along the steps."""
    x = sequence((STEPS, STEPS))
    return keras.Model(x, [
        kl.Add()([x, array(1, STEPS, 1)]),
        x + array(STEPS, 1),
        kl.Multiply()([x, array(1, STEPS, 1)]),
        kl.Add()([x, array(STEPS)]),
        ops.add(array(1, STEPS, 1), x),
    ])  # fmt: skip


def states(cell: str, count: int, size: int, **options: Any) -> Branch:
    def branch(x: Any) -> Any:
        given = [array(1, size) * (1 + n) for n in range(count)]
        return getattr(kl, cell)(3, unroll=True, **options)(x, initial_state=given)

    return branch


def of_rows(layer: Any, *shapes: tuple[int, ...]) -> Branch:
    return lambda x: layer()(x, initial_state=[rows(*shape) for shape in shapes])


STATES: dict[str, Branch] = {
    **{f"{cell}_one_row": states(cell, count, 3) for cell, count in (("LSTM", 2), ("GRU", 1), ("SimpleRNN", 1))},
    "LSTM_one_row_masked": lambda x: states("LSTM", 2, 3, return_sequences=True)(kl.Masking()(x)),
    "LSTM": of_rows(lambda: kl.LSTM(3, return_state=True), (3,), (3,)),
    "GRU": of_rows(lambda: kl.GRU(3, return_sequences=True), (3,)),
    "SimpleRNN": of_rows(lambda: kl.SimpleRNN(3, go_backwards=True), (3,)),
    "GRU_not_in_a_list": lambda x: kl.GRU(3)(x, initial_state=rows(3)),
    "LSTM_by_position": lambda x: kl.LSTM(3)(x, [rows(3), ops.ones((ROWS, 3))]),
    "LSTM_beside_a_tensor": lambda x: kl.LSTM(3)(x, initial_state=[kl.Dense(3)(x[:, 0]), np.ones((ROWS, 3))]),
    "Bidirectional": of_rows(lambda: kl.Bidirectional(kl.LSTM(2)), (2,), (2,), (2,), (2,)),
    "stack": lambda x: kl.RNN([kl.LSTMCell(3), kl.GRUCell(2)])(x, initial_state=[[rows(3), rows(3)], [rows(2)]]),
}


def open_steps() -> Any:
    """A positional encoding of so many steps, on an input that leaves their number open."""
    x = sequence()
    return keras.Model(x, kl.LSTM(2)(kl.Add()([x, array(1, *FIXED)])))


def conv_lstm() -> Any:
    x = keras.Input((3, 4, 4, 2))
    given = [rows(3, 3, 2), rows(3, 3, 2)]
    return keras.Model(x, kl.ConvLSTM2D(2, 2)(x, initial_state=given))


def fixed_batch() -> Any:
    x = keras.Input(FIXED, batch_size=ROWS)
    return keras.Model(x, kl.LSTM(3)(x, initial_state=[np.zeros((ROWS, 3)), np.ones((ROWS, 3))]))


def attended(mask: Any, **options: Any) -> Branch:
    return lambda x: kl.MultiHeadAttention(2, 3, **options)(x, x, attention_mask=mask)


ATTENTION: dict[str, Branch] = {
    "causal": attended(CAUSAL),
    "causal_bool": attended(CAUSAL[None].astype(bool)),
    "causal_int": attended(CAUSAL[None, None].astype(int)),
    "causal_with_dropout": attended(CAUSAL, dropout=0.3),
    "one_query": attended(CAUSAL[1:2]),
    "for_each_row": attended(np.stack([CAUSAL] * ROWS)),
    "masked": lambda x: attended(CAUSAL)(kl.Masking()(x)),
    "scores": lambda x: kl.MultiHeadAttention(1, 2)(x, x, attention_mask=CAUSAL, return_attention_scores=True),
    "value_mask": lambda x: kl.MultiHeadAttention(1, 2)(x, x, value_mask=VALID),
    "value": lambda x: kl.MultiHeadAttention(1, 2)(x, rows(3, FEATURES)),
    "luong_value": lambda x: kl.Attention()([x, array(1, 3, FEATURES)]),
    "luong_query": lambda x: kl.Attention()([array(1, 3, FEATURES), x]),
    "luong_mask": lambda x: kl.Attention()([x, x], mask=[None, VALID]),
    "bahdanau_masks": lambda x: kl.AdditiveAttention()([x, x], mask=[VALID, VALID]),
    "by_words": lambda x: kl.MultiHeadAttention(1, 2)(query=x, value=x),
}

MASKS: dict[str, Branch] = {
    "lstm": lambda x: kl.LSTM(2, return_sequences=True)(x, mask=VALID),
    "lstm_by_position": lambda x: kl.LSTM(2)(x, None, VALID),
    "passed_on": lambda x: kl.GRU(2)(kl.LSTM(2, return_sequences=True)(x, mask=VALID.astype("int32"))),
    "bidirectional": lambda x: kl.Bidirectional(kl.GRU(2, return_sequences=True))(x, mask=VALID),
    "mean": lambda x: kl.GlobalAveragePooling1D()(x, mask=VALID),
    "softmax": lambda x: kl.Softmax()(x, mask=np.array([True, False])),
    "sequential": lambda x: keras.Sequential([keras.Input(FIXED), kl.LSTM(2)])(x, mask=VALID),
}

OPERATIONS: dict[str, Branch] = {
    "add": lambda x: x + array(*FIXED),
    "right": lambda x: ops.subtract(array(1, *FIXED), x),
    "wider": lambda x: x * array(FEATURES).astype("float64"),
    "whole": lambda x: x * np.arange(FEATURES),
    "where": lambda x: ops.where(VALID[..., None], x, array(FEATURES)),
    "matmul": lambda x: ops.matmul(x, array(FEATURES, 3)),
    "matmul_left": lambda x: ops.matmul(array(3, STEPS), x),
    "concatenate": lambda x: ops.concatenate([rows(2, FEATURES), x], axis=1),
    "stack": lambda x: ops.stack([x, rows(*FIXED)], axis=-1),
    "maximum": lambda x: ops.maximum(x, array(FEATURES)),
}


def nested_model() -> Any:
    """A model called with an array, in which an LSTM runs over the array alone."""
    a, b = keras.Input(FIXED), keras.Input(FIXED)
    both = kl.Add()([kl.GRU(FEATURES, return_sequences=True)(a), kl.LSTM(FEATURES, return_sequences=True)(b)])
    inner = keras.Model([a, b], [both, kl.Dense(2)(b)])
    x = sequence(FIXED)
    return keras.Model(x, inner([x, ops.convert_to_tensor(array(1, *FIXED))])[0])


def nested_inputs() -> Any:
    """Inputs as [[a, b], {"z": c, "d": d}]; the names are not in the order of the structure."""
    a, b, c, d = (keras.Input((STEPS, n), name=name) for n, name in ((2, "z"), (2, "y"), (3, "x"), (2, "w")))
    joined = kl.Concatenate()([kl.LSTM(2)(a), kl.GRU(2)(b), kl.LSTM(3)(c), kl.GRU(2)(d)])
    return keras.Model([[a, b], {"z": c, "d": d}], [joined, kl.Dense(1)(joined)])


def nested_structures_inside() -> Any:
    """A nested model with nested inputs and outputs, and one that is called with a dict of its inputs by name."""
    a, b, c = (keras.Input(FIXED, name=name) for name in ("zed", "why", "ex"))
    tree = keras.Model([[a, b], c], [[kl.LSTM(2)(a), kl.GRU(2)(b)], kl.LSTM(3)(c)])
    d, e = keras.Input(FIXED, name="second"), keras.Input(FIXED, name="first")
    named = keras.Model([d, e], kl.Subtract()([kl.GRU(2)(d), kl.LSTM(2)(e)]))
    x, y = keras.Input(FIXED, name="x"), keras.Input(FIXED, name="y")
    (one, two), three = tree([[x, y], x])
    return keras.Model([x, y], [one, two, three, named({"second": x, "first": y})])


CASES: dict[str, Case] = {
    "constants-merged": branches(MERGED, FIXED),
    "constants-merged-masked": masked_merges,
    "constants-square": square,
    "constants-states": branches(STATES, FIXED),
    "constants-open-steps": open_steps,
    "constants-conv-lstm": conv_lstm,
    "constants-fixed-batch": fixed_batch,
    "constants-attention": branches(ATTENTION, FIXED),
    "constants-masks": branches(MASKS, FIXED),
    "constants-operations": branches(OPERATIONS, FIXED),
    "constants-nested-model": nested_model,
    "nested-inputs": nested_inputs,
    "nested-structures-inside": nested_structures_inside,
}
