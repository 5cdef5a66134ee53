"""The sweep of `scripts/faults`: which calls there are to break, breaking one, and judging what is left."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"
CALLS = (
    "openat", "flock", "write", "pwrite64", "read", "fsync", "fdatasync", "rename", "renameat", "renameat2", "link",
    "linkat", "unlink", "unlinkat", "ftruncate", "close",
)  # fmt: skip
SHORT_CALLS = ("openat", "write", "fsync", "rename", "link", "unlink")
FAULTS = {
    "EIO": ("error=EIO", 6), "ENOSPC": ("error=ENOSPC", 6), "INT": ("signal=INT", 130), "KILL": ("signal=KILL", 137),
}  # fmt: skip
OLD = b"the file of an earlier run"
MISSED = "the fault missed"
TRIES = 8
LEFTOVER = re.compile(r"[.].*[.]tmp|tmp.*")


@dataclass(frozen=True)
class Command:
    """A command line, in which {in} and {out} stand for the folders of its inputs and of its outputs."""

    arguments: str
    outputs: tuple[str, ...]

    def line(self, given: Path, out: Path) -> list[str]:
        words = self.arguments.format_map({"in": given, "out": out}).split()
        return [sys.executable, "-m", "lstmconv", *words]

    @property
    def replaces(self) -> bool:
        return "--force" in self.arguments


COMMANDS = (
    Command("export {in}/sine.keras -o {out}/m.safetensors --force", ("m.safetensors",)),
    Command("export {in}/sine.keras -o {out}/m.safetensors", ("m.safetensors",)),
    Command("upgrade {in}/old.h5 -o {out}/m.keras --force", ("m.keras",)),
    Command("onnx {in}/sine.safetensors -o {out}/m.onnx --force", ("m.onnx",)),
    Command("run {in}/sine.safetensors {in}/x.csv -o {out}/y.npz", ("y.npz",)),
    Command("run {in}/sine.safetensors {in}/x.csv -o {out}/y.csv --batch-size 1 --force", ("y.csv",)),
    Command("report {in}/sine.safetensors -o {out}/r.html --no-engines --force", ("r.html",)),
    Command("trace {in}/sine.safetensors {in}/x.csv -o {out}/t.npz --force", ("t.npz",)),
    Command("trace {in}/sine.safetensors {in}/x.csv -o {out}/t.npz --plot {out}/t.png", ("t.npz", "t.png")),
)


@dataclass(frozen=True)
class Point:
    """The n-th call of a name that a command makes, counted from 1."""

    call: str
    number: int


@dataclass(frozen=True)
class Row:
    """What came of a fault."""

    command: Command
    point: Point
    fault: str
    states: tuple[str, ...]  # of each output: old, absent, new, BROKEN
    leftovers: int
    exit_code: int
    problems: tuple[str, ...]

    def text(self) -> str:
        name = self.command.arguments.replace("{in}/", "").replace("{out}/", "")
        call = f"{self.point.call} {self.point.number}"
        verdict = "; ".join(self.problems) or "holds"
        return (
            f"{name:66}  {call:12} {self.fault:6}  {' '.join(self.states):14} {self.leftovers:9}  {self.exit_code:4}  "
            f"{verdict}"
        )


HEADING = f"{'command':66}  {'call':12} {'fault':6}  {'outputs':14} leftovers  exit  verdict"


class Sweep:
    """One command, its inputs, and the files that it makes where nothing fails."""

    def __init__(self, command: Command, given: Path, folder: Path) -> None:
        self.command, self.given, self.folder = command, given, folder
        self.points: list[Point] = []
        self.wanted: dict[str, bytes] = {}

    def prepare(self, calls: tuple[str, ...]) -> None:
        """Runs the command unharmed: what it makes is what is wanted, and its calls are the points to break."""
        out, log = self._fresh(), self.folder / "calls"
        strace = ["strace", "-f", "-qq", "-y", "-e", f"trace={','.join(CALLS)}", "-o", str(log)]
        done = self._run(self.command, out, strace)
        if done.returncode != 0:
            raise SystemExit(f"scripts/faults: {self.command.arguments} fails by itself: {done.stderr}")
        self.wanted = {name: (out / name).read_bytes() for name in self.command.outputs}
        counts: Counter[str] = Counter()
        for call, line in _calls(log):
            counts[call] += 1
            if call in calls and _is_in(out, line):
                self.points.append(Point(call, counts[call]))

    def breaking(self, point: Point, fault: str) -> Row:
        """Runs the command with one fault, and once more without.

        Calls are counted from the start of Python, which does not make the same number of them each time: where the
        fault misses the file, it is tried again.
        """
        for _ in range(TRIES - 1):
            row = self._broken(point, fault)
            if MISSED not in row.problems:
                return row
        return self._broken(point, fault)

    def _broken(self, point: Point, fault: str) -> Row:
        out = self._fresh()
        log = out.with_suffix(".log")
        injected = f"inject={point.call}:{FAULTS[fault][0]}:when={point.number}"
        trace = f"trace={point.call},execve"  # its own execve comes first, whatever programs it starts
        strace = ["strace", "-f", "-qq", "-y", "-e", trace, "-e", injected, "-o", str(log)]
        done = self._run(self.command, out, strace)
        states, leftovers = self._states(out), _leftovers(out)
        exit_code = done.returncode if done.returncode >= 0 else 128 - done.returncode
        problems = list(self._judged(point, fault, states, leftovers, exit_code, done.stderr))
        struck = [line for call, line in _calls(log) if call == point.call][point.number - 1 : point.number]
        if not struck or not _is_in(out, struck[0]):
            problems.append(MISSED)
        if leftovers or exit_code:
            again = self._run(self.command, out, [], force=True)
            if again.returncode != 0 or set(self._states(out)) != {"new"} or _leftovers(out):
                problems.append(f"the next run: exit {again.returncode}, {_leftovers(out)} leftovers {again.stderr}")
        return Row(self.command, point, fault, states, leftovers, exit_code, tuple(problems))

    def _judged(
        self, point: Point, fault: str, states: tuple[str, ...], leftovers: int, exit_code: int, errors: str
    ) -> Iterator[str]:
        if "BROKEN" in states:
            yield "an output is neither old nor new"
        if exit_code not in (0, FAULTS[fault][1]):
            yield f"exit code {exit_code}"
        if exit_code == 0 and set(states) != {"new"}:
            yield "success without the new file"
        if exit_code == 6 and not re.fullmatch(r"lstmconv: error: [ -~]+ \[E_\w+\]\n", errors):
            yield f"says {errors!r}"
        if "Traceback" in errors:
            yield "a traceback"
        allowed = len(states) if fault == "KILL" else point.call.startswith("unlink")
        if leftovers > allowed:
            yield f"{leftovers} temporary files"

    def _states(self, out: Path) -> tuple[str, ...]:
        return tuple(self._state(out / name) for name in self.command.outputs)

    def _state(self, path: Path) -> str:
        if not path.exists():
            return "BROKEN" if self.command.replaces else "absent"
        data = path.read_bytes()
        if data == self.wanted[path.name]:
            return "new"
        return "old" if self.command.replaces and data == OLD else "BROKEN"

    def _fresh(self) -> Path:
        """A folder for outputs, in which lie those of an earlier run if the command replaces them."""
        out = Path(tempfile.mkdtemp(prefix="out-", dir=self.folder))
        for name in self.command.outputs if self.command.replaces else ():
            (out / name).write_bytes(OLD)
        return out

    def _run(
        self, command: Command, out: Path, before: list[str], force: bool = False
    ) -> subprocess.CompletedProcess[str]:
        more = ["--force"] if force and not command.replaces else []
        source = os.pathsep.join([str(ROOT / "converter"), str(ROOT / "runtime")])
        environment = {**os.environ, "PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.run(
            [*before, *command.line(self.given, out), *more],
            env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip


def _is_in(folder: Path, line: str) -> bool:
    """Whether a line of strace tells of a call on the folder, or on a file in it."""
    return re.search(rf"{re.escape(str(folder))}[/\">]", line) is not None


def _calls(log: Path) -> list[tuple[str, str]]:
    """The calls of the first thread, name and line: strace counts those of each thread apart."""
    lines = log.read_text(errors="replace").splitlines()
    found = [re.match(r"(\d+) +(\w+)\(", line) for line in lines]
    return [(made[2], made.string) for made in found if made is not None and made[1] == lines[0].split()[0]]


def _leftovers(out: Path) -> int:
    return sum(LEFTOVER.fullmatch(path.name) is not None for path in out.iterdir())


def make_inputs(folder: Path) -> None:
    shutil.copy(VECTORS / "cli" / "sine.keras", folder / "sine.keras")
    with zipfile.ZipFile(VECTORS / "legacy" / "k224.zip") as archive:
        (folder / "old.h5").write_bytes(archive.read("lstm.h5"))
    (folder / "x.csv").write_text("0,1,2,3,4\n.1,.2,.3,.4,.5\n")
    import lstmconv

    lstmconv.export(folder / "sine.keras", folder / "sine.safetensors")


def main(only: str, short: bool, jobs: int) -> int:
    """Prints the table; the exit code."""
    if shutil.which("strace") is None:
        print(
            "scripts/faults: needs strace, which is not installed (on Debian: apt-get install strace)", file=sys.stderr
        )
        return 2
    faults = [fault for fault in FAULTS if not (short and fault == "INT")]
    wrong = total = 0
    print(HEADING, flush=True)
    with tempfile.TemporaryDirectory(prefix="faults-") as name, ThreadPoolExecutor(max(1, jobs)) as pool:
        given = Path(name) / "in"
        given.mkdir()
        make_inputs(given)
        for number, command in enumerate(COMMANDS[:1] if short else COMMANDS):
            if only not in command.arguments:
                continue
            folder = Path(name) / str(number)
            folder.mkdir()
            sweep = Sweep(command, given, folder)
            sweep.prepare(SHORT_CALLS if short else CALLS)
            made = [pool.submit(sweep.breaking, point, fault) for point in sweep.points for fault in faults]
            for row in (one.result() for one in made):
                print(row.text(), flush=True)
                total, wrong = total + 1, wrong + bool(row.problems)
            shutil.rmtree(folder)
    print(f"{total} faults: {f'{wrong} do not hold' if wrong else 'all hold'}")
    return 1 if wrong or not total else 0
