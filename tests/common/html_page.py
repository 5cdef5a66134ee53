"""A page of HTML as a tree, read strictly: every element is closed where it should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "input", "br", "link"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def all(self, tag: str = "") -> Iterator[Element]:
        """This element and those inside it, of one tag or of any."""
        if not tag or self.tag == tag:
            yield self
        for child in self.children:
            yield from child.all(tag)

    def by_id(self, identity: str) -> Element:
        (found,) = [one for one in self.all() if one.attributes.get("id") == identity]
        return found

    @property
    def text(self) -> str:
        """All text inside, in no particular order."""
        return " ".join(text for one in self.all() for text in one.texts)


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        made = Element(tag, dict(attrs))
        self.open[-1].children.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"{tag} closed, {self.open[-1].tag} open"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.open[-1].texts.append(data)


def read_page(data: bytes) -> Element:
    """The tree of a page.

    Raises:
        AssertionError: an element is not closed, or closed twice.
    """
    reader = Reader()
    reader.feed(data.decode())
    reader.close()
    assert len(reader.open) == 1
    return reader.open[0]
