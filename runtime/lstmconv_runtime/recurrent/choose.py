"""Chooses the loop that runs a recurrent node, once, when its arrays are laid out. Nothing else asks which it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..engines import Engine, kernel
from ..format.graph import Array
from . import compiled
from .plain import Plain, Traced, fuse
from .runner import lay_out
from .states import Loop, Recurrent
from .tuned import Tuned


class Prepared(NamedTuple):
    """A recurrent node ready to run."""

    loop: Loop
    traced: Loop  # slower, and shows its gates


def prepare(node: Recurrent, arrays: Mapping[str, Array], engine: Engine) -> Prepared:
    """`arrays` by parameter name, already of the dtype to compute in."""
    return Prepared(choose(node, arrays, engine), Traced(node, dict(arrays)))


def choose(node: Recurrent, arrays: Mapping[str, Array], engine: Engine) -> Loop:
    """The fastest loop of the engine that fits the node; NumPy's where the kernel does not compute it."""
    if engine.instruction_set is not None and kernel is not None and compiled.fits(node, arrays):
        return compiled.Compiled(kernel, engine.instruction_set, node, arrays)
    layout = lay_out(node, arrays)
    if layout is None:
        return Plain(node, fuse(node, arrays))
    assert isinstance(node, Tuned.NODES)
    return Tuned(node, layout)
