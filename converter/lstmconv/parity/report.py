"""The parity report: as text for a person, as a dict for a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import Any

from ..bundles.compare import OutputComparison
from .divergence import NodeDifference, first_divergence


@dataclass(frozen=True)
class Report:
    """What the cross-check of a model found.

    Attributes:
        inputs: shape and dtype by name.
        engines: names of those that ran.
        missing: for each engine that did not run, the reason in words.
        outputs: the comparisons.
        keras_float64: for each output: Keras in float64 against the float64 evaluation of the graph; or why not.
        nodes: the runtime beside Keras's layers, in the order of execution; or why not.
        onnx_nodes: every value of our ONNX file beside the runtime's, in the order of execution; or why not.
    """

    inputs: dict[str, tuple[tuple[int, ...], str]]
    engines: tuple[str, ...]
    missing: dict[str, str]
    outputs: tuple[OutputComparison, ...]
    keras_float64: tuple[float, ...] | str
    nodes: tuple[NodeDifference, ...] | str
    onnx_nodes: tuple[NodeDifference, ...] | str = "our ONNX did not run"

    @property
    def ok(self) -> bool:
        """True where at least two engines ran and compute the same model.

        A chaotic model is only known to be the same where Keras agrees in float64.
        """
        return len(self.engines) > 1 and set(self.verdicts) <= {"agree", "agree in float64"}

    @property
    def verdicts(self) -> tuple[str, ...]:
        """By output: agree, agree in float64, undecided, DIFFER."""
        return tuple(self._verdict(position) for position in range(len(self.outputs)))

    def _verdict(self, position: int) -> str:
        output = self.outputs[position]
        if output.verdict != "chaotic":
            return output.verdict
        if isinstance(self.keras_float64, tuple) and self.keras_float64[position] <= output.tolerance:
            return "agree in float64"
        return "undecided"

    @property
    def divergence(self) -> NodeDifference | None:
        """The first node whose value is not Keras's."""
        return first_divergence(self.nodes) if isinstance(self.nodes, tuple) else None

    @property
    def onnx_divergence(self) -> NodeDifference | None:
        """The first value of our ONNX file that is not the runtime's."""
        return first_divergence(self.onnx_nodes) if isinstance(self.onnx_nodes, tuple) else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; an infinite difference (a NaN or another shape on one side alone) is the string "infinite"."""
        first, first_of_onnx = self.divergence, self.onnx_divergence
        found: dict[str, Any] = _plain(
            {
                "agree": self.ok,
                "inputs": {name: {"shape": shape, "dtype": dtype} for name, (shape, dtype) in self.inputs.items()},
                "engines": self.engines,
                "missing": self.missing,
                "outputs": [
                    {"verdict": verdict, **asdict(output)}
                    for verdict, output in zip(self.verdicts, self.outputs, strict=True)
                ],
                "keras_float64": self.keras_float64,
                "nodes": _listed(self.nodes),
                "first_divergence": None if first is None else first.node,
                "onnx_nodes": _listed(self.onnx_nodes),
                "first_onnx_divergence": None if first_of_onnx is None else first_of_onnx.node,
            }
        )
        return found

    def text(self) -> str:
        """The tables, and the verdict in words."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for name, (shape, dtype) in self.inputs.items():
            yield f"input  {name} {shape} {dtype}"
        for output in self.outputs:
            yield ""
            yield from _output_lines(output)
        yield ""
        if isinstance(self.keras_float64, tuple):
            largest = max(self.keras_float64, default=0.0)
            yield f"Keras in float64 and the float64 evaluation of the bundle differ by {_number(largest)}."
        for name, reason in self.missing.items():
            yield f"{name} did not run: {reason}"
        yield from self.conclusion()

    def conclusion(self, where: bool = True) -> Iterator[str]:
        """The verdict in words; with `where`, the nodes at which engines part, as tables."""
        for verdict, output in zip(self.verdicts, self.outputs, strict=True):
            if output.chaotic:
                share = output.movement / output.scale if output.scale else inf
                yield (
                    f"The model is chaotic at this length: the last bit of its weights moves '{output.name}' by "
                    f"{_number(output.movement)}, {share:.1%} of its scale. Rounding decides the answer, and no two "
                    "engines need agree on it."
                )
            if verdict == "agree in float64":
                yield f"In float64, where rounding is 10⁹ times smaller, Keras and the bundle agree on '{output.name}'."
            elif verdict == "undecided":
                yield f"UNDECIDED: '{output.name}': nothing follows from these differences; check a shorter sequence."
        if len(self.engines) < 2:
            yield "NOT COMPARED: only one engine ran."
        elif self.ok and "agree in float64" in self.verdicts:
            yield "AGREE in float64: Keras and the bundle are the same model."
        elif self.ok:
            yield f"AGREE: {', '.join(self.engines)} compute the same model."
        else:
            yield from self._disagreement(where)

    def _disagreement(self, where: bool) -> Iterator[str]:
        for output in self.outputs:
            for pair in output.differences:
                if output.word(pair.absolute) == "DIFFER":
                    yield (
                        f"DIFFER: '{output.name}': {pair.first} and {pair.second} by {_number(pair.absolute)}; "
                        f"rounding explains {_number(output.allowed)}."
                    )
            for one in output.deviations:
                if output.word(one.largest) == "DIFFER":
                    yield (
                        f"DIFFER: '{output.name}': {one.engine} and float64 by {_number(one.largest)}; "
                        f"rounding explains {_number(output.allowed)}."
                    )
        if not where or "DIFFER" not in self.verdicts:
            return
        if isinstance(self.nodes, str):
            yield f"The first node to differ is not known: {self.nodes}"
        elif (first := self.divergence) is None:
            yield f"The runtime and Keras agree on all {len(self.nodes)} nodes that have a counterpart in Keras."
        else:
            yield from _node_lines("runtime beside Keras", self.nodes)
            yield f"The first node whose value differs from Keras is '{first.node}' ({first.op})."
        if (first_of_onnx := self.onnx_divergence) is not None and not isinstance(self.onnx_nodes, str):
            yield from _node_lines("our ONNX beside the runtime", self.onnx_nodes)
            yield f"The first node whose value differs from the runtime is '{first_of_onnx.node}' ({first_of_onnx.op})."


def _listed(nodes: tuple[NodeDifference, ...] | str) -> list[dict[str, Any]] | str:
    return nodes if isinstance(nodes, str) else [{"agrees": node.agrees, **asdict(node)} for node in nodes]


def _node_lines(title: str, nodes: Sequence[NodeDifference]) -> Iterator[str]:
    """The table of nodes, with its title over the first column."""
    yield ""
    rows = [(title, "", "largest", "allowed", "")]
    for node in nodes:
        word = "agree" if node.agrees else "DIFFER"
        rows.append((f"  {node.node}", node.op, _number(node.largest), _number(node.allowed), word))
    yield from _table(rows)


def _output_lines(output: OutputComparison) -> Iterator[str]:
    yield f"output {output.name} {output.shape} {output.dtype}, largest magnitude {output.scale:.3g}"
    rows: list[tuple[str, ...]] = []
    if output.differences:
        rows.append(("difference", "absolute", "relative", ""))
        for pair in output.differences:
            name = f"  {pair.first} and {pair.second}"
            rows.append((name, _number(pair.absolute), _number(pair.relative), output.word(pair.absolute)))
    rows.append(("error against float64", "largest", "rms", ""))
    for one in output.deviations:
        rows.append((f"  {one.engine}", _number(one.largest), _number(one.typical), output.word(one.largest)))
    yield from _table(rows)
    yield (f"  allowed: {_number(output.allowed)}; one ulp everywhere moves it by {_number(output.movement)}")


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns aligned: words left, numbers right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        yield "  ".join([*cells, row[-1]]).rstrip()


def _number(value: float) -> str:
    return f"{value:.2e}" if value else "0"


def _plain(value: Any) -> Any:
    """Tuples as lists, and no infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return "infinite"
    return value
