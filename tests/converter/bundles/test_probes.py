"""The probes of a bundle see every weight: no tensor of a committed model can change by a tenth unnoticed."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lstmconv import exporting
from lstmconv.bundles.probes import float64_evaluation, make_probes
from lstmconv.bundles.rounding import EPS
from lstmconv.errors import InvalidFileError
from lstmconv.exporting import bundle_of, convert
from lstmconv.reading import read_keras_file
from lstmconv_runtime import Model, programs
from lstmconv_runtime.difference import difference
from lstmconv_runtime.format.bundle import Bundle
from lstmconv_runtime.format.graph import Graph
from lstmconv_runtime.format.nodes import Constant
from lstmconv_runtime.verifying import lowest_precision, verify
from paths import SINE
from vector_files import NAMES, read_vector

SHORT = (
    "lstm-stacked", "masked-stack", "activation-relu6", "embedding-mask-zero", "transformer", "conv1d", "normalization",
    "bidirectional-gru", "nested-masked", "sequence-to-sequence", "layers-of-other-dtypes", "time-distributed",
)  # fmt: skip
# Its relu lets next to nothing through: a tenth in what lies before moves the output by less than 1e-5 of its scale,
# which is what readers of float32 are allowed.
DAMPED = {"masked-stack": 1e-5}
EITHER = [name if name in SHORT else pytest.param(name, marks=pytest.mark.long) for name in NAMES]


class Changed:
    """A model of other arrays beside the probes of the old ones, as a damaged file would be without its digest."""

    def __init__(self, model: Model, graph: Graph) -> None:
        self.bundle: Bundle = replace(model.bundle, graph=graph)
        self.program = programs.prepare(graph)
        self.output_names = model.output_names
        self.model = model

    def predict(self, x: Any) -> list[Any]:
        values = programs.run(self.program, self.model.check_inputs(x))
        return self.model._owned(values)


def weights(graph: Graph) -> dict[str, Any]:
    constants = {f"{node.namespace()}/value" for node in graph.nodes if isinstance(node, Constant)}
    return {name: a for name, a in graph.arrays.items() if name not in constants and a.size and a.dtype.kind == "f"}


def by_a_tenth(a: Any) -> Any:
    return (a * 1.1).astype(a.dtype) if a.any() else a + a.dtype.type(0.1)


@lru_cache(maxsize=1)
def bundle(name: str) -> Model:
    return Model(bundle_of(convert(read_vector(name).read())))


@pytest.mark.parametrize("name", EITHER)
def test_a_tenth_in_any_weight_is_noticed_or_moves_no_output(name: str) -> None:
    """What it moves is shown by evaluations in float64; a half shows no less than eight of its own ulps."""
    model = bundle(name)
    assert model.verify().ok
    graph = model.bundle.graph
    lowest = {lowest_precision(graph, model.program.types)[value] for value in graph.outputs}
    ulps = max((EPS[dtype] for dtype in lowest.intersection(("float16", "bfloat16"))), default=0.0)
    least = max(8 * ulps, DAMPED.get(name, 1e-9))
    exact = [float64_evaluation(graph)(probe.inputs) for probe in model.bundle.probes]
    blind = {}
    for key, array in weights(graph).items():
        changed = replace(graph, arrays={**graph.arrays, key: by_a_tenth(array)})
        if verify(Changed(model, changed)).ok:
            evaluate = float64_evaluation(changed)
            pairs = [
                pair for probe, was in zip(model.bundle.probes, exact, strict=True)
                for pair in zip(evaluate(probe.inputs), was, strict=True)
            ]  # fmt: skip
            blind[key] = max(difference(a, b).relative for a, b in pairs)
    assert {key: moves for key, moves in blind.items() if moves > least} == {}


@pytest.mark.parametrize("name", ["layers-of-other-dtypes", "activation-elu"])
def test_models_that_round_more_pass_their_own_probes(name: str) -> None:
    model = bundle(name)
    assert model.verify().ok
    assert model.bundle.format_version == "1.1"
    assert any(probe.allowed for probe in model.bundle.probes)


def test_an_ordinary_model_needs_no_allowance_and_stays_format_1_0() -> None:
    file = read_keras_file(SINE)
    model = Model(bundle_of(convert(file)))
    assert model.bundle.format_version == "1.0"
    assert [probe.allowed for probe in model.bundle.probes] == [(), (), ()]


def test_a_bundle_that_does_not_pass_its_probes_is_not_written(tmp_path: Path, monkeypatch: Any) -> None:
    """As where a loop of the runtime computes something else than its cells."""

    def wrong(graph: Graph, *given: Any) -> Any:
        made = make_probes(graph, *given)
        return tuple(replace(probe, outputs=tuple(y * np.float32(1.001) for y in probe.outputs)) for probe in made)

    monkeypatch.setattr(exporting, "make_probes", wrong)
    out = tmp_path / "m.safetensors"
    with pytest.raises(InvalidFileError, match=r"differs from lstmconv .* float64 on the probes"):
        exporting.export(SINE, out)
    assert list(tmp_path.iterdir()) == []
