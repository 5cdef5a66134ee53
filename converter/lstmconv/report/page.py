"""The page: one HTML file that needs nothing beside it, loads nothing, and runs one script, ours.

A Content-Security-Policy names that script and the style sheet by their digests, so that whatever a model file holds
can be shown and never run.
"""

from __future__ import annotations

from importlib import resources

from ..version import __version__
from .findings import Findings
from .markup import Markup, data, element, joined, policy_hash, shown, source
from .pieces import count, size
from .sections.about import about_section, verdicts
from .sections.gates import gates_data, gates_section
from .sections.graph import graph_section
from .sections.nodes import engines_section, nodes_section
from .sections.weights import weights_section


def page(found: Findings) -> bytes:
    """The file. The same findings give the same bytes."""
    style, script = _ours("page.css"), _ours("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {policy_hash(style)}; script-src {policy_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    title = found.opened.name
    parts: dict[str, tuple[str, Markup]] = {"about": ("What it is", about_section(found))}
    model = found.opened.model
    if model is not None and found.summary is not None:
        parts |= {
            "graph": ("Graph", graph_section(found, model.bundle.graph, found.summary["nodes"])),
            "engines": ("Engines", engines_section(found)),
            "nodes": ("Node by node", nodes_section(found)),
            "gates": ("Gates", gates_section(found)),
            "weights": ("Weights", weights_section(found)),
        }
    links = [element("li", element("a", text, href=f"#{identity}")) for identity, (text, _) in parts.items()]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{shown(title)} – lstmconv report"),
        source("style", style),
    )
    body = element(
        "body",
        element("a", "Skip to the report", href="#report", class_="skip"),
        element(
            "header",
            element("p", "lstmconv report", class_="over"),
            element("h1", element("bdi", shown(title, 120))),
            element("p", _in_a_line(found), class_="under"),
            verdicts(found),
        ),
        element("nav", element("ul", *links), aria_label="Contents"),
        element("main", *(part for _, part in parts.values()), id="report"),
        element("footer", element("p", f"Made by lstmconv {__version__}. This page loads nothing from anywhere.")),
        data("gates-data", gates_data(found)),
        source("script", script),
    )
    html = joined(Markup("<!DOCTYPE html>\n"), element("html", head, body, lang="en"), Markup("\n"))
    return html.encode()


def _ours(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _in_a_line(found: Findings) -> str:
    about = found.opened.about
    kind = f"Bundle of format {about['format']}" if about["kind"] == "bundle" else about["written_by"]
    parts = [kind, size(about["bytes"])]
    if found.summary is not None:
        parts += [count(len(found.summary["nodes"]), "node"), count(found.summary["parameters"], "parameter")]
    return " · ".join(parts)
