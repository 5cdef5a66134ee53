"""The commands of `lstmconv`: each parses its arguments, calls, and prints. What fails, `__main__` reports.

Modules that only some commands need are imported by those commands, so that the others start fast.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import printable
from ..files.standard_streams import print_note, print_result
from . import onnx as onnx_command
from .progress import Working

EXIT_CODES = """\b
Exit codes:
  0   done
  1   a check did not hold (verify, parity, doctor)
  2   usage: the arguments, or an input array that does not fit the model
  3   unsupported: a layer, an option, or a format version
  4   invalid: a damaged or hostile file, or not the kind of file it should be
  5   over a limit, or out of memory
  6   input or output failed, or the output exists already
  70  a bug of lstmconv
  130, 141, 143  ended by an interrupt, by a closed pipe, or by SIGTERM
"""

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,  # rich would take longer to import than most commands run
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)

Force = Annotated[bool, typer.Option("--force", help="Replace an existing output file.")]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="Take layers called with training=True as at inference, without dropout."),
]
Replace = Annotated[
    list[str] | None,
    typer.Option(
        "--replace",
        metavar="NAME=LAYER.json",
        help="In the place of a Lambda or a custom class, a layer of Keras or a small model that computes the same, as "
        "Keras's own JSON; its arrays are dealt by shape. Can be given more than once.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
# readable=False: whether a file can be read shows when it is read, with exit code 6.
BundleFile = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle, NAME.safetensors.", readable=False)]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A Keras file, NAME.keras.", readable=False)]
InputFile = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="A .npy, .npz (one array per input, by its name) or .csv file (see --rows-are).",
        readable=False,
    ),
]


class Weights(StrEnum):
    """What weights can be stored as, beside what they are."""

    FLOAT16 = "float16"


class RowsAre(StrEnum):
    """What the rows of a .csv are."""

    STEPS = "steps"
    SEQUENCES = "sequences"


CsvRows = Annotated[
    RowsAre | None,
    typer.Option(
        "--rows-are",
        help="What a row of a .csv is: one of the time steps of the one sequence in the file, or a whole sequence (its "
        "time steps in order, the features of each side by side). Needed where it could be either.",
    ),
]


def _json_text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, allow_nan=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        import lstmconv_runtime

        from .. import __version__

        print_result(f"lstmconv {__version__}, lstmconv_runtime {lstmconv_runtime.__version__}")
        raise typer.Exit


@app.callback()
def lstmconv(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the versions and exit.")
    ] = False,
) -> None:
    """Turns trained Keras recurrent models into safetensors bundles, without TensorFlow, and proves them equal.

    \b
    Example:
      lstmconv export sine.keras
      lstmconv verify sine.safetensors
      lstmconv run sine.safetensors windows.npy -o predictions.npy

    Results go to standard output, warnings and errors to standard error, an error in one line with a code in brackets.
    No file is written unless everything went well.
    """


@app.command(epilog="Exit codes: 0 done, 2 usage, 3 unsupported, 4 invalid, 5 over a limit, 6 input or output.")
def export(
    model: ModelFile,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="OUT", help="The bundle; by default MODEL with the suffix .safetensors."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="ARCHITECTURE",
            help="For files of weights alone: the architecture, which model.to_json() writes.",
            readable=False,
        ),
    ] = None,
    force: Force = False,
    allow_nonfinite: Annotated[
        bool, typer.Option("--allow-nonfinite", help="Accept NaN and infinity among the weights.")
    ] = False,
    deterministic: Deterministic = False,
    weights: Annotated[
        Weights | None,
        typer.Option(
            "--weights",
            metavar="float16",
            help="Store the weights as float16, half the size, and show how far that moves each output.",
        ),
    ] = None,
    replace: Replace = None,
    as_json: Json = False,
) -> None:
    """Write the bundle of a Keras model.

    The file is read as data: neither Keras nor TensorFlow is needed, and nothing in it is executed.

    \b
    Example:
      lstmconv export sine.keras -o sine.safetensors
      lstmconv export weights-of-2017.h5 --config architecture.json
      lstmconv export sine.keras -o small.safetensors --weights float16
      lstmconv export old.h5 --replace double=rescaling.json
    """
    from .. import exporting
    from ..files import output_paths, suffixes
    from ..reading import read_replacements
    from . import inspection

    out = out or output_paths.bundle_path(model)
    output_paths.check_output(out, suffixes.BUNDLE, force, model, *([config] if config else []))
    with Working("converting"):
        made = exporting.export(
            model, out, config=config, force=force, allow_nonfinite=allow_nonfinite, deterministic=deterministic,
            weights=None if weights is None else weights.value, replace=read_replacements(replace or ()),
        )  # fmt: skip
    for warning in made.warnings:
        print_note("warning", warning)
    report = inspection.export_report(made, out)
    print_result(_json_text(report) if as_json else inspection.export_text(report))


@app.command(epilog="Exit codes: 0 done, 2 usage, 3 unsupported, 4 invalid, 5 over a limit, 6 input or output.")
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle or a Keras file.", readable=False)],
    as_json: Json = False,
) -> None:
    """Show what is in a bundle or a Keras file.

    Layers with their settings, named tensors with shapes and dtypes, the number of parameters, where the model comes
    from, its inputs, outputs and probes; of a Keras file, what its bundle would hold.

    \b
    Example:
      lstmconv inspect sine.safetensors
    """
    from . import inspection

    with Working("reading"):
        found = inspection.inspect_file(file)
    for warning in found["warnings"]:
        print_note("warning", warning)
    print_result(_json_text(found) if as_json else inspection.inspection_text(found))


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
    import sys

    from ..bundles import load
    from ..files import arrays as array_files
    from ..files import growing, output_paths, suffixes
    from ..files import rows as array_rows
    from . import prediction, progress

    if out is not None:
        output_paths.check_output(out, suffixes.ARRAYS, force, bundle, input_file)
    model = load.load_bundle(bundle)
    names = model.output_names
    if out is not None:
        array_files.check_number(len(names), out)
    with array_rows.open_inputs(input_file, prediction.inputs_of(model), rows_are) as given:
        rows = prediction.check_rows(model, given)
        at_once = batch_size or prediction.rows_at_once(model, given, rows)
        opened = (
            growing.growing_file(out, names, rows, force, rows_are) if out else growing.standard_output(names, rows_are)
        )
        # Rows printed on the terminal would run into the line of the progress, and show it themselves.
        shown = not quiet and (out is not None or not (sys.stdout and sys.stdout.isatty()))
        with opened as output, progress.Progress(rows, shown) as bar:
            done = 0
            for count, arrays in prediction.predictions(model, given, rows, at_once, threads):
                output.add(arrays, count)
                del arrays  # or they would be held while the next are computed
                done += count
                bar.update(done)


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
) -> None:
    """Record every gate at every time step.

    The gates and states of each recurrent layer, and what every other layer gives, go to an .npz file.

    \b
    Example:
      lstmconv trace sine.safetensors windows.npy -o trace.npz --plot gates.png
    """
    from ..bundles import load
    from ..files import arrays, output_paths, suffixes
    from . import gate_plot, prediction, trace_files

    output_paths.check_output(out, suffixes.TRACE, force, bundle, input_file)
    if plot is not None:
        output_paths.check_output(plot, gate_plot.SUFFIXES, force, bundle, input_file, out)
        gate_plot.require_matplotlib()
    model = load.load_bundle(bundle)
    with Working("tracing"):
        traced = model.trace(arrays.read_inputs(input_file, prediction.inputs_of(model), rows_are))
        trace_files.write_trace(traced, out, plot, row, force)


@app.command(
    epilog="Exit codes: 0 the probes hold, 1 they do not, 2 usage, 3 a newer bundle, 4 invalid, 5 over a limit, "
    "6 input or output."
)
def verify(bundle: BundleFile, as_json: Json = False) -> None:
    """Check a bundle by its own probes.

    These are inputs with the outputs that were computed for them when the bundle was made.

    \b
    Example:
      lstmconv verify sine.safetensors
    """
    from ..bundles import load, probe_report

    with Working("verifying"):
        report = {"bundle": str(bundle), **probe_report.probe_report(load.load_bundle(bundle))}
    print_result(_json_text(report) if as_json else probe_report.probe_report_text(report, printable(str(bundle))))
    if not report["ok"]:
        raise typer.Exit(1)


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
    from . import parity

    raise typer.Exit(parity.run(model, input_file, as_json, rows_are))


app.registered_commands += onnx_command.app.registered_commands

AnyFile = Annotated[Path, typer.Argument(metavar="FILE", help="A Keras file of any age, or a bundle.", readable=False)]
OldFile = Annotated[Path, typer.Argument(metavar="FILE", help="A Keras file of any age.", readable=False)]
Architecture = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="JSON", help="What model.to_json() gave, for a file of weights alone.", readable=False
    ),
]


@app.command(
    epilog="Exit codes: 0 done, 2 usage or a missing package, 3 no modern equivalent, 4 invalid, 5 over a limit, "
    "6 input or output."
)
def upgrade(
    old: OldFile,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="NEW", help="The archive; by default FILE with the suffix .keras."),
    ] = None,
    config: Architecture = None,
    force: Force = False,
    deterministic: Deterministic = False,
    replace: Replace = None,
    as_json: Json = False,
) -> None:
    """Write an old Keras file as one that today's Keras opens.

    The same model as a .keras archive, with the same layer names, computing what it computed under the Keras that wrote
    it. Needs h5py; neither Keras nor TensorFlow.

    \b
    Example:
      lstmconv upgrade old.h5 -o new.keras
    """
    from ..files import output_paths, suffixes
    from ..reading import read_replacements
    from ..upgrading import file

    out = out or output_paths.archive_path(old)
    output_paths.check_output(out, suffixes.ARCHIVE, force, old, *([config] if config else []))
    with Working("upgrading"):
        made = file.upgrade(
            old, out, config=config, force=force, deterministic=deterministic,
            replace=read_replacements(replace or ()),
        )  # fmt: skip
    for warning in made.warnings:
        print_note("warning", warning)
    report = file.upgrade_report(made, out)
    print_result(_json_text(report) if as_json else file.upgrade_text(report))


def _print_layers(wanted: bool) -> None:
    if wanted:
        from ..graph.layers import HANDLERS

        print_result("\n".join(sorted(HANDLERS)))
        raise typer.Exit


@app.command(
    epilog="Exit codes: 0 the file can be converted, or is a bundle whose probes hold; 1 it cannot, or they do not; "
    "2, 3, 4, 5, 6 as for export."
)
def doctor(
    file: AnyFile,
    config: Architecture = None,
    as_json: Json = False,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", callback=_print_layers, is_eager=True, help="Print the layers that are converted, and exit."
        ),
    ] = False,
) -> None:
    """Tell what a Keras file is, and what can be done with it.

    What wrote it and what is inside; whether it can be converted and what stands in the way; what today's Keras would
    do with it, and whether `lstmconv upgrade` brings it back. Keras is not needed. Of a bundle: whether it is whole.

    \b
    Example:
      lstmconv doctor old.h5
      lstmconv doctor weights-of-2017.h5 --config architecture.json
    """
    from ..doctor import examine as doctors

    with Working("examining"):
        found = doctors.examine(file, config)
    print_result(_json_text(found) if as_json else doctors.report_text(found))
    if not found["verified" if found["kind"] == "bundle" else "convertible"]:
        raise typer.Exit(1)


@app.command(epilog="Exit codes: 0 done, 1 the engines do not agree, 2 usage or a missing package, 6 input or output.")
def demo(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The folder for its files; by default ./demo.")
    ] = None,
) -> None:
    """Train, export and compare a sine-wave LSTM.

    Writes the model, its bundle, its ONNX export and two pictures.

    \b
    Example:
      lstmconv demo --out sine-demo
    """
    from . import demo as demo_command

    raise typer.Exit(demo_command.run(out))
