"""Recurrent layers, Bidirectional and the makers of masks, as the grammar draws them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from .drawing import Draw, Value, is_float
from .plan import Make

BOUNDED = ("sigmoid", "tanh", "softmax", "softsign", "hard_sigmoid", "hard_tanh", "sparsemax", "relu6")
RNNS = {"LSTM": 2, "GRU": 1, "SimpleRNN": 1}  # with the number of their states


@cache
def every_activation() -> tuple[str, ...]:
    """The activation functions of Keras that take nothing but x and keep its shape."""
    from keras.src.activations import ALL_OBJECTS

    return tuple(sorted({function.__name__ for function in ALL_OBJECTS} - {"threshold", "glu"}))


def relu_options(d: Draw) -> dict[str, Any]:
    choices = {"max_value": (1.0, 6), "negative_slope": (0.1,), "threshold": (0.3,)}
    return {key: d.rng.choice(values) for key, values in choices.items() if d.chance(0.4)}


def activation(d: Draw, bounded: bool = False) -> Any:
    if d.chance(0.15):
        return d.pick(
            Make("ReLU", relu_options(d)), Make("ELU", d.pick({}, {"alpha": 0.5})), Make("Softmax"),
            Make("LeakyReLU", d.pick({}, {"negative_slope": 0.1})),
        )  # fmt: skip
    return d.rng.choice(BOUNDED if bounded else every_activation())


def cell_options(d: Draw, kind: str) -> dict[str, Any]:
    options: dict[str, Any] = {"units": d.units()}
    if d.chance(0.45):
        options["activation"] = activation(d)
    if kind != "SimpleRNN" and d.chance(0.4):
        options["recurrent_activation"] = activation(d, bounded=d.chance(0.7))
    if d.chance(0.2):
        options["use_bias"] = False
    if kind == "GRU" and d.chance(0.5):
        options["reset_after"] = d.pick(True, False)
    if d.chance(0.08):
        options[d.pick("dropout", "recurrent_dropout")] = 0.4
    if kind == "LSTM" and d.chance(0.05):
        options["unit_forget_bias"] = False
    return options


def loop_options(d: Draw, x: Value, sequences: float = 0.7, backwards: float = 0.2) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, probability in (
        ("return_sequences", sequences), ("return_state", 0.25), ("go_backwards", backwards),
        ("zero_output_for_mask", 0.25), ("unroll", 0.15 if x.shape[1] else 0),
        ("stateful", 0.3 if d.source.batch and not d.prefix else 0),
    ):  # fmt: skip
        if d.chance(probability):
            options[key] = True
    return options


def layer_dtype(d: Draw) -> dict[str, Any]:
    return {"dtype": d.pick("float64", "mixed_float16", "float32")} if d.chance(0.01) else {}


def plain_rnn(d: Draw, x: Value, **fixed: Any) -> tuple[Make, int]:
    kind = d.rng.choice(list(RNNS))
    return Make(kind, {**cell_options(d, kind), **loop_options(d, x), **fixed, **layer_dtype(d)}), RNNS[kind]


def cell(d: Draw) -> tuple[Make, int, int]:
    kind = d.rng.choice(list(RNNS))
    options = cell_options(d, kind)
    return Make(f"{kind}Cell", options), RNNS[kind], options["units"]


def states(d: Draw, units: int, count: int) -> list[Any] | None:
    """Initial states: states that other layers returned, Dense layers over vectors, arrays of one row or of all."""
    made: list[Any] = []
    for _ in range(count):
        fitting = d.find(lambda v: len(v.shape) == 2 and v.shape[1] == units and is_float(v)) if d.chance(0.6) else None
        vector = d.ranked(2)
        if d.chance(0.25):
            made.append(d.array((d.source.batch or 1, units), "float32", "float64", "tensor"))
            continue
        if fitting is None and vector is not None:
            (fitting,) = d.emit(Make("Dense", {"units": units, **d.pick({}, {"activation": "tanh"})}), vector)
        if fitting is None:
            return None
        made.append(fitting)
    return made


def mask_for(d: Draw, x: Value) -> Any:
    """A mask to pass by hand: an input, computed from a sequence, or an array."""
    if d.chance(0.25) and (array := d.array((1, x.shape[1]), "bool", "int32")) is not None:
        return array
    mask = d.find(lambda v: v.dtype == "bool" and len(v.shape) == 2 and v.shape[1] == x.shape[1])
    if mask is not None or d.chance(0.4):
        return mask
    ids = d.find(lambda v: "int" in v.dtype and len(v.shape) == 2 and v.shape[1] == x.shape[1])
    if ids is not None:
        return d.emit("ops.not_equal({0}, 0)", ids)[0]
    return d.emit("ops.any(ops.not_equal({0}, 0), axis=-1)", x)[0]


def call_options(d: Draw, x: Value, units: int, count: int) -> dict[str, Any]:
    """mask= and initial_state= of a recurrent layer's call."""
    kwargs: dict[str, Any] = {}
    if d.chance(0.15) and (mask := mask_for(d, x)) is not None:
        kwargs["mask"] = mask
    if d.chance(0.25) and (given := states(d, units, count)):
        kwargs["initial_state"] = given if len(given) > 1 or d.chance(0.5) else given[0]
    return kwargs


def recurrent(kind: str) -> Callable[[Draw], bool]:
    def op(d: Draw) -> bool:
        if (x := d.ranked(3)) is None:
            return False
        options = {**cell_options(d, kind), **loop_options(d, x), **layer_dtype(d)}
        d.emit(Make(kind, options), x, **call_options(d, x, options["units"], RNNS[kind]))
        return True

    return op


def rnn(d: Draw) -> bool:
    if (x := d.ranked(3)) is None:
        return False
    one, count, units = cell(d)
    kwargs: dict[str, Any] = {}
    if d.chance(0.5):
        d.emit(Make("RNN", {"cell": one, **loop_options(d, x)}), x, **call_options(d, x, units, count))
        return True
    cells = [cell(d) for _ in range(d.pick(1, 2, 2, 3))]
    if d.chance(0.15):
        given = [states(d, units, count) for _, count, units in cells]
        if None not in given:
            kwargs["initial_state"] = [part if len(part) > 1 else part[0] for part in given if part]
    if d.chance(0.15) and (mask := mask_for(d, x)) is not None:
        kwargs["mask"] = mask
    makes = [make for make, _, _ in cells]
    stacked = makes if d.chance(0.3) else Make("StackedRNNCells", {"cells": makes})
    d.emit(Make("RNN", {"cell": stacked, **loop_options(d, x)}), x, **kwargs)
    return True


def bidirectional_layer(d: Draw, x: Value) -> tuple[Make, int, int]:
    sequences, state = d.chance(0.7), d.chance(0.2)
    common = {"return_sequences": sequences, "return_state": state}
    backwards = d.chance(0.15)
    forward, count = plain_rnn(d, x, go_backwards=backwards, **common)
    if d.chance(0.1):
        one, count, units = cell(d)
        forward = Make("RNN", {"cell": one, **common, "go_backwards": backwards})
        forward_units = units
    else:
        forward_units = forward.options["units"]
    options: dict[str, Any] = {"layer": forward}
    if d.chance(0.75):
        options["merge_mode"] = d.pick("concat", "sum", "ave", "mul", None)
    elif d.chance(0.5):
        options["merge_mode"] = "concat"
    if d.chance(0.25):
        backward, count_back = plain_rnn(d, x, go_backwards=not backwards, **common)
        # Keras takes it for granted that both have the units of the forward one: what follows is built for those.
        if d.chance(0.6) or options.get("merge_mode") in ("concat", None):
            backward = replace(backward, options={**backward.options, "units": forward_units})
        backward.options.pop("stateful", None)
        if forward.options.get("stateful"):
            backward.options["stateful"] = True
        options["backward_layer"] = backward
        count = count if count_back == count else 0
    return Make("Bidirectional", {**options, **layer_dtype(d)}), forward_units, count


def bidirectional(d: Draw) -> bool:
    if (x := d.ranked(3)) is None:
        return False
    make, units, count = bidirectional_layer(d, x)
    d.emit(make, x, **call_options(d, x, units, 2 * count))
    return True


def masking(d: Draw) -> bool:
    if (x := d.ranked(3)) is None:
        return False
    pads = [spec.pad for spec in d.inputs if spec.name == x.ref.name] or [0.0]
    d.emit(Make("Masking", d.pick({}, {"mask_value": pads[0]}) if pads[0] == 0 else {"mask_value": pads[0]}), x)
    return True


def embedding(d: Draw) -> bool:
    ids = d.find(lambda v: "int" in v.dtype and len(v.shape) in (2, 3))
    if ids is None:
        return False
    d.emit(Make("Embedding", {"input_dim": 6, "output_dim": d.units(), **d.pick({"mask_zero": True}, {})}), ids)
    return True
