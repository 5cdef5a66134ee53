"""HTML and SVG, built from elements: whatever is not made here is text, and is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import unicodedata
from html import escape
from typing import Any

VOID = frozenset({"meta", "img", "input", "br", "link"})
LONGEST = 4000  # characters of a text
INVISIBLE = frozenset(
    {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
)  # categories of characters that would deceive a reader


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def shown(text: object, limit: int = 200) -> str:
    """Text from an untrusted file as a reader may see it: what is invisible, or turns the direction of writing, becomes
    an escape; at most `limit` characters."""
    plain = "".join(
        char if unicodedata.category(char) not in INVISIBLE else ascii(char)[1:-1] for char in str(text)[: limit + 1]
    )
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """An element with its children: Markup as it is, None not at all, anything else as text.

    Attributes: `class_` is class, `aria_label` is aria-label; None and False leave one out, True gives it no value;
    Markup, such as an address of data or a path that is drawn, stands as it is.
    """
    given = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        text = value if isinstance(value, Markup) else escape(shown(value, LONGEST))
        given.append(f" {key}" if value is True else f' {key}="{text}"')
    start = f"<{tag}{''.join(given)}>"
    return Markup(start if tag in VOID else f"{start}{joined(*children)}</{tag}>")


def joined(*children: object) -> Markup:
    """Children one after the other, without an element around them."""
    return Markup("".join(map(_child, children)))


def _child(child: object) -> str:
    if child is None:
        return ""
    return child if isinstance(child, Markup) else escape(shown(child, LONGEST), quote=False)


def name(text: object, limit: int = 80) -> Markup:
    """A name from a file, in the type of code, isolated from the direction of what stands around it."""
    return element("code", element("bdi", shown(text, limit)))


def source(tag: str, text: str, **attributes: object) -> Markup:
    """A script or a style sheet of our own, as it is.

    Raises:
        ValueError: it would end its element.
    """
    if "</" in text or "<!--" in text:
        raise ValueError(f"a {tag} must not hold the end of its element")
    return element(tag, Markup(text), **attributes)


def data(identity: str, value: Any) -> Markup:
    """Data for the script of the page. JSON writes < as an escape, so that nothing in it is an element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return element("script", Markup(text), type="application/json", id=identity)


def policy_hash(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style sheet: the SHA-256 of its text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
