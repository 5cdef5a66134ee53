"""Chooses the loop that runs a recurrent node, once, when its arrays are laid out. Nothing else asks which it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from ..engines import Engine, kernel
from ..format.graph import Array, Int8Array
from . import compiled
from .plain import Fused, Plain, Traced, fuse
from .runner import lay_out
from .states import Loop, Recurrent
from .tuned import Tuned


class Prepared(NamedTuple):
    """A recurrent node ready to run."""

    loop: Loop
    traced: Loop  # slower, and shows its gates


# What does not matter to how the arrays of a node are laid out.
OWN = ("name", "x", "mask", "h0", "c0", "return_sequences", "go_backwards", "zero_output_for_mask", "stateful")
LaidOut: TypeAlias = dict[Any, Any]  # by what matters to it


def prepare(
    node: Recurrent, arrays: Mapping[str, Array], int8: Mapping[str, Int8Array], engine: Engine, laid_out: LaidOut
) -> Prepared:
    """A node ready to run.

    Args:
        arrays: by parameter name, already of the dtype to compute in.
        int8: those that are stored as int8, as they are stored.
        laid_out: filled with what nodes of the same arrays, so computed, share.
    """
    return Prepared(choose(node, arrays, int8, engine, laid_out), Traced(node, dict(arrays)))


def choose(
    node: Recurrent, arrays: Mapping[str, Array], int8: Mapping[str, Int8Array], engine: Engine, laid_out: LaidOut
) -> Loop:
    """The fastest loop of the engine that fits the node; NumPy's where the kernel does not compute it."""
    key = (type(node), *(getattr(node, field) for field in node.FIELDS if field not in OWN))
    if engine.instruction_set is not None and kernel is not None and compiled.fits(node, arrays):
        if key not in laid_out:
            laid_out[key] = compiled.cell_of(kernel, engine.instruction_set, node, arrays, int8)
        return compiled.Compiled(laid_out[key], node)
    if key not in laid_out:
        laid_out[key] = lay_out(node, arrays) or fuse(node, arrays)
    if isinstance(laid_out[key], Fused):
        return Plain(node, laid_out[key])
    assert isinstance(node, Tuned.NODES)
    return Tuned(node, laid_out[key])
