"""LSTM, GRU, SimpleRNN; RNN over a cell or a stack of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import Activation, Node, Value
from lstmconv_runtime.format.nodes import GRU, LSTM, Flip, SimpleRNN, Slice, Squeeze

from ...errors import InvalidFileError, printable
from ...history.gates import KERAS_GRU, KERAS_LSTM, KERAS_SIMPLE_RNN, keras_to_named
from ...reading.form import Serialised
from ...reading.layer_weights import LayerWeights, Spec
from ..building import Layer, Tensor
from ..call import Call, Outputs
from ..composition.compose import elementwise, expanded, scalar, where
from ..layer_config import Config
from .activations import read_activation, relu_with
from .core import last_size

GATES = {"LSTM": KERAS_LSTM, "GRU": KERAS_GRU, "SimpleRNN": KERAS_SIMPLE_RNN}


@dataclass(frozen=True)
class Cell:
    """The options of one cell."""

    kind: str  # LSTM, GRU, SimpleRNN
    units: int
    use_bias: bool
    activation: Activation
    recurrent_activation: Activation | None
    reset_after: bool

    def specs(self, size: int) -> list[Spec]:
        """Its arrays as Keras stores them, for `size` input features."""
        fused = len(GATES[self.kind]) * self.units
        bias = (2, fused) if self.reset_after else (fused,)
        return [
            Spec("kernel", (size, fused)),
            Spec("recurrent_kernel", (self.units, fused)),
            *([Spec("bias", bias)] if self.use_bias else []),
        ]


STEP_RANK = 2  # a cell sees one step: (batch, units)


def read_cell(kind: str, config: Config, layer: Layer) -> Cell:
    """Reads the options that LSTM and LSTMCell (and so on) share."""
    config.ignore("dropout", "recurrent_dropout", "unit_forget_bias", "implementation", "dtype")
    gated = kind != "SimpleRNN"
    activation = read_activation(config, "activation", layer.build, STEP_RANK, "tanh")
    recurrent = read_activation(config, "recurrent_activation", layer.build, STEP_RANK, "sigmoid") if gated else None
    return Cell(
        kind=kind,
        units=config.integer("units"),
        use_bias=config.flag("use_bias", True),
        activation=activation,
        recurrent_activation=recurrent,
        reset_after=config.flag("reset_after", True) if kind == "GRU" else False,
    )


@dataclass(frozen=True)
class Options:
    """The options of the loop over time, common to all recurrent layers."""

    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    zero_output_for_mask: bool
    unroll: bool

    @property
    def zeroes_unturned(self) -> bool:
        """True for a loop in which Keras writes the zeros of masked steps with a mask it did not turn around."""
        return self.unroll and self.go_backwards and self.zero_output_for_mask and self.return_sequences


def read_options(layer: Layer) -> Options:
    config = layer.config
    config.only("time_major", False)
    options = Options(
        return_sequences=config.flag("return_sequences", False),
        return_state=config.flag("return_state", False),
        go_backwards=config.flag("go_backwards", False),
        stateful=config.flag("stateful", False),
        zero_output_for_mask=config.flag("zero_output_for_mask", False),
        unroll=config.flag("unroll", False),
    )
    if options.stateful and layer.calls:
        raise layer.unsupported("a stateful layer called more than once: each call would go on from the one before")
    if options.stateful:
        note = f"{layer.where} is stateful: predict starts from zero states; Model.stream carries them over"
        if note not in layer.build.warnings:
            layer.build.warnings.append(note)
    return options


def recurrent(layer: Layer, call: Call) -> Outputs:
    """LSTM, GRU, SimpleRNN layers: the cell's options lie in the layer's own config."""
    cell = read_cell(layer.class_name, layer.config, layer)
    return run_cells(layer, call, [(cell, layer.weights.child("cell"), "")], read_options(layer))


def rnn(layer: Layer, call: Call) -> Outputs:
    """RNN(cell) and RNN([cells]) over the cells of Keras."""
    cells = _read_cells(layer, layer.config.raw("cell"), layer.weights.child("cell"), "cell")
    return run_cells(layer, call, cells, read_options(layer))


def _read_cells(
    layer: Layer, described: Serialised, weights: LayerWeights, what: str
) -> list[tuple[Cell, LayerWeights, str]]:
    kinds = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN"}
    name, module = described["class_name"], described.get("module")
    known = module in (None, "keras.layers") and described.get("registered_name") in (None, name)
    config = Config(f"{layer.where}, {what} ({printable(name, 60)})", described["config"])
    if known and name == "StackedRNNCells":
        inner = config.raw("cells")
        config.ignore("dtype")
        config.only("reverse_state_order", False)
        config.done()
        places = weights.members("cells", inner)
        return [
            found
            for index, (item, place) in enumerate(zip(inner, places, strict=True))
            for found in _read_cells(layer, item, place, f"cell{index}")
        ]
    if not known or name not in kinds:
        raise layer.unsupported(
            f"the cell {name} is not one of {', '.join(kinds)}, StackedRNNCells", "E_UNSUPPORTED_LAYER"
        )
    cell = read_cell(kinds[name], config, layer)
    config.done()
    return [(cell, weights, what)]


def run_cells(layer: Layer, call: Call, cells: Sequence[tuple[Cell, LayerWeights, str]], options: Options) -> Outputs:
    """One recurrent node per cell.

    A stack of cells is a chain of nodes over the same mask: at a masked step no cell moves, whatever the one below
    put out.
    """
    x, mask = call.one(layer), call.mask(layer, 2)
    states = initial_states(layer, call)
    needed = sum(2 if cell.kind == "LSTM" else 1 for cell, _, _ in cells)
    if states and len(states) != needed:
        raise InvalidFileError(f"{layer.where}: needs {needed} initial states, got {len(states)}", "E_GRAPH")
    if mask is not None and len(layer.build.shape(mask)) != 2:
        raise layer.unsupported("a mask that is not (batch, time)")
    value, turned, backwards = x.value, mask, options.go_backwards  # turned: the mask in the order of value
    h0 = states[0] if states else None
    made: list[str] = []
    steps: list[Value] = []
    for index, (cell, weights, part) in enumerate(cells):
        last = index == len(cells) - 1
        node = _node(
            layer, cell, part if len(cells) > 1 and not last else "", value, turned, states, options,
            return_sequences=options.return_sequences or not last, go_backwards=backwards,
        )  # fmt: skip
        size = layer.build.shape(value)[-1]
        assert size is not None  # _node has checked it
        arrays = weights.take(layer.where, cell.specs(size))
        named = keras_to_named(GATES[cell.kind], arrays["kernel"], arrays["recurrent_kernel"], arrays.get("bias"))
        value = layer.add(node, named)
        made += node.makes()[1:]
        steps.append(value)
        if backwards and not last and turned is not None:
            turned = layer.add(Flip(name=layer.name_for("mask"), x=turned, axis=1))
        backwards = False  # the first cell of a stack has put its output in processing order
    if mask is not None and layer.build.semantics.masked_output_is_state and not options.unroll:
        if len(cells) > 1:
            value = _first_state_where_masked(layer, mask, steps[0], value, options)
        elif h0 is not None:
            value = _state_before_first_step(layer, mask, h0, value, made[0], options)
    output = Tensor(zeroed(layer, value, mask, options), passed_mask(layer, call, options))
    if not options.return_state:
        return output
    return [output, *(Tensor(state) for state in made)]


def _state_before_first_step(layer: Layer, mask: Value, h0: Value, y: Value, h: Value, options: Options) -> Value:
    """Before Keras 2.3 the initial state, rather than zeros, is put out until the first step that is not masked."""
    if not options.return_sequences:
        return h
    dtype = layer.build.dtype(y)
    valid = layer.build.cast(layer.where, expanded(layer, "valid", mask, 2), dtype)
    # Whether a step so far was valid, as a recurrence: h' = min(x + h, 1).
    one = np.ones((1, 1), "float32")
    seen = SimpleRNN(
        name=layer.name_for("seen"), weights=layer.stored("seen"), x=valid, mask=None, h0=None, input_size=1, units=1,
        use_bias=False, activation=relu_with(1.0, 0.0, 0.0), return_sequences=True, go_backwards=options.go_backwards,
        zero_output_for_mask=False, stateful=False,
    )  # fmt: skip
    begun = elementwise(
        layer, "begun", "not_equal", layer.add(seen, {"W_h": one, "U_h": one}), scalar(layer, "zero", 0.0, dtype)
    )
    return where(layer, "output", begun, y, expanded(layer, "before", h0, 1))


def _first_state_where_masked(layer: Layer, mask: Value, first: Value, y: Value, options: Options) -> Value:
    """Before Keras 2.3 a stack of cells puts out the first cell's state (B, T, units) at masked steps."""
    if layer.build.shape(first)[-1] != layer.build.shape(y)[-1]:
        raise layer.unsupported("a masked stack of cells of different sizes, which its own Keras could not run")
    turned = mask
    if options.go_backwards:
        turned = layer.add(Flip(name=layer.name_for("mask"), x=mask, axis=1))
    if not options.return_sequences:
        turned, first = (
            layer.add(Slice(name=layer.name_for(part), x=x, axis=1, start=-1, stop=None, step=1))
            for part, x in (("last_mask", turned), ("last", first))
        )
        first = layer.add(Squeeze(name=layer.name_for("last"), x=first, axis=1))
        return where(layer, "output", turned, y, first)
    return where(layer, "output", expanded(layer, "valid", turned, 2), y, first)


def zeroed(layer: Layer, y: Value, mask: Value | None, options: Options) -> Value:
    """The zeros that `zeroes_unturned` speaks of, in y (B, T, …)."""
    if mask is None or not options.zeroes_unturned:
        return y
    valid = mask
    for axis in range(2, len(layer.build.shape(y))):
        valid = expanded(layer, "valid", valid, axis)
    return where(layer, "zeroed", valid, y, scalar(layer, "zero", 0.0, layer.dtype))


def passed_mask(layer: Layer, call: Call, options: Options) -> Value | None:
    """RNN.compute_mask."""
    passes = options.return_sequences and layer.build.semantics.recurrent_passes_mask
    return call.previous_mask(layer) if passes else None


def initial_states(layer: Layer, call: Call) -> list[Value]:
    """The initial states a call gives, in Keras's order, in the dtype the layer computes in; [] for none."""
    return [layer.cast(state).value for state in call.tensors(layer, 1, "initial_state")]


def _node(
    layer: Layer,
    cell: Cell,
    part: str,
    x: Value,
    mask: Value | None,
    states: list[Value],
    options: Options,
    return_sequences: bool,
    go_backwards: bool,
) -> Node:
    """The node of one cell; takes its initial states off the front of `states`."""
    size = last_size(layer, Tensor(x))
    common: dict[str, Any] = {
        "name": layer.name_for(part),
        "weights": layer.stored(part),
        "x": x,
        "mask": mask,
        "h0": states.pop(0) if states else None,
        "input_size": size,
        "units": cell.units,
        "use_bias": cell.use_bias,
        "activation": cell.activation,
        "return_sequences": return_sequences,
        "go_backwards": go_backwards,
        "zero_output_for_mask": options.zero_output_for_mask and not options.zeroes_unturned,
        "stateful": options.stateful,
    }
    if cell.recurrent_activation is None:
        return SimpleRNN(**common)
    if cell.kind == "GRU":
        return GRU(**common, recurrent_activation=cell.recurrent_activation, reset_after=cell.reset_after)
    return LSTM(**common, c0=states.pop(0) if states else None, recurrent_activation=cell.recurrent_activation)
