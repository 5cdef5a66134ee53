"""A trace in files: its arrays, and the picture of its gates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstmconv_runtime import Gates
from lstmconv_runtime.format.graph import Array

from ..files.arrays import write_npz
from ..files.atomic import publish_all


def traced_arrays(trace: Mapping[str, Any]) -> dict[str, Array]:
    """`node/gate` for the gates, states and output of recurrent nodes, `node` for the output of the others."""
    arrays: dict[str, Array] = {}
    for node, held in trace.items():
        if isinstance(held, Gates):
            arrays.update({f"{node}/{gate}": array for gate, array in held.items()})
        else:
            arrays[node] = held
    return arrays


def write_trace(trace: Mapping[str, Any], out: Path, plot: Path | None, row: int, force: bool) -> None:
    """Publishes the arrays of a trace as an `.npz` and, where `plot` is given, the gates of one sequence as a picture.

    Neither takes its place before both are on the disk.

    Raises:
        LstmconvError: see `gate_plot.gate_figure` and `atomic_file.publish`.
    """
    with publish_all([out, *([plot] if plot is not None else [])], force) as files:
        write_npz(traced_arrays(trace), files[0])
        if plot is not None:
            from .gate_plot import gate_figure, save_figure  # needs matplotlib

            save_figure(gate_figure(trace, row), files[1], plot.suffix.lower())
