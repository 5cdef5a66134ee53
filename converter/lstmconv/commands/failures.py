"""Every exception as an exit code and a line.

The codes are promised to scripts, and shown by `lstmconv --help`:

    0 done                          4 an invalid, damaged or hostile file
    1 a check did not hold          5 over a limit, or out of memory
    2 usage                         6 reading or writing failed
    3 unsupported                  70 a bug of ours
"""

from __future__ import annotations

import traceback
from typing import NamedTuple

from lstmconv_runtime import BundleError, InputError, StreamError, VersionError

from ..errors import LstmconvError, printable


class Failure(NamedTuple):
    exit_code: int
    line: str


def failure_of(error: Exception) -> Failure:
    """How a command ends in which `error` was not caught."""
    code = getattr(error, "code", None)
    if isinstance(error, LstmconvError):
        return Failure(70 if code == "E_BUG" else error.exit_code, f"{error.in_shell()} [{code}]")
    for kind, exit_code in ((VersionError, 3), (BundleError, 4), (InputError, 2), (StreamError, 3)):
        if isinstance(error, kind):
            return Failure(exit_code, f"{error} [{code}]")
    if isinstance(error, MemoryError):
        return Failure(5, f"out of memory{f': {error}' if str(error) else ''} [E_LIMIT_MEMORY]")
    if isinstance(error, OSError):
        named = f"'{printable(str(error.filename))}': " if error.filename is not None else ""
        return Failure(6, f"{named}{error.strerror or error} [E_IO]")
    if hasattr(error, "format_message"):  # of Typer, or of the click that older ones stand on
        context = getattr(error, "ctx", None)
        help_command = f"{context.command_path if context else 'lstmconv'} --help"
        message = " ".join(str(error.format_message()).split())
        return Failure(2, f"{message.rstrip('.')}; see {help_command} [E_USAGE]")
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" in {last[0].name}, line {last[0].lineno} of {last[0].filename.rpartition('/')[2]}" if last else ""
    return Failure(
        70,
        f"unexpected {type(error).__name__}{where}: {printable(str(error), 300)}: this is a bug of lstmconv, please "
        "report it with this line and the command; LSTMCONV_DEBUG=1 shows where it arose [E_BUG]",
    )
