"""`lstmconv report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from lstmconv_runtime import Model
from lstmconv_runtime.model import inputs_of

from ..errors import UsageError, printable
from ..files import output_paths, suffixes
from ..files.atomic import publish_bytes
from ..files.rows import open_inputs
from ..parity.engines import NOT_WANTED
from ..report.findings import MOST_ROWS, Findings, Sequences, findings
from ..report.page import page
from ..report.subject import open_model
from ..scoring.prediction import check_rows
from .options import SETTINGS, Architecture, CsvRows, Force, Json, print_report
from .progress import Working

app = typer.Typer(**SETTINGS)


def read_sequences(path: Path, model: Model, row: int, rows_are: str | None) -> Sequences:
    """The first rows of a file, `row` among them; all, where the model's rows hang together.

    Raises:
        LstmconvError, InputError: the file cannot be read, or does not fit the model.
        UsageError: there is no such row.
    """
    with open_inputs(path, inputs_of(model), rows_are) as given:
        rows = check_rows(model, given)
        if rows is None:
            raise UsageError("a report shows sequences of a file: give its name")
        if row >= rows:
            raise UsageError(f"there is no row {row}: the input has {rows}, counted from 0")
        wanted = min(rows, max(MOST_ROWS, row + 1)) if model.splits else rows
        arrays = {name: array.take(wanted) for name, array in given.items()}
    return Sequences(arrays, rows, path.name)


@app.command(
    epilog="Exit codes: 0 done; 1 done, and the page says what does not hold: the file cannot be converted, its probes "
    "fail, or engines differ; 2 usage or an input that does not fit; 3, 4, 5, 6 as for export."
)
def report(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL_OR_BUNDLE", help="A Keras file of any age, or a bundle.", readable=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="OUT", help="The page; by default MODEL with the suffix .report.html."),
    ] = None,
    input_file: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="INPUT",
            help="A .npy, .npz or .csv file, as for run; by default the first probe of the bundle.",
            readable=False,
        ),
    ] = None,
    row: Annotated[int, typer.Option("--row", min=0, help="Of which sequence to show the gates, counted from 0.")] = 0,
    rows_are: CsvRows = None,
    full: Annotated[
        Path | None,
        typer.Option(
            "--full",
            metavar="MODEL",
            help="For a bundle of reduced weights: the model it was made from, to show the drift.",
            readable=False,
        ),
    ] = None,
    engines: Annotated[
        bool,
        typer.Option(
            "--engines/--no-engines",
            help="Whether to run Keras and onnxruntime too, where they are installed. Keras then loads the file: only "
            "for files that you would load in Keras.",
        ),
    ] = True,
    config: Architecture = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a page that shows a model.

    One HTML file that loads nothing: what the file is and who wrote it, the graph with every node's settings and
    weights, how far Keras, the runtime and onnxruntime are apart and where they part, the gates of a sequence at every
    time step, and what reduced weights have moved.

    \b
    Example:
      lstmconv report sine.keras
      lstmconv report sine.safetensors --input windows.npy --row 7 -o seven.html
      lstmconv report small.safetensors --full sine.keras
      lstmconv report from-somebody.h5 --no-engines
    """  # fmt: skip
    if input_file is None and (rows_are is not None or row):
        raise UsageError("--row and --rows-are tell of the rows of --input, and none is given")
    out = out or output_paths.report_path(model)
    given = [path for path in (model, input_file, full, config) if path is not None]
    output_paths.check_output(out, suffixes.REPORT, force, *given)
    with Working("looking at the model"):
        opened = open_model(model, config)
        read = None
        if input_file is not None and opened.model is not None:
            read = read_sequences(input_file, opened.model, row, rows_are)
        found = findings(opened, read, row, engines, full)
        made = page(found)
    publish_bytes(made, out, force)
    print_report(summary(found, out, len(made)), text(found, out, len(made)), as_json)
    if not found.ok:
        raise typer.Exit(1)


def summary(found: Findings, out: Path, size: int) -> dict[str, Any]:
    """What was written, for JSON."""
    about, compared = found.opened.about, found.engines
    return {
        "report": str(out), "bytes": size, "kind": about["kind"], "ok": found.ok,
        "obstacles": about.get("obstacles", []),
        "engines": [] if isinstance(compared, str) else list(compared.engines),
        "missing": {} if isinstance(compared, str) else compared.missing,
        "verdicts": [] if isinstance(compared, str) else list(compared.verdicts),
    }  # fmt: skip


def text(found: Findings, out: Path, size: int) -> str:
    """The same for people."""
    lines = [f"wrote {printable(str(out))}: {size:,} bytes"]
    lines += [f"  in the way of converting it: {item['message']}" for item in found.opened.about.get("obstacles", ())]
    if not isinstance(found.engines, str):
        verdicts = ", ".join(dict.fromkeys(found.engines.verdicts))
        lines.append(f"  compared: {', '.join(found.engines.engines)}: {verdicts}")
        lines += [
            f"  {name} did not run: {printable(why, 300)}"
            for name, why in found.engines.missing.items()
            if why != NOT_WANTED
        ]
    return "\n".join(lines)
