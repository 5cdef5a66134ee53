"""The command line as a page, from the commands themselves."""

from __future__ import annotations

import re
from typing import Any

import typer
from lstmconv.commands.cli import app


def page(program: str = "lstmconv") -> str:
    """Every command with what it does, its example, its arguments and options, and its exit codes, in Markdown."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name=program)
    parts = ["# Command line", _text(group.help)]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inside = typer.Context(command, info_name=name, parent=context)
        parts += [f"## `{program} {name}`", f"```text\n{command.get_usage(inside)}\n```", _text(command.help)]
        rows = [_row(parameter, inside) for parameter in command.get_params(inside)]
        parts.append("| argument or option | what it is |\n| --- | --- |\n" + "\n".join(row for row in rows if row))
        if command.epilog:
            parts.append(_text(command.epilog))
    return "\n\n".join(part for part in parts if part) + "\n\n" + _text(group.epilog) + "\n"


def _text(text: str | None) -> str:
    """Prose as it is; what follows \\b, which keeps its lines, as a block."""
    made = []
    for paragraph in re.split(r"\n\s*\n", (text or "").strip()):
        kept = paragraph.lstrip("\n ").startswith("\b")
        lines = [line.replace("\b", "") for line in paragraph.splitlines()]
        body = "\n".join(line for line in lines if line.strip())
        made.append(f"```text\n{body}\n```" if kept else " ".join(body.split()))
    return "\n\n".join(made)


def _row(parameter: Any, context: Any) -> str:
    record = parameter.get_help_record(context)
    if record is None:
        record = (parameter.make_metavar(context), getattr(parameter, "help", "") or "")
    name, words = (" ".join(str(part).split()).replace("|", "\\|") for part in record)
    return f"| `{name}` | {words.replace('<', '&lt;')} |"
