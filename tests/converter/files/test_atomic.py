"""Files that appear all at once, and what killed runs leave behind."""

from __future__ import annotations

import ast
import errno
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from legacy_vectors import release
from lstmconv.errors import FileAccessError
from lstmconv.files import atomic, system
from lstmconv.files.atomic import publish, publish_all, publish_bytes
from paths import VECTORS

SOURCES = Path(atomic.__file__).parents[1]
# Names of `os` and `signal` that Windows does not have.
POSIX = {
    "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "O_SYNC", "O_DSYNC", "fchmod", "fchown", "chown", "lchown",
    "sched_getaffinity", "fork", "getuid", "geteuid", "getgid", "pread", "pwrite", "preadv", "statvfs", "killpg",
    "mkfifo", "posix_fadvise", "posix_fallocate", "fdatasync", "sync", "uname", "sysconf", "getpgid", "setsid", "nice",
    "sendfile", "SIGPIPE", "SIGHUP", "SIGALRM", "SIGKILL", "SIGUSR1", "SIGXFSZ", "setitimer", "alarm",
}  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leave(target: Path) -> Path:
    """What a run that is killed while it writes leaves."""
    path = target.parent / f"{atomic._beginning(target)}0123abcd.tmp"
    path.write_bytes(b"half")
    return path


# --- leftovers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("force", [True, False])
def test_what_a_killed_run_left_is_removed(tmp_path: Path, force: bool) -> None:
    target = tmp_path / ("m" * 200 + ".safetensors")
    leave(target)
    publish_bytes(b"whole", target, force)
    assert names(tmp_path) == [target.name]


def test_what_others_left_is_not_removed(tmp_path: Path) -> None:
    target = tmp_path / "m.safetensors"
    (tmp_path / "elsewhere").write_bytes(b"")
    leave(tmp_path / "other.safetensors")
    leave(target).rename(tmp_path / ".m.safetensors.0123abcd.tmp.more")
    (tmp_path / ".m.safetensors.0123.tmp").write_bytes(b"")
    (tmp_path / ".m.safetensors.0123abcd.tmp").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".m.safetensors.aaaaaaaa.tmp").mkdir()
    os.mkfifo(tmp_path / ".m.safetensors.bbbbbbbb.tmp")
    before = names(tmp_path)
    publish_bytes(b"whole", target, False)
    assert names(tmp_path) == sorted([*before, target.name])


def test_what_another_run_is_writing_is_not_removed(tmp_path: Path) -> None:
    target = tmp_path / "m.safetensors"
    with publish(target, True) as file:
        file.write(b"first")
        publish_bytes(b"second", target, True)
        assert target.read_bytes() == b"second"
    assert target.read_bytes() == b"first"
    assert names(tmp_path) == [target.name]


def test_a_file_taken_for_a_leftover_before_it_was_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes between the creation of the file and its lock takes it away; another is made."""
    target, lock = tmp_path / "m", system.lock
    taken: list[str] = []

    def late(descriptor: int, wait: bool = False) -> bool:
        if not taken:
            (path,) = tmp_path.iterdir()
            path.unlink()
            taken.append(path.name)
        return lock(descriptor, wait)

    monkeypatch.setattr(system, "lock", late)
    publish_bytes(b"whole", target, False)
    assert target.read_bytes() == b"whole"
    assert taken
    assert names(tmp_path) == ["m"]


def _publish_often(target: Path, mark: bytes) -> None:
    for _ in range(100):
        publish_bytes(mark * 50_000, target, True)


def test_many_writers_of_one_file(tmp_path: Path) -> None:
    target = tmp_path / "m"
    spawned: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    runs = [spawned.Process(target=_publish_often, args=(target, bytes([65 + n]))) for n in range(4)]
    for run in runs:
        run.start()
    seen = set()
    while any(run.is_alive() for run in runs):
        if target.exists():
            data = target.read_bytes()
            assert len(data) == 50_000
            seen.add(data[0])
            assert set(data) == {data[0]}
    assert [run.exitcode for run in runs] == [0] * 4
    assert seen
    assert names(tmp_path) == ["m"]


# --- several at once --------------------------------------------------------------------------------------------------


def test_all_are_on_the_disk_before_the_first_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, calls = os.fsync, []

    def failing(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    both = publish_all((tmp_path / "a", tmp_path / "b"), False)
    with pytest.raises(FileAccessError, match=r"cannot write '.*b': No space left"), both:
        pass
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is in place: the error says so, and that this may not outlast a loss of power."""
    fsync, code = os.fsync, [errno.EIO]

    def failing(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), os.stat(tmp_path)):
            raise OSError(code[0], os.strerror(code[0]))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(FileAccessError, match="written and in place, but the system could not flush the folder"):
        publish_bytes(b"new", tmp_path / "m", False)
    assert (tmp_path / "m").read_bytes() == b"new"
    code[0] = errno.EINVAL  # a file system that cannot flush folders
    publish_bytes(b"newer", tmp_path / "m", True)
    assert names(tmp_path) == ["m"]


# --- other systems ----------------------------------------------------------------------------------------------------


def test_commands_do_without_what_windows_has_not(tmp_path: Path) -> None:
    code = f"""
import os, signal, subprocess, sys, tempfile, zipfile
import h5py, numpy, pyfive, typer
from lstmconv.__main__ import main
for module in (os, signal):
    for name in {sorted(POSIX)}:
        if hasattr(module, name):
            delattr(module, name)
sys.modules["fcntl"] = sys.modules["posix"] = sys.modules["resource"] = None
sys.exit(main())
"""
    (tmp_path / "x.csv").write_text("0,1,2,3,4\n")
    sine, bundle = VECTORS / "cli" / "sine.keras", tmp_path / "sine.safetensors"
    leave(bundle)
    for args in (
        ("export", sine, "-o", bundle),
        ("export", sine, "-o", bundle, "--force"),
        ("run", bundle, tmp_path / "x.csv", "-o", tmp_path / "y.npz"),
        ("trace", bundle, tmp_path / "x.csv", "-o", tmp_path / "t.npz"),
        ("verify", bundle),
        ("upgrade", release("k224") / "lstm.h5", "-o", tmp_path / "new.keras"),
        ("doctor", sine),
    ):
        process = subprocess.run(
            [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=False, timeout=120
        )
        assert process.returncode == 0, process.stderr
    # Without locks nobody knows whose a temporary file is, so it stays.
    assert names(tmp_path) == [
        ".sine.safetensors.0123abcd.tmp", "new.keras", "sine.safetensors", "t.npz", "x.csv", "y.npz"
    ]  # fmt: skip


def test_what_windows_has_not_is_used_in_one_place() -> None:
    """Elsewhere such a name would be an AttributeError there. `hasattr` beside it tells of a guard."""
    used = {
        f"{path.name}:{node.lineno} {node.attr}"
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in POSIX and path.name != "system.py"
        and isinstance(node.value, ast.Name) and node.value.id in ("os", "signal")
    }  # fmt: skip
    assert not used
