"""The picture: the time of every engine by onnxruntime's, a row per case, on a logarithmic scale."""

from __future__ import annotations

import logging
from pathlib import Path

from .engines import OURS, REFERENCE
from .results import Results

STYLES = {
    # colour-blind safe (Okabe and Ito), and a shape each
    "runtime": ("#D55E00", "D"),
    "runtime-numpy": ("#D55E00", "d"),
    "onnxruntime-1": ("#000000", "o"),
    "our-onnx": ("#F0E442", "P"),
    "litert": ("#009E73", "s"),
    "openvino": ("#0072B2", "^"),
    "torch": ("#CC79A7", "v"),
    "tf.function": ("#E69F00", "p"),
    "keras": ("#56B4E9", "h"),
    "naive": ("#999999", "x"),
}


SPREAD = 0.5  # of a row: the engines lie a little below each other, so that equal ones stay visible


def draw(path: Path, results: Results) -> None:
    """Writes the picture; its format follows the path's suffix."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cases = [result for result in results.cases if REFERENCE in result.timings]
    figure, axes = pyplot.subplots(figsize=(11, 2 + 0.42 * len(cases)), layout="constrained")
    places = list(range(len(cases)))
    drawn = [name for name in results.engines if name != REFERENCE]
    for number, name in enumerate(drawn):
        colour, marker = STYLES[name]
        offset = (number / max(1, len(drawn) - 1) - 0.5) * SPREAD
        found = [
            (ratio, place + offset) for place, result in enumerate(cases) if (ratio := result.ratio(name)) is not None
        ]
        if not found:
            continue
        ours, hollow = name == OURS, marker == "o"
        axes.plot(
            *zip(*found, strict=True), linestyle="none", marker=marker, color=colour, label=name,
            markersize=9 if ours else 6.5, markeredgewidth=1.6 if marker == "x" or hollow else 0.6,
            markerfacecolor="none" if hollow else colour, markeredgecolor="black" if ours else colour,
            zorder=4 if ours else 3,
        )  # fmt: skip
    axes.axvline(1, color="black", linewidth=1.2, zorder=2)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.set_yticks(places, [result.case.name for result in cases])
    axes.set_ylim(len(cases) - 0.5, -0.5)
    for place in places[::2]:
        axes.axhspan(place - 0.5, place + 0.5, color="0.95", zorder=0)
    axes.grid(axis="x", which="major", color="0.8", zorder=1)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(f"time by {REFERENCE}'s (default threads): left of the line is faster")
    axes.set_title(f"One model, every engine\n{results.processor}", fontsize=11, loc="left")
    figure.legend(loc="outside lower center", ncols=8, frameon=False)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
