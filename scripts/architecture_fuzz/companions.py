"""Layers that stand around recurrent ones, as the grammar draws them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .grammar import Draw

OPS: tuple[tuple[str, float, Callable[[Draw], bool]], ...] = ()
