"""Colours and tables for people, plain text for everything else; and what a shell completes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from legacy_vectors import release
from lstmconv.commands.cli import COMMANDS
from lstmconv.exporting import export
from paths import SINE
from small_bundles import bundle_bytes, lstm_graph
from terminal import at_terminal


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(SINE, tmp_path)
    shutil.copy(release("k224") / "lstm.h5", tmp_path / "old.h5")
    export(SINE, tmp_path / "sine.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w./-]+", text))


@pytest.mark.parametrize(
    "args",
    ["doctor old.h5", "doctor sine.keras", "doctor sine.safetensors", "inspect sine.keras", "inspect sine.safetensors"],
)
def test_a_terminal_gets_colours_and_tables_with_the_same_words(folder: Path, args: str) -> None:
    plain = subprocess.run(
        [sys.executable, "-m", "lstmconv", *args.split()], capture_output=True, text=True, check=False
    )
    shown = at_terminal(*args.split(), columns=250)
    assert shown.exit_code == plain.returncode == 0
    assert "\x1b[" in shown.raw and "\x1b" not in plain.stdout
    assert plain.stdout.isascii()
    assert ("╭" in shown.text) == (args != "doctor sine.safetensors")
    # What the plain text says in sentences of its own, the table says in its head.
    assert words(plain.stdout) - words(shown.text) - {"What", "is", "inside"} == set()


def test_verdicts_are_coloured(folder: Path) -> None:
    raw = at_terminal("doctor", "old.h5").raw
    assert "\x1b[32m  Yes" in raw
    assert re.search(r"\x1b\[1;31m  Keras \S+ refuses it", raw)


@pytest.mark.parametrize(
    "environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}]
)
def test_no_colours_where_they_are_not_wanted(folder: Path, environment: dict[str, Any]) -> None:
    shown = at_terminal("doctor", "old.h5", **environment)
    assert shown.exit_code == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", shown.raw)  # no colour
    if "NO_COLOR" not in environment:
        assert "\x1b" not in shown.raw and shown.raw.isascii()


def test_a_name_is_no_markup_and_no_escape(folder: Path) -> None:
    path = Path("[red]\x1b[31m.safetensors")
    path.write_bytes(bundle_bytes(lstm_graph("[bold]x[", given="a\u202eb")))
    shown = at_terminal("inspect", path, columns=200)
    assert "[red]\\x1b[31m.safetensors" in shown.raw
    assert "[bold]x[" in shown.text and "a\\u202eb" in shown.text
    assert "\u202e" not in shown.raw


def test_a_narrow_terminal_loses_nothing(folder: Path) -> None:
    shown = at_terminal("inspect", "sine.safetensors", columns=60)
    assert all(len(line) <= 60 for line in shown.text.splitlines())
    assert "lstm/W_f" in shown.text and "sigmoid" in shown.text.replace("\n", "")


# --- several files ----------------------------------------------------------------------------------------------------


def test_several_files_at_a_terminal(folder: Path) -> None:
    Path("no.h5").write_bytes(b"nothing")
    shown = at_terminal("doctor", "old.h5", "sine.keras", "no.h5", "sine.safetensors")
    assert shown.exit_code == 4
    table = shown.text[shown.text.rindex("╭") :].splitlines()
    assert [re.findall(r"[^│ ]\S*", line)[0] for line in table[3:-1]] == [
        "old.h5",
        "sine.keras",
        "no.h5",
        "sine.safetensors",
    ]
    assert "E_NOT_A_MODEL" in table[5] and "refuses" in table[3] and "probes hold" in table[6]


# --- completion -------------------------------------------------------------------------------------------------------


def completed(line: str) -> list[str]:
    environment = {
        **os.environ, "_LSTMCONV_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "lstmconv"], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_a_shell_completes_commands_and_options() -> None:
    assert completed("lstmconv ") == list(COMMANDS)
    assert completed("lstmconv do") == ["doctor"]
    assert completed("lstmconv doctor --c") == ["--config"]
    assert "--full" in completed("lstmconv report --")


def test_completion_is_installed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lstmconv", "--install-completion", "bash"], capture_output=True, text=True, check=True,
        env={**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )  # fmt: skip
    assert "completion installed" in done.stdout
    assert "_LSTMCONV_COMPLETE=complete_bash" in "".join(
        path.read_text() for path in tmp_path.rglob("*") if path.is_file()
    )
