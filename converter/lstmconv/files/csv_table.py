"""Arrays as CSV, in and out: strict in what is a number, and never guessing what a row is.

A row is a whole sequence (its time steps in order, the features of each side by side) or one time step of the one
sequence that the file holds. A table does not say which: where both could be, `read_csv` wants to be told.

What is read: UTF-8 with or without a byte order mark; commas, semicolons or tabs between the cells, by the first line;
quoted cells; any line ends; a first line of names is a heading. A number has digits with a decimal point and an
exponent, as in -1.5e-3, and nothing else: no `1_000`, no `1,5`, no `nan` or `inf`, no empty cell. Who means those
gives a .npy. Blank lines may stand before the first row and after the last; between rows one is a missing value.
"""

from __future__ import annotations

import csv
import io
import math
import re
from array import array
from typing import NamedTuple

import numpy as np
from lstmconv_runtime import InputError
from lstmconv_runtime.format.graph import FLOATS, Array
from lstmconv_runtime.format.nodes import Input

from ..errors import InvalidFileError, UsageError, printable
from .text_table import shape_text

STEPS, SEQUENCES = "steps", "sequences"  # what the rows of a file can be
DELIMITERS = ("\t", ";", ",")  # the first of them that the first line has stands between the cells
NUMBER = re.compile(r"[ \t]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t]*")
NOT_OF_NUMBERS = re.compile(r"[^-+.0-9eE \t]")
LIKE_A_NUMBER = re.compile(r"\s*(?:[-+.0-9][-+.,_:/eE0-9\s]*|[-+]?(?:nan|inf|infinity))?\s*", re.IGNORECASE)
WITH_COMMA = re.compile(r"[+-]?[0-9][0-9.]*,[0-9,.]+")


class Table(NamedTuple):
    """The numbers of a CSV file, and whether a heading stood above them."""

    numbers: Array  # (rows, columns) float64
    has_heading: bool


def read_csv(data: bytes, shown: str, node: Input, rows_are: str | None = None) -> Array:
    """The array of a CSV file for an input.

    Args:
        shown: the file's name in messages.
        rows_are: STEPS or SEQUENCES; None where the file is to be understood without being told.

    Raises:
        InvalidFileError: see `parse_csv`.
        UsageError: what the rows are cannot be known.
        InputError: see `lay_out`.
    """
    table = parse_csv(data, shown)
    return lay_out(table.numbers, node, rows_are or what_rows_are(table, node, shown))


# --- the rows ---------------------------------------------------------------------------------------------------------


def parse_csv(data: bytes, shown: str) -> Table:
    """The numbers of a CSV file.

    Raises:
        InvalidFileError: not text, no rows, a cell that is no number, rows of different lengths, or a blank line among
            them.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidFileError(
            f"{shown}: not a CSV file: it is not UTF-8 text (spreadsheets can save as 'CSV UTF-8')", "E_ARRAY_FILE"
        ) from None
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((mark for mark in DELIMITERS if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    numbers, columns, has_heading, blank = array("d"), 0, False, 0
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                blank = blank or reader.line_num
                continue
            if not columns and _is_heading(cells, f"{shown}, line {reader.line_num}"):
                has_heading, columns, blank = True, len(cells), 0
                continue
            where = f"{shown}, line {reader.line_num}"
            if blank and numbers:
                raise InvalidFileError(f"{shown}, line {blank}: is blank, and rows follow", "E_ARRAY_FILE")
            columns, blank = columns or len(cells), 0
            if len(cells) != columns:
                raise InvalidFileError(f"{where}: {len(cells)} values, not {columns}", "E_ARRAY_FILE")
            try:
                if NOT_OF_NUMBERS.search(" ".join(cells)):  # what is left `float` takes as NUMBER would, and sooner
                    raise ValueError
                numbers.extend(map(float, cells))
            except ValueError:
                odd = next(cell.strip() for cell in cells if not NUMBER.fullmatch(cell))
                raise _not_a_number(odd, where) from None
    except csv.Error as error:
        raise InvalidFileError(
            f"{shown}, line {reader.line_num}: not CSV: {printable(str(error))}", "E_ARRAY_FILE"
        ) from None
    if not numbers:
        raise InvalidFileError(f"{shown}: has no rows of numbers", "E_ARRAY_FILE")
    rows = np.frombuffer(numbers, np.float64).reshape(-1, columns)
    if not np.isfinite(rows).all():
        raise InvalidFileError(f"{shown}: has a number that is too large for float64", "E_ARRAY_FILE")
    return Table(rows, has_heading)


def _is_heading(cells: list[str], where: str) -> bool:
    """Whether the cells of a first row are names.

    Raises:
        InvalidFileError: a column among them has none: so pandas writes its index, which is no value.
    """
    names = [cell for cell in cells if not LIKE_A_NUMBER.fullmatch(cell)]
    if not names or any(cell.strip() and LIKE_A_NUMBER.fullmatch(cell) for cell in cells):
        return False
    if len(names) < len(cells):
        raise InvalidFileError(
            f"{where}: a column has no name in the heading, as pandas writes its index: leave that column out "
            "(index=False)",
            "E_ARRAY_FILE",
        )
    return True


def _not_a_number(cell: str, where: str) -> InvalidFileError:
    hint = ""
    if not cell:
        hint = ": a value is missing"
    elif WITH_COMMA.fullmatch(cell):
        hint = "; write it without commas, with a point before its decimals"
    elif cell.strip("+-").lower() in ("nan", "inf", "infinity"):
        hint = "; where it is meant, give a .npy"
    return InvalidFileError(f"{where}: '{printable(cell, 40)}' is not a number{hint}", "E_ARRAY_FILE")


# --- what they are ----------------------------------------------------------------------------------------------------


def what_rows_are(table: Table, node: Input, shown: str) -> str:
    """SEQUENCES, where the rows can be nothing else, or nothing at all, as `lay_out` will say.

    Raises:
        UsageError: a row is no whole sequence of this input but may be a time step, or it may be either. A heading
            names columns: features, or the steps of a sequence; where any number of steps fits, it may be either.
    """
    (rows, columns), step = table.numbers.shape, math.prod(size or 1 for size in node.shape[2:])
    as_sequence, as_step = _filled(columns, node.shape[1:]), _of_a_step(rows, columns, node)
    said = f"{shown}: {rows} rows of {columns}, and input '{printable(node.name, 60)}' takes"
    if as_sequence is None and as_step is not None:
        raise UsageError(
            f"{said} {shape_text(node.shape[1:])}: a row is no whole sequence; if the file is one sequence, and each "
            f"row one of its time steps, say --rows-are {STEPS}",
            "E_ROWS",
        )
    open_time = len(node.shape) > 1 and node.shape[1] is None
    if as_sequence is not None and ((as_step is not None and rows > 1) or (open_time and table.has_heading)):
        raise UsageError(
            f"{said} any number of time steps of {step} value{'s' if step > 1 else ''}: say --rows-are {STEPS} (the "
            f"file is one sequence, and each row one of its time steps) or --rows-are {SEQUENCES} (each row is a whole "
            "sequence)",
            "E_ROWS",
        )
    return SEQUENCES


def lay_out(rows: Array, node: Input, rows_are: str) -> Array:
    """Rows of a CSV in the shape of an input.

    SEQUENCES: (rows, time · features) → (rows, time, features). STEPS: (time, features) → (1, time, features).

    Raises:
        InputError: the number of columns or rows does not fit, or an input of whole numbers gets others.
    """
    count, columns = rows.shape
    shape = _of_a_step(count, columns, node) if rows_are == STEPS else _filled(columns, node.shape[1:])
    if shape is None:
        raise InputError(f"input '{node.name}': {_misfit(count, columns, node, rows_are)}")
    if node.dtype not in FLOATS:
        whole = rows.astype(np.int64) if np.abs(rows).max(initial=0) < 2**53 else None
        if whole is None or not np.array_equal(whole, rows):
            raise InputError(f"input '{node.name}': takes {node.dtype}, but not all values are whole numbers")
        rows = whole
    return rows.reshape(1, count, *shape) if rows_are == STEPS else rows.reshape(count, *shape)


def _filled(columns: int, wanted: tuple[int | None, ...]) -> tuple[int, ...] | None:
    """The shape that `columns` values take where an array of the shape `wanted` is asked for; None: they cannot."""
    known, unknown = math.prod(size for size in wanted if size is not None), wanted.count(None)
    if unknown > 1 or known == 0 or (columns % known if unknown else columns != known):
        return None
    return tuple(columns // known if size is None else size for size in wanted)


def _of_a_step(rows: int, columns: int, node: Input) -> tuple[int, ...] | None:
    """The shape of one row where the rows are the time steps of one sequence; None: they cannot be."""
    if len(node.shape) < 2 or node.shape[1] not in (None, rows):
        return None
    return _filled(columns, node.shape[2:])


def _misfit(rows: int, columns: int, node: Input, rows_are: str) -> str:
    """Why rows cannot be laid out, and what would fit."""
    wanted = node.shape[2:] if rows_are == STEPS else node.shape[1:]
    known, unknown = math.prod(size for size in wanted if size is not None), wanted.count(None)
    if (rows_are == STEPS and len(node.shape) < 2) or unknown > 1 or known == 0:
        return f"rows that are {rows_are} cannot be laid out as {shape_text(node.shape)}; give a .npy"
    if _filled(columns, wanted) is None:
        row = "a row, one time step," if rows_are == STEPS else "a row, a whole sequence,"
        some = f"{'a multiple of ' if unknown else ''}{known} value{'s' if known > 1 else ''}"
        return f"{row} needs {some} for the shape {shape_text(node.shape)}, got {columns}"
    return (
        f"takes sequences of {node.shape[1]} time steps, and the file has {rows}: give one sequence of "
        f"{node.shape[1]} steps, or several in rows of their own, or as a .npy"
    )


# --- out --------------------------------------------------------------------------------------------------------------


def csv_text(array: Array, rows_are: str = SEQUENCES) -> str:
    """An array as CSV, each value with the digits that tell it from its neighbours.

    One row per sequence; or STEPS: one per time step, where the array has time steps, (1, time, features).
    """
    numbers = array.astype(np.uint8) if array.dtype.kind == "b" else array
    apart = 2 if rows_are == STEPS and numbers.ndim > 2 else 1
    lead, rest = math.prod(numbers.shape[:apart]), math.prod(numbers.shape[apart:])
    rows = numbers.reshape(lead, rest)
    blocks = (rows[start : start + 1000].astype(np.str_) for start in range(0, len(rows), 1000))
    return "".join(f"{','.join(row)}\n" for block in blocks for row in block.tolist())
