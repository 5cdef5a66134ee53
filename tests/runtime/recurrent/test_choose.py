"""Nodes of the same arrays share how these are laid out, whichever loop runs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import Activation

RELU6 = Activation("relu", (("max_value", 6.0), ("negative_slope", 0.0), ("threshold", 0.0)))


def laid_out(loop: Any) -> Any:
    """What a loop of any kind has of the arrays."""
    return next(held for name in ("_cell", "layout", "_fused") if (held := getattr(loop, name, None)) is not None)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("options", [{}, {"activation": RELU6}])
def test_shared_arrays_are_laid_out_once(build: Any, kind: str, options: dict[str, Any]) -> None:
    first = build.recurrent(kind, "a", "x", 3, 3, **options)
    backwards = first.replace(name="b", go_backwards=True)
    other = build.recurrent(kind, "c", "x", 3, 3, **options)
    model = build.model([build.input(None, 3), first, backwards, other], ["a", "b", "c"])
    a, b, c = (laid_out(model.program.prepared[name].loop) for name in "abc")
    assert a is b
    assert a is not c
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    assert np.array_equal(model.predict(x)[1], model.predict(x[:, ::-1])[0])


def test_one_namespace_in_two_dtypes_is_laid_out_twice(build: Any) -> None:
    half = [
        n.Cast(name="x16", x="x", dtype="float16"),
        build.recurrent("LSTM", "a", "x", 3, 3),
        build.recurrent("LSTM", "b", "x16", 3, 3).replace(weights="a"),
        n.Cast(name="y", x="b", dtype="float32"),
    ]
    model = build.model([build.input(None, 3), *half], ["a", "y"])
    a, b = (laid_out(model.program.prepared[name].loop) for name in "ab")
    assert a is not b
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    wide, narrow = model.predict(x)
    assert 0 < np.abs(wide - narrow).max() < 0.02
