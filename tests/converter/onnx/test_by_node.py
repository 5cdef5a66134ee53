"""Every node of the vocabulary has a writer, and so has every activation."""

from __future__ import annotations

import pytest
from lstmconv_runtime.format.activations import ACTIVATIONS as KNOWN
from lstmconv_runtime.format.nodes import NODES, Input

pytest.importorskip("onnx")

from lstmconv.onnx.nodes.activations import ACTIVATIONS
from lstmconv.onnx.nodes.by_node import WRITERS


def test_every_node_has_a_writer() -> None:
    assert set(WRITERS) == set(NODES.values()) - {Input}


def test_every_activation_has_a_writer() -> None:
    assert set(ACTIVATIONS) == set(KNOWN)
