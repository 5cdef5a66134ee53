"""`lstmconv run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..bundles.load import load_bundle
from ..errors import UsageError
from ..files import output_paths, suffixes
from ..files.arrays import check_number
from ..files.growing import growing_file, standard_output
from ..files.rows import open_inputs
from . import prediction
from .options import SETTINGS, BundleFile, CsvRows, Force, InputFile, Json, print_report
from .progress import Progress

app = typer.Typer(**SETTINGS)


@app.command(
    epilog="Exit codes: 0 done, 2 usage or an input that does not fit, 3 a newer bundle, 4 invalid, 5 over a limit, "
    "6 input or output."
)
def run(
    bundle: BundleFile,
    input_file: InputFile,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="OUT", help="A .npy, .npz or .csv file; by default CSV is printed."),
    ] = None,
    rows_are: CsvRows = None,
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
    """Predict from the sequences in a file.

    The rows of .npy and .npz files are read, computed and written a batch at a time, so that they may be larger than
    the memory. Work that takes longer than two seconds shows its progress on a terminal.

    \b
    Example:
      lstmconv run sine.safetensors windows.npy -o predictions.npy
      lstmconv run sine.safetensors windows.csv
      lstmconv run sensor.safetensors readings.csv --rows-are steps
      lstmconv run sine.safetensors a-year.npy -o a-year-predicted.npy --batch-size 1000
    """
    if as_json and out is None:
        raise UsageError("--json tells of the file that -o names, and none is given")
    if out is not None:
        output_paths.check_output(out, suffixes.ARRAYS, force, bundle, input_file)
    model = load_bundle(bundle)
    names = model.output_names
    if out is not None:
        check_number(len(names), out)
    with open_inputs(input_file, prediction.inputs_of(model), rows_are) as given:
        rows = prediction.check_rows(model, given)
        at_once = batch_size or prediction.rows_at_once(model, given, rows)
        opened = growing_file(out, names, rows, force, rows_are) if out else standard_output(names, rows_are)
        # Rows printed on the terminal would run into the line of the progress, and show it themselves.
        shown = not quiet and (out is not None or not (sys.stdout and sys.stdout.isatty()))
        with opened as output, Progress(rows, shown) as bar:
            done, shapes = 0, {}
            for count, arrays in prediction.predictions(model, given, rows, at_once, threads):
                output.add(arrays, count)
                if done == 0:
                    shapes = {name: (array.shape, array.dtype.name, max(count, 1)) for name, array in arrays.items()}
                del arrays  # or they would be held while the next are computed
                done += count
                bar.update(done)
    if as_json:
        outputs = {
            name: {"shape": [shape[0] // first * rows, *shape[1:]], "dtype": dtype}
            for name, (shape, dtype, first) in shapes.items()
        }
        print_report({"predictions": str(out), "bundle": str(bundle), "rows": rows, "outputs": outputs}, "", True)
