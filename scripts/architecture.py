"""What imports what in the sources: for tests/test_architecture.py, and the drawing in docs/architecture.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {"lstmconv": ROOT / "converter" / "lstmconv", "lstmconv_runtime": ROOT / "runtime" / "lstmconv_runtime"}

# Of each package, its rooms from the ground up: folders and modules. A room imports from its own and from those before.
ROOMS = {
    "lstmconv": (
        "version", "errors", "files", "reading", "history", "graph", "bundles", "scoring", "exporting", "onnx",
        "upgrading", "doctor", "parity", "report", "commands", "__main__", "__init__",
    ),
    "lstmconv_runtime": (
        "errors", "format", "layers", "threads", "engines", "recurrent", "programs", "describing", "difference",
        "inputs", "stream_kinds", "streaming", "splitting", "side_by_side", "verifying", "model", "__init__",
    ),
}  # fmt: skip


class Import(NamedTuple):
    """One import: by which module of ours, of which module, on which line, and whether inside a function."""

    by: str
    of: str
    line: int
    inside: bool


def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name; a package is its `__init__`."""
    found = {}
    for package, folder in SOURCES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)] = path
        found[f"{package}.__init__"] = folder / "__init__.py"
    return found


def imports() -> Iterator[Import]:
    """Every import, of our own modules by their dotted names."""
    paths = modules()
    for name, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        inside = {id(node) for function in functions for node in ast.walk(function)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(name, alias.name, node.lineno, id(node) in inside)
            elif isinstance(node, ast.ImportFrom):
                base = _absolute(name, path, node)
                for alias in node.names:
                    whole = f"{base}.{alias.name}"
                    of = whole if whole in paths else f"{base}.__init__" if base in SOURCES else base
                    yield Import(name, of, node.lineno, id(node) in inside)


def _absolute(name: str, path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = name.split(".")
    package = parts if path.name == "__init__.py" and parts[-1] != "__init__" else parts[:-1]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def room(module: str) -> tuple[str, str]:
    """The package and the room of a module."""
    package, _, rest = module.partition(".")
    return package, rest.partition(".")[0]


def about(package: str, name: str) -> str:
    """The first line of a room's docstring."""
    folder = SOURCES[package]
    path = folder / name / "__init__.py" if (folder / name).is_dir() else folder / f"{name}.py"
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def drawing(package: str) -> list[tuple[str, str, str]]:
    """Of each room, from the ground up: its name, what it is, and the rooms below that it imports from."""
    uses: dict[str, set[str]] = {name: set() for name in ROOMS[package]}
    for found in imports():
        own, of = room(found.by), room(found.of)
        if own[0] == package and of[0] == package and of != own:
            uses[own[1]].add(of[1])
        elif own[0] == package and of[0] in SOURCES and of[0] != package:
            uses[own[1]].add("lstmconv_runtime")
    order = {name: place for place, name in enumerate(ROOMS[package])}
    return [
        (name, about(package, name), ", ".join(sorted(uses[name], key=lambda used: order.get(used, -1))))
        for name in ROOMS[package]
    ]
