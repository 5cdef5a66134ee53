"""`lstmconv`: one command per module, imported when it is called, so that the others start fast.

Each parses its arguments, calls, and prints. What fails, `__main__` reports.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..files.standard_streams import print_result
from ..version import __version__
from .options import SETTINGS

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

# By command: its module, and the line that `lstmconv --help` shows, which is the first of the command's own.
COMMANDS = {
    "export": ("export", "Write the bundle of a Keras model."),
    "inspect": ("inspection", "Show what is in a bundle or a Keras file."),
    "run": ("run", "Predict from the sequences in files."),
    "trace": ("trace", "Record every gate at every time step."),
    "verify": ("verify", "Check a bundle by its own probes."),
    "parity": ("parity", "Compare Keras, the runtime, onnxruntime."),
    "upgrade": ("upgrade", "Write an old Keras file as one that today's Keras opens."),
    "doctor": ("doctor", "Tell what a Keras file is, and what can be done with it."),
    "onnx": ("onnx", "Write a model as ONNX with fused operators."),
    "report": ("report", "Write a page that shows a model."),
    "demo": ("demo", "Train, export and compare a sine-wave LSTM."),
}


class Commands(TyperGroup):
    """The commands, each imported when it is asked for."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])
        module = import_module(f".{COMMANDS[cmd_name][0]}", __package__)
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """What a shell offers: of the commands their names and lines, for which none need be imported."""
        self._listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._listing = False

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


app = typer.Typer(cls=Commands, epilog=EXIT_CODES, **(SETTINGS | {"add_completion": True}))


def _print_version(wanted: bool) -> None:
    if wanted:
        runtime = import_module("lstmconv_runtime")  # NumPy with it, which --help need not wait for
        print_result(f"lstmconv {__version__}, lstmconv_runtime {runtime.__version__}, engine {runtime.engine()}")
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
