"""Results of a model as flat dicts of arrays by name, as an `.npz` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lstmconv_runtime import Gates, Model
from lstmconv_runtime.graph import Array
from lstmconv_runtime.model import inputs_of

__all__ = ["inputs_of", "named_outputs", "traced_arrays"]

ROWS_AT_ONCE = 4096  # so that a file of any number of sequences needs little memory beside itself


def named_outputs(model: Model, x: Any) -> dict[str, Array]:
    """The outputs of a model for x, by name.

    Raises:
        InputError: an array does not fit.
    """
    made = model.predict(x, batch_size=ROWS_AT_ONCE)
    if isinstance(made, dict):
        return made
    return dict(zip(model.output_names, made if isinstance(made, list) else [made], strict=True))


def traced_arrays(trace: Mapping[str, Any]) -> dict[str, Array]:
    """`node/gate` for the gates, states and output of recurrent nodes, `node` for the output of the others."""
    arrays: dict[str, Array] = {}
    for node, held in trace.items():
        if isinstance(held, Gates):
            arrays.update({f"{node}/{gate}": array for gate, array in held.items()})
        else:
            arrays[node] = held
    return arrays
