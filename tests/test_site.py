"""The site builds with every link checked, fetches nothing, and has the answers within two clicks."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from paths import ROOT

QUESTIONS = {  # what a newcomer asks, and what stands on the page where the answer is
    "hidden states": "gates.h.shape",
    "keep state between calls": "stream.state",
    "deploy to lambda": "def handler",
    "make it smaller": "--weights int8",
    "score 100 gb": "lstmconv run",
}


class Page(HTMLParser):
    """The links of a page with their text, and what it has the reader's browser load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self._row: list[str] = []
        self.rows: list[tuple[str, list[str]]] = []
        self._row_links: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.add(given["id"] or "")
        if tag == "a" and given.get("href"):
            self.links.append((given["href"] or "", ""))
            self._row_links.append(given["href"] or "")
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.loaded.append(given["src"] or "")
        if tag == "link" and given.get("rel") in ("stylesheet", "preconnect", "preload", "icon", "modulepreload"):
            self.loaded.append(given.get("href") or "")
        if tag == "tr":
            self._row, self._row_links = [], []

    def handle_data(self, data: str) -> None:
        self._row.append(data)
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self.rows.append(("".join(self._row).lower(), self._row_links))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if any(importlib.util.find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings")):
        pytest.skip("the site needs the extra [docs]")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs", "--to", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def test_it_fetches_nothing(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        assert [source for source in Page(page).loaded if "//" in source] == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?https?:|@import", style.read_text(encoding="utf-8")), style


def test_links_lead_somewhere(site: Path) -> None:
    """Beside what MkDocs checks: those of the theme, and anchors."""
    pages = {page.resolve(): Page(page) for page in site.rglob("*.html")}
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for target, _ in page.links:
            if "://" in target or target.startswith("mailto:"):
                continue
            file, _, anchor = target.partition("#")
            found = (path.parent / file).resolve() if file else path
            found = found / "index.html" if found.is_dir() else found
            assert found.exists(), (path.name, target)
            if anchor and found in pages:
                assert anchor in pages[found].ids or anchor.startswith("__"), (path.name, target)


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_within_two_clicks(site: Path, question: str) -> None:
    rows = [links for text, links in Page(site / "index.html").rows if question in text]
    assert len(rows) == 1
    assert any(QUESTIONS[question] in Page(site / link).text for link in rows[0])


def test_every_part_of_the_face_is_in_the_reference(site: Path) -> None:
    for package in ("lstmconv_runtime", "lstmconv"):
        page = Page(site / "reference" / f"{'runtime' if package.endswith('runtime') else 'converter'}.html")
        for name in __import__(package).__all__:
            assert any(anchor.endswith(f".{name}") for anchor in page.ids), name
    commands = Page(site / "reference" / "cli.html").text
    from lstmconv.commands.cli import COMMANDS

    for name in COMMANDS:
        assert f"lstmconv {name}" in commands
    assert "--at-most SHARE" in commands
