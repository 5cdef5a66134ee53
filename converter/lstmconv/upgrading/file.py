"""An old Keras file → the same model as a `.keras` archive that today's Keras opens and computes as the old one did."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstmconv_runtime.difference import difference
from lstmconv_runtime.format.graph import Array, Graph

from ..bundles.probes import float64_oracle, make_probes
from ..errors import UnsupportedError, printable
from ..exporting import Understood, convert, refuse_unread, understand
from ..files.atomic import publish_bytes
from ..files.suffixes import ARCHIVE, check_suffix
from ..graph.building import Builder
from ..graph.convert import convert_config
from ..history.semantics import semantics_of
from ..reading import KerasFile, form, parse_keras_file, read_architecture, read_keras_file
from ..reading.layer_weights import PlainWeights
from .archive import KERAS_VERSION, archive_bytes, require_h5py
from .archive import Path as KerasPath
from .config import Modern, Recorded
from .functional_form import functional_form
from .masks import write_masks_out
from .order import ordered

TOLERANCE = 1e-4  # of the output's scale, in float64: a different formula is far beyond it, the rounding of 1.2·w below


@dataclass(frozen=True)
class Upgrade:
    """What `upgrade` has done.

    Attributes:
        keras_version: of the old file.
        difference: the largest between the old and the new model on the probes, relative to the output's scale.
        notes: what had to be changed so that the result stays the same.
        warnings: what was guessed.
    """

    keras_version: str
    difference: float
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def upgrade(
    old: str | os.PathLike[str],
    new: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    force: bool = False,
    deterministic: bool = False,
    replace: Mapping[str, Any] | None = None,
) -> Upgrade:
    """Writes the model of an old Keras file as a `.keras` archive for today's Keras.

    Layers keep their names. The archive is read back and compared with the old model on probes before it is published.

    Args:
        config: for files of weights alone, the path of the architecture that `model.to_json()` gave.
        force: replace an existing file.
        deterministic: take layers that are called with training=True as at inference, without their dropout.
        replace: as for `lstmconv.export`.

    Raises:
        LstmconvError: nothing has been written; the message says why.
    """
    check_suffix(new, ARCHIVE)
    require_h5py()
    architecture = None if config is None else read_architecture(config)
    made, data = upgraded(read_keras_file(old), architecture, deterministic, replace)
    publish_bytes(data, Path(new), force)
    return made


@dataclass(frozen=True)
class Plan:
    """An archive before it is written: its config, its arrays, and what was done."""

    config: dict[str, Any]
    arrays: dict[KerasPath, list[Array]]
    graph: Graph
    upgrade: Upgrade


def upgraded(
    file: KerasFile,
    architecture: Any = None,
    deterministic: bool = False,
    replace: Mapping[str, Any] | None = None,
) -> tuple[Upgrade, bytes]:
    """The archive's bytes, read back and compared with the old model.

    Raises:
        UnsupportedError: Keras 3 has nothing that computes the same; names it.
    """
    plan = planned(file, architecture, deterministic, replace)
    data = archive_bytes(plan.config, plan.arrays)
    _compared(plan.graph, convert(parse_keras_file(data, "the archive"), allow_nonfinite=True).graph)
    return plan.upgrade, data


def planned(
    file: KerasFile,
    architecture: Any = None,
    deterministic: bool = False,
    replace: Mapping[str, Any] | None = None,
) -> Plan:
    """The archive of a model, compared with the old model; h5py is not needed for this.

    Raises:
        UnsupportedError: Keras 3 has nothing that computes the same; names it.
    """
    known = understand(file, architecture, deterministic, replace)
    try:
        return _attempt(file, known, explicit=False, deterministic=deterministic)
    except UnsupportedError as error:
        if error.code != "E_NO_EQUIVALENT" or known.semantics.modern:
            raise
    return _attempt(file, known, explicit=True, deterministic=deterministic)


def _attempt(file: KerasFile, known: Understood, explicit: bool, deterministic: bool) -> Plan:
    """The archive, with the masks as Keras 3 makes them by itself, or with those of the old Keras written out.

    In Functional models masks are always written out, as Keras 3 itself does: they decide on the order of the layers.
    """
    build = Builder(known.semantics, allow_nonfinite=True, deterministic=deterministic)
    arrays: dict[tuple[str, ...], list[Array]] = {}
    config = form.todays(functional_form(known.config)) if explicit else known.config
    graph = convert_config(config, Recorded(known.weights, arrays), build)
    refuse_unread(file)
    maker = Modern(build, arrays)
    made = maker.model(config)
    write_masks_out(made, maker, explicit)
    made = ordered(made)
    new = convert_config(
        form.todays(made), PlainWeights(maker.arrays), Builder(semantics_of(KERAS_VERSION), allow_nonfinite=True)
    )
    warnings = (*known.warnings, *build.warnings)
    done = Upgrade(known.semantics.keras_version, _compared(graph, new), tuple(maker.notes), warnings)
    return Plan(made, maker.arrays, graph, done)


def _compared(old: Graph, new: Graph) -> float:
    """The difference of the archive's model from the old one.

    Raises:
        UnsupportedError: they do not compute the same.
    """
    names = dict(zip(new.inputs, old.inputs, strict=True))
    oracle = float64_oracle(new)
    worst = 0.0
    for probe in make_probes(old, "upgrade"):
        inputs: Mapping[str, Array] = {name: probe.inputs[names[name]] for name in new.inputs}
        for before, after, output in zip(probe.outputs, oracle(inputs), old.outputs, strict=True):
            found = difference(after, before).relative
            if not found <= TOLERANCE:
                raise UnsupportedError(
                    f"output '{printable(output)}': Keras {KERAS_VERSION} would compute it otherwise (by "
                    f"{found:.2g} of its scale), and no equivalent is known",
                    "E_NO_EQUIVALENT",
                )
            worst = max(worst, found)
    return worst


def upgrade_report(made: Upgrade, out: Path) -> dict[str, Any]:
    """What `lstmconv upgrade` says of an archive it has written, as a dict."""
    return {
        "archive": str(out), "keras_version": made.keras_version, "difference": made.difference,
        "notes": list(made.notes), "warnings": list(made.warnings),
    }  # fmt: skip


def upgrade_text(report: dict[str, Any]) -> str:
    """The dict of `upgrade_report` as lines."""
    lines = [f"wrote {printable(report['archive'])}, for Keras {KERAS_VERSION}, from Keras {report['keras_version']}"]
    lines += [f"  {note}" for note in report["notes"]]
    lines.append(f"  checked on probes: {report['difference']:.1g} of the output's scale apart")
    return "\n".join(lines)
