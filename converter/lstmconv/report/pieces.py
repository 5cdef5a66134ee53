"""What the sections of a page are made of: headings, tables, figures in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

from .markup import Markup, element, joined

MOST_ROWS = 300  # of a table


def section(identity: str, title: str, *children: object, lead: object = None) -> Markup:
    """A part of the page that the list of contents leads to."""
    return element(
        "section",
        element("h2", title, id=f"{identity}-title", tabindex="-1"),
        element("p", lead, class_="lead") if lead else None,
        *children,
        id=identity,
        aria_labelledby=f"{identity}-title",
    )


def table(
    caption: str, head: Sequence[object], rows: Iterable[Sequence[object]], numbers: Sequence[int] = ()
) -> Markup:
    """A table whose first column names the rows, in a box that scrolls sideways; rows beyond MOST_ROWS are counted.

    Args:
        numbers: the columns that hold numbers.
    """
    lines = list(rows)
    kinds = ["number" if column in numbers else None for column in range(len(head))]
    body = [
        element(
            "tr",
            element("th", line[0], scope="row"),
            *(element("td", cell, class_=kind) for cell, kind in zip(line[1:], kinds[1:], strict=True)),
        )
        for line in lines[:MOST_ROWS]
    ]
    left_out = len(lines) - MOST_ROWS
    return joined(
        element(
            "div",
            element(
                "table",
                element("caption", caption),
                element("thead", element("tr", *(
                    element("th", cell, scope="col", class_=kind) for cell, kind in zip(head, kinds, strict=True)
                ))),
                element("tbody", *body),
            ),
            class_="wide", role="region", tabindex="0", aria_label=caption,
        ),
        element("p", f"{left_out:,} more are left out.", class_="note") if left_out > 0 else None,
    )  # fmt: skip


def facts(rows: Iterable[tuple[str, object]]) -> Markup:
    """Names and what they are, one below the other; those that are nothing are left out."""
    shown = [(name, value) for name, value in rows if value not in (None, "")]
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in shown))


def items(lines: Iterable[object], class_: str | None = None) -> Markup | None:
    """A list; None where it is empty. Lines beyond MOST_ROWS are counted."""
    given = list(lines)
    made = [element("li", line) for line in given[:MOST_ROWS]]
    if len(given) > MOST_ROWS:
        made.append(element("li", f"and {len(given) - MOST_ROWS:,} more"))
    return element("ul", *made, class_=class_) if made else None


def chip(kind: str, text: object) -> Markup:
    """A verdict: good, bad, warn or plain. Its words say what its colour does."""
    mark = {"good": "✓ ", "bad": "✗ ", "warn": "! "}.get(kind, "")
    return element("span", element("span", mark, aria_hidden="true") if mark else None, text, class_=f"chip {kind}")


def number(value: float) -> str:
    """A difference: 1.23e-07, 0, infinite."""
    if not isfinite(value):
        return "infinite"
    return f"{value:.2e}" if value else "0"


def figure(value: float) -> str:
    """A number among the weights: 0.0123, -4.5, 1.2e-07."""
    return f"{value:.3g}".replace("-", "−")


def shape(sizes: Sequence[int | None]) -> str:
    """(None, 5, 1) → any × 5 × 1"""
    return " × ".join("any" if size is None else f"{size:,}" for size in sizes) or "one number"


def count(number_: int, singular: str, plural: str | None = None) -> str:
    """1 layer, 2,000 layers"""
    return f"{number_:,} {singular if number_ == 1 else plural or f'{singular}s'}"


def size(number_: int) -> str:
    """Bytes: 912 bytes, 41.2 kB, 3.1 MB"""
    if number_ < 1000:
        return count(number_, "byte")
    return f"{number_ / 1e3:,.1f} kB" if number_ < 1e6 else f"{number_ / 1e6:,.1f} MB"
