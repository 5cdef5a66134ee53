"""Measures every engine side by side on this machine; `scripts/bench` installs what it needs and runs this."""

from __future__ import annotations

import argparse
import fnmatch
import gc
import itertools
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from lstmconv.parity.engines import EngineMissing  # noqa: E402
from lstmconv_runtime.threads import BLAS_THREADS  # noqa: E402

from benchmark import cold_start, machine  # noqa: E402
from benchmark.cases import CASES, Case  # noqa: E402
from benchmark.engines import ENGINES, REFERENCE, Run, Subject, litert_model, open_engines  # noqa: E402
from benchmark.plot import draw  # noqa: E402
from benchmark.report import START_UP, as_markdown, as_text  # noqa: E402
from benchmark.results import CaseResult, Results, as_json  # noqa: E402
from benchmark.silence import silence  # noqa: E402
from benchmark.timing import FULL, QUICK, Settings, interleaved, matmul_rate  # noqa: E402

START_UP_CASE = Case("LSTM", 1, 5, 1, 100)


def arguments() -> argparse.Namespace:
    names = ", ".join([*(case.name for case in CASES), START_UP])
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures every engine side by side on the same weights and inputs, each checked against Keras.",
        epilog=f"cases: {names}\nengines: {', '.join(ENGINES)}\n\n"
        "example: scripts/bench --quick --cases '1x100x*' --engines runtime,onnxruntime --json bench.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a few rounds: to see that it works, not to quote")
    parser.add_argument("--cases", metavar="PATTERN", default="*", help="only these, as a shell pattern")
    parser.add_argument("--engines", metavar="A,B", default=",".join(ENGINES), help="only these")
    parser.add_argument("--rounds", metavar="N", type=int, help=f"rounds per case ({FULL.rounds})")
    parser.add_argument("--json", metavar="OUT", type=Path, help="write every figure")
    parser.add_argument("--plot", metavar="OUT", type=Path, help="draw the ratios to onnxruntime")
    parser.add_argument("--markdown", metavar="OUT", type=Path, help="write the report as a document")
    given = parser.parse_args()
    given.engines = given.engines.split(",")
    if unknown := [name for name in given.engines if name not in ENGINES]:
        parser.error(f"no engine {unknown[0]!r}: there are {', '.join(ENGINES)}")
    if not any(fnmatch.fnmatch(name, given.cases) for name in [*(case.name for case in CASES), START_UP]):
        parser.error(f"no case matches {given.cases!r}: there are {names}")
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds must be at least 1")
    for path in (given.json, given.plot, given.markdown):
        if path and not path.parent.is_dir():
            parser.error(f"there is no folder {path.parent}")
    if given.plot and REFERENCE not in given.engines:
        parser.error(f"--plot shows ratios to {REFERENCE}, which --engines leaves out")
    return given


def main() -> int:
    given = arguments()
    settings = QUICK if given.quick else FULL
    if given.rounds is not None:
        settings = replace(settings, rounds=given.rounds)
    warnings = ["a quick run: its figures are not to be quoted"] if given.quick else []
    load = machine.load_average()
    if load > machine.BUSY:
        warnings.append(f"other programs are running: the load average was {load:.1f} before the start")
    if warning := machine.slow_kernels():
        warnings.append(warning)
    for warning in warnings:
        say(f"WARNING: {warning}")
    rates = [matmul_rate(settings.matrix)]
    chosen = [case for case in CASES if fnmatch.fnmatch(case.name, given.cases)]
    measured = []
    for number, case in enumerate(chosen, start=1):
        start = time.monotonic()
        measured.append(measure(case, given.engines, settings))
        gc.collect()  # sessions with their threads, TensorFlow's functions
        rates.append(matmul_rate(settings.matrix))
        say(f"{number:2}/{len(chosen)}  {case.name}: {time.monotonic() - start:.0f} s{refusals(measured[-1])}")
    costs = start_up_costs(settings.repeats) if fnmatch.fnmatch(START_UP, given.cases) else None
    results = Results(
        tuple(given.engines), tuple(measured), costs, max(rates), settings, machine.processor(), machine.cores(),
        machine.versions(), (load, machine.load_average()), tuple(warnings),
    )  # fmt: skip
    print(as_text(results))
    if given.json:
        given.json.write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")
    if given.plot:
        draw(given.plot, results)
    if given.markdown:
        plot = os.path.relpath(given.plot, given.markdown.parent) if given.plot else None
        given.markdown.write_text(as_markdown(results, command_line(given.json), plot), encoding="utf-8")
    return 0


def command_line(json_file: Path | None) -> str:
    """How this run was started, but for --json, with what of the environment decides which kernels NumPy takes."""
    chosen = [f"{name}={os.environ[name]}" for name in ("OPENBLAS_CORETYPE", *BLAS_THREADS) if name in os.environ]
    options = [option for option in sys.argv[1:] if option not in ("--json", str(json_file))]
    return shlex.join([*chosen, "scripts/bench", *options])


def measure(case: Case, engines: list[str], settings: Settings) -> CaseResult:
    """One case on every engine."""
    with tempfile.TemporaryDirectory(prefix="lstmconv-bench-") as folder:
        with silence():
            subject = Subject(case, Path(folder))
        runs, refused = open_engines(subject, engines)
        streaming = case.kind == "stream"
        timings = interleaved(
            {name: call_of(subject, run) for name, run in runs.items()},
            rounds=settings.rounds,
            pause=settings.pause,
            burst=settings.stream_burst if streaming else settings.burst,
            least=settings.least,
            most=settings.stream_steps if streaming else settings.most,
        )
    return CaseResult(case, timings, refused)


def call_of(subject: Subject, run: Run) -> Callable[[], object]:
    """What is timed: the whole input, or the next step of the feed."""
    if subject.case.kind != "stream":
        return lambda: run(subject.x)
    feed = itertools.cycle([subject.x[:, t].copy() for t in range(subject.x.shape[1])])
    return lambda: run(next(feed))


def refusals(result: CaseResult) -> str:
    return f", without {', '.join(result.refused)}" if result.refused else ""


def start_up_costs(repeats: int) -> cold_start.Costs:
    """The start-up figures, on the model of the demo's size in the format of each engine."""
    case = START_UP_CASE
    with tempfile.TemporaryDirectory(prefix="lstmconv-bench-") as name:
        folder = Path(name)
        with silence():
            subject = Subject(case, folder)
            files = {"runtime": subject.bundle, "keras": folder / "model.keras"}
            try:
                files["onnxruntime"] = files["openvino"] = subject.onnx
                files["litert"] = folder / "model.tflite"
                files["litert"].write_bytes(litert_model(subject))
            except EngineMissing as reason:
                say(f"start-up: {reason}")
        start = time.monotonic()
        costs = cold_start.measure(files, (case.batch, case.steps, case.features), repeats)
        say(f"start-up: {time.monotonic() - start:.0f} s")
    return costs


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
