"""The graph as a drawing: a box for each node, which leads to what is said of it, and curves for what it reads."""

from __future__ import annotations

from typing import Any

from lstmconv_runtime.format.graph import Graph
from lstmconv_runtime.format.nodes import GRU, LSTM, Constant, ConvLSTM, Input, SimpleRNN

from ..layout import Layout, Route, layered
from ..markup import Markup, element, joined, shown
from ..pieces import count, shape

MOST_NODES = 300  # that are drawn, the first in the order they run
MOST_EDGES = 2000
MARGIN = 12.0
HEIGHT = 66.0
OUTPUT_HEIGHT = 34.0
LETTER = 7.4  # the width of one, about; those of the first line are wider
BOLD = 1.25
LETTERS = 30  # of a line in a box


def node_id(place: int) -> str:
    """The anchor of what is said of a node."""
    return f"node-{place}"


def drawing(graph: Graph, nodes: list[dict[str, Any]], parted: frozenset[str] = frozenset()) -> Markup:
    """The graph.

    Args:
        nodes: of `bundles.summary`, in the order of the graph.
        parted: the nodes where engines part.
    """
    drawn = graph.nodes[:MOST_NODES]
    maker = {value: place for place, node in enumerate(drawn) for value in node.makes()}
    outputs = [(value, key) for value, key in zip(graph.outputs, graph.output_keys or graph.outputs, strict=True)]
    outputs = [(value, key) for value, key in outputs if value in maker][:MOST_NODES]
    texts = [_texts(nodes[place]) for place in range(len(drawn))]
    sizes = [(_width(lines), HEIGHT) for lines in texts] + [(_width((key,)), OUTPUT_HEIGHT) for _, key in outputs]
    edges = [(maker[value], place) for place, node in enumerate(drawn) for value in node.reads() if value in maker]
    edges += [(maker[value], len(drawn) + place) for place, (value, _) in enumerate(outputs)]
    edges = list(dict.fromkeys(edges))[:MOST_EDGES]
    layout = layered(sizes, edges)
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    boxes = [
        _box(place, node, nodes[place], texts[place], layout, node.name in parted) for place, node in enumerate(drawn)
    ]
    ends = [_end(len(drawn) + place, key, layout) for place, (_, key) in enumerate(outputs)]
    arrow = element(
        "marker", element("path", d="M0,0 L8,4 L0,8 z", class_="arrow"), id="arrow", viewBox="0 0 8 8", refX="7",
        refY="4", markerWidth="7", markerHeight="7", orient="auto",
    )  # fmt: skip
    lines = [
        element("path", d=Markup(_curve(route)), class_="edge", marker_end="url(#arrow)") for route in layout.routes
    ]
    svg = element(
        "svg", element("defs", arrow), element("g", *lines, aria_hidden="true"), *boxes, *ends,
        viewBox=f"{-MARGIN:g} {-MARGIN:g} {width:.0f} {height:.0f}", width=f"{width:.0f}", height=f"{height:.0f}",
        role="group", aria_label=f"The graph: {count(len(drawn), 'node')} in the order they run", id="drawing",
    )  # fmt: skip
    left_out = len(graph.nodes) - len(drawn)
    note = f"The first {MOST_NODES} nodes are drawn; {left_out:,} more are left out." if left_out else None
    return joined(svg, element("p", note, class_="note") if note else None)


def _texts(node: dict[str, Any]) -> tuple[str, str, str]:
    parameters = f" · {count(node['parameters'], 'parameter')}" if node["parameters"] else ""
    return node["node"], shown(node["name"], LETTERS), shown(f"{shape(node['shape'])}{parameters}", LETTERS + 6)


def _width(lines: tuple[str, ...]) -> float:
    letters = max(len(lines[0]) * BOLD, *(len(shown(line, LETTERS + 6)) for line in lines))
    return max(96.0, letters * LETTER + 28)


def _family(node: object, parameters: int) -> str:
    if isinstance(node, LSTM | GRU | SimpleRNN | ConvLSTM):
        return "recurrent"
    if isinstance(node, Input | Constant):
        return "given"
    return "weighted" if parameters else "plain"


def _box(
    place: int, node: object, about: dict[str, Any], texts: tuple[str, str, str], layout: Layout, parts: bool
) -> Markup:
    at = layout.places[place]
    left, top = at.x - at.width / 2, at.y - at.height / 2
    label = f"{texts[0]} {about['name']}, gives {shape(about['shape'])}, {count(about['parameters'], 'parameter')}"
    kinds = f"node {_family(node, about['parameters'])}{' parted' if parts else ''}"
    inside = left + 14
    return element(
        "a",
        element("title", f"{texts[0]} {shown(about['name'], 200)}"),
        element("rect", x=f"{left:.1f}", y=f"{top:.1f}", width=f"{at.width:.1f}", height=f"{at.height:g}", rx="9"),
        element("text", texts[0], x=f"{inside:.1f}", y=f"{top + 21:.1f}", class_="kind"),
        element("text", texts[1], x=f"{inside:.1f}", y=f"{top + 38:.1f}", class_="called"),
        element("text", texts[2], x=f"{inside:.1f}", y=f"{top + 55:.1f}", class_="sizes"),
        href=f"#{node_id(place)}", class_=kinds, data_node=str(place),
        aria_label=f"{label}{', where engines part' if parts else ''}",
    )  # fmt: skip


def _end(place: int, key: str, layout: Layout) -> Markup:
    at = layout.places[place]
    left, top = at.x - at.width / 2, at.y - at.height / 2
    return element(
        "g",
        element("rect", x=f"{left:.1f}", y=f"{top:.1f}", width=f"{at.width:.1f}", height=f"{at.height:g}", rx="17"),
        element("text", shown(key, LETTERS), x=f"{at.x:.1f}", y=f"{at.y + 4:.1f}", text_anchor="middle"),
        class_="end", role="img", aria_label=f"output {shown(key)}",
    )  # fmt: skip


def _curve(route: Route) -> str:
    """Straight through the layers an edge passes, curved from one to the next."""
    (x, y), *rest = route.points
    parts = [f"M{x:.1f},{y:.1f}"]
    for to_x, to_y in rest:
        if to_x == x:
            parts.append(f"L{to_x:.1f},{to_y:.1f}")
        else:
            middle = (y + to_y) / 2
            parts.append(f"C{x:.1f},{middle:.1f} {to_x:.1f},{middle:.1f} {to_x:.1f},{to_y:.1f}")
        x, y = to_x, to_y
    return " ".join(parts)
