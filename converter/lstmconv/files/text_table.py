"""Rows of text in aligned columns, for output that people read."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line per row, columns padded to their widest cell and two spaces apart; the first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def shape_text(shape: Sequence[int | None]) -> str:
    """(None, 5, 1) → "(any, 5, 1)"; (4,) → "(4)"."""
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
