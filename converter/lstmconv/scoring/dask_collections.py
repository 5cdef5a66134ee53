"""Predictions for Dask's arrays and data frames, as lazy as they are."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from math import isnan
from typing import Any

import numpy as np
from lstmconv_runtime import Model
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.inputs import by_name
from lstmconv_runtime.model import packed

from ..errors import UnsupportedError, UsageError, printable
from .frames import Names, score_frame
from .on_dask import keep_to_one_thread, require_dask
from .prediction import rows_at_once

_models: dict[str, Model] = {}
_loading = threading.Lock()


class Shared:
    """A model that travels to workers as its bundle, and is loaded once in each of their processes."""

    def __init__(self, model: Model) -> None:
        import hashlib

        self._rebuild, self._given = model.__reduce__()
        data, dtype, engine = self._given
        self.digest = hashlib.sha256(f"{dtype} {engine} ".encode() + data).hexdigest()

    def __dask_tokenize__(self) -> str:
        return self.digest

    def model(self) -> Model:
        """The model of this process."""
        with _loading:
            if self.digest not in _models:
                keep_to_one_thread()
                _models[self.digest] = self._rebuild(*self._given)
            return _models[self.digest]


def map_blocks(model: Model, x: Any) -> Any:
    """What `model.predict` gives, as Dask arrays of the blocks of x: one, or a list, or a dict.

    Each block of rows is computed by itself and on one thread, at most 64 MiB of values at a time. Other axes are put
    into one block.

    Args:
        model: of `lstmconv_runtime.load`.
        x: a Dask array (batch, time, features); of a model with several inputs a dict by input name, or a list in the
            model's order. They get the blocks of the first.

    Raises:
        InputError: an array does not fit the model.
        UnsupportedError: several blocks, and the model computes all rows together.
        MissingPackageError: Dask is not installed.
    """
    require_dask()
    import dask
    import dask.array as da

    given = by_name(model.input_names, x)
    rows = next(iter(given.values())).chunks[0]
    if any(isnan(count) for count in rows):
        raise UsageError("the number of rows of each block has to be known: see compute_chunk_sizes of Dask's arrays")
    if len(rows) > 1 and not model.splits:
        raise UnsupportedError("the model computes all its rows together: rechunk them into one block")
    blocks: dict[str, list[Any]] = {}
    for name, array in given.items():
        model.checks[name].expect(array.shape, array.dtype)
        if array.shape[0] != sum(rows):
            raise UsageError(f"input '{printable(name, 60)}' has {array.shape[0]} rows, the first one {sum(rows)}")
        whole = array.rechunk({0: rows, **dict.fromkeys(range(1, array.ndim), -1)})
        blocks[name] = list(whole.to_delayed().ravel())
    size = 1 if model.splits else sum(rows)
    one = model.predict_by_name({name: np.zeros((size, *a.shape[1:]), a.dtype) for name, a in given.items()})
    shared = dask.delayed(Shared(model))
    score = dask.delayed(predict_block, pure=True)
    made = [score(shared, {name: parts[place] for name, parts in blocks.items()}) for place in range(len(rows))]
    outputs = []
    for name, array in one.items():
        each = len(array) if model.splits else len(array) / max(1, sum(rows))
        shapes = [(int(count * each), *array.shape[1:]) for count in rows]
        parts = [da.from_delayed(m[name], shape, array.dtype) for m, shape in zip(made, shapes, strict=True)]
        outputs.append(da.concatenate(parts))
    return packed(model.bundle.graph, outputs)


def predict_block(shared: Shared, x: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs for one block, by name."""
    model = shared.model()
    rows = len(next(iter(x.values())))
    at_once = rows_at_once(model, x, rows)
    return model.predict_by_name(dict(x), batch_size=max(1, at_once), threads=1)


def map_partitions(
    model: Model,
    frame: Any,
    columns: Names | Mapping[str, Names],
    *,
    window: int | None = None,
    stride: int = 1,
    group_by: str | Names = (),
    time: str | None = None,
    prefix: str = "",
    skip_short: bool = False,
    whole_groups: bool = False,
) -> Any:
    """`score_frame` on the partitions of a Dask data frame.

    The rows of a group have to lie in one partition: the frame is shuffled by `group_by` and put in the order of
    `time`, unless `whole_groups` says that this is so, and the rows in order, already.

    Args:
        frame: a Dask data frame of pandas frames.
        whole_groups: no group has rows in two partitions.

    The other arguments, and what is raised, are those of `score_frame`; the errors of values come when it is computed.

    Raises:
        UsageError: rows of one group might lie in several partitions; or see `score_frame`.
        MissingPackageError: Dask is not installed.
    """
    require_dask()
    import dask

    keys = [group_by] if isinstance(group_by, str) else list(group_by)
    sort = False
    if frame.npartitions > 1 and not whole_groups and window != 1:
        if not keys or time is None:
            raise UsageError(
                "the frame has several partitions, and a shuffle keeps no order: name the columns group_by and time, "
                "or say whole_groups=True where no group has rows in two of them"
            )
        frame, sort = frame.shuffle(on=keys), True
    options: dict[str, Any] = {
        "window": window, "stride": stride, "group_by": keys, "time": time, "prefix": prefix, "skip_short": skip_short,
    }  # fmt: skip
    meta = score_frame(model, frame._meta, columns, **options)
    shared = dask.delayed(Shared(model))
    return frame.map_partitions(score_frame_of, shared, columns, meta=meta, sort=sort, **options)


def score_frame_of(frame: Any, shared: Shared, columns: Any, **options: Any) -> Any:
    """The frame of one partition, scored."""
    return score_frame(shared.model(), frame, columns, threads=1, **options)
