"""`lstmconv parity`: a Keras file or a bundle, and, if given, inputs to check it on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from lstmconv_runtime.inputs import by_name
from lstmconv_runtime.model import inputs_of

from ..errors import MissingPackageError, UsageError
from ..files.arrays import read_inputs
from ..files.standard_streams import print_result
from ..parity.cross_check import cross_check, draw_inputs
from ..parity.engines import EngineMissing, Subject, import_quietly
from .options import SETTINGS, CsvRows, Json, ModelFile
from .progress import Working

app = typer.Typer(**SETTINGS)


def run(model: Path, input: Path | None, as_json: bool, rows_are: str | None = None) -> int:
    """Prints the parity report of a Keras file, or of a bundle.

    Args:
        input: a file of arrays, see `arrays.read_inputs`; None draws random ones.
        as_json: print the report as JSON.
        rows_are: what the rows of a `.csv` are.

    Returns:
        0 where all engines agree, 1 where they do not or where there was nothing to compare.

    Raises:
        UsageError: `rows_are` without `input`.
        MissingPackageError: neither Keras nor onnxruntime is installed, so there is nothing to compare with.
        LstmconvError: the model cannot be converted, or the inputs cannot be read.
        InputError: the inputs do not fit the model.
    """
    if input is None and rows_are is not None:
        raise UsageError("--rows-are tells what the rows of --input are, and none is given")
    subject = Subject.from_file(model)
    if input is None:
        inputs = draw_inputs(subject.runtime.bundle.graph)
    else:
        inputs = by_name(subject.runtime.input_names, read_inputs(input, inputs_of(subject.runtime), rows_are))
    with Working("comparing"):
        report = cross_check(subject, inputs)
    if len(report.engines) < 2:
        try:
            import_quietly("keras")
        except EngineMissing as reason:
            raise MissingPackageError(f"parity {reason}") from None
    print_result(json.dumps(report.as_dict(), indent=2, allow_nan=False) if as_json else report.text())
    return 0 if report.ok else 1


@app.command(
    epilog="Exit codes: 0 the engines agree, 1 they do not, 2 usage or a missing package, 3, 4, 5, 6 as for export."
)
def parity(
    model: ModelFile,
    input_file: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="INPUT",
            help="A .npy, .npz or .csv file, as for run; by default random numbers.",
            readable=False,
        ),
    ] = None,
    rows_are: CsvRows = None,
    as_json: Json = False,
) -> None:
    """Compare Keras, the runtime, onnxruntime.

    The same inputs go through all, onnxruntime on Keras's own ONNX export and on what `lstmconv onnx` writes; a table
    shows how far their outputs are apart. What cannot run is named with the reason: a file that Keras refuses, or a
    bundle alone, is compared in the others.

    \b
    Example:
      lstmconv parity sine.keras --input windows.npy
    """
    raise typer.Exit(run(model, input_file, as_json, rows_are))
