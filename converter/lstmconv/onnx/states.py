"""Placeholder."""

from __future__ import annotations

from typing import Any


class States:
    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def names(self):
        return []

    def inputs(self, w):
        return []

    def outputs(self, w):
        return []

    def write(self, w, node): ...
