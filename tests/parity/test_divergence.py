"""A bundle that was tampered with: the report names the first node that differs from Keras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from lstmconv.exporting import Conversion, bundle_of, convert
from lstmconv.parity.cross_check import cross_check, draw_inputs
from lstmconv.parity.engines import Subject
from lstmconv.parity.report import Report
from lstmconv.reading import read_keras_file


def report_with(conversion: Conversion, path: Path, swap: tuple[str, str] | None) -> Report:
    graph = conversion.graph
    if swap:
        a, b = swap
        graph = replace(graph, arrays={**graph.arrays, a: graph.arrays[b], b: graph.arrays[a]})
    subject = Subject(bundle_of(replace(conversion, graph=graph)), path)
    return cross_check(subject, draw_inputs(graph))


@pytest.fixture(scope="module")
def conversion(model_path: Path) -> Conversion:
    return convert(read_keras_file(model_path))


def test_nodes_without_a_mistake(conversion: Conversion, model_path: Path) -> None:
    report = report_with(conversion, model_path, None)
    assert report.ok
    assert report.divergence is None
    assert isinstance(report.nodes, tuple)
    assert [node.node for node in report.nodes] == ["lower", "upper", "head"]


@pytest.mark.parametrize("name", ["lower", "upper"])
def test_swapped_gates_are_found_at_their_layer(conversion: Conversion, model_path: Path, name: str) -> None:
    report = report_with(conversion, model_path, (f"{name}/U_i", f"{name}/U_f"))
    assert not report.ok
    assert report.divergence is not None
    assert report.divergence.node == name
    assert f"The first node whose value differs from Keras is '{name}' (LSTM)." in report.text()
    assert report.as_dict()["first_divergence"] == name
