"""`lstmconv run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from lstmconv_runtime import Model
from lstmconv_runtime.model import processors
from typer.core import TyperCommand

from ..bundles.load import load_bundle
from ..errors import UsageError, printable
from ..files import output_paths, suffixes
from ..files.arrays import check_number
from ..files.growing import growing_file, standard_output
from ..files.standard_streams import print_note
from ..files.tables import table_cells
from ..scoring import on_dask, partitions, prediction
from ..scoring.columns import Columns, parts_of
from ..scoring.processes import Workers, one_after_the_other
from ..scoring.score import score
from ..scoring.settings import Settings
from ..scoring.sources import Given, given_files
from ..scoring.tables import KINDS
from .failures import failure_of
from .options import SETTINGS, BundleFile, CsvRows, Force, Json, print_report
from .progress import Progress, Working

app = typer.Typer(**SETTINGS)


class Kind(StrEnum):
    """What predictions can be written as."""

    NPY, NPZ, CSV, PARQUET, ARROW, FEATHER = "npy", "npz", "csv", "parquet", "arrow", "feather"


class RunCommand(TyperCommand):
    """`--dask` with or without an address after it, where what follows may be an INPUT."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        for place, word in enumerate(given):
            if word == "--":
                break
            if word == "--dask" and "://" not in "".join(given[place + 1 : place + 2]):
                given[place] = f"--dask={on_dask.LOCAL}"
        return super().parse_args(ctx, given)


@app.command(
    cls=RunCommand,
    epilog="Exit codes: 0 done, 1 some inputs of a folder of outputs could not be scored, 2 usage or an input that "
    "does not fit, 3 a newer bundle, 4 invalid, 5 over a limit, 6 input or output.",
)
def run(
    bundle: BundleFile,
    input_files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            help="Files of sequences: .npy, .npz (one array per input, by its name), .csv (see --rows-are), .parquet, "
            ".arrow or .feather (see below). A name may be a pattern like 'days/*.npy'. - reads .npy, CSV or an Arrow "
            "stream from standard input.",
            show_default=False,
        ),
    ] = None,
    named: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=FILE",
            help="In the place of INPUT, a file (or a pattern) for one input of a model that has several; once for "
            "each of them.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="A .npy, .npz, .csv, .parquet, .arrow or .feather file; or a folder (it is there, or the name ends in "
            "/), which gets a file for each INPUT; or - for standard output. By default CSV is printed.",
        ),
    ] = None,
    to: Annotated[
        Kind | None,
        typer.Option(
            "--to",
            help="What the files of a folder are, by default as their inputs; or what is written to standard output: "
            "csv, npy, or arrow, which is an Arrow stream.",
        ),
    ] = None,
    rows_are: CsvRows = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns",
            metavar="A,B,C",
            help="The inputs are tables with a row for each point in time: cut sequences from these columns. Of a "
            "model with several inputs NAME=A,B for each.",
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            "--window", metavar="N", min=1, help="Rows of a sequence; without it each whole group is a sequence."
        ),
    ] = None,
    stride: Annotated[
        int, typer.Option("--stride", metavar="N", min=1, help="Rows between the beginnings of two windows.")
    ] = 1,
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by", metavar="ID,...", help="The columns that tell groups apart. No window crosses a group."
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="T", help="The column that the rows of a group have to be in the order of."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep", metavar="A,...", help="The columns that predictions are joined to; by default all of the table."
        ),
    ] = None,
    prefix: Annotated[
        str, typer.Option("--prefix", metavar="TEXT", help="Put before the names of the outputs of a table.")
    ] = "",
    skip_short: Annotated[
        bool,
        typer.Option(
            "--skip-short",
            help="Leave out groups with fewer rows than a window, which else are padded where the model masks, and "
            "refused where it does not.",
        ),
    ] = False,
    sort: Annotated[
        bool,
        typer.Option(
            "--sort", help="Hold each table in memory, and put the rows of a group together, in the order of --time."
        ),
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            metavar="N",
            min=1,
            help="How many processes share the rows, or the files where OUT is a folder. The output is the same.",
        ),
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="[tcp://HOST:PORT]",
            help="Let the workers of a Dask cluster score the files of a folder: one that is started here, of N "
            "workers by --jobs, or that of a scheduler, whose workers see all paths as this command does.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="In a folder that an earlier run has begun, do what is left: what is not there, is damaged, or was "
            "made from an input that has changed.",
        ),
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            metavar="N",
            min=1,
            help="Rows to read and compute at once; by default at most 4096, and so many that what the model computes "
            "for them takes at most 64 MiB, or one row.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            metavar="N",
            min=1,
            help="How many threads may share the rows of a batch; by default one, because NumPy's matrix products use "
            "all processors by themselves. More can pay where OPENBLAS_NUM_THREADS=1 keeps those to one.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Predict from the sequences in files.

    Rows are read, computed and written a batch at a time, so that files may be larger than the memory (a .csv of
    sequences is held). The outputs for several files stand one after the other in one file, or each in a file of its
    own where OUT is a folder. Work that takes longer than two seconds shows its progress on a terminal.

    A row of a .parquet, .arrow or .feather file is a row of the batch: a column of lists of one length (or of lists of
    lists) for each input, by its name; or columns of single numbers, as in a .csv. They need pyarrow: pip install
    'lstmconv[tables]'.

    A folder of outputs gets each file at once and whole, and in the end a _manifest.json with the digests of all. An
    input that cannot be scored is named, the others are scored, and the run ends with 1.

    With --columns, a table of rows in time (.parquet, .arrow, .feather, or .csv with a heading) is cut into windows.
    The output is a table too: the last row of each window with the predictions beside it, those of several numbers as
    lists, in a .csv as NAME.0, NAME.1. Rows are read in the order of the file, those of groups mixed or one group after
    the other; each file is a table of its own. Without --window a group is a sequence, and its rows stand together.

    \b
    Example:
      lstmconv run sine.safetensors windows.npy -o predictions.npy
      lstmconv run sine.safetensors windows.csv
      lstmconv run sensor.safetensors readings.csv --rows-are steps
      lstmconv run sine.safetensors a-year.npy -o a-year-predicted.npy --batch-size 1000
      lstmconv run sine.safetensors 'days/*.parquet' -o predicted/ --jobs 2
      lstmconv run sine.safetensors 'days/*.parquet' -o predicted/ --resume
      lstmconv run sine.safetensors 'days/*.parquet' -o predicted/ --dask tcp://scheduler:8786
      lstmconv run two.safetensors --input image=a.npy --input history=b.csv -o y.parquet
      lstmconv run sensor.safetensors log.parquet -o scored.parquet --columns a,b,c --window 30 --group-by id --time t
      cat windows.npy | lstmconv run sine.safetensors - -o - --to npy > predictions.npy
    """
    if as_json and out in (None, "-"):
        raise UsageError("--json tells of the file that -o names, and none is given")
    model = load_bundle(bundle)
    sources = given_files(input_files or [], named or [], prediction.inputs_of(model))
    cut = {
        "window": window, "group-by": group_by, "time": time, "keep": keep, "prefix": prefix or None,
        "skip-short": skip_short or None, "sort": sort or None, "stride": stride if stride > 1 else None,
    }  # fmt: skip
    table = None
    if columns:
        table = Columns(
            _columns_by_input(columns), window, stride, _names(group_by or ""), time,
            None if keep is None else _names(keep), prefix, skip_short, sort,
        )  # fmt: skip
        if rows_are is not None:
            raise UsageError("--rows-are is for arrays: with --columns a row is a point in time")
        if named:
            raise UsageError("a table holds the columns of all inputs: name it as INPUT")
    elif odd := next((name for name, value in cut.items() if value is not None), None):
        raise UsageError(f"--{odd} is for tables of rows in time: --columns names their features")
    settings = Settings(rows_are, batch_size, threads, table)
    if table is not None:
        parts_of(model, table)
        table_cells()
    if out is not None and out != "-" and (out.endswith(("/", os.sep)) or os.path.isdir(out)):
        _into_folder(model, bundle, sources, Path(out), to, settings, jobs, dask, resume, force, quiet, as_json)
        return
    if resume or dask is not None:
        raise UsageError(f"{'--resume' if resume else '--dask'} is for a folder of outputs: let OUT be one, as out/")
    path = None if out in (None, "-") else Path(str(out))
    _check_output(model, path, to, sources, bundle, force, table is not None)
    joined = None if table is None else table.prefix

    def begin(total: int | None) -> Progress:
        # Rows printed on the terminal would run into the line of the progress, and show it themselves.
        shown = not quiet and (path is not None or not (sys.stdout and sys.stdout.isatty()))
        return opened.enter_context(Progress(total, shown))

    with ExitStack() as opened:
        compute = None
        if jobs > 1:
            compute = opened.enter_context(Workers(jobs, threads, model)).predictions
        made = score(
            model, sources, settings,
            lambda total: growing_file(path, model.output_names, total, force, rows_are, joined) if path
            else standard_output(model.output_names, rows_are, str(to or Kind.CSV), total, joined),
            compute, lambda total: begin(total).update,
        )  # fmt: skip
    if as_json:
        outputs = {
            name: {"shape": [made.rows, *shape], "dtype": str(dtype)} for name, (shape, dtype) in made.outputs.items()
        }
        print_report({"predictions": out, "bundle": str(bundle), "rows": made.rows, "outputs": outputs}, "", True)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _columns_by_input(given: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A,B or NAME=A,B; a name of one column may have a = where it stands alone."""
    if len(given) == 1 and "=" not in given[0].partition(",")[0]:
        return (("", _names(given[0])),)
    found = [(text.partition("=")[0], _names(text.partition("=")[2])) for text in given]
    if len({name for name, _ in found}) < len(found) or not all("=" in text for text in given):
        raise UsageError("--columns is given several times: it needs NAME=A,B, once for each input")
    return tuple(found)


def _check_output(
    model: Model, path: Path | None, to: Kind | None, sources: list[Given], bundle: Path, force: bool, is_table: bool
) -> None:
    """Refuses an output before anything is computed."""
    if path is None:
        if to not in (None, Kind.CSV, Kind.NPY, Kind.ARROW):
            raise UsageError(f"a {to} cannot be written to standard output, which can have csv, npy or arrow")
        return
    if to is not None:
        raise UsageError("--to is for folders and standard output; the name of a file says what it is")
    if not path.suffix:
        ends = " or ".join(KINDS if is_table else suffixes.SCORED)
        raise UsageError(
            f"'{printable(str(path))}': the name of a file must end in {ends}, that of a folder in /", "E_SUFFIX"
        )
    inputs = [given_path for given in sources if not given.is_stream for given_path in given.paths]
    output_paths.check_output(path, KINDS if is_table else suffixes.SCORED, force, bundle, *inputs)
    if not is_table:
        check_number(len(model.output_names), path)


def _into_folder(
    model: Model, bundle: Path, sources: list[Given], folder: Path, to: Kind | None, settings: Settings, jobs: int,
    dask: str | None, resume: bool, force: bool, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """A file for each partition; exits with 1 where some could not be scored."""
    if dask is not None:
        on_dask.require_dask()
    if any(given.is_stream for given in sources):
        raise UsageError("the outputs of a folder are named as their inputs: standard input has no name")
    kinds = {given.path.suffix.lower() for given in sources}
    if to is None and len(kinds) > 1:
        raise UsageError("the inputs are of several kinds: --to says of which the outputs are")
    suffix = f".{to}" if to else kinds.pop()
    if settings.columns is None:
        check_number(len(model.output_names), Path(f"x{suffix}"))
    else:
        suffixes.check_suffix(f"x{suffix}", KINDS)
    job = partitions.Job(os.getcwd(), str(bundle), partitions.digest_of(bundle), str(folder), suffix, settings)
    for given in sources:
        output_paths.check_output(folder / job.output(given), suffixes.SCORED, True, bundle, *given.paths)
    with partitions.opened_folder(job, sources, resume, force) as records:
        with Working("looking at what is done"):
            left = [given for given in sources if not partitions.is_done(job, given, records)]
        failed = 0
        with ExitStack() as opened:
            bar = opened.enter_context(Progress(len(left), not quiet, unit="files"))
            number = 0
            done: Iterator[tuple[Given, partitions.Record | partitions.Failure] | None]
            if dask is not None and left:
                workers = jobs if jobs > 1 else min(processors(), len(left))
                done = on_dask.score_on_dask(opened.enter_context(on_dask.cluster(dask, workers)), job, left)
            elif jobs > 1:
                done = opened.enter_context(Workers(jobs, settings.threads)).partitions(job, left)
            else:
                done = one_after_the_other(job, left, lambda rows: bar.update(number))
            for one in done:
                if one is None:
                    bar.update(number)
                    continue
                given, result = one
                number += 1
                if isinstance(result, dict):
                    records[result["output"]] = result
                else:
                    failed += 1
                    records.pop(job.output(given), None)
                    print_note("error", f"{given.shown()}: {failure_of(result).line}")
                bar.update(number)
        if as_json:
            rows = sum(record["rows"] for record in records.values())
            told = {"files": len(records), "rows": rows, "failed": failed}
            print_report({"predictions": str(folder), "bundle": str(bundle), **told}, "", True)
        if failed:
            print_note("error", f"{failed} of {len(sources)} inputs could not be scored; --resume does what is left")
            raise typer.Exit(1)
        partitions.finish(job, records)
