"""`scripts/faults`: every system call by which a command writes its files fails, or ends the process, once."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
from paths import ROOT


def can_trace() -> bool:
    """Whether strace is there, and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0


def faults(*arguments: str) -> None:
    if not can_trace():
        pytest.skip("NO FAULTS WERE INJECTED: strace is not installed, or may not trace (apt-get install strace)")
    command = [sys.executable, "scripts/faults", *arguments]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    rows = process.stdout.splitlines()[1:-1]
    assert all(row.endswith("  holds") for row in rows)
    for call in ("openat", "write", "fsync", "rename", "unlink"):
        for fault in ("EIO", "ENOSPC", "KILL"):
            assert any(re.search(rf" {call} \d+ +{fault} ", row) for row in rows), (call, fault)
    assert any(" old " in row for row in rows) and any(" new " in row for row in rows)


def test_export_survives_every_fault() -> None:
    faults("--short")


@pytest.mark.long
def test_every_command_survives_every_fault() -> None:
    faults()
