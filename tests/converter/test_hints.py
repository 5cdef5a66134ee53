"""Errors name the argument that would help, to each caller in the words of the side it calls from."""

from __future__ import annotations

import ast
import pickle
import re
import subprocess
import sys
from pathlib import Path

import lstmconv
import pytest
from lstmconv.errors import Hint, InvalidFileError, LstmconvError, UsageError
from lstmconv.scoring import score_frame
from paths import ROOT, SINE

COMMANDS = {"commands", "doctor", "report", "sections", "tables"}  # folders that speak to users of commands alone
FILES = {"arrays.py", "csv_table.py", "standard_input.py", "partitions.py", "sources.py", "on_dask.py"}  # and modules


def test_an_existing_file_in_both_languages(tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    lstmconv.export(SINE, out)
    with pytest.raises(LstmconvError, match=r"exists; force=True replaces it$"):
        lstmconv.export(SINE, out)
    command = [sys.executable, "-m", "lstmconv", "export", str(SINE), "-o", str(out)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 6
    assert "exists; --force replaces it [E_EXISTS]" in process.stderr


def test_values_in_both_languages() -> None:
    file = Hint("give it with {}", "config", "architecture.json")
    assert file.in_python() == 'give it with config="architecture.json"'
    assert file.in_shell() == "give it with --config architecture.json"
    flag = Hint("{} keeps them", "allow_nonfinite")
    assert (flag.in_python(), flag.in_shell()) == ("allow_nonfinite=True keeps them", "--allow-nonfinite keeps them")
    named = Hint("{} is for files of weights alone", "config", None)
    assert named.in_python().startswith("config is")
    assert named.in_shell().startswith("--config is")


def test_every_hint_is_an_argument_of_both_sides() -> None:
    """What `Hint(…)` names in the sources exists as an argument of `export` or `upgrade`, and as an option."""
    import inspect

    arguments = {
        name for f in (lstmconv.export, lstmconv.upgrade, score_frame) for name in inspect.signature(f).parameters
    }
    options = "".join(path.read_text() for path in sources() if path.parent.name == "commands")
    named = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Hint":
                argument = ast.literal_eval(node.args[1])
                assert isinstance(argument, str)
                named.add(argument)
    assert {"force", "config", "weights", "deterministic", "allow_nonfinite"} <= named <= arguments
    assert all(f'"--{name.replace("_", "-")}"' in options for name in named)


def sources() -> list[Path]:
    return sorted((ROOT / "converter" / "lstmconv").rglob("*.py"))


def test_the_library_knows_no_options_of_the_commands() -> None:
    found = []
    for path in sources():
        if path.parent.name in COMMANDS or path.name in FILES:
            continue
        tree = ast.parse(path.read_text())
        documents = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and type(node.value) is str and id(node) not in documents:
                alone = re.sub(r"`lstmconv [^`]*`", "", node.value)  # a whole command can be run by anybody
                found += [(path.name, text) for text in re.findall(r"--[a-z][a-z-]+", alone)]
    assert [(name, text) for name, text in found if text != "--help"] == []


def test_errors_survive_another_process() -> None:
    for error in (UsageError("no"), InvalidFileError("bad", "E_X", Hint("{} helps", "force"))):
        copy = pickle.loads(pickle.dumps(error))
        assert (str(copy), copy.code, copy.hint, copy.in_shell()) == (
            str(error), error.code, error.hint, error.in_shell(),
        )  # fmt: skip
