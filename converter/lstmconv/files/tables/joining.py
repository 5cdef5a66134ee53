"""Rows of record batches by their places, and several batches as one. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from lstmconv_runtime.format.graph import Array


def taken(record: Any, places: Array) -> Any:
    """Some rows, copied: what is kept of a batch holds none of its memory."""
    return record.take(pa.array(places))


def together(records: Sequence[Any]) -> Any:
    """Several batches as one.

    Raises:
        pyarrow.ArrowInvalid: their columns differ.
    """
    table = pa.Table.from_batches(list(records)).combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def nothing(schema: Any, names: Sequence[str] | None) -> Any:
    """A record batch of no rows."""
    fields = schema if names is None else pa.schema([schema.field(name) for name in names])
    return pa.RecordBatch.from_pylist([], schema=fields)
