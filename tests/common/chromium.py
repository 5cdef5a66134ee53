"""Chromium without a window, driven over a pipe by the DevTools protocol: opens pages, and says what goes wrong there.

Messages are JSON, each ended by a NUL: Chromium reads them from its descriptor 3 and answers on 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0  # seconds to wait for an answer


def chromium_path() -> str | None:
    """The program; None where it is not installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page that is open.

    Attributes:
        problems: errors and warnings of its console, exceptions of its scripts, and what its policy has blocked.
        requests: the addresses that were loaded, but for data in addresses.
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.loaded = False

    def call(self, method: str, **params: Any) -> Any:
        return self._browser.call(method, self._session, **params)

    def open(self, path: Path, wide: int = 1280, tall: int = 900, dark: bool = False, phone: bool = False) -> None:
        """Opens a file in a window of so many pixels, and waits until it is loaded."""
        self.problems.clear()
        self.requests.clear()
        self.loaded = False
        self.call("Emulation.setDeviceMetricsOverride", width=wide, height=tall, deviceScaleFactor=1, mobile=phone)
        self.media(dark)
        self.call("Page.navigate", url=path.resolve().as_uri())
        end = time.monotonic() + PATIENCE
        while not self.loaded:
            assert time.monotonic() < end, "the page did not load"
            self._browser.read()

    def media(self, dark: bool = False, kind: str = "screen") -> None:
        """What the page is told of the reader's wishes."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media=kind, features=features)

    def run(self, code: str) -> Any:
        """The value of an expression of JavaScript."""
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def click_on(self, selector: str) -> None:
        """Scrolls to the middle of an element, and clicks there."""
        box = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center', behavior: 'instant'}); const b = e.getBoundingClientRect(); "
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        self.click(*box)

    def press(self, key: str, code: int) -> None:
        """A key, such as ArrowRight, 39."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def screenshot(self, path: Path, whole: bool = False) -> None:
        made = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(made["data"]))

    def pdf(self) -> bytes:
        return base64.b64decode(
            self.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.7)["data"]
        )

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader meets."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node.get("role", {}).get("value", ""), node.get("name", {}).get("value", ""))
            for node in nodes if not node.get("ignored")
        ]  # fmt: skip


class Browser:
    """A running Chromium."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, back: int) -> None:
        self._process, self._to, self._back = process, to, back
        self._number = 0
        self._rest = b""
        self._answers: dict[int, Any] = {}
        self._tabs: dict[str, Tab] = {}

    def tab(self) -> Tab:
        """A new empty page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{domain}.enable")
        return tab

    def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while number not in self._answers:
            assert time.monotonic() < end, f"no answer to {method}"
            self.read()
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    def read(self) -> None:
        """Takes in what has come, waiting for it for a second at most."""
        if not select.select([self._back], [], [], 1.0)[0]:
            assert self._process.poll() is None, "Chromium has ended"
            return
        part = os.read(self._back, 2**20)
        assert part, "Chromium has ended"
        *messages, self._rest = (self._rest + part).split(b"\0")
        for message in messages:
            self._take(json.loads(message))

    def _take(self, message: Any) -> None:
        if "id" in message:
            self._answers[message["id"]] = message
            return
        tab, params = self._tabs.get(message.get("sessionId", "")), message.get("params", {})
        if tab is None:
            return
        match message["method"]:
            case "Page.loadEventFired":
                tab.loaded = True
            case "Runtime.exceptionThrown":
                tab.problems.append(json.dumps(params["exceptionDetails"]))
            case "Log.entryAdded":
                tab.problems.append(f"{params['entry']['level']}: {params['entry']['text']}")
            case "Runtime.consoleAPICalled":
                tab.problems.append(f"console.{params['type']}: {params['args']}")
            case "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith("data:"):
                    tab.requests.append(url)


@contextmanager
def browser() -> Iterator[Browser]:
    """Starts Chromium with a profile of its own, and ends it."""
    path = chromium_path()
    assert path is not None
    from_us, to_them = os.pipe()
    from_them, to_us = os.pipe()
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        # A shell puts the pipes where Chromium looks for them. It runs as root in containers, where it has no sandbox.
        line = f'exec "$0" "$@" 3<&{from_us} 4>&{to_us}'
        options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--remote-debugging-pipe", f"--user-data-dir={profile}", "--force-color-profile=srgb", "--hide-scrollbars",
        ]  # fmt: skip
        process = subprocess.Popen(
            ["bash", "-c", line, path, *options], pass_fds=(from_us, to_us), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        for end in (from_us, to_us):
            os.close(end)
        try:
            yield Browser(process, to_them, from_them)
        finally:
            for end in (to_them, from_them):
                os.close(end)  # Chromium ends when its pipe is closed
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
