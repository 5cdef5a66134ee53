"""What Keras computes differently from version to version."""

from __future__ import annotations

import re
from dataclasses import dataclass


def version_tuple(version: str) -> tuple[int, ...]:
    """ "3.15.1" → (3, 15, 1); "2.2.4-tf" → (2, 2, 4); at most three numbers."""
    return tuple(int(number) for number in re.findall(r"\d{1,6}", version)[:3])


@dataclass(frozen=True)
class Semantics:
    """Facts of one Keras version that decide what its files mean.

    Attributes:
        modern: Keras 3.
        hard_sigmoid_slope: 0.2 in Keras 1 and 2, 1/6 in Keras 3.
        merge_mask: how merge layers join masks: "all" before Keras 3.4, "any" since; since then Multiply, Maximum and
            Minimum also leave masked steps out.
        recurrent_passes_mask: RNN layers, Bidirectional and TimeDistributed pass their mask on; not since Keras 3.16.
        masking_selects: Masking writes 0 at masked steps; before Keras 3 it multiplied by the mask.
        bidirectional_zeroes_masked: inside Bidirectional, masked steps of a sequence put out zeros; not in Keras before
            it was part of TensorFlow.
        masked_output_is_state: a masked step puts out the first state; since Keras 2.3 it repeats the last output,
            which starts as zeros. The two differ after an initial state that is given, and in a stack of cells.
        initial_state_keeps_mask: an RNN given its initial state still takes the mask of its input; not in Keras 3.
        resizes_from_centres: UpSampling2D interpolates between the centres of places, as TensorFlow 2 does; what an
            older Keras does is refused.
    """

    keras_version: str
    modern: bool
    hard_sigmoid_slope: float
    merge_mask: str
    recurrent_passes_mask: bool
    masking_selects: bool
    initial_state_keeps_mask: bool
    bidirectional_zeroes_masked: bool
    masked_output_is_state: bool
    resizes_from_centres: bool

    @property
    def adds_as_bias(self) -> bool:
        """Whether `ops.add` takes an array with one axis larger than 1 for a bias: see `compose.as_added`."""
        return version_tuple(self.keras_version) >= (3, 7)

    def recorded(self) -> dict[str, str]:
        """As the bundle keeps it."""
        return {
            "bidirectional_zeroes_masked": str(self.bidirectional_zeroes_masked).lower(),
            "initial_state_keeps_mask": str(self.initial_state_keeps_mask).lower(),
            "hard_sigmoid_slope": repr(self.hard_sigmoid_slope),
            "masked_output_is_state": str(self.masked_output_is_state).lower(),
            "masking_selects": str(self.masking_selects).lower(),
            "merge_mask": self.merge_mask,
            "recurrent_passes_mask": str(self.recurrent_passes_mask).lower(),
        }


def semantics_of(keras_version: str) -> Semantics:
    """The semantics of a Keras version, from its release notes and sources."""
    version = version_tuple(keras_version)
    modern = version >= (3,)
    in_tensorflow = version >= (2, 4) or ("tf" in keras_version and version >= (2, 2, 4))
    return Semantics(
        keras_version=keras_version,
        modern=modern,
        hard_sigmoid_slope=1 / 6 if modern else 0.2,
        merge_mask="any" if version >= (3, 4) else "all",
        recurrent_passes_mask=version < (3, 16),
        masking_selects=modern,
        initial_state_keeps_mask=not modern,
        bidirectional_zeroes_masked=in_tensorflow,
        masked_output_is_state=not in_tensorflow and version < (2, 3),
        resizes_from_centres=version >= (2, 4),
    )
