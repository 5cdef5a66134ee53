"""README files as an index page shows them: it has no other files, so a link into the sources has to be absolute.

index_readme.py FILE FOLDER [FILE FOLDER]…: rewrites each FILE, which lies in FOLDER of the sources ("" or "runtime/").
With LSTMCONV_URL links become absolute; without, their text stays and pictures go.
"""

from __future__ import annotations

import os
import posixpath
import re
import sys
from pathlib import Path

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#|mailto:)([^)\s]+)\)")


def absolute(text: str, folder: str, url: str) -> str:
    """The text with no relative link in it."""

    def link(match: re.Match[str]) -> str:
        image, words, target = match.groups()
        if not url:
            return "" if image else words
        address = f"{url.rstrip('/')}/{posixpath.normpath(folder + target)}"
        return f"{image}[{words}]({address.replace('/blob/', '/raw/') if image else address})"

    kept = re.split(r"(^```.*?^```$)", re.sub(r"<!-- .*? -->\n", "", text), flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in kept)


def main() -> None:
    for file, folder in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        path = Path(file)
        text = absolute(path.read_text(encoding="utf-8"), folder, os.environ.get("LSTMCONV_URL", ""))
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
