"""`lstmconv` on the command line: runs the app of `cli`, and ends in an exit code whatever happens."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from types import FrameType
from typing import Any

INTERRUPTED = 130  # 128 + SIGINT, as a shell shows it
TERMINATED = 143  # 128 + SIGTERM


def main() -> int:
    """Runs the command in sys.argv; the exit code, as `failures` lists them."""
    try:
        signal.signal(signal.SIGTERM, _terminate)
        from .files.standard_streams import flush_results

        code = _run_app()
        flush_results()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception as error:
        return _report(error)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Unwinds the stack, so that temporary files are removed, where the default would end the process on the spot."""
    raise SystemExit(TERMINATED)


def _run_app() -> int:
    warnings.showwarning = _show_warning
    from .commands.cli import app

    code: Any = app(prog_name="lstmconv", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Warnings of libraries in a line of ours, without the source they arose in."""
    from .files.standard_streams import print_note

    print_note("warning", f"{message} ({category.__name__})")


def _report(error: Exception) -> int:
    from .commands.failures import failure_of
    from .files.standard_streams import print_diagnostics, print_note

    if os.environ.get("LSTMCONV_DEBUG") == "1":
        print_diagnostics("".join(traceback.format_exception(error)))
    failure = failure_of(error)
    print_note("error", failure.line)
    try:
        from .files.standard_streams import flush_results

        flush_results()
    except (Exception, SystemExit):
        pass  # the first failure is the one that counts
    return failure.exit_code


if __name__ == "__main__":
    sys.exit(main())
