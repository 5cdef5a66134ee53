"""What short sequences are padded with, and the proof that the model does not mind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import lstmconv_runtime
import numpy as np
from lstmconv_runtime import Model, programs
from lstmconv_runtime.format.bundle import to_bytes
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.model import inputs_of

from ..bundles.input_places import Places, input_places
from ..errors import UnsupportedError, printable
from .columns import Part

ROWS, STEPS = 4, 6
CLOSE = 1e-9  # in float64, of the largest output: rounding gives 1e-13


def pad_values(model: Model, parts: Sequence[Part], window: int | None) -> dict[str, float]:
    """By input that takes sequences, the number that the model masks.

    A model masks where every number of the input is compared with one and the same number, and where rows of that
    number change nothing: in float64, random sequences padded before and after, and where the model takes any length
    also those without padding, have the same outputs.

    Raises:
        UnsupportedError: the model does not mask, or not in all its layers.
    """
    twin = lstmconv_runtime.load(to_bytes(model.bundle), dtype="float64", engine="numpy")
    steps = next((part.steps for part in parts if part.is_sequence and part.steps), window or STEPS)
    shapes = {part.name: _shape(part, steps, model) for part in parts}
    places = input_places(model.program, shapes)
    pads: dict[str, float] = {}
    for part in parts:
        if part.is_sequence:
            compared = np.unique(places[part.name].compared)
            if len(compared) != 1 or np.isnan(compared[0]):
                raise _does_not_mask(model, part.name)
            pads[part.name] = float(compared[0])
    if steps > 1:
        _prove(twin, parts, places, pads, steps)
    return pads


def _shape(part: Part, steps: int, model: Model) -> tuple[int, ...]:
    node = next(node for node in inputs_of(model) if node.name == part.name)
    return (
        ROWS,
        *((steps,) if part.is_sequence else ()),
        *(part.rest if len(node.shape) > 2 or not part.is_sequence else ()),
    )


def _does_not_mask(model: Model, name: str) -> UnsupportedError:
    bare = [node.name for node in model.nodes if isinstance(node, programs.RECURRENT) and node.mask is None]
    layer = f"layer '{printable(bare[0], 60)}' has no mask" if bare else f"nothing masks input '{printable(name, 60)}'"
    return UnsupportedError(f"the model does not mask padding: {layer}", "E_NO_MASK")


def _prove(
    twin: Model, parts: Sequence[Part], places: Mapping[str, Places], pads: Mapping[str, float], steps: int
) -> None:
    random = np.random.default_rng(0)
    length = max(1, steps // 2)
    before, after, alone = {}, {}, {}
    for part in parts:
        limit = places[part.name].limit
        if limit.any():
            drawn = random.integers(1, max(2, int(limit[limit > 0].min())), limit.shape).astype(float)
        else:
            drawn = random.standard_normal(limit.shape)
            drawn = np.round(drawn * 4) + 8 if part.dtype.kind in "iu" else drawn
        if not part.is_sequence:
            before[part.name] = after[part.name] = alone[part.name] = drawn
            continue
        alone[part.name] = drawn[:, :length]
        padding = np.full_like(drawn[:, length:], pads[part.name])
        before[part.name] = np.concatenate([padding, drawn[:, :length]], axis=1)
        after[part.name] = np.concatenate([drawn[:, :length], padding], axis=1)
    runs = [(_outputs(twin, parts, before), slice(steps - length, None)), (_outputs(twin, parts, after), slice(length))]
    if all(part.steps is None for part in parts if part.is_sequence):
        runs.append((_outputs(twin, parts, alone), slice(None)))
    for name in twin.output_names:
        arrays = [_steps(made[name], chosen, steps) for made, chosen in runs]
        scale = max(float(np.abs(arrays[0]).max(initial=0)), 1e-3)
        if not all(np.allclose(arrays[0], other, rtol=0, atol=CLOSE * scale) for other in arrays[1:]):
            raise UnsupportedError(
                f"the model masks, but not in all its layers: padding changes output '{printable(name, 60)}'",
                "E_NO_MASK",
            )


def _outputs(twin: Model, parts: Sequence[Part], x: Mapping[str, Array]) -> dict[str, Array]:
    given = {part.name: x[part.name].astype(twin.program.dtype(part.name)) for part in parts}
    return twin.predict_by_name(given)


def _steps(array: Array, chosen: slice, steps: int) -> Array:
    """Of an output for each time step, those of the sequence itself."""
    return array[:, chosen] if array.ndim > 2 and array.shape[1] == steps else array
