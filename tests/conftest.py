"""What holds for every test."""

from __future__ import annotations

import signal

# A shell that starts a command in the background may have it ignore SIGINT, and every process below inherits that:
# commands that are interrupted on purpose would not notice. A handler of Python's is reset to the default in children.
signal.signal(signal.SIGINT, signal.default_int_handler)
