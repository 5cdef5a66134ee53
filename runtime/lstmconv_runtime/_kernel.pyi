"""The compiled loops; absent where they were not built. Arrays are float32 where nothing else is said, masks bool."""

from .format.graph import Array

def instruction_sets() -> dict[str, int]:
    """Those of this processor, fastest first, each with the floats in one of its vectors."""

class Cell:
    """A recurrent node's weights, laid out by `recurrent.compiled`; they must not be written to while it lives."""

    def __init__(
        self,
        instruction_set: str,
        kind: int,
        finite: bool,
        features: int,
        units: int,
        W: Array,
        U: Array,
        U_h: Array | None,
        b: Array,
        W_scale: Array | None,
        U_scale: Array | None,
        U_h_scale: Array | None,
        /,
    ) -> None:
        """Where a matrix has a scale, it is int8."""

    def run(
        self,
        x: Array,
        mask: Array | None,
        h: Array | None,
        c: Array | None,
        before: Array | None,
        y: Array | None,
        h_new: Array,
        c_new: Array | None,
        shown: Array | None,
        zero_masked: bool,
        threads: int,
        /,
    ) -> None:
        """Takes x (B, T, n) through all steps, and writes y (B, T, u), h_new, c_new and shown (B, u).

        Args:
            mask: (B, T); None where every step is valid.
            h, c: states (B, u); None for zeros.
            before: (B, u), what masked steps before the first valid one put out; None for zeros.
            shown: the last output, which is not h_new where the last step is masked.
            zero_masked: masked steps put out zeros.
            threads: how many may share the work; 0 for as many as there are processors.

        Raises:
            ValueError: a size does not fit.
            BufferError: an array is of another type, has gaps along its last axis, or its numbers are not aligned.
            MemoryError: there is none.
        """

    def run_with(self, other: Cell, its_arguments: tuple[object, ...], own_arguments: tuple[object, ...], /) -> None:
        """`run` of this cell and of another one, side by side where threads are allowed; raises what `run` does."""
