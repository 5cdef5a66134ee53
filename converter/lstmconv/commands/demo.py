"""`lstmconv demo`: the story the project comes from, end to end.

An LSTM learns a noisy sine wave in Keras. It is exported, run three ways, compared, and drawn.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from lstmconv_runtime import load
from lstmconv_runtime.format.graph import Array

from ..errors import FileAccessError, LstmconvError, MissingPackageError
from ..exporting import export
from ..parity.cross_check import cross_check
from ..parity.engines import EngineMissing, Subject, export_onnx_by_keras, import_quietly, open_engines
from ..parity.report import Report
from .options import SETTINGS, Json, print_report

app = typer.Typer(**SETTINGS)


WINDOW = 5  # time steps the model sees
PERIOD = 80  # time steps of the wave
EPOCHS, UNITS = 15, 100

ALLOWED_DIFFERENCE = 1e-6  # between any two engines
ALLOWED_ERROR = 1.5  # the runtime's error against float64, in units of Keras's

NEEDS = ("tensorflow", "keras", "onnx", "tf2onnx", "onnxruntime", "matplotlib")


@dataclass(frozen=True)
class Data:
    """Windows of the wave and the value after each: x (N, WINDOW, 1), y (N, 1); the first 90 % train, the rest test."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    t_test: Array  # (N,), the time of each y_test


def noisy_sine(seed: int = 0) -> Data:
    """sin(2π t / 80 + 0.05 U(−1, 1)) for t = 0 … 4000, cut into windows."""
    t = np.arange(4001)
    noise = np.random.default_rng(seed).uniform(-1.0, 1.0, t.size)
    wave = np.sin(t * 2 * np.pi / PERIOD + noise * 0.05).astype(np.float32)
    x = np.lib.stride_tricks.sliding_window_view(wave[:-1], WINDOW)[..., None]
    y, cut = wave[WINDOW:, None], int(0.9 * len(x))
    return Data(x[:cut].copy(), y[:cut], x[cut:].copy(), y[cut:], t[WINDOW:][cut:])


def run(out_dir: Path | None, as_json: bool = False) -> int:
    """Runs the demo and prints the parity table.

    Args:
        out_dir: where its five files go; `./demo` if None. It is made if needed; files of an earlier run are replaced.
        as_json: print the parity report as JSON, with what is `unmet` of the demo's promises.

    Returns:
        0 where Keras, the runtime and onnxruntime, on Keras's ONNX and on ours, agree within 1e-6 and the runtime's
        error against float64 is at most 1.5 times Keras's; else 1.

    Raises:
        MissingPackageError: a package of the `parity` extra is not installed.
        FileAccessError: the directory cannot be written to.
    """
    out = Path("demo") if out_dir is None else out_dir
    report = build_demo(out)
    problems = unmet(report)
    if as_json:
        print_report({**report.as_dict(), "unmet": problems}, "", True)
        return 1 if problems else 0
    print(report.text())
    for problem in problems:
        print(f"NOT MET: {problem}")
    if not problems:
        print(
            f"MET: all within {ALLOWED_DIFFERENCE:g} of each other; the runtime's error against float64 is at most "
            f"{ALLOWED_ERROR:g} times Keras's."
        )
    return 1 if problems else 0


def build_demo(out: Path, *, epochs: int = EPOCHS, units: int = UNITS) -> Report:
    """Trains, exports, compares and draws, writing the five files into `out`.

    Raises:
        LstmconvError: see `run`.
    """
    for package in NEEDS:
        try:
            import_quietly(package)
        except EngineMissing as reason:
            raise MissingPackageError(f"the demo {reason}") from None
    try:
        out.mkdir(parents=True, exist_ok=True)
        return _build(out, epochs, units)
    except OSError as error:
        raise FileAccessError(f"cannot write to '{out}': {error.strerror or error}") from None


def _build(out: Path, epochs: int, units: int) -> Report:
    data = noisy_sine()
    started = time.monotonic()
    _say(f"training LSTM({units}) on {len(data.x_train)} windows of {WINDOW} steps")
    model = train(data, epochs, units)
    model.save(out / "sine.keras")
    _say(f"trained and saved {out / 'sine.keras'} in {time.monotonic() - started:.1f} s")

    started = time.monotonic()
    export(out / "sine.keras", out / "sine.safetensors", force=True)
    _say(f"exported {out / 'sine.safetensors'} in {time.monotonic() - started:.2f} s")

    started = time.monotonic()
    try:
        export_onnx_by_keras(model, out / "sine.onnx")
    except EngineMissing as reason:
        raise LstmconvError(str(reason)) from None
    _say(f"exported {out / 'sine.onnx'} by Keras in {time.monotonic() - started:.2f} s")

    bundle = out / "sine.safetensors"
    subject = Subject(bundle.read_bytes(), out / "sine.keras", model, out / "sine.onnx")
    inputs = {subject.runtime.input_names[0]: data.x_test}
    report = cross_check(subject, inputs)
    engines, _ = open_engines(subject)
    draw_predictions(out / "predict1.png", data, {name: run(inputs)[0][:, 0] for name, run in engines.items()})
    draw_steps(out / "predict2.png", data, predictions_by_step(bundle, data.x_test))
    _say(f"drew {out / 'predict1.png'} and {out / 'predict2.png'}")
    return report


def train(data: Data, epochs: int, units: int) -> Any:
    """The Keras model, trained; a line per epoch on stderr."""
    keras = import_quietly("keras")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((WINDOW, 1), name="wave"),
            keras.layers.LSTM(units, activation="tanh", recurrent_activation="sigmoid", name="lstm"),
            keras.layers.Dense(1, name="dense"),
            keras.layers.Activation("linear", name="prediction"),
        ]
    )
    model.compile(loss="mean_squared_error", optimizer=keras.optimizers.RMSprop())

    def show(epoch: int, logs: dict[str, float]) -> None:
        _say(f"epoch {epoch + 1:2}/{epochs}   loss {logs['loss']:.5f}   validation loss {logs['val_loss']:.5f}")

    progress = keras.callbacks.LambdaCallback(on_epoch_end=show)
    model.fit(
        data.x_train, data.y_train, batch_size=600, epochs=epochs, validation_split=0.05, verbose=0,
        callbacks=[progress],
    )  # fmt: skip
    return model


def predictions_by_step(bundle: Path, x: Array) -> list[Array]:
    """What the model would predict had it stopped after each time step: the Dense layer on the hidden state there.

    Returns:
        WINDOW arrays (N,).
    """
    model = load(bundle)
    h = model.trace(x)["lstm"].h  # (N, WINDOW, units)
    W, b = model.bundle.graph.arrays["dense/W"], model.bundle.graph.arrays["dense/b"]
    return [(h[:, step] @ W + b)[:, 0] for step in range(WINDOW)]


def unmet(report: Report) -> list[str]:
    """What the demo promises and the report does not bear out, in words."""
    problems = [f"{name} did not run: {reason}" for name, reason in report.missing.items()]
    for output in report.outputs:
        for pair in output.differences:
            if not pair.absolute <= ALLOWED_DIFFERENCE:
                problems.append(f"{pair.first} and {pair.second} differ by {pair.absolute:.2e}, allowed is 1e-6")
        errors = {one.engine: one.largest for one in output.deviations}
        if {"runtime", "Keras"} <= set(errors) and not errors["runtime"] <= ALLOWED_ERROR * errors["Keras"]:
            problems.append(
                f"the runtime's error against float64 is {errors['runtime']:.2e}, more than {ALLOWED_ERROR:g} times "
                f"Keras's {errors['Keras']:.2e}"
            )
    return problems


def draw_predictions(path: Path, data: Data, predictions: dict[str, Array]) -> None:
    """The truth and every engine's prediction; below, how far the engines lie from Keras."""
    figure, (top, below) = _figure(2, height=6.2, height_ratios=(3, 1))
    t, truth = data.t_test, data.y_test[:, 0]
    styles = {
        "Keras": {"color": "#1f77b4", "linewidth": 5, "alpha": 0.45},
        "runtime": {"color": "#d62728", "linewidth": 1.8, "linestyle": (0, (5, 4))},
        "onnxruntime": {"color": "black", "linestyle": "none", "marker": "o", "markersize": 4, "markevery": 8},
        "our ONNX": {"color": "#2ca02c", "linestyle": "none", "marker": "x", "markersize": 5, "markevery": (4, 8)},
    }
    top.plot(t, truth, color="0.45", linewidth=1.2, label="truth")
    for name, y in predictions.items():
        top.plot(t, y, label=name, **styles[name])
    top.set_ylabel("value")
    figure.suptitle("The next value of a noisy sine wave: one LSTM, four engines")
    for name, y in predictions.items():
        if name != "Keras":
            style = {"color": styles[name]["color"], "linewidth": 1, "alpha": 0.85}
            difference = (y.astype(np.float64) - predictions["Keras"]) * 1e7
            below.plot(t, difference, label=f"{name} − Keras", **style)
    below.set_ylabel("difference × 10⁷")
    below.set_xlabel("time step t")
    _finish(figure, path, top, below)


def draw_steps(path: Path, data: Data, predictions: list[Array]) -> None:
    """The truth, and over it the prediction after each time step, cyan to magenta."""
    colours = import_quietly("matplotlib").colormaps["cool"]
    figure, (axes,) = _figure(1, height=5.0)
    axes.plot(data.t_test, data.y_test[:, 0], color="black", linewidth=1.2, label="truth")
    for step, y in enumerate(predictions):
        colour = colours(step / (len(predictions) - 1))
        words = f"step {step + 1}" + (" (the model's output)" if step == len(predictions) - 1 else "")
        axes.plot(data.t_test, y, color=colour, linewidth=1.6, label=words)
    axes.set_xlabel("time step t")
    axes.set_ylabel("value")
    figure.suptitle("The next value of a noisy sine wave, read off the hidden state after each time step")
    _finish(figure, path, axes)


def _figure(rows: int, height: float, height_ratios: tuple[int, ...] = (1,)) -> tuple[Any, list[Any]]:
    """A figure that needs no display, and its axes from top to bottom."""
    figure = import_quietly("matplotlib.figure").Figure(figsize=(10, height), dpi=120, layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=height_ratios)[:, 0]
    return figure, list(axes)


def _finish(figure: Any, path: Path, *all_axes: Any) -> None:
    for axes in all_axes:
        axes.grid(color="0.92")
        axes.margins(x=0.01)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6, frameon=False)
    figure.savefig(path, metadata={"Software": None})


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@app.command(epilog="Exit codes: 0 done, 1 the engines do not agree, 2 usage or a missing package, 6 input or output.")
def demo(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The folder for its files; by default ./demo.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train, export and compare a sine-wave LSTM.

    Writes the model, its bundle, its ONNX export and two pictures.

    \b
    Example:
      lstmconv demo --out sine-demo
    """
    raise typer.Exit(run(out, as_json))
