"""The command line as its users meet it: a process with arguments, two streams, an exit code and files."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import lstmconv_runtime
import numpy as np
import pytest
import typer
from lstmconv.commands.cli import COMMANDS
from outputs import single
from paths import VECTORS

FOLDER = VECTORS / "cli"
ERROR = re.compile(r"lstmconv: error: [ -~]+ \[E_[A-Z_0-9]+\]\n")
Process = subprocess.CompletedProcess[str]


def cli(*args: object, **options: Any) -> Process:
    """Runs `lstmconv ARGS` in a process of its own."""
    given = {"capture_output": True, "text": True, "timeout": 60, **options}
    return subprocess.run([sys.executable, "-m", "lstmconv", *map(str, args)], check=False, **given)


def python(code: str, *args: object, **options: Any) -> Process:
    """Runs a program, which meddles with something before it calls `main`."""
    given = {"capture_output": True, "text": True, "timeout": 60, **options}
    return subprocess.run([sys.executable, "-c", code, *map(str, args)], check=False, **given)


def assert_fails(process: Process, exit_code: int, error_code: str) -> str:
    """The command failed as promised: its exit code, and one line that ends in the error's code. Gives the line."""
    assert process.returncode == exit_code, process.stderr
    assert ERROR.fullmatch(process.stderr), process.stderr
    assert process.stderr.endswith(f"[{error_code}]\n"), process.stderr
    assert process.stdout == ""
    return process.stderr


def sine_arrays() -> tuple[Any, Any]:
    record = json.loads((FOLDER / "sine.json").read_text())
    return np.array(record["x"], "float32"), np.array(record["y"], "float32")


@pytest.fixture(scope="session")
def bundle_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("bundle") / "sine.safetensors"
    process = cli("export", FOLDER / "sine.keras", "-o", path)
    assert process.returncode == 0, process.stderr
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path, bundle_bytes: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with sine.keras, sine.safetensors, and the same windows as x.npy, x.npz and x.csv."""
    x, _ = sine_arrays()
    (tmp_path / "sine.keras").write_bytes((FOLDER / "sine.keras").read_bytes())
    (tmp_path / "sine.safetensors").write_bytes(bundle_bytes)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", input_layer=x)
    (tmp_path / "x.csv").write_text("".join(",".join(map(repr, row)) + "\n" for row in x.reshape(3, 5).tolist()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def unchanged(folder: Path) -> Any:
    """After the test the folder is what it was."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    yield
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


# --- what each command does -------------------------------------------------------------------------------------------


def test_export_writes_the_bundle_beside_the_model(folder: Path, bundle_bytes: bytes) -> None:
    (folder / "sine.safetensors").unlink()
    process = cli("export", "sine.keras")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == "wrote sine.safetensors: 3 nodes, 101 parameters, from keras 3.15.1\n"
    assert (folder / "sine.safetensors").read_bytes() == bundle_bytes  # the same input gives the same bytes
    assert (folder / "sine.safetensors").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_export_tells_programs(folder: Path) -> None:
    process = cli("export", "sine.keras", "--force", "--json")
    report = json.loads(process.stdout)
    assert (report["bundle"], report["parameters"], report["warnings"]) == ("sine.safetensors", 101, [])
    assert report["source"]["version"] == "3.15.1"


def test_export_warns_on_standard_error(folder: Path) -> None:
    import zipfile

    with zipfile.ZipFile("sine.keras", "a") as archive:
        archive.writestr("assets/words\n.txt", "a member that is not read")
    process = cli("export", "sine.keras", "--force")
    assert process.returncode == 0
    assert re.fullmatch(r"(lstmconv: warning: [ -~]+\n)+", process.stderr)
    assert process.stdout.startswith("wrote ")


def test_inspect_shows_a_bundle(folder: Path) -> None:
    text = cli("inspect", "sine.safetensors").stdout
    assert text.isascii()
    for line in (r"lstm/W_f +\(1, 4\) +float32", r"lstm +LSTM +\(any, 4\) +float32 +96 .*units=4 .*activation=tanh.*",
                 r"parameters +101", r"input +input_layer \(any, 5, 1\) float32", r"output +dense \(any, 1\) float32",
                 r"probe +\(3, 5, 1\) -> \(3, 1\) by lstmconv .*", r"source .*keras.*3\.15\.1.*",
                 r"semantics .*hard_sigmoid_slope.*"):  # fmt: skip
        assert re.search(f"^{line}$", text, re.MULTILINE), line


def test_inspect_tells_programs(folder: Path) -> None:
    of_bundle = json.loads(cli("inspect", "sine.safetensors", "--json").stdout)
    of_keras = json.loads(cli("inspect", "sine.keras", "--json").stdout)
    assert (of_bundle["kind"], of_keras["kind"]) == ("bundle", "keras")
    for same in ("nodes", "tensors", "parameters", "inputs", "outputs", "semantics", "source"):
        assert of_bundle[same] == of_keras[same]
    assert of_keras["sha256"] == of_bundle["source"]["sha256"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("x.npy", None), ("x.npz", "y.npz"), ("x.csv", "y.csv"), ("x.npy", "y.npy"), ("x.csv", None)],
)
def test_run_predicts_what_keras_predicts(folder: Path, given: str, wanted: str | None) -> None:
    process = cli("run", "sine.safetensors", given, *(["-o", wanted] if wanted else []))
    assert (process.returncode, process.stderr) == (0, "")
    if wanted == "y.npy":
        y = np.load(wanted)
    elif wanted == "y.npz":
        y = np.load(wanted)["dense"]
    else:
        y = np.array([[float(line)] for line in (Path(wanted).read_text() if wanted else process.stdout).split()])
    assert (process.stdout == "") == (wanted is not None)
    np.testing.assert_allclose(y, sine_arrays()[1], atol=1e-6)
    assert y.shape == (3, 1)


def test_a_table_of_time_steps(folder: Path) -> None:
    """What most files hold: one sequence, a row per time step. Taken for sequences of one step it would run as well."""
    from lstmconv_runtime.format.bundle import Bundle, to_bytes
    from lstmconv_runtime.format.graph import SIGMOID, TANH, Graph
    from lstmconv_runtime.format.nodes import LSTM, Input

    lstm = LSTM(
        name="lstm", x="x", mask=None, h0=None, c0=None, weights="lstm", input_size=2, units=3, use_bias=True,
        activation=TANH, recurrent_activation=SIGMOID, return_sequences=True, go_backwards=False,
        zero_output_for_mask=False, stateful=False,
    )  # fmt: skip
    random = np.random.default_rng(0)
    arrays = {f"lstm/{k}": random.standard_normal(shape).astype("float32") for k, shape in lstm.parameters().items()}
    graph = Graph(("x",), ("lstm",), None, (Input(name="x", shape=(None, None, 2), dtype="float32"), lstm), arrays)
    Path("m.safetensors").write_bytes(to_bytes(Bundle(graph, {"framework": "by hand"}, {}, ())))
    x = random.standard_normal((200, 2))
    Path("s.csv").write_text("temp,load\n" + "".join(f"{a},{b}\n" for a, b in x))
    line = assert_fails(cli("run", "m.safetensors", "s.csv"), 2, "E_ROWS")
    assert "s.csv: 200 rows of 2, and input 'x' takes any number of time steps of 2 values" in line
    assert "--rows-are steps (the file is one sequence" in line
    assert_fails(cli("trace", "m.safetensors", "s.csv", "-o", "t.npz"), 2, "E_ROWS")
    process = cli("run", "m.safetensors", "s.csv", "--rows-are", "steps")
    assert (process.returncode, process.stderr) == (0, "")
    y = np.array([[float(cell) for cell in line.split(",")] for line in process.stdout.split()])
    wanted = single(lstmconv_runtime.load("m.safetensors").predict(x[None]))
    np.testing.assert_allclose(y[None], wanted, rtol=0, atol=1e-6)
    assert cli("run", "m.safetensors", "s.csv", "--rows-are", "steps", "-o", "y.csv").returncode == 0
    assert Path("y.csv").read_text() == process.stdout
    assert cli("run", "m.safetensors", "s.csv", "--rows-are", "sequences", "-o", "y.npy").returncode == 0
    assert np.load("y.npy").shape == (200, 1, 3)


def test_trace_records_every_gate(folder: Path) -> None:
    process = cli("trace", "sine.safetensors", "x.npy", "-o", "trace.npz", "--plot", "gates.png", "--row", 2)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    recorded = np.load("trace.npz")
    trace = lstmconv_runtime.load("sine.safetensors").trace(np.load("x.npy"))
    for gate in ("i", "f", "o", "c_tilde", "c", "h"):
        np.testing.assert_array_equal(recorded[f"lstm/{gate}"], trace["lstm"][gate])
        assert recorded[f"lstm/{gate}"].shape == (3, 5, 4)
    np.testing.assert_array_equal(recorded["dense"], trace["dense"])
    assert Path("gates.png").read_bytes().startswith(b"\x89PNG")


def test_every_command_tells_programs() -> None:
    """All have --json, and take it alike."""
    for name, (module, _) in COMMANDS.items():
        command = typer.main.get_command(import_module(f"lstmconv.commands.{module}").app)
        options = [option for parameter in command.params for option in parameter.opts]
        assert "--json" in options, name


@pytest.mark.parametrize("name", ["y.npy", "y.npz", "y.csv"])
def test_run_tells_programs(folder: Path, name: str) -> None:
    process = cli("run", "sine.safetensors", "x.npy", "-o", name, "--batch-size", 2, "--json")
    assert (process.returncode, process.stderr) == (0, "")
    assert json.loads(process.stdout) == {
        "predictions": name, "bundle": "sine.safetensors", "rows": 3,
        "outputs": {"dense": {"shape": [3, 1], "dtype": "float32"}},
    }  # fmt: skip


def test_trace_tells_programs(folder: Path) -> None:
    process = cli("trace", "sine.safetensors", "x.npy", "-o", "trace.npz", "--json")
    assert (process.returncode, process.stderr) == (0, "")
    told = json.loads(process.stdout)
    assert (told["trace"], told["plot"]) == ("trace.npz", None)
    with np.load("trace.npz") as arrays:
        assert {name: {"shape": list(arrays[name].shape), "dtype": arrays[name].dtype.name} for name in arrays} == (
            told["arrays"]
        )


def test_verify_holds(folder: Path) -> None:
    process = cli("verify", "sine.safetensors")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.endswith("sine.safetensors: all 3 probes hold\n")
    report = json.loads(cli("verify", "sine.safetensors", "--json").stdout)
    assert report["ok"] is True
    assert [probe["ok"] for probe in report["probes"]] == [True, True, True]


def test_verify_does_not_hold(folder: Path, wrong_probes: Callable[[bytes], bytes], bundle_bytes: bytes) -> None:
    Path("wrong.safetensors").write_bytes(wrong_probes(bundle_bytes))
    process = cli("verify", "wrong.safetensors")
    assert (process.returncode, process.stderr) == (1, "")
    assert process.stdout.endswith("wrong.safetensors: NOT VERIFIED: 3 of 3 probes do not hold\n")
    process = cli("verify", "wrong.safetensors", "--json")
    assert process.returncode == 1
    assert json.loads(process.stdout)["ok"] is False


@pytest.fixture
def wrong_probes() -> Callable[[bytes], bytes]:
    """A bundle whose probes are another model's."""
    from dataclasses import replace

    from lstmconv_runtime.format.bundle import from_bytes, to_bytes

    def change(data: bytes) -> bytes:
        bundle = from_bytes(data)
        wrong = tuple(replace(p, outputs=tuple(y + np.float32(0.01) for y in p.outputs)) for p in bundle.probes)
        return to_bytes(replace(bundle, probes=wrong))

    return change


# --- help -------------------------------------------------------------------------------------------------------------


def test_help_of_the_app() -> None:
    process = cli("--help")
    assert process.returncode == 0
    assert all(re.search(rf"^  {command} ", process.stdout, re.MULTILINE) for command in COMMANDS)
    assert all(re.search(rf"^    {code}  +\S", process.stdout, re.MULTILINE) for code in (0, 1, 2, 3, 4, 5, 6, 70))
    assert "..." not in process.stdout.partition("Commands:")[2]  # no summary is cut


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str) -> None:
    process = cli(command, "--help")
    assert process.returncode == 0
    assert re.search(rf"^  Example:\n    lstmconv {command} ", process.stdout, re.MULTILINE)
    assert re.search(r"^  Exit codes: 0 ", process.stdout, re.MULTILINE)


def test_version() -> None:
    process = cli("--version")
    assert process.returncode == 0
    assert re.fullmatch(
        r"lstmconv \d+\.\d+\.\d+\S*, lstmconv_runtime \d+\.\d+\.\d+\S*, engine [a-z]+( \([A-Z0-9-]+\))?\n",
        process.stdout,
    )


# --- start-up ---------------------------------------------------------------------------------------------------------


def test_nothing_heavy_is_imported(folder: Path) -> None:
    code = """
import sys
from lstmconv.__main__ import main
sys.argv[0] = "lstmconv"
code = main()
heavy = {"tensorflow", "keras", "h5py", "matplotlib", "rich", "onnx", "onnxruntime", "pandas", "scipy", "torch",
         "pyarrow", "polars", "dask", "distributed"}
print(code, sorted(heavy & set(sys.modules)))
"""
    for command in (
        "export sine.keras --force",
        "verify sine.safetensors",
        "inspect sine.keras",
        "run sine.safetensors x.csv",
        "run sine.safetensors x.npy",
        "trace sine.safetensors x.csv -o trace.npz",
    ):
        assert python(code, *command.split()).stdout.splitlines()[-1] == "0 []", command


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell the time of child processes")
def test_export_is_quick(folder: Path) -> None:
    """In time of the processor, beside a Python that imports what no command can do without."""

    def spent(*command: object) -> float:
        before = os.times()
        subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    export = min(spent("-m", "lstmconv", "export", "sine.keras", "--force") for _ in range(3))
    assert export < 8 * min(spent("-c", "import numpy, typer") for _ in range(3))


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("args", "exit_code", "error_code"),
    [
        ("", 2, "E_USAGE"),
        ("frobnicate", 2, "E_USAGE"),
        ("run", 2, "E_USAGE"),
        ("run --bogus", 2, "E_USAGE"),
        ("trace sine.safetensors x.npy", 2, "E_USAGE"),
        ("trace sine.safetensors x.npy -o t.npz --row two", 2, "E_USAGE"),
        ("trace sine.safetensors x.npy -o t.csv", 2, "E_SUFFIX"),
        ("trace sine.safetensors x.npy -o t.npz --plot g.txt", 2, "E_SUFFIX"),
        ("run sine.safetensors x.txt", 2, "E_SUFFIX"),
        ("run sine.safetensors x.npy -o y.txt", 2, "E_SUFFIX"),
        ("run sine.safetensors x.npy --json", 2, "E_USAGE"),
        ("run sine.safetensors x.npy -o x.npy --force", 2, "E_USAGE"),
        ("export sine.keras -o ./sine.keras --force", 2, "E_SUFFIX"),
        ("export sine.keras -o other.keras", 2, "E_SUFFIX"),
        ("export sine.keras -o -", 2, "E_SUFFIX"),
        ("upgrade sine.keras -o new.h5", 2, "E_SUFFIX"),
        ("upgrade sine.keras -o -", 2, "E_SUFFIX"),
        ("upgrade sine.keras -o ./sine.keras --force", 2, "E_USAGE"),
        ("run sine.safetensors", 2, "E_USAGE"),
        ("trace sine.safetensors x.npy -o t.npz --rows 5:3", 2, "E_USAGE"),
        ("trace sine.safetensors x.npy -o t.npz --rows 0:9999", 2, "E_USAGE"),
        ("trace sine.safetensors x.npy -o t.npz --rows -1:", 2, "E_USAGE"),
        ("trace sine.safetensors x.npy -o t.npz --rows :x", 2, "E_USAGE"),
        ("trace sine.safetensors x.npy -o t.npz --plot g.png --rows 1:3 --row 3", 2, "E_USAGE"),
        ("run sine.safetensors x.npy -o - --to npz", 2, "E_USAGE"),
        ("run sine.safetensors x.npy -o y.npy --to npy", 2, "E_USAGE"),
        ("run sine.safetensors x.npy -o y.npy --resume", 2, "E_USAGE"),
        ("run sine.safetensors x.npy x.npy", 2, "E_USAGE"),
        ("run sine.safetensors x.npy -", 2, "E_USAGE"),
        ("run sine.safetensors x.npy --input input_layer=x.npy", 2, "E_USAGE"),
        ("run sine.safetensors --input other=x.npy", 2, "E_USAGE"),
        ("run sine.safetensors --input x.npy", 2, "E_USAGE"),
        ("run sine.safetensors z*.npy", 6, "E_IO"),
        ("run sine.safetensors x.npy --rows-are steps", 2, "E_USAGE"),
        ("run sine.safetensors x.csv --rows-are rows", 2, "E_USAGE"),
        ("run sine.safetensors x.csv --rows-are steps", 2, "E_INPUT"),
        ("export sine.safetensors -o new.safetensors", 4, "E_NOT_A_MODEL"),
        ("export x.npy", 4, "E_NOT_A_MODEL"),
        ("run sine.keras x.npy", 4, "E_NOT_A_BUNDLE"),
        ("verify x.npy", 4, "E_BUNDLE_FORMAT"),
        ("export absent.keras", 6, "E_IO"),
        ("inspect absent", 6, "E_IO"),
        ("run sine.safetensors absent.npy", 6, "E_IO"),
        ("verify /dev/zero", 6, "E_NOT_REGULAR"),
        ("inspect .", 6, "E_NOT_REGULAR"),
        ("export sine.keras", 6, "E_EXISTS"),
        ("run sine.safetensors x.npy -o x.csv", 6, "E_EXISTS"),
        ("export sine.keras -o absent/sine.safetensors", 6, "E_IO"),
        ("export sine.keras -o folder.safetensors --force", 6, "E_NOT_REGULAR"),
    ],
)
def test_failures_are_one_line_and_write_nothing(folder: Path, args: str, exit_code: int, error_code: str) -> None:
    (folder / "folder.safetensors").mkdir(exist_ok=True)
    assert_fails(cli(*args.split()), exit_code, error_code)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("array", "error_code"),
    [
        (np.zeros((3, 5)), "E_INPUT"),
        (np.zeros((3, 4, 1)), "E_INPUT"),
        (np.zeros((3, 5, 2)), "E_INPUT"),
        (np.full((3, 5, 1), 1e300), "E_INPUT_OVERFLOW"),
        ({"other": np.zeros((3, 5, 1)), "more": np.zeros(3)}, "E_INPUT"),
    ],
)
def test_an_input_that_does_not_fit(tmp_path_factory: pytest.TempPathFactory, array: Any, error_code: str) -> None:
    path = tmp_path_factory.mktemp("input") / ("x.npz" if isinstance(array, dict) else "x.npy")
    if isinstance(array, dict):
        np.savez(path, **array)
    else:
        np.save(path, array)
    assert_fails(cli("run", "sine.safetensors", path), 2, error_code)


def test_a_damaged_bundle(folder: Path, bundle_bytes: bytes) -> None:
    Path("cut.safetensors").write_bytes(bundle_bytes[:-1])
    assert "cut.safetensors: " in assert_fails(cli("verify", "cut.safetensors"), 4, "E_BUNDLE_FORMAT")
    changed = bytearray(bundle_bytes)
    changed[-1] ^= 1
    Path("changed.safetensors").write_bytes(changed)
    assert_fails(cli("run", "changed.safetensors", "x.npy"), 4, "E_BUNDLE_DIGEST")
    assert_fails(cli("inspect", "changed.safetensors"), 4, "E_BUNDLE_DIGEST")


def test_a_newer_bundle_is_unsupported(folder: Path, bundle_bytes: bytes) -> None:
    newer = bundle_bytes.replace(rb"\"format\":\"1.0\"", rb"\"format\":\"2.0\"")
    assert newer != bundle_bytes
    Path("new.safetensors").write_bytes(newer)
    assert_fails(cli("verify", "new.safetensors"), 3, "E_BUNDLE_VERSION")


def test_names_cannot_forge_lines(folder: Path) -> None:
    line = assert_fails(cli("inspect", "a\nlstmconv: done\x1b[31m\u202e\udcff"), 6, "E_IO")
    assert r"a\nlstmconv: done\x1b[31m" in line


def test_force_replaces(folder: Path) -> None:
    before = Path("x.csv").stat().st_ino
    assert cli("run", "sine.safetensors", "x.npy", "-o", "x.csv", "--force").returncode == 0
    assert Path("x.csv").stat().st_ino != before
    assert len(Path("x.csv").read_text().split()) == 3


def test_a_bug_asks_to_be_reported(folder: Path) -> None:
    code = """
import sys
from lstmconv import exporting
from lstmconv.__main__ import main
def broken(*args, **options):
    raise ZeroDivisionError("a\\nbug")
exporting.export = broken
sys.exit(main())
"""
    line = assert_fails(python(code, "export", "sine.keras", "--force"), 70, "E_BUG")
    assert "unexpected ZeroDivisionError in broken" in line
    assert "please report it" in line
    process = python(code, "export", "sine.keras", "--force", env={**os.environ, "LSTMCONV_DEBUG": "1"})
    assert process.returncode == 70
    assert process.stderr.startswith("Traceback (most recent call last):\n")
    assert ERROR.search(process.stderr)


def test_out_of_memory(folder: Path) -> None:
    code = """
import sys
from lstmconv import exporting
from lstmconv.__main__ import main
def large(*args, **options):
    raise MemoryError
exporting.export = large
sys.exit(main())
"""
    assert_fails(python(code, "export", "sine.keras", "--force"), 5, "E_LIMIT_MEMORY")


@pytest.mark.parametrize(
    ("args", "module", "given"),
    [
        ("demo --out there", "lstmconv.commands.demo", "(PosixPath('there'), False)"),
        ("demo", "lstmconv.commands.demo", "(None, False)"),
        ("parity m.keras", "lstmconv.commands.parity", "(PosixPath('m.keras'), None, False, None)"),
        (
            "parity m.keras --input x --json",
            "lstmconv.commands.parity",
            "(PosixPath('m.keras'), PosixPath('x'), True, None)",
        ),
    ],
)
def test_commands_of_other_modules_decide_the_exit_code(args: str, module: str, given: str) -> None:
    code = f"""
import sys
import {module} as module
from lstmconv.__main__ import main
def run(*args):
    print(args)
    return 1
module.run = run
sys.exit(main())
"""
    process = python(code, *args.split())
    assert (process.returncode, process.stdout, process.stderr) == (1, f"{given}\n", "")


def test_warnings_of_libraries_are_one_line(folder: Path) -> None:
    code = """
import sys, warnings
from lstmconv import exporting
from lstmconv.__main__ import main
def warning(*args, **options):
    warnings.warn("over\\nflow", RuntimeWarning)
    sys.exit(0)
exporting.export = warning
sys.exit(main())
"""
    process = python(code, "export", "sine.keras", "--force")
    assert (process.returncode, process.stderr) == (0, "lstmconv: warning: over\\nflow (RuntimeWarning)\n")


@pytest.mark.usefixtures("unchanged")
def test_a_trace_without_its_picture_is_not_written(folder: Path) -> None:
    args = ("trace", "sine.safetensors", "x.npy", "-o", "trace.npz", "--plot")
    assert_fails(cli(*args, "absent/gates.png"), 6, "E_IO")
    assert_fails(cli(*args, "trace.npz.png", "--row", 9), 2, "E_USAGE")


# --- streams ----------------------------------------------------------------------------------------------------------

WRITERS = (("--help",), ("--version",), ("inspect", "sine.safetensors"), ("verify", "sine.safetensors", "--json"),
           ("run", "sine.safetensors", "x.npy"))  # fmt: skip


@pytest.mark.parametrize("args", WRITERS, ids=" ".join)
def test_full_standard_output(folder: Path, args: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        process = cli(*args, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert process.returncode == 6
    assert ERROR.fullmatch(process.stderr), process.stderr


def test_closed_standard_output(folder: Path) -> None:
    command = f"exec {sys.executable} -m lstmconv inspect sine.safetensors >&-"
    process = subprocess.run(["/bin/sh", "-c", command], check=False, stderr=subprocess.PIPE, text=True, timeout=60)
    assert process.returncode == 6
    assert ERROR.fullmatch(process.stderr), process.stderr


def test_a_reader_that_has_left(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = cli("inspect", "sine.safetensors", capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (process.returncode, process.stderr) == (141, "")


def test_nobody_to_tell(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        assert cli("inspect", "absent", capture_output=False, stdout=subprocess.PIPE, stderr=full).returncode == 6
    command = f"exec {sys.executable} -m lstmconv inspect absent 2>&-"
    assert subprocess.run(["/bin/sh", "-c", command], check=False, timeout=60).returncode == 6


def test_any_encoding(folder: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    assert cli("inspect", "sine.safetensors", env=environment).returncode == 0
    assert_fails(cli("inspect", "abwesend-ä", env=environment), 6, "E_IO")


# --- writes that are cut short ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("args", ["export sine.keras -o new.safetensors", "trace sine.safetensors x.npy -o t.npz"])
def test_a_full_disk(folder: Path, args: str) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    assert_fails(cli(*args.split(), preexec_fn=limit, env=environment), 6, "E_IO")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("name", "exit_code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("args", ["export sine.keras --force", "run sine.safetensors x.npy -o y.npy"])
def test_a_signal_during_a_write(folder: Path, name: str, exit_code: int, args: str) -> None:
    code = f"""
import os, signal, sys, time
from lstmconv.__main__ import main
def interrupted(descriptor):  # the temporary file is written, and not yet in its place
    assert any(entry.endswith(".tmp") for entry in os.listdir("."))
    os.kill(os.getpid(), signal.{name})
    time.sleep(10)
os.fsync = interrupted
sys.exit(main())
"""
    process = python(code, *args.split())
    assert (process.returncode, process.stdout, process.stderr) == (exit_code, "", "")


def test_a_signal_during_a_long_command(folder: Path) -> None:
    code = """
import sys, time
from lstmconv import exporting
from lstmconv.__main__ import main
def waiting(*args, **options):
    print("waiting", flush=True)
    time.sleep(30)
exporting.export = waiting
sys.exit(main())
"""
    for number, exit_code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with subprocess.Popen(
            [sys.executable, "-c", code, "export", "sine.keras", "--force"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "waiting\n"
            process.send_signal(number)
            assert process.wait(timeout=20) == exit_code
            assert process.stderr.read() == ""


# --- work that takes long ---------------------------------------------------------------------------------------------


def test_work_that_takes_long_says_so_on_a_terminal(folder: Path) -> None:
    """For whoever waits, though libraries are kept quiet by taking standard error away; and nothing of it stays."""
    code = """
import os, sys, time
from lstmconv import exporting
from lstmconv.commands import progress
from lstmconv.__main__ import main
progress.PATIENCE = float(sys.argv.pop(1))
export = exporting.export
def slow(*args, **options):
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    time.sleep(1)
    os.dup2(kept, 2)
    return export(*args, **options)
exporting.export = slow
sys.exit(main())
"""
    for patience, wanted in (("0.1", r"(\rconverting  0:0\d\x1b\[K)+\r\x1b\[K"), ("60", "")):
        outer, inner = pty.openpty()
        process = python(code, patience, "export", "sine.keras", "--force", capture_output=False,
                         stdout=subprocess.PIPE, stderr=inner)  # fmt: skip
        os.write(inner, b"|")  # so that there is something to read
        shown = ""
        while not shown.endswith("|"):
            shown += os.read(outer, 65536).decode()
        os.close(inner)
        os.close(outer)
        assert process.returncode == 0
        assert re.fullmatch(wanted + r"\|", shown)
    assert cli("export", "sine.keras", "--force").stderr == ""


def test_the_list_of_commands_says_what_they_say_themselves() -> None:
    for name, (module, line) in COMMANDS.items():
        command = typer.main.get_command(import_module(f"lstmconv.commands.{module}").app)
        assert command.help is not None
        assert command.help.splitlines()[0] == line, name
