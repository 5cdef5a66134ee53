"""The section with the gates of one sequence: heat maps, and a slider over the time steps."""

from __future__ import annotations

import base64
from itertools import islice
from math import isnan
from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import Array

from ..findings import Findings
from ..gate_scales import NAMES
from ..gates import MOST_NODES, GateMap, NodeGates, Traced
from ..markup import Markup, element, name
from ..pieces import count, figure, section, shape
from ..raster import AROUND_0, LEVELS, RISING, data_address, levels, palette, png

MOST_INPUTS = 20
MOST_FEATURES = 8  # of an input, that are drawn as lines
MOST_POINTS = 400  # of a line
WIDE, TALL = 400.0, 90.0


def gates_section(found: Findings) -> Markup:
    """The maps; the script finds its numbers in `gates_data`."""
    lead = "How far each gate is open at every time step: time runs from left to right, units from bottom to top."
    traced = found.gates
    if isinstance(traced, str):
        return section("gates", "Gates", element("p", f"No sequence was traced: {traced}."), lead=lead)
    origin = f"Sequence {traced.row} of {traced.rows:,} (counted from 0) of {traced.origin}."
    if not traced.nodes:
        return section(
            "gates",
            "Gates",
            element("p", "The model has no recurrent node, so there are no gates."),
            *_inputs(traced),
            lead=lead,
        )
    picker = None
    if len(traced.nodes) > 1:
        options = [element("option", node.node, value=str(place)) for place, node in enumerate(traced.nodes)]
        picker = element("p", element("label", "Layer ", element("select", *options, id="gates-node")), class_="picker")
    left_out = traced.recurrent - len(traced.nodes)
    note = f"The first {MOST_NODES} recurrent nodes are shown; {left_out} more are left out." if left_out else None
    return section(
        "gates",
        "Gates",
        element("p", origin),
        *_inputs(traced),
        picker,
        *(_node(place, node) for place, node in enumerate(traced.nodes)),
        element("p", note, class_="note") if note else None,
        lead=lead,
    )


def gates_data(found: Findings) -> list[dict[str, Any]]:
    """For the script: of each node, every gate's levels (base64 of uint8, step by step) and figures of each step."""
    if isinstance(found.gates, str):
        return []
    return [
        {
            "steps": list(node.shown_steps),
            "units": len(node.shown_units),
            "gates": [
                {
                    "low": one.low,
                    "high": one.high,
                    "levels": base64.b64encode(levels(one.values, one.low, one.high).tobytes()).decode(),
                    "words": [_words(one, place) for place in range(len(node.shown_steps))],
                }
                for one in node.maps
            ],
        }
        for node in found.gates.nodes
    ]


def _words(one: GateMap, step: int) -> str:
    least, mean, most = (float(of[step]) for of in (one.least, one.mean, one.most))
    return "not a number" if isnan(mean) else f"mean {figure(mean)}, from {figure(least)} to {figure(most)}"


def _node(place: int, node: NodeGates) -> Markup:
    notes = []
    if len(node.shown_steps) < node.steps:
        notes.append(f"{len(node.shown_steps)} of {node.steps:,} time steps are shown, every {node.shown_steps[1]}th")
    if len(node.shown_units) < node.units:
        notes.append(f"{len(node.shown_units)} of {node.units:,} units are shown, every {node.shown_units[1]}th")
    note = f"{' and '.join(notes)}; the figures below a map are of all units." if notes else None
    masked = "It reads a mask: at masked steps the gates are what the cell computed, and c and h what it kept."
    slider = f"step-{place}"
    return (
        element(
            "section",
            element("h3", name(node.node), f" {count(node.steps, 'time step')}, {count(node.units, _unit(node))}"),
            element("p", note, class_="note") if note else None,
            element("p", masked, class_="note") if node.masked else None,
            element(
                "div",
                element("label", "Time step", for_=slider),
                element(
                    "input",
                    type="range",
                    id=slider,
                    min="0",
                    max=str(max(0, len(node.shown_steps) - 1)),
                    value="0",
                    step="1",
                ),
                element("output", f"0 of 0 … {node.steps - 1}", for_=slider),
                class_="slider",
            ),
            element("div", *(_map(node, one) for one in node.maps), class_="maps"),
            class_="gate-node",
            data_place=str(place),
        )
        if node.steps and node.units
        else element("p", name(node.node), " has no time steps.")
    )


def _unit(node: NodeGates) -> str:
    return "filter at a place" if node.space and node.units == 1 else "filters at places" if node.space else "unit"


def _map(node: NodeGates, one: GateMap) -> Markup:
    """A heat map, with unit 0 at the bottom."""
    colours = palette(RISING if one.low == 0 else AROUND_0)
    image = png(levels(one.values, one.low, one.high).T[::-1], colours)
    scale = png(np.arange(LEVELS, dtype=np.uint8)[None], colours)
    title = NAMES.get(one.gate, one.gate).replace("c~", "c̃").replace("h~", "h̃")
    finite = [value for value in one.mean.tolist() if not isnan(value)]
    mean = figure(sum(finite) / len(finite)) if finite else "unknown"
    words = (
        f"Heat map of {title} of {node.node}: {count(node.steps, 'time step')} by {count(node.units, _unit(node))}, "
        f"on a scale from {one.low:g} to {one.high:.3g}, mean {mean}"
    )
    return element(
        "figure",
        element("figcaption", title),
        element(
            "div",
            element("img", src=Markup(data_address(image)), alt=words, class_="map"),
            element("div", class_="cursor", aria_hidden="true"),
            class_="mapped",
            data_steps=str(len(node.shown_steps)),
        ),
        element("p", element("span", "t = 0"), element("span", f"t = {node.shown_steps[-1]}"), class_="ends"),
        element(
            "svg",
            element("path", d="", class_="bars"),
            class_="profile",
            preserveAspectRatio="none",
            viewBox="0 0 100 40",
            aria_hidden="true",
        ),
        element("p", _words(one, 0), class_="note read"),
        element(
            "p",
            element("span", figure(one.low)),
            element("img", src=Markup(data_address(scale)), alt="", class_="scale"),
            element("span", figure(one.high)),
            class_="key",
        ),
    )


def _inputs(traced: Traced) -> list[Markup]:
    made = []
    for key, array in islice(traced.inputs.items(), MOST_INPUTS):
        if array.ndim > 2 or array.ndim == 0 or len(array) < 2 or array.size == 0:
            made.append(element("p", "Input ", name(key), f": {shape(array.shape)}, {array.dtype.name}", class_="note"))
        else:
            made.append(_lines(key, array.reshape(len(array), -1)))
    left_out = len(traced.inputs) - MOST_INPUTS
    return [*made, element("p", f"{left_out:,} more inputs are left out.", class_="note")] if left_out > 0 else made


def _lines(key: str, array: Array) -> Markup:
    """An input over time: a line for each of its first features."""
    steps, features = array.shape
    values = array[:, :MOST_FEATURES].astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    room = high - low if 0 < high - low < float("inf") else 1.0
    chosen = range(0, steps, max(1, -(-steps // MOST_POINTS)))
    paths = []
    for feature in range(values.shape[1]):
        path, pen = "", "M"
        for step in chosen:
            value = float(values[step, feature])
            if not np.isfinite(value):
                pen = "M"
                continue
            x, y = (step + 0.5) / steps * WIDE, TALL - 4 - (value - low) / room * (TALL - 8)
            path += f"{pen}{x:.1f},{y:.1f}"
            pen = "L"
        paths.append(element("path", d=Markup(path), class_=f"line line-{feature}"))
    more = f"; its first {MOST_FEATURES} features are drawn" if features > MOST_FEATURES else ""
    words = f"Input {key} over {count(steps, 'time step')}, from {figure(low)} to {figure(high)}"
    return element(
        "figure",
        element(
            "figcaption", "Input ", name(key), f" {shape(array.shape)}, from {figure(low)} to {figure(high)}{more}"
        ),
        element(
            "div",
            element(
                "svg",
                *paths,
                viewBox=f"0 0 {WIDE:g} {TALL:g}",
                preserveAspectRatio="none",
                role="img",
                aria_label=words,
                class_="lines",
            ),
            element("div", class_="cursor", aria_hidden="true"),
            class_="mapped input",
            data_steps=str(steps),
        ),
        class_="sequence",
    )
