"""The gates of recurrent nodes as heat maps: time steps on x, units on y."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
from lstmconv_runtime import Gates
from lstmconv_runtime.format.graph import Array

from ..errors import LimitError, MissingPackageError, UnsupportedError, UsageError, printable
from .gate_scales import NAMES, color_limits

SUFFIXES = (".png", ".svg", ".pdf")
COLUMNS = 3
MAX_NODES = 50  # two rows of maps each: beyond, the picture is too tall for a PNG and for any reader


def require_matplotlib() -> None:
    """Raises MissingPackageError where there is no matplotlib."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingPackageError("pictures need matplotlib: pip install 'lstmconv[plot]'") from None


def gate_figure(trace: Mapping[str, Any], row: int = 0, number: int | None = None, rows: int | None = None) -> Any:
    """A matplotlib figure with one heat map per gate of each recurrent node.

    Args:
        trace: of `Model.trace`.
        row: which sequence of the batch to show.
        number: which it is of the input, which has `rows`; by default the batch is the input.

    Raises:
        UnsupportedError: the model has no recurrent node.
        UsageError: the batch has no such row.
        LimitError: more than MAX_NODES recurrent nodes.
        MissingPackageError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    nodes = {
        name: {k: g for k, g in held.items() if k != "output"} for name, held in trace.items() if type(held) is Gates
    }
    if not nodes:
        raise UnsupportedError("the model has no recurrent node, so there are no gates to draw", "E_NO_GATES")
    if len(nodes) > MAX_NODES:
        raise LimitError(f"{len(nodes)} recurrent nodes; a picture shows at most {MAX_NODES}", "E_LIMIT_PLOT")
    batch = len(next(iter(next(iter(nodes.values())).values())))
    if not 0 <= row < batch:
        raise UsageError(f"there is no row {row} to draw: the input has {batch}, counted from 0")
    lines = [-(-len(gates) // COLUMNS) for gates in nodes.values()]
    layout = ConstrainedLayoutEngine(wspace=0.05)  # so that the label of a colour bar keeps clear of its neighbour
    figure = Figure(figsize=(4.2 * COLUMNS, 2.8 * sum(lines) + 0.6), dpi=100, layout=layout)
    shown, of = (row, batch) if number is None else (number, rows)
    figure.suptitle(f"Gates of sequence {shown}" + ("" if of is None else f" of a batch of {of}"))
    axes = figure.subplots(sum(lines), COLUMNS, squeeze=False)
    top = 0
    for (name, gates), height in zip(nodes.items(), lines, strict=True):
        places = list(axes[top : top + height].flat)
        for place, (gate, values) in zip(places, gates.items(), strict=False):
            _draw(figure, place, f"{printable(name, 40)}: {NAMES.get(gate, gate)}", gate, values[row])
        for place in places[len(gates) :]:
            place.set_axis_off()
        top += height
    return figure


def _draw(figure: Any, axes: Any, title: str, gate: str, values: Array) -> None:
    """One heat map; values are (time, units), or (time, *space, filters), whose places are drawn one above another."""
    flat = values.reshape(len(values), -1).astype(np.float64)  # (time, units)
    low, high = color_limits(gate, flat)
    image = axes.imshow(
        flat.T, vmin=low, vmax=high, cmap="viridis" if low == 0 else "RdBu_r",
        aspect="auto", origin="lower", interpolation="nearest",
    )  # fmt: skip
    axes.set_facecolor("0.6")  # what is not a number
    # A name from a file is text; between dollar signs matplotlib would take it for a formula.
    axes.set_title(title, fontsize="medium", parse_math=False)
    axes.set_xlabel("time step")
    axes.set_ylabel("unit" if values.ndim == 2 else "place and filter")
    for axis, size in ((axes.xaxis, flat.shape[0]), (axes.yaxis, flat.shape[1])):
        axis.set_ticks(_ticks(size))
    figure.colorbar(image, ax=axes, label="activation" if gate != "c" else "state")


def _ticks(size: int) -> Iterable[int]:
    """At most seven whole numbers from 0, evenly apart."""
    step = next(s for power in range(12) for k in (1, 2, 5) if (s := k * 10**power) * 7 >= size)
    return range(0, size, step)


def save_figure(figure: Any, file: BinaryIO, suffix: str) -> None:
    """Writes the figure in the format of a suffix of SUFFIXES."""
    figure.savefig(file, format=suffix.removeprefix("."))
