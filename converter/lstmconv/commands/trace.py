"""A trace in files: its arrays, and the picture of its gates."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from lstmconv_runtime.model import inputs_of

from ..bundles.load import load_bundle
from ..errors import UsageError
from ..files import output_paths, suffixes
from ..files.atomic import publish_all
from ..files.growing import NpzFile
from ..files.rows import open_inputs
from ..report.gate_plot import SUFFIXES, gate_figure, require_matplotlib, save_figure
from ..scoring.prediction import check_rows
from ..scoring.tracing import one_row, row_range, traced_arrays, traces
from .options import SETTINGS, BundleFile, CsvRows, Force, InputFile, Json, print_report
from .progress import Progress

app = typer.Typer(**SETTINGS)


@app.command(
    epilog="Exit codes: 0 done, 2 usage or an input that does not fit, 3 a newer bundle, 4 invalid, 5 over a limit, "
    "6 input or output."
)
def trace(
    bundle: BundleFile,
    input_file: InputFile,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="An .npz file, with keys like lstm/f for a forget gate.")
    ],
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="PICTURE", help="Draw each gate as a heat map: a .png, .svg or .pdf file."),
    ] = None,
    row: Annotated[
        int | None,
        typer.Option(
            "--row", help="Which sequence of the input to draw, counted from 0; by default the first of --rows."
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows",
            metavar="START:STOP",
            help="Only these sequences, counted from 0, without that of STOP; either may be left out. Or the number of "
            "one.",
        ),
    ] = None,
    rows_are: CsvRows = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Record every gate at every time step.

    The gates and states of each recurrent layer, and what every other layer gives, go to an .npz file, some rows at a
    time, so that it may be larger than the memory.

    \b
    Example:
      lstmconv trace sine.safetensors windows.npy -o trace.npz --plot gates.png
      lstmconv trace sine.safetensors a-year.npy -o noon.npz --rows 5000:5100
    """
    output_paths.check_output(out, suffixes.TRACE, force, bundle, input_file)
    if plot is not None:
        output_paths.check_output(plot, SUFFIXES, force, bundle, input_file, out)
        require_matplotlib()
    model = load_bundle(bundle)
    with ExitStack() as opened:
        given = opened.enter_context(open_inputs(input_file, inputs_of(model), rows_are))
        total = check_rows(model, given)
        chosen = row_range(rows, total)
        drawn = chosen.start if row is None else row
        if plot is not None and drawn not in chosen:
            raise UsageError(
                f"there is no row {drawn} to draw: the input has {len(chosen)}, counted from {chosen.start}"
            )
        bar = opened.enter_context(Progress(len(chosen) if total is not None else None))
        files = opened.enter_context(publish_all([out, *([plot] if plot is not None else [])], force))
        archive: NpzFile | None = None
        shown: dict[str, Any] = {}
        told: dict[str, tuple[tuple[int, ...], str]] = {}
        count = 0
        for part in traces(model, given, chosen):
            arrays = traced_arrays(part.values)
            told = told or {name: (array.shape[1:], array.dtype.name) for name, array in arrays.items()}
            if archive is None:
                archive = NpzFile(files[0], out.parent, list(arrays), None, opened)
            archive.add(arrays, part.rows)
            if part.first <= drawn < part.first + part.rows:
                shown = one_row(part.values, drawn - part.first)
            count += part.rows
            bar.update(part.first + part.rows - chosen.start)
            del arrays, part
        if archive is not None:
            archive.close()
        if plot is not None:
            save_figure(gate_figure(shown, 0, drawn, total), files[1], plot.suffix.lower())
    if as_json:
        held = {name: {"shape": [count, *shape], "dtype": dtype} for name, (shape, dtype) in told.items()}
        print_report({"trace": str(out), "plot": None if plot is None else str(plot), "arrays": held}, "", True)
