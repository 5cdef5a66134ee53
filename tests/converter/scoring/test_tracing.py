"""Traces in batches: the arrays of one trace of all rows."""

from __future__ import annotations

from typing import Any

import lstmconv_runtime
import numpy as np
import pytest
from lstmconv.errors import UsageError
from lstmconv.files.held_rows import HeldRows
from lstmconv.scoring import tracing
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from vector_files import read_vector


@pytest.mark.parametrize(
    ("text", "rows", "wanted"),
    [
        (None, 5, range(5)), ("1:3", 5, range(1, 3)), (":3", 5, range(3)), ("3:", 5, range(3, 5)),
        ("4", 5, range(4, 5)),
        ("2:4", None, range(2, 4)), (":", 5, range(5)), (None, 0, range(0)),
    ],
)  # fmt: skip
def test_ranges_of_rows(text: str | None, rows: int | None, wanted: range) -> None:
    assert tracing.row_range(text, rows) == wanted


@pytest.mark.parametrize("text", ["", "a", "-1", "1:2:3", "3:2", "5", "0:6", "1.5", "²"])
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        tracing.row_range(text, 5)


@pytest.mark.parametrize(
    "name", ["mask-value", "masked-attention", "constants-operations", "gru-stateful", "masked-stack"]
)
@pytest.mark.parametrize("chosen", [range(6), range(2, 5), range(5, 6)])
def test_batches_do_not_matter(name: str, chosen: range, monkeypatch: pytest.MonkeyPatch) -> None:
    vector = read_vector(name)
    model = lstmconv_runtime.load(to_bytes(Bundle(vector.graph, {"framework": "keras"}, {}, ())))
    if not model.splits and len(chosen) < 6:
        pytest.skip("its rows cannot be computed in parts")
    x = {key: np.asarray(array) for key, array in zip(model.input_names, vector.inputs, strict=True)}
    wanted = tracing.traced_arrays(model.trace({key: array[chosen.start : chosen.stop] for key, array in x.items()}))
    monkeypatch.setattr(tracing, "MOST_ROWS", 2)
    made: dict[str, list[Any]] = {}
    for part in tracing.traces(model, {key: HeldRows(array) for key, array in x.items()}, chosen):
        for key, array in tracing.traced_arrays(part.values).items():
            made.setdefault(key, []).append(array)
    assert list(made) == list(wanted)
    for key, array in wanted.items():
        found = np.concatenate(made[key]) if array.ndim else made[key][0]
        np.testing.assert_allclose(found, array, rtol=0, atol=1e-5)
