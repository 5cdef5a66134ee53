"""Running a command at a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import NamedTuple

STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Shown(NamedTuple):
    """What a terminal got: the text with its escapes, and without."""

    exit_code: int
    raw: str

    @property
    def text(self) -> str:
        return STYLE.sub("", self.raw)


def at_terminal(*args: object, columns: int = 110, **environment: str) -> Shown:
    """Runs `lstmconv ARGS` with standard output and error at a terminal of so many columns."""
    outer, inner = pty.openpty()
    given = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLORTERM")}
    given |= {"TERM": "xterm-256color", "COLUMNS": str(columns), "LC_ALL": "C.UTF-8", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "lstmconv", *map(str, args)], stdin=subprocess.DEVNULL, stdout=inner, stderr=inner,
        env=given,
    )  # fmt: skip
    os.close(inner)
    parts = []
    while True:
        try:
            part = os.read(outer, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(outer)
    return Shown(process.wait(60), b"".join(parts).decode().replace("\r\n", "\n"))
