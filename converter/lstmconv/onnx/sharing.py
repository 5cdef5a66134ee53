"""Computing nothing twice.

onnxruntime leaves out operators that compute what an earlier one does, and fails where an LSTM is read in one output at
the first and in another at the second ("AddEdge"), as a layer that is called twice on the same input can be. Where each
is there once, it has nothing to leave out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeAlias

Tensor: TypeAlias = str  # its name, as in `writer`, which cannot be imported without onnx


def shared(nodes: Sequence[Any], initializers: Mapping[Tensor, Any], own: Collection[Tensor]) -> list[Any]:
    """The nodes, each of which is renamed, without those that compute what an earlier one does.

    Args:
        nodes: each after the makers of what it reads.
        initializers: stored arrays by name; those that are equal are read under one name.
        own: tensors that each keep a node of their own.
    """
    same: dict[Tensor, Tensor] = {}
    arrays: dict[bytes, Tensor] = {}
    for name, array in initializers.items():
        same[name] = arrays.setdefault(_without(array, "name"), name)
    kept: dict[bytes, Any] = {}
    for node in nodes:
        _rename_inputs(node, same)
        alone = [name for name in node.output if name in own]
        key = _without(node, "name", "output") + repr((len(node.output), alone)).encode()
        first = kept.setdefault(key, node)
        if first is not node:
            same.update(zip(node.output, first.output, strict=True))
    return list(kept.values())


def _without(message: Any, *fields: str) -> bytes:
    bare = type(message)()
    bare.CopyFrom(message)
    for field in fields:
        bare.ClearField(field)
    return sha256(bare.SerializeToString(deterministic=True)).digest()  # of weights the bytes themselves are many


def _rename_inputs(node: Any, same: Mapping[Tensor, Tensor]) -> None:
    """Also in the bodies of Scans, which read tensors from outside."""
    node.input[:] = [same.get(name, name) for name in node.input]
    for attribute in node.attribute:
        for inner in attribute.g.node:
            _rename_inputs(inner, same)
