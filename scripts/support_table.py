"""What is supported, by Keras class and by function of keras.ops: from the handlers, the parity vectors, the table of
refusals and the fuzzer's grammar. Needs no Keras."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("scripts", "runtime", "converter", "tests/common")]

from architecture_fuzz.grammar import ops_table  # noqa: E402
from lstmconv.graph.keras_classes import HANDLERS  # noqa: E402
from lstmconv.graph.keras_functions import OPERATIONS  # noqa: E402
from onnx_cross_check import is_difference, written_rows  # noqa: E402
from refusals import REFUSED, Refused  # noqa: E402
from vector_files import NAMES, Vector, classes, of_outputs, read_vector, stream_refusals  # noqa: E402

Rows = list[tuple[str, ...]]
CELLS = ("LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells")
ENGINES = ("Keras's ONNX, onnxruntime", "our ONNX, onnxruntime", "our ONNX, OpenVINO")
LAYER_HEAD = ("Keras class", "handler", "refused", "streams", "parity cases", *ENGINES, "fuzzed")
OPERATION_HEAD = ("functions of keras.ops", "parity cases of each")


@lru_cache
def _vectors() -> tuple[Vector, ...]:
    return tuple(map(read_vector, NAMES))


@lru_cache
def _counts() -> Counter[str]:
    """By class or operation, in how many vectors it is."""
    return Counter(cls for vector in _vectors() for cls in classes(vector.config))


@lru_cache
def _agreeing() -> tuple[Counter[str], Counter[str], Counter[str]]:
    """By class, in how many vectors it is that each of ENGINES agrees on, as docs/onnx-cross-check.md says."""
    agrees = {
        row.case: (row.verdict == "agrees", *map(is_difference, (row.ours, row.openvino))) for row in written_rows()
    }
    counts: tuple[Counter[str], Counter[str], Counter[str]] = (Counter(), Counter(), Counter())
    for vector in _vectors():
        for count, agreed in zip(counts, agrees[vector.name], strict=True):
            count.update(classes(vector.config) if agreed else ())
    return counts


def layer_rows() -> Rows:
    drawn = {op.name for op in ops_table()}
    streaming = _streaming()
    rows: Rows = []
    for name, handler in HANDLERS.items():
        refused = ", ".join(_shown(one) for one in REFUSED.get(name, []))
        place = f"`{handler.__module__.rpartition('.')[2]}.{handler.__name__}`"
        agreeing = (str(counts[name]) for counts in _agreeing())
        rows.append(
            (f"`{name}`", place, refused, streaming[name], str(_counts()[name]), *agreeing,
             "yes" if name in drawn else "no")
        )  # fmt: skip
    return rows


def _shown(refused: Refused) -> str:
    return refused.shown or f"`{refused.option}={refused.value}`"


def operation_rows() -> Rows:
    """The functions with a handler, those with equally many cases together."""
    groups: dict[int, list[str]] = {}
    for module, name in OPERATIONS:
        groups.setdefault(_counts()[f"{module}.{name}"], []).append(f"`{name}`")
    return [(", ".join(sorted(names)), str(count)) for count, names in sorted(groups.items())]


def _streaming() -> dict[str, str]:
    """By class, whether it streams: "yes", "no: why", or "yes, but …" where it hangs on the options."""
    able: set[str] = set()
    reasons: dict[str, dict[str, None]] = {}  # in the order they come
    for vector in _vectors():
        owners = dict(_named(vector.config["config"]["layers"]))
        for position, refusal in enumerate(stream_refusals(vector.graph)):
            if refusal is None:
                part = of_outputs(vector.graph, [position])
                able |= {cls for node in part.nodes for cls in _owners(node.name, owners)}
                continue
            found = re.fullmatch(r"node '(.*?)' \(\w+\) cannot stream: (.*)", refusal)
            if found is None:
                continue
            why = re.sub(r"padding '\w+' with stride \d+", "its padding or stride", found[2])
            for cls in _owners(found[1], owners):
                reasons.setdefault(cls, {})[why] = None
    made = {}
    for cls in HANDLERS:
        why = "; ".join(reasons.get(cls, ()))
        nothing_left = cls not in able and cls not in reasons  # no node is left of it
        made[cls] = "yes" if not why else f"yes, unless {why}" if cls in able else f"no: {why}"
        if nothing_left and _counts()[cls]:
            made[cls] = "yes"
    return made


def _owners(node: str, owners: dict[str, str]) -> set[str]:
    """The class of the layer that a node was made for."""
    parts = node.split(".")
    for size in range(len(parts), 0, -1):
        cls = owners.get(".".join(parts[:size]))
        if cls:
            return {cls}
    return set()


def _named(layers: list[dict[str, Any]], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name in the graph, class) of every layer, those of nested models included; what a wrapper holds counts as the
    wrapper."""
    for item in layers:
        name = f"{prefix}{item['config']['name']}"
        yield name, item["class_name"]
        if "layers" in item["config"]:
            yield from _named(item["config"]["layers"], f"{name}.")
