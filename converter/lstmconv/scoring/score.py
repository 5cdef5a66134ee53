"""Partitions in, one output: opened, computed batch by batch, written in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import NamedTuple, TypeAlias

from lstmconv_runtime import Model
from lstmconv_runtime.format.graph import Array

from ..files.growing import Growing
from . import prediction
from .prediction import Batch
from .settings import Settings
from .sources import Given, open_given
from .tables import open_table_batches

Compute: TypeAlias = Callable[[Iterator[Batch]], Iterator[tuple[Batch, dict[str, Array]]]]
OpenOutput: TypeAlias = Callable[[int | None], AbstractContextManager[Growing]]


class Scored(NamedTuple):
    """What has been written: rows of outputs, and of each output the shape and dtype, without its rows."""

    rows: int
    outputs: prediction.Shapes


@contextmanager
def open_batches(model: Model, given: Given, settings: Settings) -> Iterator[tuple[int | None, Iterator[Batch]]]:
    """How many rows a partition has, where that can be known, and its batches.

    Raises:
        LstmconvError, InputError: its files cannot be read, or do not fit the model.
    """
    if settings.columns is not None:
        with open_table_batches(model, given, settings.columns, settings.batch_size) as opened:
            yield opened
        return
    with open_given(given, prediction.inputs_of(model), settings.rows_are) as arrays:
        rows = prediction.check_rows(model, arrays)
        at_once = settings.batch_size or prediction.rows_at_once(model, arrays, rows)
        yield rows, prediction.array_batches(arrays, rows, at_once)


def score(
    model: Model,
    sources: Sequence[Given],
    settings: Settings,
    open_output: OpenOutput,
    compute: Compute | None = None,
    begin: Callable[[int | None], Callable[[int], None]] = lambda total: lambda done: None,
) -> Scored:
    """Writes the outputs for the rows of the sources, one after the other.

    Every source is opened, and what can be known of it checked, before the first is computed.

    Args:
        open_output: opens it, told the number of rows, or None where only the end tells.
        compute: the outputs of batches in their order; by default `prediction.predictions`.
        begin: is told the number of rows, and gives what is told how many are done.

    Raises:
        LstmconvError, InputError: a source cannot be read, or does not fit; or the output cannot be written.
    """
    with ExitStack() as opened:
        if len(sources) == 1:
            rows, batches = opened.enter_context(open_batches(model, sources[0], settings))
        else:
            rows = 0
            for given in sources:
                with open_batches(model, given, settings) as (count, _):
                    rows = None if rows is None or count is None else rows + count
            batches = _one_after_the_other(model, sources, settings)
        output = opened.enter_context(open_output(rows))
        advance = begin(rows)
        done = 0
        shapes: prediction.Shapes = {}
        for batch, arrays in (compute or partial(prediction.predictions, model, threads=settings.threads))(batches):
            shapes = prediction.same_shapes(shapes, arrays, batch.count)
            output.add(arrays, batch.count, batch.rows)
            done += batch.count
            del arrays, batch  # or they would be held while the next are computed
            advance(done)
        return Scored(done, shapes)


def _one_after_the_other(model: Model, sources: Sequence[Given], settings: Settings) -> Iterator[Batch]:
    """The batches of all sources. One without rows counts where all are so."""
    empty, some = None, False
    for given in sources:
        with open_batches(model, given, settings) as (_, batches):
            for batch in batches:
                if batch.count:
                    some = True
                    yield batch
                else:
                    empty = batch
                del batch
    if empty is not None and not some:
        yield empty
