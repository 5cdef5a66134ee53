"""Tables in Parquet, Arrow and CSV files, a few rows at a time. `table_inputs` imports this.

pyarrow parses in C++ what a stranger may have written: it gets an open regular file and never a path, its buffers are
checked before a number is taken from them, and all that it raises becomes an error of ours.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ...errors import FileAccessError, InvalidFileError, LimitError, LstmconvError, printable
from ..csv_table import DELIMITERS
from ..held_rows import Source, check_size
from ..read_bytes import open_regular

ROWS_AT_ONCE = 2**16
MOST_COLUMNS = 100_000
Batches = Callable[[Sequence[str] | None], Iterator[Any]]


class OpenTable:
    """A table that can be read once.

    Attributes:
        names: of the columns.
        schema: pyarrow's.
        rows: how many there are; None where only the end tells.
    """

    def __init__(self, shown: str, schema: Any, rows: int | None, batches: Batches) -> None:
        self.shown, self.schema, self.rows = shown, schema, rows
        self.names: list[str] = list(schema.names)
        self._batches = batches
        twice = {printable(name, 80) for name in self.names if self.names.count(name) > 1} if self._few() else set()
        if twice:
            raise InvalidFileError(f"{shown}: has several columns '{min(twice)}'", "E_TABLE_COLUMNS")

    def _few(self) -> bool:
        if len(self.names) > MOST_COLUMNS:
            raise InvalidFileError(f"{self.shown}: has more than {MOST_COLUMNS} columns", "E_TABLE_COLUMNS")
        return len(set(self.names)) < len(self.names)

    def need(self, names: Sequence[str]) -> None:
        """Raises InvalidFileError where a column is missing."""
        for name in names:
            if name not in self.names:
                there = ", ".join(printable(known, 40) for known in self.names[:20])
                more = ", ..." if len(self.names) > 20 else ""
                raise InvalidFileError(
                    f"{self.shown}: has no column '{printable(name, 80)}'; there are {there or 'none'}{more}",
                    "E_TABLE_COLUMNS",
                )

    def batches(self, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Record batches of these columns, or of all.

        Raises:
            InvalidFileError: the file is damaged.
            FileAccessError: it cannot be read, or changes meanwhile.
        """
        with parsing(self.shown):
            for batch in self._batches(names):
                batch.validate(full=True)  # offsets beyond a buffer would be read otherwise
                yield batch


@contextmanager
def parsing(shown: str) -> Iterator[None]:
    """Whatever pyarrow raises, as an error of ours."""
    try:
        yield
    except pa.ArrowMemoryError:
        raise LimitError(f"{shown}: asks for more memory than there is", "E_LIMIT_MEMORY") from None
    except (LstmconvError, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None:
            raise FileAccessError(f"{shown}: cannot be read: {error.strerror}", "E_IO") from None
        raise damaged(shown, error) from None
    except Exception as error:  # its parsers raise much more than ArrowException
        raise damaged(shown, error) from None


def damaged(shown: str, error: Exception) -> InvalidFileError:
    lines = str(error).splitlines() or [type(error).__name__]
    return InvalidFileError(f"{shown}: not a table that can be read: {printable(lines[0], 160)}", "E_ARRAY_FILE")


@contextmanager
def open_table(path: Path) -> Iterator[OpenTable]:
    """The table in a file, of the kind its suffix says; `.csv` too, whose cells stay the text they are.

    Raises:
        FileAccessError: the file cannot be read.
        InvalidFileError: it is no such table.
    """
    suffix, shown = path.suffix.lower(), printable(path.name, 80)
    descriptor, before = open_regular(path)
    with open(descriptor, "rb") as file:
        source = Source(file, before, shown)
        with parsing(shown):
            opened = KINDS[suffix](source)
        yield opened


def _open_parquet(source: Source) -> OpenTable:
    # pre_buffer would hold the columns of a row group; a dictionary of page headers is no reason to trust their sizes.
    parquet = pq.ParquetFile(source.file, buffer_size=2**20, pre_buffer=False)
    check_size(
        max((parquet.metadata.row_group(i).total_byte_size for i in range(parquet.num_row_groups)), default=0),
        f"{source.shown}: a row group takes",
    )

    def batches(names: Sequence[str] | None) -> Iterator[Any]:
        # An empty list would give batches of no rows.
        yield from parquet.iter_batches(ROWS_AT_ONCE, columns=None if names is None else list(names), use_threads=False)
        source.check()

    return OpenTable(source.shown, parquet.schema_arrow, parquet.metadata.num_rows, batches)


def _open_arrow(source: Source) -> OpenTable:
    start = source.file.read(6)
    source.file.seek(0)
    if start[:4] == b"FEA1":
        raise InvalidFileError(f"{source.shown}: is of Feather's first version, which today's pyarrow does not write")
    if start != b"ARROW1":  # the stream has no magic but the mark of its first message
        return open_stream(source.file, source.shown, source.check)
    counted = pa.ipc.open_file(source.file, options=pa.ipc.IpcReadOptions(included_fields=[0]))
    rows = sum(counted.get_batch(i).num_rows for i in range(counted.num_record_batches))
    reader = pa.ipc.open_file(source.file)

    def batches(names: Sequence[str] | None) -> Iterator[Any]:
        wanted = _some_fields(reader.schema, names)
        chosen = pa.ipc.open_file(source.file, options=pa.ipc.IpcReadOptions(included_fields=wanted))
        for index in range(chosen.num_record_batches):
            yield from _in_parts(chosen.get_batch(index), names)
        source.check()

    return OpenTable(source.shown, reader.schema, rows, batches)


def _some_fields(schema: Any, names: Sequence[str] | None) -> list[int] | None:
    return None if not names else sorted(schema.get_field_index(name) for name in names)


def _in_parts(batch: Any, names: Sequence[str] | None) -> Iterator[Any]:
    """A batch of any size in parts of at most ROWS_AT_ONCE rows, its columns in the order asked for."""
    chosen = batch if names is None else batch.select(list(names))
    for start in range(0, chosen.num_rows, ROWS_AT_ONCE):
        yield chosen.slice(start, ROWS_AT_ONCE)


def open_stream(file: IO[bytes], shown: str, check: Callable[[], None] = lambda: None) -> OpenTable:
    """A table that comes as an Arrow stream, as from another program."""
    with parsing(shown):
        reader = pa.ipc.open_stream(file)

    def batches(names: Sequence[str] | None) -> Iterator[Any]:
        for batch in reader:
            yield from _in_parts(batch, names)
        check()

    return OpenTable(shown, reader.schema, None, batches)


def _open_csv(source: Source) -> OpenTable:
    return csv_stream(source.file, source.shown, source.check)


def csv_stream(file: IO[bytes], shown: str, check: Callable[[], None] = lambda: None) -> OpenTable:
    """A CSV with a heading; its cells are text, so that what is passed on is what was there."""
    first = file.readline(2**20)
    with parsing(shown):
        heading = first.decode("utf-8-sig")
        delimiter = next((mark for mark in DELIMITERS if mark in heading), ",")
        columns = next(csv.reader([heading], delimiter=delimiter, skipinitialspace=True, strict=True), [])
    parse = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    schema = pa.schema([(name, pa.string()) for name in columns])

    def batches(wanted: Sequence[str] | None) -> Iterator[Any]:
        convert = pacsv.ConvertOptions(
            column_types=schema, strings_can_be_null=False, include_columns=None if wanted is None else list(wanted)
        )
        read = pacsv.ReadOptions(use_threads=False, column_names=columns, block_size=2**20)
        try:
            reader = pacsv.open_csv(file, read, parse, convert)
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            raise
        yield from reader
        check()

    return OpenTable(shown, schema, None, batches)


KINDS: dict[str, Callable[[Source], OpenTable]] = {
    ".parquet": _open_parquet, ".arrow": _open_arrow, ".feather": _open_arrow, ".csv": _open_csv,
}  # fmt: skip
