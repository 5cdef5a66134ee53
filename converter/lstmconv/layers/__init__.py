"""HANDLERS: one function per Keras class, which adds the layer's nodes to the graph.

A handler takes the layer and one call of it, and returns the tensors the call makes, each with the mask Keras would
attach to it. It reads every option it understands from `layer.config`; what it leaves unread is refused.
"""

from __future__ import annotations

from typing import Any

from ..builder import Layer
from ..calls import Call, Handler
from . import activations, core, merging, recurrent, wrappers

HANDLERS: dict[str, Handler] = {
    "LSTM": recurrent.recurrent,
    "GRU": recurrent.recurrent,
    "SimpleRNN": recurrent.recurrent,
    "RNN": recurrent.rnn,
    "Bidirectional": wrappers.bidirectional,
    "TimeDistributed": wrappers.time_distributed,
    "Embedding": core.embedding,
    "Masking": core.masking,
    "Add": merging.merge,
    "Subtract": merging.merge,
    "Multiply": merging.merge,
    "Average": merging.merge,
    "Maximum": merging.merge,
    "Minimum": merging.merge,
    "Concatenate": merging.concatenate,
    "Dot": merging.dot,
    "Dense": core.dense,
    "Activation": activations.activation_layer,
    "Dropout": core.identity,
}

# Layers that take their inputs in the dtype they come in.
KEEPS_DTYPE = frozenset({"Embedding"})


def handle(layer: Layer, call: Call) -> Any:
    """Runs the handler of a layer that is known to have one."""
    return HANDLERS[layer.class_name](layer, call)
