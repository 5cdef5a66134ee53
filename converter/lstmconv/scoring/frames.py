"""Frames of pandas and polars, scored as tables in files are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from lstmconv_runtime import Model
from lstmconv_runtime.format.graph import Array

from ..errors import InvalidFileError, UsageError, printable
from ..files.flat_columns import by_row, flat_columns
from .columns import Columns
from .cutting import Cutting, Kept, batches
from .prediction import Batch, Shapes, predictions, same_shapes

Frame = TypeVar("Frame")
Names = Sequence[str]


def columns_of(
    columns: Names | Mapping[str, Names],
    window: int | None,
    stride: int,
    group_by: str | Names,
    time: str | None,
    prefix: str,
    skip_short: bool,
    sort: bool,
) -> Columns:
    """What `score_frame` is told, as `Columns`."""
    given = columns.items() if isinstance(columns, Mapping) else [("", columns)]
    inputs = tuple((name, (names,) if isinstance(names, str) else tuple(names)) for name, names in given)
    keys = (group_by,) if isinstance(group_by, str) else tuple(group_by)
    return Columns(inputs, window, stride, keys, time, None, prefix, skip_short, sort)


def score_frame(
    model: Model,
    frame: Frame,
    columns: Names | Mapping[str, Names],
    *,
    window: int | None = None,
    stride: int = 1,
    group_by: str | Names = (),
    time: str | None = None,
    prefix: str = "",
    skip_short: bool = False,
    sort: bool = False,
    batch_size: int | None = None,
    threads: int | None = None,
) -> Frame:
    """Cuts sequences from the rows of a frame, and gives the last row of each with the predictions beside it.

    An output of one number is a column of its name, any other one columns NAME.0, NAME.1 and so on. No sequence has
    rows of two groups. Groups of fewer rows than a window stand at the end.

    Args:
        model: of `lstmconv_runtime.load`.
        frame: of pandas (its index stays) or polars.
        columns: of the features; of a model with several inputs, by the name of each. An input without time steps gets
            the values of the last row.
        window: rows of a sequence; None makes a sequence of each whole group, whose rows stand together.
        stride: rows between the beginnings of two windows.
        group_by: the columns that tell groups apart.
        time: a column that the rows of a group are to be in the order of.
        prefix: put before the names of the outputs.
        skip_short: leave out groups of fewer rows than a window, which else are padded where the model masks.
        sort: put the rows of each group together first, in the order of `time`.
        batch_size: rows to compute at once; threads: see `Model.predict`.

    Raises:
        UsageError: the columns do not suit the model, or the rows are in no order that sequences can be cut from.
        InvalidFileError: a column is missing, or a value in it.
        UnsupportedError: a sequence needs padding, and the model does not mask.
        InputError: the dtype of an input cannot hold a number.
    """
    wanted = columns_of(columns, window, stride, group_by, time, prefix, skip_short, sort)
    kind = type(frame).__module__.partition(".")[0]
    if kind not in KINDS or not hasattr(frame, "columns") or type(frame).__name__ not in ("DataFrame",):
        raise UsageError(f"needs a DataFrame of pandas or polars, got {type(frame).__name__}")
    reader = KINDS[kind]
    names = [str(name) for name in frame.columns]
    for name in wanted.needed():
        if names.count(name) != 1:
            there = "several columns" if name in names else "no column"
            raise InvalidFileError(f"the frame has {there} '{printable(name, 80)}'", "E_TABLE_COLUMNS")
    cutting = Cutting(model, wanted, batch_size)
    rows = reader(frame)
    if sort:
        rows = reader(reader.taken(frame, cutting.in_order(rows)))
    found: list[Any] = []
    outputs: dict[str, list[Array]] = {}
    one: Iterator[tuple[Any, Any]] = iter([(rows, rows.frame)])
    shapes: Shapes = {}
    for batch, arrays in predictions(model, _batches(cutting, one, reader), threads):
        shapes = same_shapes(shapes, arrays, batch.count)
        found.append(batch.rows)
        for name, array in arrays.items():
            outputs.setdefault(name, []).append(by_row(array, batch.count))
    made: dict[str, Array] = {}
    for name, parts in outputs.items():
        made |= flat_columns(prefix + name, np.concatenate(parts))
    for name in made:
        if name in names:
            raise UsageError(
                f"the frame has a column '{printable(name, 60)}', as an output is called: a prefix tells them apart",
                "E_TABLE_COLUMNS",
            )
    joined: Frame = reader.joined(found, made)
    return joined


def _batches(cutting: Cutting, parts: Iterator[tuple[Any, Any]], reader: Any) -> Iterator[Batch]:
    return batches(cutting, parts, reader.taken, Kept(reader.taken, reader.together))


class _Pandas:
    """A frame of pandas as `cutting.Rows`. Its missing values are NaN, NaT, None or NA."""

    def __init__(self, frame: Any) -> None:
        self.frame, self.count = frame, len(frame)

    def _column(self, name: str) -> Any:
        column = self.frame[name]
        if column.isna().any():
            raise _missing(name)
        return column

    def numbers(self, name: str) -> Array:
        column = self._column(name)
        return _numbers(np.asarray(column.to_numpy(getattr(column.dtype, "numpy_dtype", None))), name)

    def keys(self, name: str) -> list[object]:
        made: list[object] = self._column(name).tolist()
        return made

    def times(self, name: str) -> Array:
        column = self._column(name)
        return _times(np.asarray(column), name)

    @staticmethod
    def taken(frame: Any, places: Array) -> Any:
        return frame.iloc[places]

    @staticmethod
    def together(frames: Sequence[Any]) -> Any:
        import pandas as pd

        return pd.concat(frames)

    @staticmethod
    def joined(frames: Sequence[Any], outputs: Mapping[str, Array]) -> Any:
        import pandas as pd

        rows = pd.concat(frames)
        return pd.concat([rows, pd.DataFrame(dict(outputs), index=rows.index)], axis=1)


class _Polars:
    """A frame of polars as `cutting.Rows`. Its missing values are null."""

    def __init__(self, frame: Any) -> None:
        self.frame, self.count = frame, len(frame)

    def _column(self, name: str) -> Any:
        column = self.frame[name]
        if column.null_count():
            raise _missing(name)
        return column

    def numbers(self, name: str) -> Array:
        return _numbers(np.asarray(self._column(name).to_numpy()), name)

    def keys(self, name: str) -> list[object]:
        made: list[object] = self._column(name).to_list()
        return made

    def times(self, name: str) -> Array:
        return _times(np.asarray(self._column(name).to_numpy()), name)

    @staticmethod
    def taken(frame: Any, places: Array) -> Any:
        return frame[places]

    @staticmethod
    def together(frames: Sequence[Any]) -> Any:
        import polars as pl

        return pl.concat(frames)

    @staticmethod
    def joined(frames: Sequence[Any], outputs: Mapping[str, Array]) -> Any:
        import polars as pl

        return pl.concat(frames).with_columns(**{name: pl.Series(name, array) for name, array in outputs.items()})


KINDS: dict[str, Any] = {"pandas": _Pandas, "polars": _Polars}


def _numbers(array: Array, name: str) -> Array:
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise InvalidFileError(f"column '{printable(name, 60)}': holds {array.dtype}, not numbers", "E_ARRAY_DTYPE")
    return array


def _times(array: Array, name: str) -> Array:
    if array.dtype.kind in "mM":
        return array.astype(np.int64)
    if array.dtype.kind not in "iuf":
        raise InvalidFileError(
            f"column '{printable(name, 60)}': holds {array.dtype}, not points in time", "E_ARRAY_DTYPE"
        )
    return array


def _missing(name: str) -> InvalidFileError:
    return InvalidFileError(f"column '{printable(name, 60)}': a value is missing", "E_TABLE_NULL")
