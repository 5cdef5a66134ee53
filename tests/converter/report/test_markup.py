"""Whatever is not an element of ours is text."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser

import pytest
from lstmconv.report.markup import Markup, data, element, joined, name, policy_hash, shown, source

HOSTILE = ("<script>", "</script><b>", '"><img src=x onerror=alert(1)>', "' onload='x", "&lt;", "<!--", "]]>", "\0<")


class Text(HTMLParser):
    """What a browser makes of HTML: its tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text(text: str) -> None:
    read = Text(element("p", text, title=text))
    assert read.tags == ["p"]
    assert read.text == shown(text)
    assert read.attributes == [("title", shown(text))]
    assert Text(name(text)).tags == ["code", "bdi"]


def test_what_is_invisible_is_escaped() -> None:
    assert shown("a\u202eb\u2066\x1b\ud800ü🙂") == r"a\u202eb\u2066\x1b\ud800ü🙂"
    assert shown("x" * 300) == "x" * 199 + "…"
    assert element("p", "\udcff").encode() == rb"<p>\udcff</p>"


def test_attributes() -> None:
    made = element("input", type="range", for_="a", aria_label="b", disabled=True, hidden=False, id=None)
    assert made == '<input type="range" for="a" aria-label="b" disabled>'
    assert joined("a", None, Markup("<br>"), 1) == "a<br>1"


@pytest.mark.parametrize("text", HOSTILE)
def test_data_holds_no_element(text: str) -> None:
    made = data("d", {"a": text})
    assert Text(made).tags == ["script"]
    inside = made.partition(">")[2].removesuffix("</script>")
    assert "<" not in inside and ">" not in inside
    assert json.loads(inside) == {"a": text}


def test_a_source_is_named_by_its_digest() -> None:
    assert source("script", "1 < 2") == "<script>1 < 2</script>"
    for text in ("</script>", "<!--"):
        with pytest.raises(ValueError, match="must not hold"):
            source("script", text)
    digest = base64.b64encode(hashlib.sha256(b"1 < 2").digest()).decode()
    assert policy_hash("1 < 2") == f"'sha256-{digest}'"
