"""The page in a browser: nothing goes wrong, nothing is loaded, and all works by mouse and by keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Browser, Tab, browser, chromium_path
from lstmconv.report.findings import Sequences, findings
from lstmconv.report.page import page
from lstmconv.report.subject import open_model
from paths import SINE
from small_bundles import bundle_bytes, chain_graph, lstm_graph
from vector_files import read_vector

pytestmark = pytest.mark.skipif(
    chromium_path() is None, reason="NO PAGE WAS OPENED: Chromium is not installed (apt-get install chromium)"
)
HURTING = '"><img src=x onerror=window.hurt=1><script>window.hurt=1;'


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.fixture
def tab(running: Browser) -> Tab:
    return running.tab()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a file of Keras, of two layers with long inputs and hostile names, of a wide graph and a long one."""
    folder = tmp_path_factory.mktemp("pages")
    sources = {"two": bundle_bytes(lstm_graph(HURTING, units=9, layers=2)), "long": bundle_bytes(chain_graph(400)),
               "wide": read_vector("masked-multi-head-attention").keras_file}  # fmt: skip
    x = np.random.default_rng(0).normal(size=(2, 450, 2)).astype("float32")
    (folder / "sine.html").write_bytes(page(findings(open_model(SINE), engines=False)))
    for name, data in sources.items():
        path = folder / f"{name}{'.keras' if data.startswith(b'PK') else '.safetensors'}"
        path.write_bytes(data)
        given = Sequences({"x": x}, 2, "x.npy") if name == "two" else None
        (folder / f"{name}.html").write_bytes(page(findings(open_model(path), given, engines=False)))
    return folder


@pytest.mark.parametrize("name", ["sine", "two", "long", "wide"])
@pytest.mark.parametrize("how", [{}, {"dark": True}, {"wide": 360, "tall": 740, "phone": True}], ids=str)
def test_a_page_opens(tab: Tab, pages: Path, name: str, how: dict[str, object]) -> None:
    path = pages / f"{name}.html"
    tab.open(path, **how)  # type: ignore[arg-type]
    assert tab.problems == []
    assert tab.requests == [path.as_uri()]
    assert tab.run("window.hurt") is None
    assert tab.run("document.documentElement.scrollWidth <= window.innerWidth")  # nothing hangs out at the side
    assert tab.run("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def test_it_is_dark_where_the_reader_wants_it(tab: Tab, pages: Path) -> None:
    light = "getComputedStyle(document.body).backgroundColor"
    tab.open(pages / "sine.html")
    assert tab.run(light) == "rgb(246, 247, 249)"
    tab.media(dark=True)
    assert tab.run(light) == "rgb(15, 18, 22)"


VISIBLE = "[...document.querySelectorAll('.about-node')].filter((e) => e.checkVisibility()).map((e) => e.id).join()"
FOCUSED = "document.activeElement.closest('.about-node')?.id"


def test_a_click_on_a_node_shows_it(tab: Tab, pages: Path) -> None:
    tab.open(pages / "sine.html")
    assert tab.run(VISIBLE) == "node-1"  # the first that is recurrent
    tab.click_on("#drawing .node[data-node='2'] rect")
    assert tab.run(VISIBLE) == "node-2"
    assert tab.run(FOCUSED) == "node-2"
    assert tab.run("document.querySelector('[aria-current]').dataset.node") == "2"
    assert tab.run("document.querySelectorAll('#node-2 .histogram').length") == 2
    assert tab.problems == []


def test_nodes_by_keyboard(tab: Tab, pages: Path) -> None:
    tab.open(pages / "sine.html")
    tab.run("document.querySelector('#drawing .node').focus()")
    tab.press("Tab", 9)
    tab.press("Tab", 9)
    assert tab.run("document.activeElement.dataset.node") == "2"
    tab.press("Enter", 13)
    assert tab.run(VISIBLE) == "node-2"


def test_the_first_key_leads_past_the_contents(tab: Tab, pages: Path) -> None:
    tab.open(pages / "sine.html")
    tab.press("Tab", 9)
    assert tab.run("document.activeElement.textContent") == "Skip to the report"
    assert tab.run("document.activeElement.getBoundingClientRect().left >= 0")


def test_the_drawing_grows_and_shrinks(tab: Tab, pages: Path) -> None:
    tab.open(pages / "wide.html")
    width = "document.getElementById('drawing').getBoundingClientRect().width"
    tab.click_on("[data-zoom=fit]")
    fitting = tab.run(width)
    assert fitting <= tab.run("document.querySelector('.canvas').clientWidth")
    tab.click_on("[data-zoom=in]")
    assert tab.run(width) == pytest.approx(fitting * 1.25, abs=2)
    tab.click_on("[data-zoom=out]")
    assert tab.run(width) == pytest.approx(fitting, abs=2)


READ = "[...document.querySelectorAll('.gate-node:not([hidden]) .read')].map((e) => e.textContent)"
BARS = "[...document.querySelectorAll('.gate-node:not([hidden]) .profile path')].map((e) => e.getAttribute('d'))"
CURSOR = "document.querySelector('.gate-node:not([hidden]) .cursor').style.left"


def test_the_slider_moves_through_the_time_steps(tab: Tab, pages: Path) -> None:
    tab.open(pages / "sine.html")
    read, bars = tab.run(READ), tab.run(BARS)
    assert len(read) == 6 and all(text.startswith("mean ") for text in read)
    assert all(path.count("M") == 4 for path in bars)  # of each unit a bar
    tab.run("document.querySelector('.slider input').focus()")
    tab.press("ArrowRight", 39)
    assert tab.run("document.querySelector('.slider input').value") == "1"
    assert tab.run("document.querySelector('.slider output').textContent") == "1 of 0 … 4"
    assert tab.run("document.querySelector('.slider input').getAttribute('aria-valuetext')") == "time step 1 of 0 … 4"
    assert tab.run(READ) != read and tab.run(BARS) != bars
    assert tab.run(CURSOR) == "20%"
    assert tab.run("document.querySelector('.input .cursor').style.left") == "20%"
    tab.press("End", 35)
    assert tab.run(CURSOR) == "80%"
    assert tab.problems == []


def test_a_click_on_a_map_chooses_its_time_step(tab: Tab, pages: Path) -> None:
    tab.open(pages / "sine.html")
    tab.click_on(".mapped .map")
    assert tab.run("document.querySelector('.slider input').value") == "2"


def test_the_figures_are_those_of_the_trace(tab: Tab, pages: Path) -> None:
    model = open_model(SINE).model
    assert model is not None
    x = model.bundle.probes[0].inputs["input_layer"][:1]
    tab.open(pages / "sine.html")
    tab.run("document.querySelector('.slider input').focus()")
    tab.press("ArrowRight", 39)
    gates = model.trace(x)["lstm"]
    for text, gate in zip(tab.run(READ), (gates.i, gates.f, gates.o, gates.c_tilde, gates.c, gates.h), strict=True):
        found = re.fullmatch(r"mean (\S+), from (\S+) to (\S+)", text.replace("−", "-"))
        assert found is not None
        mean, least, most = map(float, found.groups())
        values = gate[0, 1]
        assert (mean, least, most) == pytest.approx((values.mean(), values.min(), values.max()), rel=1e-2)


def test_layers_are_chosen_and_move_together(tab: Tab, pages: Path) -> None:
    tab.open(pages / "two.html")
    shown = "[...document.querySelectorAll('.gate-node')].map((e) => e.checkVisibility()).join()"
    assert tab.run(shown) == "true,false"
    tab.run("const s = document.querySelector('.slider input'); s.value = '7'; s.dispatchEvent(new Event('input'))")
    tab.run("const p = document.getElementById('gates-node'); p.value = '1'; p.dispatchEvent(new Event('change'))")
    assert tab.run(shown) == "false,true"
    # 150 of 450 steps are shown, every third: the seventh is step 21.
    assert tab.run("document.querySelector('.gate-node:not([hidden]) output').textContent") == "21 of 0 … 447"


def test_a_screen_reader_meets_names(tab: Tab, pages: Path) -> None:
    tab.open(pages / "two.html")
    found = tab.accessible()
    roles = [role for role, _ in found]
    for role in (
        "heading",
        "link",
        "slider",
        "table",
        "image",
        "combobox",
        "banner",
        "navigation",
        "main",
        "contentinfo",
    ):
        assert role in roles, role
    nameless = [
        role
        for role, name in found
        if not name and role in ("link", "button", "slider", "image", "combobox", "heading")
    ]
    assert nameless == []
    assert ("slider", "Time step") in found


def test_without_a_script_everything_is_there(tab: Tab, pages: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.open(pages / "two.html")
    assert tab.problems == []
    # Scripts of the protocol run all the same.
    assert tab.run(VISIBLE).count("node-") == 4
    assert tab.run("[...document.querySelectorAll('.gate-node')].every((e) => e.checkVisibility())")
    assert not tab.run("document.querySelector('.slider').checkVisibility()")


def test_on_paper_everything_is_there(tab: Tab, pages: Path) -> None:
    tab.open(pages / "two.html")
    tab.media(kind="print")
    assert tab.run(VISIBLE).count("node-") == 4
    assert tab.run("[...document.querySelectorAll('.gate-node')].every((e) => e.checkVisibility())")
    assert not tab.run("document.querySelector('nav').checkVisibility()")
    assert tab.pdf().startswith(b"%PDF")
