"""Tables of rows: windows of each group scored and joined to their last row, in files and in frames alike."""

from __future__ import annotations

import io
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lstmconv_runtime
import numpy as np
import pytest
from lstmconv.__main__ import main
from lstmconv.errors import InvalidFileError, LstmconvError, UnsupportedError, UsageError
from lstmconv.scoring import score_frame
from lstmconv_runtime import InputError, Model
from lstmconv_runtime.format.bundle import Bundle, to_bytes
from lstmconv_runtime.format.nodes import Reduce
from vector_files import read_vector

pa = pytest.importorskip("pyarrow")
pacsv = pytest.importorskip("pyarrow.csv")
pytest.importorskip("pyarrow.feather")
pq = pytest.importorskip("pyarrow.parquet")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


def bundle(name: str) -> bytes:
    return to_bytes(Bundle(read_vector(name).graph, {"framework": "keras"}, {}, ()))


def model_of(name: str) -> Model:
    return lstmconv_runtime.load(bundle(name))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """m.safetensors, which takes (any, any, 2), and log.parquet of 500 rows of 7 groups in the order of time."""
    (tmp_path / "m.safetensors").write_bytes(bundle("gru-last"))
    random = np.random.default_rng(0)
    rows = 500
    table = pa.table(
        {
            "id": [f"00{n}" for n in random.integers(0, 7, rows)],
            "t": np.arange(rows) // 3,
            "a": random.standard_normal(rows).astype("float32"),
            "note": [f"row {n}, it's" for n in range(rows)],
            "b": random.standard_normal(rows),
        }
    )
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=64)
    monkeypatch.setattr("lstmconv.files.tables.reading.ROWS_AT_ONCE", 50)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: object, given: bytes | None = None) -> tuple[int, bytes, str]:
    out, error = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    stdin = io.TextIOWrapper(io.BytesIO(given or b""))
    argv = ["lstmconv", "run", *map(str, args)]
    patched = patch.object(sys, "argv", argv), patch.object(sys, "stdin", stdin)
    with patched[0], patched[1], redirect_stdout(out), redirect_stderr(error):
        code = main()
    return code, out.buffer.getvalue(), error.getvalue()


def succeeds(*args: object, given: bytes | None = None) -> bytes:
    code, out, error = run(*args, given=given)
    assert (code, error) == (0, "")
    return out


def fails(*args: object, given: bytes | None = None) -> str:
    code, _, error = run(*args, given=given)
    assert code != 0
    assert error.count("\n") == 1, error
    return error


OPTIONS = ("--columns", "a,b", "--window", 4, "--stride", 2, "--group-by", "id", "--time", "t")


def wanted(table: Any, window: int = 4, stride: int = 2) -> Any:
    """What OPTIONS give for gru-last, by a loop over the groups of a pandas frame."""
    model, parts = model_of("gru-last"), []
    for _, group in table.to_pandas().groupby("id", sort=False):
        ends = list(range(window, len(group) + 1, stride))
        x = np.stack([group[["a", "b"]].to_numpy("float32")[end - window : end] for end in ends])
        y = np.asarray(model.predict(x))
        parts.append(group.iloc[[end - 1 for end in ends]].assign(**{f"y{k}": y[:, k] for k in range(y.shape[1])}))
    return pd.concat(parts).sort_index()


def assert_joined(made: Any, table: Any, **sizes: int) -> None:
    """A table that `run` wrote, of lists."""
    rows = wanted(table, **sizes)
    assert made.column_names == [*table.column_names, OUTPUT]
    for name in table.column_names:
        assert made[name].to_pylist() == rows[name].tolist()
    y = np.stack(made[OUTPUT].to_numpy())
    np.testing.assert_allclose(y, rows[[f"y{k}" for k in range(y.shape[1])]], rtol=0, atol=1e-6)


OUTPUT = model_of("gru-last").output_names[0]


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["parquet", "arrow", "feather"])
def test_windows_of_groups_joined_to_their_last_row(folder: Path, kind: str) -> None:
    table = pq.read_table("log.parquet")
    if kind != "parquet":
        with pa.ipc.new_file(f"log.{kind}", table.schema) as writer:
            writer.write_table(table)
    succeeds("m.safetensors", f"log.{kind}", "-o", f"y.{kind}", *OPTIONS)
    made = pq.read_table("y.parquet") if kind == "parquet" else pa.ipc.open_file(f"y.{kind}").read_all()
    assert_joined(made, table)
    assert made.schema.field(OUTPUT).type == pa.list_(pa.float32(), 3)
    assert made.schema.field("note").type == table.schema.field("note").type


def test_a_csv_keeps_its_text(folder: Path) -> None:
    table = pq.read_table("log.parquet")
    pacsv.write_csv(table, "log.csv")
    succeeds("m.safetensors", "log.csv", "-o", "y.csv", *OPTIONS)
    rows = wanted(table)
    made = pd.read_csv("y.csv", dtype={"id": str})
    assert list(made.columns) == ["id", "t", "a", "note", "b", f"{OUTPUT}.0", f"{OUTPUT}.1", f"{OUTPUT}.2"]
    assert made["id"].tolist() == rows["id"].tolist()
    assert made["note"].tolist() == rows["note"].tolist()
    np.testing.assert_allclose(made[f"{OUTPUT}.1"], rows["y1"], rtol=0, atol=1e-6)
    same = succeeds("m.safetensors", "-", *OPTIONS, given=Path("log.csv").read_bytes())
    assert same == Path("y.csv").read_bytes()


def test_streams_of_arrow(folder: Path) -> None:
    table = pq.read_table("log.parquet")
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    made = succeeds("m.safetensors", "-", "-o", "-", "--to", "arrow", *OPTIONS, given=stream.getvalue())
    assert_joined(pa.ipc.open_stream(made).read_all(), table)


@pytest.mark.parametrize("options", [(), ("--batch-size", 7), ("--jobs", 2), ("--batch-size", 7, "--jobs", 2)])
def test_batches_and_processes_do_not_matter(folder: Path, options: tuple[object, ...]) -> None:
    succeeds("m.safetensors", "log.parquet", "-o", "y.parquet", *OPTIONS, *options)
    assert_joined(pq.read_table("y.parquet"), pq.read_table("log.parquet"))
    single = tuple(option for option in options if option not in ("--jobs", 2))
    succeeds("m.safetensors", "log.parquet", "-o", "one.parquet", *OPTIONS, *single)
    assert Path("y.parquet").read_bytes() == Path("one.parquet").read_bytes()


def test_columns_that_are_kept(folder: Path) -> None:
    succeeds("m.safetensors", "log.parquet", "-o", "y.parquet", *OPTIONS, "--keep", "t,id", "--prefix", "p.")
    assert pq.read_table("y.parquet").column_names == ["t", "id", f"p.{OUTPUT}"]


def test_many_tables_into_one_and_into_a_folder(folder: Path) -> None:
    """Each file is a table of its own: no window crosses from one to the next."""
    table = pq.read_table("log.parquet")
    pq.write_table(table[:300], "d1.parquet")
    pq.write_table(table[300:], "d2.parquet")
    succeeds("m.safetensors", "d*.parquet", "-o", "y.parquet", *OPTIONS)
    succeeds("m.safetensors", "d*.parquet", "-o", "out/", *OPTIONS)
    parts = [pq.read_table(f"out/{name}.parquet") for name in ("d1", "d2")]
    assert_joined(parts[0], table[:300])
    assert_joined(parts[1], table[300:])
    before = os.stat("out/d1.parquet").st_ino
    succeeds("m.safetensors", "d*.parquet", "-o", "out/", *OPTIONS, "--resume")
    assert os.stat("out/d1.parquet").st_ino == before
    assert "another settings" in fails("m.safetensors", "d*.parquet", "-o", "out/", *OPTIONS, "--resume", "--keep", "t")
    assert pq.read_table("y.parquet").equals(pa.concat_tables(parts))
    import pyarrow.dataset as ds

    assert ds.dataset("out").to_table().num_rows == sum(part.num_rows for part in parts)


def test_rows_that_are_not_in_order(folder: Path) -> None:
    table = pq.read_table("log.parquet")
    pq.write_table(table.take(np.random.default_rng(1).permutation(500)), "mixed.parquet")
    line = fails("m.safetensors", "mixed.parquet", "-o", "y.parquet", *OPTIONS)
    assert "its rows are not in the order of 't' (row " in line
    assert line.endswith("--sort puts them in order, in memory [E_TABLE_ORDER]\n")
    assert not Path("y.parquet").exists()
    pq.write_table(table.set_column(1, "t", pa.array(range(500))), "timed.parquet")
    pq.write_table(pq.read_table("timed.parquet").take(np.random.default_rng(1).permutation(500)), "mixed.parquet")
    succeeds("m.safetensors", "mixed.parquet", "-o", "y.parquet", *OPTIONS, "--sort")
    succeeds("m.safetensors", "timed.parquet", "-o", "z.parquet", *OPTIONS)
    assert pq.read_table("y.parquet").sort_by("t").equals(pq.read_table("z.parquet").sort_by("t"))


def test_no_windows(folder: Path) -> None:
    table = pq.read_table("log.parquet")
    for name, part, options in (
        ("none", table[:0], ()), ("few", table[:5], ("--skip-short",)),
    ):  # fmt: skip
        pq.write_table(part, f"{name}.parquet")
        succeeds("m.safetensors", f"{name}.parquet", "-o", "y.parquet", "--force", *OPTIONS, *options)
        made = pq.read_table("y.parquet")
        assert made.num_rows == 0
        assert made.column_names == [*table.column_names, OUTPUT]
    Path("none.csv").write_text("id,t,a,b\n")
    succeeds("m.safetensors", "none.csv", "-o", "y.csv", *OPTIONS)
    assert len(Path("y.csv").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--columns", "a,c"), "has no column 'c'; there are id, t, a, note, b [E_TABLE_COLUMNS]"),
        (("--columns", "a,note"), "column 'note': 'row 0, it's' in row 1 is not a number [E_ARRAY_FILE]"),
        (("--columns", "a"), "takes 2 columns, got 1 [E_COLUMNS]"),
        (("--columns", "a,a"), "a column is named twice [E_COLUMNS]"),
        (("--columns", "other=a,b"), "the columns are not those of the model's inputs: give x=... [E_COLUMNS]"),
        (("--time", "note"), "column 'note': needs numbers, or times like "),
        (("--window", "0"), "[E_USAGE]"),
        (("--rows-are", "steps"), "with --columns a row is a point in time"),
        (("-o", "y.npy"), "the name must end in .parquet or .arrow or .feather or .csv [E_SUFFIX]"),
        (("-o", "log.parquet"), "is named twice"),
    ],
)
def test_what_does_not_fit(folder: Path, args: tuple[str, ...], said: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    options = OPTIONS[2:] if args[0] == "--columns" else OPTIONS
    assert said in fails("m.safetensors", "log.parquet", "-o", "y.parquet", *options, *args).replace("\\'", "'")
    assert sorted(path.name for path in folder.iterdir()) == before


def test_what_does_not_fit_a_model(folder: Path) -> None:
    assert "--window is for tables of rows in time" in fails("m.safetensors", "log.parquet", "--window", 3)
    Path("fixed.safetensors").write_bytes(bundle("gru-unroll"))
    line = fails("fixed.safetensors", "log.parquet", "-o", "y.parquet", *OPTIONS)
    assert "the model takes sequences of 5 rows, not of 4 [E_COLUMNS]" in line
    Path("batch.safetensors").write_bytes(bundle("gru-stateful"))
    assert "computes all its rows together" in fails("batch.safetensors", "log.parquet", "-o", "y.parquet", *OPTIONS)
    table = pq.read_table("log.parquet")
    pq.write_table(table.append_column(OUTPUT, table["a"]), "clash.parquet")
    assert "--prefix tells them apart" in fails("m.safetensors", "clash.parquet", "-o", "y.parquet", *OPTIONS)
    for column, values in (("a", [None, 1.0]), ("id", [None, "x"]), ("t", [None, 1])):
        pq.write_table(pa.table({"id": ["x"] * 2, "t": [1, 2], "a": [1.0] * 2, "b": [1.0] * 2}).set_column(
            ["id", "t", "a", "b"].index(column), column, pa.array(values)), "null.parquet")  # fmt: skip
        assert f"column '{column}': a value is missing" in fails(
            "m.safetensors", "null.parquet", "-o", "y.parquet", *OPTIONS
        )
    big = pa.table({"id": ["x"], "t": [1], "a": [1e300], "b": [1.0]})
    pq.write_table(big, "big.parquet")
    assert "column 'a': float32 cannot hold 1e+300 [E_INPUT_OVERFLOW]" in fails(
        "m.safetensors", "big.parquet", "-o", "y.parquet", *OPTIONS
    )


@pytest.mark.parametrize(
    "text", ["id,t,a,b\nx,1,1,nan\n", "id,t,a,b\nx,1,1\n", "id,t,a,a\nx,1,1,1\n", "", "\n", "\xff,b\n"]
)
def test_csv_files_that_are_refused(folder: Path, text: str) -> None:
    Path("x.csv").write_bytes(text.encode("latin-1"))
    code, _, error = run("m.safetensors", "x.csv", "-o", "y.csv", *OPTIONS)
    assert (code, error.count("\n")) == (4, 1), error


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
def test_mutated_tables(folder: Path, kind: str) -> None:
    """Whatever the bytes are: predictions, or an error of ours in one line."""
    table = pq.read_table("log.parquet")[:40]
    write = {"parquet": pq.write_table, "csv": pacsv.write_csv, "arrow": pa.feather.write_feather}[kind]
    write(table, f"x.{kind}")
    data, random, codes = Path(f"x.{kind}").read_bytes(), np.random.default_rng(0), set()
    for number in range(60):
        changed = bytearray(data)
        for place in random.integers(0, len(data), random.integers(1, 3)):
            changed[place] = random.integers(0, 256)
        Path(f"x.{kind}").write_bytes(changed[: random.integers(1, len(data))] if number % 6 == 0 else changed)
        code, _, error = run("m.safetensors", f"x.{kind}", "-o", f"y.{kind}", "--force", *OPTIONS, "--skip-short")
        assert code in (0, 2, 4, 5), error
        assert error.count("\n") == (code != 0)
        codes.add(code)
    assert 4 in codes


# --- ragged groups ----------------------------------------------------------------------------------------------------


def ragged(random: np.random.Generator, sizes: list[int]) -> Any:
    rows = sum(sizes)
    return pd.DataFrame(
        {
            "id": np.repeat(np.arange(len(sizes)), sizes),
            "a": random.standard_normal(rows),
            "b": random.standard_normal(rows),
        }
    )


def one_by_one(model: Model, frame: Any) -> list[Any]:
    """The first output for each whole group alone, without padding."""
    made = []
    for _, group in frame.groupby("id"):
        y: Any = model.predict(group[["a", "b"]].to_numpy("float32")[None])
        made.append((y[0] if isinstance(y, list) else y)[0])
    return made


@pytest.mark.parametrize("name", ["mask-value", "masked-bidirectional-gru", "masked-stack", "masked-gru-backwards"])
def test_ragged_groups_are_padded_where_the_model_masks(name: str) -> None:
    model = model_of(name)
    frame = ragged(np.random.default_rng(0), [3, 1, 7, 4, 7, 2])
    y = np.stack(one_by_one(model, frame))
    output = model.output_names[0]
    ways: list[dict[str, Any]] = [{}, {"window": 7}, {"batch_size": 2}]
    for options in ways:
        made = score_frame(model, frame, ["a", "b"], group_by="id", **options)
        made = made.sort_values("id")
        assert made["id"].tolist() == list(range(6))
        found = made[[f"{output}.{k}" for k in range(y.shape[1])]]
        np.testing.assert_allclose(found, y, rtol=0, atol=1e-6)


def test_ids_are_padded_with_the_id_that_is_masked() -> None:
    graph = read_vector("embedding-mask-zero").graph
    last = replace(graph, outputs=graph.outputs[2:])
    model = lstmconv_runtime.load(to_bytes(Bundle(last, {"framework": "keras"}, {}, ())))
    frame = pl.DataFrame({"id": [1, 1, 1, 2, 2], "word": [1, 2, 3, 2, 1]})
    made = score_frame(model, frame, ["word"], group_by="id")
    wanted_y: Any = model.predict(np.array([[2, 1]]))
    (output,) = model.output_names
    found = made.filter(pl.col("id") == 2).select([f"{output}.{k}" for k in range(3)]).to_numpy()
    np.testing.assert_allclose(found, wanted_y, rtol=0, atol=1e-6)


def test_ragged_outputs_of_each_step_are_refused() -> None:
    frame = ragged(np.random.default_rng(0), [3, 1])
    with pytest.raises(InputError, match=r"\(any, 3, 3\) for some rows and float32 \(any, 1, 3\) for others"):
        score_frame(model_of("masked-gru-zero-output"), frame, ["a", "b"], group_by="id")


def test_padding_is_refused_by_name_where_nothing_masks() -> None:
    frame = ragged(np.random.default_rng(0), [3, 1])
    with pytest.raises(
        UnsupportedError, match=r"ends in row 4 has 1 rows, not 3, and the model does not mask padding: layer"
    ) as found:
        score_frame(model_of("gru-last"), frame, ["a", "b"], group_by="id", window=3)
    assert "skip_short=True leaves such groups out" in str(found.value)
    with pytest.raises(UnsupportedError, match="ends in row 4 has 1 rows, not 3, and the model does not mask padding"):
        score_frame(model_of("gru-last"), frame, ["a", "b"], group_by="id")
    made = score_frame(model_of("gru-last"), frame, ["a", "b"], group_by="id", window=3, skip_short=True)
    assert made.index.tolist() == [2]


def test_padding_is_refused_where_it_is_masked_in_some_layers_only() -> None:
    """Masked, and then averaged over all its steps or laid flat."""
    vector = read_vector("masked-lstm-zero-output")
    graph = vector.graph
    mean = Reduce(name="mean", x=graph.outputs[0], op="mean", axes=(1,), keepdims=False)
    model = lstmconv_runtime.load(
        to_bytes(
            Bundle(replace(graph, outputs=("mean",), nodes=(*graph.nodes, mean)), {"framework": "by hand"}, {}, ())
        )
    )
    frame = ragged(np.random.default_rng(0), [3, 1])
    with pytest.raises(UnsupportedError, match="masks, but not in all its layers: padding changes output 'mean'"):
        score_frame(model, frame, ["a", "b"], group_by="id")


def test_groups_longer_than_the_model_takes() -> None:
    frame = ragged(np.random.default_rng(0), [5, 6])
    with pytest.raises(UnsupportedError, match="ends in row 11 has 6 rows, and the model takes 5"):
        score_frame(model_of("masked-gru-unroll"), frame, ["a", "b"], group_by="id")


# --- several inputs ---------------------------------------------------------------------------------------------------


def test_an_input_without_steps_gets_the_last_row() -> None:
    model = model_of("masked-gru-initial-state")
    first, second = model.input_names
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: random.standard_normal(9) for name in "abcde"})
    made = score_frame(model, frame, {first: ["a", "b"], second: ["c", "d", "e"]}, window=4)
    x = np.stack([frame[["a", "b"]].to_numpy("float32")[end - 4 : end] for end in range(4, 10)])
    y: Any = model.predict({first: x, second: frame[["c", "d", "e"]].to_numpy("float32")[3:]})
    np.testing.assert_allclose(made[[f"{model.output_names[0]}.{k}" for k in range(3)]], y[0], rtol=0, atol=1e-6)
    with pytest.raises(UsageError, match="the columns are not those of the model's inputs"):
        score_frame(model, frame, ["a", "b"], window=4)


# --- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [lambda table: table.to_pandas(), pl.from_arrow], ids=["pandas", "polars"])
def test_frames_give_what_files_give(folder: Path, kind: Callable[[Any], Any]) -> None:
    table = pq.read_table("log.parquet")
    frame = kind(table)
    made = score_frame(model_of("gru-last"), frame, ["a", "b"], window=4, stride=2, group_by="id", time="t")
    assert type(made) is type(frame)
    rows = wanted(table)
    assert made["note"].to_list() == rows["note"].tolist()
    for k in range(3):
        np.testing.assert_allclose(made[f"{OUTPUT}.{k}"], rows[f"y{k}"], rtol=0, atol=1e-6)
    if isinstance(frame, pd.DataFrame):
        assert made.index.tolist() == rows.index.tolist()


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_frames_that_are_refused(kind: Any) -> None:
    model = model_of("gru-last")
    good = {"a": [1.0, 2.0], "b": [1, 2], "id": ["x", "x"], "t": [1, 2]}
    for changed, error, said in (
        ({"a": [1.0, None]}, InvalidFileError, "column 'a': a value is missing"),
        ({"a": ["1", "2"]}, InvalidFileError, "not numbers"),
        ({"a": [1e300, 1.0]}, InputError, "float32 cannot hold"),
        ({"id": ["x", None]}, InvalidFileError, "column 'id': a value is missing"),
        ({"t": ["1", "2"]}, InvalidFileError, "not points in time"),
        ({"t": [2, 1]}, UsageError, "not in the order of 't'"),
        ({OUTPUT + ".0": [1, 2]}, UsageError, "a prefix tells them apart"),
    ):
        with pytest.raises(error, match=said):
            score_frame(model, kind({**good, **changed}), ["a", "b"], window=2, group_by=["id"], time="t")
    with pytest.raises(InvalidFileError, match="the frame has no column 'c'"):
        score_frame(model, kind(good), ["a", "c"], window=2)
    with pytest.raises(UsageError, match="needs a DataFrame of pandas or polars, got dict"):
        score_frame(model, good, ["a", "b"], window=2)
    made = score_frame(model, kind({**good, "t": [2, 1]}), ["a", "b"], window=2, time="t", sort=True)
    assert made["t"].to_list() == [2]
    assert issubclass(InvalidFileError, LstmconvError)


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
@pytest.mark.parametrize("full", [False, True], ids=["damaged", "full disk"])
def test_a_failure_after_some_rows_were_written(folder: Path, kind: str, full: bool) -> None:
    """One line, and nothing left: what was written by then belongs to nobody."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    table = pq.read_table("log.parquet")
    if not full:
        table = table.set_column(2, "a", pa.array([*[1.0] * 499, None]))
    pq.write_table(table, "bad.parquet", row_group_size=64)
    before = sorted(path.name for path in folder.iterdir())
    command = [sys.executable, "-m", "lstmconv", "run", "m.safetensors", "bad.parquet", "-o", f"y.{kind}",
               "--batch-size", "5", *map(str, OPTIONS)]  # fmt: skip
    process = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=limit if full else None,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert process.returncode == (6 if full else 4), process.stderr
    said = (
        rf"cannot write 'y.{kind}': File too large \[E_IO\]"
        if full
        else r"bad.parquet: column 'a': a value is missing .*"
    )
    assert re.fullmatch(rf"lstmconv: error: {said}\n", process.stderr), process.stderr
    assert sorted(path.name for path in folder.iterdir()) == before


def test_memory_hangs_on_the_groups_and_not_on_the_rows(tmp_path: Path) -> None:
    """Two million rows in a file of 30 MB, in a process whose memory rises by less than half of the rows' size."""
    (tmp_path / "m.safetensors").write_bytes(bundle("gru-last"))
    code = """
import resource, sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
def peak():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) * 1024
from lstmconv.__main__ import main
def write(name, rows):
    schema = pa.schema({"id": pa.int32(), "a": pa.float64(), "b": pa.float64(), "c": pa.float64()})
    with pq.ParquetWriter(name, schema) as writer:
        for start in range(0, rows, 50_000):
            n = np.arange(start, start + 50_000)
            columns = [pa.array(n % 1000, pa.int32()), *(pa.array(np.sin(n * k)) for k in (1, 2, 3))]
            writer.write_batch(pa.record_batch(columns, schema=schema))
peaks = []
for rows in (100_000, 2_000_000):
    write(f"{rows}.parquet", rows)
    sys.argv = ["lstmconv", "run", "m.safetensors", f"{rows}.parquet", "-o", f"y{rows}.parquet", "--columns", "a,b",
                "--window", "5", "--stride", "50", "--group-by", "id"]
    assert main() == 0
    peaks.append(peak())
print(peaks[1] - peaks[0])
"""
    environment = {"PYTHONPATH": ":".join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) < 2_000_000 * 28 / 2
