"""Every exception as an exit code and a line.

The codes are promised to scripts, and shown by `lstmconv --help`:

    0 done                          4 an invalid, damaged or hostile file
    1 a check did not hold          5 over a limit, or out of memory
    2 usage                         6 reading or writing failed
    3 unsupported                  70 a bug of ours
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lstmconv_runtime import BundleError, InputError, StreamError, VersionError

from ..errors import LstmconvError, printable
from ..files.standard_streams import print_note
from .options import print_report


class Failure(NamedTuple):
    exit_code: int
    line: str

    @property
    def error_code(self) -> str:
        """The code at the end of the line, such as E_IO."""
        return self.line.rpartition("[")[2].rstrip("]")


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


class Outcome(NamedTuple):
    """What came of one of several files: its report, or how it failed."""

    file: Path
    report: dict[str, Any] | None
    failure: Failure | None


def examine_several(
    files: Sequence[Path],
    look: Callable[[Path], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    holds: Callable[[dict[str, Any]], bool],
    as_json: bool,
) -> tuple[list[Outcome], int]:
    """Looks at files one after the other, and shows each; one that fails does not keep the others from being looked at.

    As JSON, they are one object at the end: `files`, each its report, or its name and the `error`; and `exit_code`.

    Args:
        look: gives the report on a file.
        show: prints one.
        holds: whether nothing in it is wrong.

    Returns:
        What came of each, and the largest exit code: 0, 1 where something does not hold, or that of a failure.
    """
    outcomes = []
    for file in files:
        try:
            outcomes.append(Outcome(file, look(file), None))
        except Exception as error:
            outcomes.append(Outcome(file, None, _naming(file, failure_of(error))))
        last = outcomes[-1]
        if last.failure is not None:
            print_note("error", last.failure.line)
        elif last.report is not None and not as_json:
            show(last.report)
    codes = [one.failure.exit_code if one.failure else int(not holds(one.report or {})) for one in outcomes]
    if as_json:
        found = [one.report or {"file": str(one.file), "error": one.failure and one.failure.line} for one in outcomes]
        print_report({"files": found, "exit_code": max(codes)}, "", True)
    return outcomes, max(codes)


def _naming(file: Path, failure: Failure) -> Failure:
    """The failure with the name of the file in its line."""
    if printable(file.name, 80) in failure.line:
        return failure
    return failure._replace(line=f"{printable(file.name, 80)}: {failure.line}")
