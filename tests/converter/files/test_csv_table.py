"""CSV: what is a number, and what is a row."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from lstmconv.errors import InvalidFileError, UsageError
from lstmconv.files.arrays import read_inputs
from lstmconv.files.csv_table import SEQUENCES, STEPS, csv_text, lay_out, parse_csv, read_csv
from lstmconv_runtime import InputError
from lstmconv_runtime.format.nodes import Input


def given(*shape: int | None, dtype: str = "float32") -> Input:
    return Input(name="x", shape=shape, dtype=dtype)


# --- cells ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n",
        "a,b\n1,2\n3,4",
        "\ufeff1, 2\r\n3 ,4e0\r\n",  # as spreadsheets write it
        '"1","2"\n"3", "4"\n',
        '"a, b","c ""d"""\n1,2\n3,4\n',
        "1;2\n3;4\n",
        "a\tb\n1\t2\n3\t4\n",
        "\n1,2\n3,4\n\n\r\n,\n",
        "1,2\r3,4\r",
        "+1.,.2e1\n3E0,0004\n",
    ],
)
def test_csv_reads(text: str) -> None:
    np.testing.assert_array_equal(parse_csv(text.encode(), "x.csv").numbers, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("time,value\n", "has no rows"),
        ("1,2\n3\n", "line 2: 1 values, not 2"),
        ("a\n1,2\n", "line 2: 2 values, not 1"),
        ("1,2\n3,x\x1b\n", r"line 2: 'x\\x1b' is not a number"),
        ("1,\n", "line 1: '' is not a number: a value is missing"),
        ("1\n\n3\n", "line 2: is blank, and rows follow"),
        ('1\n""\n3\n', "line 2: is blank, and rows follow"),
        ("a,b\n1,2\n,\n3,4\n", "line 3: is blank"),
        ("1_000,2\n", "'1_000' is not a number"),
        ("1,nan\n", "'nan' is not a number; where it is meant, give a .npy"),
        ("1,-Infinity\n", "where it is meant"),
        ("1;2,5\n", "'2,5' is not a number; write it without commas"),
        ('"1,000","2"\n', "'1,000' is not a number; write it without commas"),
        ("1 2\n3 4\n", "line 1: '1 2' is not a number"),
        ("nan\n1\n2\n", "line 1: 'nan' is not a number"),  # a value, not a heading
        ("1_000\n1\n2\n", "line 1: '1_000' is not a number"),
        ("2024-01-01,2024-01-02\n1,2\n", "line 1: '2024-01-01' is not a number"),
        ("a,1\n1,2\n", "line 1: 'a' is not a number"),
        ("0x10,1\n", "'0x10' is not a number"),
        ("\u0661,1\n", "is not a number"),
        ("1e999,1\n", "too large"),
        (",a,b\n0,1,2\n", "line 1: a column has no name in the heading, as pandas writes its index"),
        ('1,"2\n', "not CSV: unexpected end of data"),
        ('1,"2"3\n', "not CSV"),
    ],
)
def test_csv_refuses(text: str, message: str) -> None:
    with pytest.raises(InvalidFileError, match=message) as refused:
        parse_csv(text.encode(), "x.csv")
    assert str(refused.value).isprintable()


def test_csv_is_utf_8() -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    for data in ("1,2".encode("utf-16"), file.getvalue()):
        with pytest.raises(InvalidFileError, match="not UTF-8"):
            parse_csv(data, "x.csv")


def test_csv_keeps_every_digit() -> None:
    rng = np.random.default_rng(0)
    for dtype in ("float16", "float32", "float64"):
        x = np.concatenate([rng.standard_normal(300), rng.standard_normal(300) * 1e-6, [0.1, 65504]]).astype(dtype)
        np.testing.assert_array_equal(parse_csv(csv_text(x).encode(), "x.csv").numbers[:, 0].astype(dtype), x)
    assert csv_text(np.array([[0.1, np.nan], [np.inf, -1]], "float32")) == "0.1,nan\ninf,-1.0\n"
    assert csv_text(np.array([[True, False]])) == "1,0\n"
    assert csv_text(np.array([3, 4])) == "3\n4\n"
    assert csv_text(np.zeros((2, 2, 1), "int8")) == "0,0\n0,0\n"
    assert csv_text(np.zeros((0, 3))) == ""
    assert csv_text(np.array(2.5)) == "2.5\n"


# --- rows -------------------------------------------------------------------------------------------------------------


def test_rows_become_sequences() -> None:
    rows = np.arange(12.0).reshape(2, 6)
    assert lay_out(rows, given(None, 6), SEQUENCES).shape == (2, 6)
    assert lay_out(rows, given(None, 3, 2), SEQUENCES).shape == (2, 3, 2)
    assert lay_out(rows, given(None, None, 2), SEQUENCES).shape == (2, 3, 2)
    sequence = lay_out(rows, given(None, 3, 2), SEQUENCES)[0]
    np.testing.assert_array_equal(sequence[1], [2, 3])  # the features of one time step
    assert lay_out(rows, given(None, 6, dtype="int32"), SEQUENCES).dtype == np.int64


def test_rows_become_time_steps() -> None:
    rows = np.arange(12.0).reshape(2, 6)
    for shape in ((None, None, 6), (None, 2, 6), (1, None, None)):
        np.testing.assert_array_equal(lay_out(rows, given(*shape), STEPS), rows[None])
    assert lay_out(rows, given(None, None, 3, 2), STEPS).shape == (1, 2, 3, 2)
    assert lay_out(rows.reshape(12, 1), given(None, None, dtype="int32"), STEPS).shape == (1, 12)


@pytest.mark.parametrize("rows_are", [STEPS, SEQUENCES])
@pytest.mark.parametrize("shape", [(None, 5), (None, 5, 1), (None, None, 4), (None, None, 0), (None,)])
def test_rows_that_do_not_fit(shape: tuple[int | None, ...], rows_are: str) -> None:
    with pytest.raises(InputError, match="input 'x'"):
        lay_out(np.zeros((2, 6)), given(*shape), rows_are)


def test_a_misfit_says_what_would_fit() -> None:
    for shape, rows_are, message in (
        ((None, 5, 1), SEQUENCES, r"a row, a whole sequence, needs 5 values for the shape \(any, 5, 1\), got 1"),
        ((None, 5, 2), STEPS, r"a row, one time step, needs 2 values for the shape \(any, 5, 2\), got 1"),
        ((None, 5, 1), STEPS, "takes sequences of 5 time steps, and the file has 200: give one sequence of 5 steps"),
        ((None, None, None), SEQUENCES, "give a .npy"),
    ):
        with pytest.raises(InputError, match=message):
            lay_out(np.zeros((200, 1)), given(*shape), rows_are)


@pytest.mark.parametrize("value", [0.5, 1e300])
def test_ids_are_whole_numbers(value: float) -> None:
    with pytest.raises(InputError, match="whole numbers"):
        lay_out(np.array([[value]]), given(None, 1, dtype="int32"), SEQUENCES)


@pytest.mark.parametrize(
    ("text", "shape", "read"),
    [
        ("1,2,3,4\n5,6,7,8\n", (None, None, 2), (2, 2, 2)),
        ("1,2,3,4\n5,6,7,8\n", (None, 2, 2), (2, 2, 2)),
        ("a,b,c,d\n1,2,3,4\n5,6,7,8\n", (None, 2, 2), (2, 2, 2)),  # so many values can be nothing else
        ("1,2\n", (None, None, 2), (1, 1, 2)),  # one row: both readings give the same
        ("a,b\n1,2\n3,4\n", (None, 2), (2, 2)),  # no time axis
        ("1,2\n3,4\n5,6\n", (None, 1, 2), (3, 1, 2)),  # as steps they would be three, and the model takes one
        ("1,2\n3,4\n", (None, None), (2, 2)),
    ],
)
def test_rows_that_can_be_nothing_but_sequences(
    text: str, shape: tuple[int | None, ...], read: tuple[int, ...]
) -> None:
    assert read_csv(text.encode(), "x.csv", given(*shape)).shape == read


@pytest.mark.parametrize(
    ("text", "shape", "steps", "sequences"),
    [
        ("temp,load\n" + "1,2\n" * 200, (None, None, 2), (1, 200, 2), (200, 1, 2)),
        ("1,2\n3,4\n", (None, None, 2), (1, 2, 2), (2, 1, 2)),
        ("1\n2\n3\n", (None, None), (1, 3), (3, 1)),
        ("time,value\n0,1\n1,2\n", (None, None, 1), None, (2, 2, 1)),  # a column too many, or sequences of two steps
        ("a,b\n1,2\n3,4\n", (None, 2, 2), (1, 2, 2), None),
        ("1,2\n3,4\n5,6\n", (None, 3, 2), (1, 3, 2), None),
        ("1,2\n3,4\n", (None, None, None), (1, 2, 2), None),
    ],
)
def test_what_rows_are_has_to_be_said(
    text: str, shape: tuple[int | None, ...], steps: tuple[int, ...] | None, sequences: tuple[int, ...] | None
) -> None:
    data, node = text.encode(), given(*shape)
    with pytest.raises(UsageError, match=f"--rows-are {STEPS}") as refused:
        read_csv(data, "x.csv", node)
    assert refused.value.code == "E_ROWS"
    for rows_are, wanted in ((STEPS, steps), (SEQUENCES, sequences)):
        if wanted is None:
            with pytest.raises(InputError):
                read_csv(data, "x.csv", node, rows_are)
        else:
            assert read_csv(data, "x.csv", node, rows_are).shape == wanted


def test_only_a_table_has_rows_to_be_told_of(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    with pytest.raises(UsageError, match=r"--rows-are tells what the rows of a \.csv are"):
        read_inputs(tmp_path / "x.npy", [given(None, 3)], STEPS)


def test_what_is_written_of_steps_reads_back_as_steps() -> None:
    y = np.arange(6.0).reshape(1, 3, 2)
    assert csv_text(y, STEPS) == "0.0,1.0\n2.0,3.0\n4.0,5.0\n"
    np.testing.assert_array_equal(read_csv(csv_text(y, STEPS).encode(), "y.csv", given(None, None, 2), STEPS), y)
    assert csv_text(np.zeros((1, 2)), STEPS) == "0.0,0.0\n"  # an output without time steps
