"""Which files are scored: names, patterns, and a file for each input."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from lstmconv_runtime.format.nodes import Input
from lstmconv_runtime.inputs import by_name

from ..errors import FileAccessError, UsageError, printable
from ..files.held_rows import Rows
from ..files.rows import open_inputs
from ..files.standard_input import standard_inputs

STANDARD_INPUT = "-"


class Given(NamedTuple):
    """The rows of one partition.

    Attributes:
        files: by the name of the input each is for; "" for one file of all inputs.
    """

    files: tuple[tuple[str, str], ...]

    @property
    def path(self) -> Path:
        """The file that the partition has its name from: the first."""
        return Path(self.files[0][1])

    @property
    def paths(self) -> list[Path]:
        return [Path(path) for _, path in self.files]

    @property
    def is_stream(self) -> bool:
        return self.files[0][1] == STANDARD_INPUT

    def shown(self) -> str:
        return printable(" and ".join(path for _, path in self.files))


def given_files(files: Sequence[str], named: Sequence[str], inputs: Sequence[Input]) -> list[Given]:
    """The partitions that a user names.

    Args:
        files: names and patterns, each file with all inputs; STANDARD_INPUT stands alone.
        named: NAME=FILE for each input, where FILE may be a pattern: the files of all inputs in the order of their
            names belong together.

    Raises:
        UsageError: they do not fit together.
        FileAccessError: a pattern fits no file.
    """
    if bool(files) == bool(named):
        raise UsageError("give either INPUT, files that hold all inputs, or --input NAME=FILE for each input")
    if files:
        found = [name for pattern in files for name in expanded(pattern)]
        if STANDARD_INPUT in found and len(found) > 1:
            raise UsageError("standard input (-) stands alone")
        for name in found:
            if found.count(name) > 1:
                raise UsageError(f"'{printable(name)}' is named twice")
        return [Given((("", name),)) for name in found]
    names = [node.name for node in inputs]
    by_input: dict[str, list[str]] = {}
    for text in named:
        name, mark, pattern = text.partition("=")
        if not mark or not pattern or name in by_input:
            raise UsageError(f"--input {printable(text)}: needs NAME=FILE, once for each input: {_listed(names)}")
        if pattern == STANDARD_INPUT:
            raise UsageError("--input reads files; standard input (-) is an INPUT that stands alone")
        by_input[name] = expanded(pattern)
    if set(by_input) != set(names):
        raise UsageError(f"--input gives {_listed(by_input)}; the model takes {_listed(names)}")
    counts = {name: len(paths) for name, paths in by_input.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{printable(name, 40)} {count}" for name, count in counts.items())
        raise UsageError(f"the inputs have different numbers of files: {shown}")
    return [Given(tuple(zip(names, paths, strict=True))) for paths in zip(*(by_input[n] for n in names), strict=True)]


def expanded(pattern: str) -> list[str]:
    """The files that a pattern with * or ? stands for, in the order of their names; what is no pattern, or is the name
    of a file, stands for itself.

    Raises:
        FileAccessError: it fits no file.
    """
    if not glob.has_magic(pattern) or Path(pattern).exists():
        return [pattern]
    found = sorted(name for name in glob.glob(pattern, recursive=True) if Path(name).is_file())
    if not found:
        raise FileAccessError(f"no file is called '{printable(pattern)}'", "E_IO")
    return found


def _listed(names: Sequence[str] | dict[str, list[str]]) -> str:
    return ", ".join(printable(name, 40) for name in names)


@contextmanager
def open_given(given: Given, inputs: list[Input], rows_are: str | None) -> Iterator[dict[str, Rows]]:
    """The arrays of a partition by input; raises like `rows.open_inputs`."""
    if given.is_stream:
        yield standard_inputs(inputs, rows_are)
        return
    with ExitStack() as opened:
        if given.files[0][0] == "":
            yield opened.enter_context(open_inputs(given.path, inputs, rows_are))
            return
        found: dict[str, Rows] = {}
        for node, (name, path) in zip(inputs, given.files, strict=True):
            found |= opened.enter_context(open_inputs(Path(path), [node], rows_are))
            assert node.name == name
        yield by_name(tuple(found), found)
