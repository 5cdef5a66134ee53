"""Bundles for LSTM, GRU, SimpleRNN and ConvLSTM, computed by the layers of Keras from the same gate tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import SIGMOID, TANH, Activation, Array, Node

from .case import Case, given, numbers

GATES = {"LSTM": "ifco", "GRU": "zrh", "SimpleRNN": "h", "ConvLSTM": "ifco"}
RELU = Activation("relu", (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0)))
HARD = Activation("hard_sigmoid", (("slope", 1 / 6), ("offset", 0.5)))
SOFTMAX = Activation("softmax", (("axis", 1.0),))
X = numbers(3, 6, 2, seed=5)
# Row 0 begins, row 1 ends, row 2 is broken by masked steps.
MASK = np.array([[0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 0, 1, 0, 0, 1]], bool)


def fields(kind: str, **options: Any) -> dict[str, Any]:
    """The fields of a recurrent node named after its kind in lower case, the plainest but for `options`."""
    name = kind.lower()
    common = {
        "name": name, "x": "x", "mask": None, "h0": None, "weights": name, "use_bias": True, "activation": TANH,
        "return_sequences": False, "go_backwards": False, "zero_output_for_mask": False, "stateful": False,
    }  # fmt: skip
    sizes = {"filters": 2, "channels": 2} if kind == "ConvLSTM" else {"input_size": 2, "units": 3}
    gates = {} if kind == "SimpleRNN" else {"recurrent_activation": SIGMOID}
    cell = {"c0": None} if kind in ("LSTM", "ConvLSTM") else {}
    reset = {"reset_after": True} if kind == "GRU" else {}
    return {**common, **sizes, **gates, **cell, **reset, **options}


def weights(node: Node, kind: str, arrays: Mapping[str, Array]) -> list[Array]:
    """The gate tensors in Keras's layout: side by side, in Keras's order of gates."""
    own = {name: arrays[f"{node.namespace()}/{name}"] for name in node.parameters()}

    def side_by_side(letter: str) -> Array:
        return np.concatenate([own[f"{letter}_{gate}"] for gate in GATES[kind]], axis=-1)

    made = [side_by_side("W"), side_by_side("U")]
    if "b_" + GATES[kind][0] in own:
        made.append(
            np.stack([side_by_side("b"), side_by_side("bU")]) if f"bU_{GATES[kind][0]}" in own else side_by_side("b")
        )
    return made


def keras_layer(node: Any, kind: str) -> Any:
    options = {
        "activation": node.activation.name,
        "use_bias": node.use_bias,
        "return_sequences": node.return_sequences,
        "return_state": True,
        "go_backwards": node.go_backwards,
        "zero_output_for_mask": node.zero_output_for_mask,
        "recurrent_initializer": "zeros",
    }
    if kind != "SimpleRNN":
        options["recurrent_activation"] = node.recurrent_activation.name
    if kind == "GRU":
        options["reset_after"] = node.reset_after
    if kind == "ConvLSTM":
        make = getattr(keras.layers, f"ConvLSTM{len(node.kernel_size)}D")
        return make(node.filters, node.kernel_size, strides=node.strides, padding=node.padding,
                    dilation_rate=node.dilation, **options)  # fmt: skip
    return getattr(keras.layers, kind)(node.units, **options)


def run(node: Any, kind: str, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> list[Any]:
    """Output and last states of Keras's layer, reading the values that the node names."""
    x = values[node.x]
    layer = keras_layer(node, kind)
    layer.build(x.shape)
    layer.set_weights(weights(node, kind, arrays))
    given_states = [None if name is None else values[name] for name in node.states]
    states = None
    if any(state is not None for state in given_states):
        like = next(state for state in given_states if state is not None)
        states = [tf.zeros_like(like) if state is None else state for state in given_states]
    mask = None if node.mask is None else values[node.mask]
    return list(layer(x, mask=mask, initial_state=states))


def case(
    name: str,
    shows: str,
    kind: str,
    probes: list[dict[str, Array]],
    *,
    outputs: str = "",
    steps: Any = None,
    **options: Any,
) -> Case:
    """One recurrent node. Its inputs are x, and `mask`, `h0` and `c0` where a probe has them.

    Args:
        outputs: which of y, h, c the bundle gives; all of them without.
        steps: the size of the time axis; None is open.
    """
    inputs = []
    for key, array in probes[0].items():
        sizes = array.shape[1:] if key in ("h0", "c0") else (steps, *array.shape[2:])
        inputs.append(given(*sizes, name=key, dtype=array.dtype.name))
    reads = {key: key for key in ("mask", "h0", "c0") if key in probes[0]}
    node = n.NODES[kind](**fields(kind, **reads, **options))
    makes = dict(zip("yhc", node.makes(), strict=False))
    chosen = outputs or "".join(makes)

    def oracle(values: Mapping[str, Any], arrays: Mapping[str, Array]) -> list[Any]:
        made = dict(zip("yhc", run(node, kind, values, arrays), strict=False))
        return [made[letter] for letter in chosen]

    return Case(name, shows, [*inputs, node], [makes[letter] for letter in chosen], probes, oracle)


def cases() -> Iterator[Case]:
    plain: list[dict[str, Array]] = [{"x": X}, {"x": X[:1, :1]}]
    masked: list[dict[str, Array]] = [{"x": X, "mask": MASK}]
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        low = kind.lower()
        states = {"h0": numbers(3, 3, seed=9), **({"c0": numbers(3, 3, seed=10)} if kind == "LSTM" else {})}
        yield case(low, "the last output and the last states; also of a single step", kind, plain)
        yield case(
            f"{low}-saturated", "gates that saturate overflow nothing", kind, [{"x": X * 1000}], return_sequences=True
        )
        yield case(
            f"{low}-sequences", "the output of every step, with the last states", kind, plain, return_sequences=True
        )
        yield case(f"{low}-without-bias", "no b", kind, plain, outputs="y", use_bias=False)
        yield case(
            f"{low}-backwards", "from the last step to the first; the sequence is in processing order", kind, plain,
            return_sequences=True, go_backwards=True,
        )  # fmt: skip
        yield case(
            f"{low}-masked",
            "a masked step keeps the states and repeats the output; before the first valid step that is 0",
            kind,
            masked,
            return_sequences=True,
        )
        yield case(f"{low}-masked-last", "the last output is that of the last valid step", kind, masked)
        yield case(
            f"{low}-masked-backwards", "mask and x are reversed together", kind, masked, return_sequences=True,
            go_backwards=True,
        )  # fmt: skip
        yield case(
            f"{low}-masked-zeros",
            "a masked step gives zeros, and keeps the states",
            kind,
            masked,
            return_sequences=True,
            zero_output_for_mask=True,
        )
        yield case(f"{low}-states", "initial states", kind, [{"x": X, **states}], return_sequences=True)
        yield case(
            f"{low}-states-masked",
            "with h0 and first steps masked the output is 0 there, and not the state h: a reader carries both",
            kind, [{"x": X, "mask": MASK, **states}], return_sequences=True,
        )  # fmt: skip
        nothing = np.array([[0] * 6, [0] * 6, [1, 1, 1, 1, 1, 1]], bool)
        yield case(
            f"{low}-states-all-masked", "a row with no valid step gives 0 and keeps h0", kind,
            [{"x": X, "mask": nothing, **states}],
        )  # fmt: skip
        yield case(
            f"{low}-states-masked-backwards", "the same from the last step to the first", kind,
            [{"x": X, "mask": MASK, **states}], return_sequences=True, go_backwards=True,
        )  # fmt: skip
        odd = X.copy()
        odd[0, 2, 1], odd[1, 4, 0] = np.nan, np.inf
        yield case(
            f"{low}-odd-rows",
            "NaN in one row stays in this row, from its step on",
            kind,
            [{"x": odd}],
            return_sequences=True,
        )
        odd = X.copy()
        odd[~MASK] = np.nan
        yield case(
            f"{low}-masked-nan",
            "what is at a masked step does not matter, NaN included",
            kind,
            [{"x": odd, "mask": MASK}],
            return_sequences=True,
        )
        cell: dict[str, Any] = {} if kind == "SimpleRNN" else {"recurrent_activation": HARD}
        yield case(f"{low}-relu", "other activations than the usual ones", kind, plain, activation=RELU,
                   **cell)  # fmt: skip
        yield case(f"{low}-softmax", "an activation along the units of a single step", kind, plain, activation=SOFTMAX)
    yield case("lstm-states-h-alone", "h0 given, c0 zeros", "LSTM", [{"x": X, "h0": numbers(3, 3)}])
    for use_bias in (True, False):
        name = "gru-reset-before" + ("" if use_bias else "-without-bias")
        yield case(
            name,
            "the reset gate before the product with U",
            "GRU",
            plain,
            return_sequences=True,
            reset_after=False,
            use_bias=use_bias,
        )
    yield case("gru-reset-after-masked", "two biases, masked", "GRU", masked, outputs="y", return_sequences=True)
    yield from convolutional()


def convolutional() -> Iterator[Case]:
    space = {1: (5,), 2: (4, 3), 3: (3, 2, 3)}
    for axes, sizes in space.items():
        window: dict[str, Any] = {
            "kernel_size": (3, 2, 2)[:axes],
            "strides": (1,) * axes,
            "padding": "same",
            "dilation": (1,) * axes,
        }
        x = numbers(2, 3, *sizes, 2, seed=axes)
        yield case(
            f"conv-lstm-{axes}d",
            f"over {axes} axes of space",
            "ConvLSTM",
            [{"x": x}],
            steps=3,
            return_sequences=True,
            **window,
        )
    x = numbers(3, 4, 5, 2, seed=4)
    window = {"kernel_size": (2,), "strides": (2,), "padding": "valid", "dilation": (1,)}
    yield case("conv-lstm-strided", "strides and padding are of x alone, the state is convolved with stride 1 and same",
               "ConvLSTM", [{"x": x}], return_sequences=True, **window)  # fmt: skip
    mask = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    plain: dict[str, Any] = {"kernel_size": (3,), "strides": (1,), "padding": "same", "dilation": (1,)}
    yield case("conv-lstm-masked", "masked steps", "ConvLSTM", [{"x": x, "mask": mask}], return_sequences=True, **plain)
    states = {"h0": numbers(3, 5, 2, seed=6), "c0": numbers(3, 5, 2, seed=7)}
    yield case("conv-lstm-states-masked", "initial states, and output 0 before the first valid step", "ConvLSTM",
               [{"x": x, "mask": mask, **states}], return_sequences=True, **plain)  # fmt: skip
    yield case(
        "conv-lstm-backwards", "from the last step to the first", "ConvLSTM", [{"x": x}], go_backwards=True, **plain
    )
    yield case(
        "conv-lstm-relu",
        "other activations",
        "ConvLSTM",
        [{"x": x}],
        activation=RELU,
        recurrent_activation=HARD,
        **plain,
    )
    yield case(
        "conv-lstm-softmax", "an activation along the filters of a single step (B, space, filters)", "ConvLSTM",
        [{"x": x}], activation=Activation("softmax", (("axis", 2.0),)),
        recurrent_activation=Activation("softmax", (("axis", 2.0),)), **plain,
    )  # fmt: skip
