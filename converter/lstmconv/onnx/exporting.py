"""From a Keras file, a Keras model or a bundle to an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lstmconv_runtime
from lstmconv_runtime import BundleError
from lstmconv_runtime.format.bundle import Bundle, from_bytes

from ..bundles.load import read_model
from ..errors import LimitError, MissingPackageError, UsageError, printable
from ..exporting import convert, from_memory, written_bundle
from ..files.atomic import publish_bytes
from ..files.suffixes import ONNX, check_suffix
from ..reading import read_architecture
from ..version import __version__

MAX_BYTES = 2**31 - 1  # of a message of protobuf


@dataclass(frozen=True)
class OnnxExport:
    """What was written.

    Attributes:
        inputs, outputs: their names, those of states included.
        opset: of the operators.
        operators: how often each occurs.
        checked: what the file has passed, in words.
        warnings: lines for the user.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int
    operators: dict[str, int]
    checked: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def export_onnx(
    model: Any,
    out: str | os.PathLike[str],
    *,
    states: bool = False,
    force: bool = False,
    config: str | os.PathLike[str] | None = None,
    deterministic: bool = False,
    replace: Mapping[str, Any] | None = None,
) -> OnnxExport:
    """Writes a model as ONNX, with fused operators for its recurrent layers.

    Args:
        model: the path of a Keras file of any age or of a bundle, a Keras model in memory, a `Bundle`, or what
            `lstmconv_runtime.load` gives.
        out: where the file goes, `NAME.onnx`.
        states: the recurrent states become inputs `past.…` and outputs `present.…`, to run some steps at a time.
        force: replace an existing file.
        config, deterministic, replace: as for `export`; of a Keras file alone.

    Raises:
        LstmconvError: nothing has been written; the message says why.
        BundleError: the bundle is damaged.
    """
    check_suffix(out, ONNX)
    require_onnx()
    bundle, warnings = _bundle(model, config, deterministic, replace)
    proto = onnx_of(bundle, states)
    if proto.ByteSize() > MAX_BYTES:
        raise LimitError("an ONNX file holds 2 GiB at most, and this model is larger", "E_LIMIT_SIZE")
    from .checking import check_model

    checked = check_model(proto, bundle, states)
    publish_bytes(proto.SerializeToString(deterministic=True), out, force)
    counts: dict[str, int] = {}
    for node in proto.graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return OnnxExport(
        inputs=tuple(info.name for info in proto.graph.input),
        outputs=tuple(info.name for info in proto.graph.output),
        opset=proto.opset_import[0].version,
        operators=dict(sorted(counts.items())),
        checked=checked,
        warnings=warnings,
    )


def onnx_of(bundle: Bundle, states: bool = False) -> Any:
    """The ModelProto of a bundle.

    Raises:
        UnsupportedError: ONNX cannot say it, or, with `states`, it cannot run step by step; names the node.
    """
    from .model import write_model

    return write_model(bundle.graph, __version__, metadata(bundle, __version__), states)


def metadata(bundle: Bundle, version: str) -> dict[str, str]:
    """What the file says of its origin: the same as the bundle."""
    return {
        "lstmconv.version": version,
        **({"lstmconv.bundle": bundle.digest} if bundle.digest else {}),
        **{f"lstmconv.source.{key}": text for key, text in bundle.source.items()},
        **{f"lstmconv.semantics.{key}": text for key, text in bundle.semantics.items()},
    }


def require_onnx() -> None:
    """Raises:
    MissingPackageError: the onnx package is not installed.
    """
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise MissingPackageError("needs onnx, which is not installed: pip install 'lstmconv[onnx]'") from None


def _bundle(
    model: Any, config: str | os.PathLike[str] | None, deterministic: bool, replace: Mapping[str, Any] | None
) -> tuple[Bundle, tuple[str, ...]]:
    """The bundle of a model, and lines for the user."""
    told = config is not None or deterministic or replace
    if isinstance(model, lstmconv_runtime.Model | Bundle):
        return _whole(model if isinstance(model, Bundle) else model.bundle, told), ()
    if not isinstance(model, str | os.PathLike):
        if config is not None:
            raise UsageError("a model in memory has its own architecture; config is for files of weights alone")
        conversion, written = from_memory(model, False, deterministic, replace)
        return from_bytes(written.data), (*conversion.warnings, *written.warnings)
    architecture = None if config is None else read_architecture(config)
    file = read_model(model)
    if isinstance(file, bytes):
        return _whole(_loaded(file, Path(model)), told), ()
    conversion = convert(file, architecture=architecture, deterministic=deterministic, replace=replace)
    written = written_bundle(conversion)
    return from_bytes(written.data), (*conversion.warnings, *written.warnings)


def _loaded(data: bytes, path: Path) -> Bundle:
    """Raises:
    BundleError: it is damaged; the message starts with the file's name.
    """
    try:
        return from_bytes(data)
    except BundleError as error:
        raise type(error)(f"{printable(path.name, 80)}: {error}", error.code) from None


def _whole(bundle: Bundle, told: object) -> Bundle:
    if told:
        raise UsageError("config, deterministic and replace are for Keras files; a bundle has been converted already")
    return bundle
