"""Predictions as a flat dict of arrays by name, as an `.npz` holds them."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime import Model
from lstmconv_runtime.graph import Array
from lstmconv_runtime.model import inputs_of

__all__ = ["inputs_of", "named_outputs"]

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
