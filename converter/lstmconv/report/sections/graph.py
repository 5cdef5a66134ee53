"""The section with the drawing of the graph, and what is said of each node."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime.format.graph import Graph

from ...parity.divergence import NodeDifference
from ..findings import Findings
from ..markup import Markup, element, joined, name
from ..pieces import count, facts, figure, items, number, section, shape, table
from ..tensors import BINS, Tensor
from .drawing import MOST_NODES, drawing, node_id
from .nodes import comparisons, parted_nodes

MOST_READ = 20  # values, that are named
BAR, TALL = 6, 64  # of a histogram, in units of its drawing


def graph_section(found: Findings, graph: Graph, nodes: list[dict[str, Any]]) -> Markup:
    tensors = {tensor.name: tensor for tensor in found.tensors}
    compared = comparisons(found)
    articles = [
        _article(
            place, node, nodes[place], [tensors.get(f"{node.namespace()}/{p}") for p in node.parameters()], compared
        )
        for place, node in enumerate(graph.nodes[:MOST_NODES])
    ]
    rows = [
        (
            name(node["name"]),
            node["node"],
            shape(node["shape"]),
            node["dtype"],
            f"{node['parameters']:,}" if node["parameters"] else "–",
            _names(node["reads"]),
        )
        for node in nodes
    ]
    tools = element(
        "div",
        *(
            element("button", text, type="button", data_zoom=how, aria_label=label)
            for how, text, label in (
                ("out", "−", "Smaller"),
                ("in", "+", "Larger"),
                ("fit", "Fit", "Fit into the width"),
            )
        ),
        class_="tools",
        role="group",
        aria_label="Size of the drawing",
    )
    return section(
        "graph",
        "Graph",
        element(
            "div",
            element(
                "div",
                tools,
                element(
                    "div",
                    drawing(graph, nodes, parted_nodes(found)),
                    class_="canvas",
                    tabindex="0",
                    role="region",
                    aria_label="Drawing of the graph",
                ),
                class_="board",
            ),
            element("div", *articles, class_="panel", id="panel"),
            class_="split",
        ),
        element(
            "details",
            element("summary", "The same as a table"),
            table(
                "The nodes in the order they run",
                ("Node", "Class", "Gives", "Dtype", "Parameters", "Reads"),
                rows,
                (4,),
            ),
        ),
        lead="What the model computes, from top to bottom. Choose a node for its settings and its weights.",
    )


def _names(values: list[str]) -> Markup | str:
    if not values:
        return "–"
    parts: list[object] = []
    for value in values[:MOST_READ]:
        parts += [", " if parts else None, name(value, 60)]
    if len(values) > MOST_READ:
        parts.append(f" and {len(values) - MOST_READ:,} more")
    return joined(*parts)


def _article(
    place: int,
    node: Any,
    about: dict[str, Any],
    tensors: list[Tensor | None],
    compared: list[tuple[str, dict[str, NodeDifference]]],
) -> Markup:
    settings = [
        (key.replace("_", " ").capitalize(), _setting(value))
        for key, value in about["settings"].items()
        if value not in (None, "", False) and key not in ("weights", "input_size")
    ]
    off = ", ".join(key.replace("_", " ") for key, value in about["settings"].items() if value is False)
    shared = node.namespace() != node.name
    apart = [
        joined(
            f"{title}: {number(of[node.name].largest)}, ",
            "agrees" if of[node.name].agrees else element("strong", "DIFFERS", class_="bad"),
        )
        for title, of in compared
        if node.name in of
    ]
    return element(
        "article",
        element("h3", element("span", about["node"], class_="kind"), " ", name(about["name"]), tabindex="-1"),
        facts(
            [
                ("Gives", f"{shape(about['shape'])}, {about['dtype']}"),
                ("Reads", _names(about["reads"]) if about["reads"] else None),
                ("Parameters", f"{about['parameters']:,}" if about["parameters"] else None),
                ("Apart", items(apart)),
                *settings,
                ("Off", off),
            ]
        ),
        element("p", joined("Its arrays are those of ", name(node.namespace()), "."), class_="note")
        if shared
        else None,
        element("div", *(_histogram(tensor) for tensor in tensors if tensor is not None), class_="histograms"),
        id=node_id(place),
        class_="about-node",
    )


def _setting(value: Any) -> object:
    if isinstance(value, dict):
        constants = ", ".join(f"{key} {item}" for key, item in value.items() if key != "name")
        return f"{value['name']}{f' ({constants})' if constants else ''}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return shape(value) if all(isinstance(item, int | None) for item in value) else ", ".join(map(str, value))
    return name(value, 60) if isinstance(value, str) else value


def histogram(tensor: Tensor, tall: int = TALL) -> Markup:
    """The bars, which words stand beside or stand for."""
    highest = max(tensor.counts) or 1
    path = "".join(
        f"M{place * BAR},{tall}v{-max(1.0, times / highest * tall):.1f}h{BAR - 1}V{tall}z"
        for place, times in enumerate(tensor.counts)
        if times
    )
    words = (
        f"Histogram of {tensor.name}: from {figure(tensor.least)} to {figure(tensor.most)}, "
        f"mean {figure(tensor.mean)}, standard deviation {figure(tensor.deviation)}"
    )
    return element(
        "svg",
        element("path", d=Markup(path), class_="bars"),
        element("path", d=f"M0,{tall}H{BINS * BAR}", class_="axis"),
        viewBox=f"0 0 {BINS * BAR} {tall}",
        preserveAspectRatio="none",
        role="img",
        aria_label=words,
        class_="histogram",
    )


def _histogram(tensor: Tensor) -> Markup:
    notes = [
        f"{count(tensor.size, 'number')}, {tensor.dtype}",
        f"mean {figure(tensor.mean)}",
        f"σ {figure(tensor.deviation)}",
    ]
    notes += [f"{tensor.zeros:,} are 0"] if tensor.zeros else []
    notes += [f"{tensor.odd:,} are NaN or infinite"] if tensor.odd else []
    return element(
        "figure",
        element("figcaption", name(tensor.name, 60), f" {shape(tensor.shape)}"),
        histogram(tensor),
        element("p", element("span", figure(tensor.least)), element("span", figure(tensor.most)), class_="ends"),
        element("p", " · ".join(notes), class_="note"),
    )
