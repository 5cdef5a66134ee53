"""What a file has to pass before it is published."""

from __future__ import annotations

import json
from importlib.metadata import version
from math import inf
from typing import Any

import numpy as np
from lstmconv_runtime.difference import difference, share
from lstmconv_runtime.format.bundle import Bundle, Probe
from lstmconv_runtime.format.graph import FLOATS, Array, Graph, infer_types
from lstmconv_runtime.stream_kinds import STREAM, classify, stream_inputs
from lstmconv_runtime.verifying import allowed_by_rule, lowest_precision
from onnx import checker, shape_inference

from ..bundles.compare import reference
from ..bundles.rounding import MULTIPLE
from ..errors import InvalidFileError, UnsupportedError, printable
from .running import EngineRefusal, Run, dtype_of, onnxruntime_of
from .states import START

REPORT = "please report this bug"


def check_model(model: Any, bundle: Bundle, states: bool) -> tuple[str, ...]:
    """Checks a model by the rules of ONNX and, where onnxruntime is installed, by the probes of its bundle.

    Args:
        states: the model carries states, see `states`; then it is run in two pieces.

    Returns:
        What was checked, in words.

    Raises:
        InvalidFileError: it breaks a rule, or does not compute what the probes say.
        UnsupportedError: onnxruntime does not run it.
    """
    try:
        checker.check_model(model, full_check=True)
        shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # its exceptions have no common base
        raise InvalidFileError(f"the ONNX file is not valid: {printable(str(error), 300)}: {REPORT}", "E_BUG") from None
    rules = "the checker of ONNX and strict shape inference"
    try:
        run = onnxruntime_of(model)
        if not bundle.probes:
            return (rules, "the bundle has no probes: nothing was computed")
        for probe in bundle.probes:
            made = _in_pieces(run, model, bundle.graph, probe) if states else run(probe.inputs)
            _judge(bundle.graph, probe, made)
    except ImportError:
        return (rules, "onnxruntime is not installed: nothing was computed")
    except EngineRefusal as error:
        raise UnsupportedError(
            f"onnxruntime does not run it: {printable(str(error), 300)}", "E_UNSUPPORTED_ONNX"
        ) from None
    return (rules, f"{len(bundle.probes)} probes through onnxruntime {version('onnxruntime')}")


def _judge(graph: Graph, probe: Probe, made: list[Array]) -> None:
    """The rule of `lstmconv_runtime.verifying`, and beyond it what `parity` allows: a sigmoid may be off by an
    ulp of 1, so that a number that is all but 0 has another sign, and a comparison finds it so.

    Raises:
        InvalidFileError: an output is not what the probe says.
    """
    lowest, truth = lowest_precision(graph, infer_types(graph)), None
    for place, (value, array, expected) in enumerate(zip(graph.outputs, made, probe.outputs, strict=False)):
        found = difference(array, expected)
        allowed = (probe.allowed[place] if probe.allowed else None) or allowed_by_rule(lowest[value], found)
        if not found.misfit and max(share(found.largest, allowed[0]), share(found.rms, allowed[1])) <= 1:
            continue
        truth = truth or reference(graph, probe.inputs)
        elsewhere = max(MULTIPLE * truth.movement[value], truth.inexact[value])
        if elsewhere and truth.dtypes[value] not in FLOATS:
            elsewhere = inf  # rounding decides a jump, as of argmax, and how far one jumps says nothing
        if found.misfit or found.largest > elsewhere:
            raise InvalidFileError(
                f"the ONNX file differs from {printable(probe.oracle)} in '{printable(value)}': "
                f"{found.misfit or f'by {found.largest:.3g}, allowed is {max(allowed[0], elsewhere):.3g}'}: {REPORT}",
                "E_BUG",
            )


def zero_states(model: Any, rows: int) -> dict[str, Array]:
    """What a model that carries states is given before the first step, for so many rows."""
    given: dict[str, Array] = {}
    pairs = state_pairs(model)
    for info in model.graph.input:
        if info.name in pairs:
            sizes = [rows if d.dim_param else d.dim_value for d in info.type.tensor_type.shape.dim]
            given[info.name] = np.zeros(sizes, dtype_of(info))
    return {**given, START: np.ones(1, bool)}


def state_pairs(model: Any) -> dict[str, str]:
    """By input, the output that is given to it in the next run."""
    texts = {entry.key: entry.value for entry in model.metadata_props}
    pairs: dict[str, str] = json.loads(texts["lstmconv.states"])
    return pairs


def _in_pieces(run: Run, model: Any, graph: Graph, probe: Probe) -> list[Array]:
    """The outputs of a model that carries states: its first step, then all others at once."""
    moving = stream_inputs(graph.nodes)
    kinds = classify(graph.nodes, infer_types(graph))
    first = next(iter(probe.inputs.values()))
    steps = min(array.shape[1] for name, array in probe.inputs.items() if name in moving)
    states, made = zero_states(model, len(first)), []
    for piece in (slice(0, 1), slice(1, None)) if steps > 1 else (slice(None),):
        given = {name: array[:, piece] if name in moving else array for name, array in probe.inputs.items()}
        outputs = run({**given, **states})
        made.append(outputs[: len(graph.outputs)])
        states = next_states(model, outputs)
    return [
        np.concatenate(column, axis=1) if kinds[value] == STREAM else column[-1]
        for value, column in zip(graph.outputs, zip(*made, strict=True), strict=True)
    ]


def next_states(model: Any, outputs: list[Array]) -> dict[str, Array]:
    """What a run gave, as what the next one is given."""
    made = dict(zip((info.name for info in model.graph.output), outputs, strict=True))
    return {**{past: made[present] for past, present in state_pairs(model).items()}, START: np.zeros(1, bool)}
