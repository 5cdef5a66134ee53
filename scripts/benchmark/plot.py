"""The picture: the time of every engine by onnxruntime's, a row per case, on a logarithmic scale."""

from __future__ import annotations

import logging
from pathlib import Path

from .engines import REFERENCE
from .results import Results

STYLES = {
    # colour-blind safe (Okabe and Ito), and a shape each
    "runtime": ("#D55E00", "D"),
    "onnxruntime-1": ("#000000", "|"),
    "litert": ("#009E73", "s"),
    "openvino": ("#0072B2", "^"),
    "torch": ("#CC79A7", "v"),
    "tf.function": ("#E69F00", "p"),
    "keras": ("#56B4E9", "h"),
    "naive": ("#999999", "x"),
}


def draw(path: Path, results: Results) -> None:
    """Writes the picture; its format follows the path's suffix."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cases = [result for result in results.cases if REFERENCE in result.timings]
    figure, axes = pyplot.subplots(figsize=(11, 1.8 + 0.36 * len(cases)), layout="constrained")
    places = list(range(len(cases)))
    for name in results.engines:
        if name == REFERENCE:
            continue
        colour, marker = STYLES[name]
        found = [(ratio, place) for place, result in enumerate(cases) if (ratio := result.ratio(name)) is not None]
        if not found:
            continue
        ours = name == "runtime"
        axes.plot(
            *zip(*found, strict=True), linestyle="none", marker=marker, color=colour, label=name,
            markersize=9 if ours else 7, markeredgewidth=1.8 if marker in "|x" else 0.6, zorder=4 if ours else 3,
            markeredgecolor="black" if ours else colour,
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
