"""Numbers that the dtype of an input, or of a Cast, cannot hold."""

from __future__ import annotations

from typing import Any

import lstmconv_runtime as lr
import numpy as np
import pytest
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.graph import INTS
from lstmconv_runtime.layers.number_range import out_of_range

ENDS = {name: (int(np.iinfo(name).min), int(np.iinfo(name).max)) for name in INTS}


def taken(build: Any, dtype: str, x: Any) -> Any:
    """What an input of a dtype makes of x (1, n)."""
    nodes = [build.input(None, dtype=dtype), n.Flip(name="turned", x="x", axis=1)]
    return build.model(nodes).predict(x)[:, ::-1]


def refused(build: Any, dtype: str, x: Any, code: str) -> str:
    with pytest.raises(lr.InputError) as caught:
        taken(build, dtype, x)
    assert caught.value.code == code
    message = str(caught.value)
    assert message.startswith(f"input 'x': {dtype} cannot hold ")
    return message


@pytest.mark.parametrize("dtype", INTS)
def test_the_ends_of_every_integer_dtype(build: Any, dtype: str) -> None:
    low, high = ENDS[dtype]
    fits = np.array([[low, high]], np.int64)
    assert taken(build, dtype, fits).tolist() == [[low, high]]
    assert taken(build, dtype, fits).dtype == dtype
    for odd in (low - 1, high + 1, 2**63):
        wide = np.array([[odd]], np.uint64 if odd >= 2**63 else np.int64 if odd >= -(2**63) else object)
        if wide.dtype == object or (odd == 2**63 and dtype == "uint64"):
            continue
        assert f"hold {odd}" in refused(build, dtype, wide, "E_INPUT_OVERFLOW")


@pytest.mark.parametrize("dtype", INTS)
@pytest.mark.parametrize("given", ["float16", "float32", "float64", "longdouble"])
def test_floats_for_integers(build: Any, dtype: str, given: str) -> None:
    low, _ = ENDS[dtype]
    whole = np.array([[0, 1, 100, max(low, -100)]], given)
    assert taken(build, dtype, whole).tolist() == [[0, 1, 100, max(low, -100)]]
    assert "2.5" in refused(build, dtype, np.array([[1, 2.5]], given), "E_INPUT_FRACTION")
    for odd in (np.nan, np.inf, -np.inf):
        assert str(odd) in refused(build, dtype, np.array([[1, odd]], given), "E_INPUT_OVERFLOW")
    if given != "float16":
        assert "hold 1e+19" in refused(build, dtype, np.array([[1e19]], "float64"), "E_INPUT_OVERFLOW")


def test_the_ends_in_floats(build: Any) -> None:
    """2⁶³ is the least float64 that int64 cannot hold, and 2³¹ the least whole number for int32."""
    assert taken(build, "int64", np.array([[-(2.0**63), 2.0**63 - 1024]])).tolist() == [[-(2**63), 2**63 - 1024]]
    refused(build, "int64", np.array([[2.0**63]]), "E_INPUT_OVERFLOW")
    assert taken(build, "int32", np.array([[2.0**31 - 1]])).tolist() == [[2**31 - 1]]
    refused(build, "int32", np.array([[2.0**31]]), "E_INPUT_OVERFLOW")


def test_ids_do_not_wrap(build: Any) -> None:
    nodes = [
        build.input(None, dtype="int32"),
        n.Embedding(name="e", x="x", weights="e", input_size=5, units=2, dtype="float32"),
    ]
    model = build.model(nodes)
    with pytest.raises(lr.InputError, match="input 'x': int32 cannot hold 4294967299"):
        model.predict(np.array([[2**32 + 3]]))
    with pytest.raises(lr.InputError, match=r"2\.5, which is not a whole number"):
        model.predict([[2.5]])
    assert np.array_equal(model.predict(np.array([[3.0]])), model.predict(np.array([[3]])))


def test_truth(build: Any) -> None:
    assert taken(build, "bool", [[0, 1, 1.0, True]]).tolist() == [[False, True, True, True]]
    for odd in (2, -1, 0.5, np.nan):
        refused(build, "bool", [[0, odd]], "E_INPUT_OVERFLOW")


@pytest.mark.parametrize(("dtype", "most"), [("float16", 65504.0), ("bfloat16", 3.3895313892515355e38)])
def test_half_precision(build: Any, dtype: str, most: float) -> None:
    for given in ("float32", "float64"):
        x = np.array([[most, np.inf, -np.inf, np.nan, 1 / 3]], given)
        made = taken(build, dtype, x)
        assert np.array_equal(made[0, :4], x[0, :4].astype(made.dtype), equal_nan=True)
        refused(build, dtype, np.array([[most * 1.003]], given), "E_INPUT_OVERFLOW")
    if dtype == "float16":
        assert "1000000.0" in refused(build, dtype, np.array([[1e6]], np.float32), "E_INPUT_OVERFLOW")
        assert "70000" in refused(build, dtype, np.array([[70000]]), "E_INPUT_OVERFLOW")


def test_float32_rounds_and_does_not_overflow(build: Any) -> None:
    assert taken(build, "float32", np.array([[1 / 3, 2.0**24 + 1]])).tolist() == [[float(np.float32(1 / 3)), 2.0**24]]
    assert np.isinf(taken(build, "float32", np.array([[np.inf]]))).all()
    assert "1e+39" in refused(build, "float32", np.array([[1e39]]), "E_INPUT_OVERFLOW")


def test_a_state_is_as_strict(build: Any) -> None:
    stream = build.model([build.input(None, 2), build.recurrent("GRU", "gru", "x", 2, 3)]).stream()
    state = stream.state
    state["gru"]["h"] = np.full((1, 3), 1e300)
    with pytest.raises(lr.InputError, match=r"state 'gru'\.h: float32 cannot hold 1e\+300"):
        stream.state = state


# --- Cast nodes -------------------------------------------------------------------------------------------------------


def cast_in_graph(build: Any, given: str, dtype: str, x: Any) -> Any:
    nodes = [build.input(None, dtype=given), n.Cast(name="c", x="x", dtype=dtype)]
    return build.model(nodes).predict(x)


@pytest.mark.parametrize("dtype", INTS)
def test_floats_are_cut_within_the_range(build: Any, dtype: str) -> None:
    low, high = ENDS[dtype]
    for given in ("float32", "float64"):
        edge = [low - 0.5 if low > -(2**20) else low, high + 0.5 if high < 2**20 else 2.5]
        made = cast_in_graph(build, given, dtype, np.array([[2.5, 0.9, -0.5, *edge]], given))
        assert made.tolist() == [[2, 0, 0, low, high if high < 2**20 else 2]]
        for odd in (np.nan, np.inf, -np.inf, 1e20, -1e20, float(high + 1), low * 2.0 - 1):
            with pytest.raises(lr.InputError, match=rf"node 'c' \(Cast\): {dtype} cannot hold") as caught:
                cast_in_graph(build, given, dtype, np.array([[1.0, odd]], given))
            assert caught.value.code == "E_CAST_OVERFLOW"


def test_other_casts_are_those_of_keras(build: Any) -> None:
    """Values of keras.ops.cast on TensorFlow: integers wrap, floats become infinite, bool is whatever is not 0."""
    wrapped = cast_in_graph(build, "int64", "int32", np.array([[2**32 + 3, 3_000_000_000, -5]]))
    assert wrapped.tolist() == [[3, -1294967296, -5]]
    assert cast_in_graph(build, "int64", "uint8", np.array([[2**32 + 3, 300, -5]])).tolist() == [[3, 44, 251]]
    half = cast_in_graph(build, "float32", "float16", np.array([[70000.0, 1e6, 65504.0]], "float32"))
    assert half.tolist() == [[np.inf, np.inf, 65504.0]]
    assert cast_in_graph(build, "float32", "bool", np.array([[np.nan, 0.5, 0, -0.0]], "float32")).tolist() == [
        [True, True, False, False]
    ]


def test_a_stream_casts_alike(build: Any) -> None:
    nodes = [
        build.input(None),
        n.Cast(name="ids", x="x", dtype="int32"),
        n.Embedding(name="e", x="ids", weights="e", input_size=5, units=2, dtype="float32"),
        build.recurrent("GRU", "gru", "e", 2, 3),
    ]
    stream = build.model(nodes).stream()
    assert stream.step([3.7]).shape == (1, 3)
    with pytest.raises(lr.InputError, match=r"node 'ids' \(Cast\): int32 cannot hold 3000000000\.0"):
        stream.step(np.array([3e9]))


def test_nothing_is_out_of_no_numbers() -> None:
    assert out_of_range(np.zeros((0, 3)), np.dtype("int8")) is None
