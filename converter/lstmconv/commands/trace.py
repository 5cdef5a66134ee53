"""A trace in files: its arrays, and the picture of its gates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from lstmconv_runtime import Gates
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.model import inputs_of

from ..bundles.load import load_bundle
from ..files import output_paths, suffixes
from ..files.arrays import read_inputs, write_npz
from ..files.atomic import publish_all
from ..report.gate_plot import SUFFIXES, gate_figure, require_matplotlib, save_figure
from .options import SETTINGS, BundleFile, CsvRows, Force, InputFile, Json, print_report
from .progress import Working

app = typer.Typer(**SETTINGS)


def traced_arrays(trace: Mapping[str, Any]) -> dict[str, Array]:
    """`node/gate` for the gates, states and output of recurrent nodes, `node` for the output of the others."""
    arrays: dict[str, Array] = {}
    for node, held in trace.items():
        if isinstance(held, Gates):
            arrays.update({f"{node}/{gate}": array for gate, array in held.items()})
        else:
            arrays[node] = held
    return arrays


def write_trace(trace: Mapping[str, Any], out: Path, plot: Path | None, row: int, force: bool) -> None:
    """Publishes the arrays of a trace as an `.npz` and, where `plot` is given, the gates of one sequence as a picture.

    Neither takes its place before both are on the disk.

    Raises:
        LstmconvError: see `gate_plot.gate_figure` and `atomic_file.publish`.
    """
    with publish_all([out, *([plot] if plot is not None else [])], force) as files:
        write_npz(traced_arrays(trace), files[0])
        if plot is not None:
            save_figure(gate_figure(trace, row), files[1], plot.suffix.lower())


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
    row: Annotated[int, typer.Option("--row", help="Which sequence of the input to draw, counted from 0.")] = 0,
    rows_are: CsvRows = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Record every gate at every time step.

    The gates and states of each recurrent layer, and what every other layer gives, go to an .npz file.

    \b
    Example:
      lstmconv trace sine.safetensors windows.npy -o trace.npz --plot gates.png
    """
    output_paths.check_output(out, suffixes.TRACE, force, bundle, input_file)
    if plot is not None:
        output_paths.check_output(plot, SUFFIXES, force, bundle, input_file, out)
        require_matplotlib()
    model = load_bundle(bundle)
    with Working("tracing"):
        traced = model.trace(read_inputs(input_file, inputs_of(model), rows_are))
        write_trace(traced, out, plot, row, force)
    if as_json:
        arrays = {name: {"shape": list(a.shape), "dtype": a.dtype.name} for name, a in traced_arrays(traced).items()}
        print_report({"trace": str(out), "plot": None if plot is None else str(plot), "arrays": arrays}, "", True)
