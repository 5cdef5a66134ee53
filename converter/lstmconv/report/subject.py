"""The model that a page is about: read once, understood as far as it can be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstmconv_runtime import Model

from ..bundles.load import read_model
from ..doctor.examine import bundle_report, report
from ..exporting import convert, written_bundle
from ..parity.engines import Subject
from ..reading import read_architecture


@dataclass(frozen=True)
class Opened:
    """A file, and the model in it.

    Attributes:
        name: the file's, without its folder.
        about: what the doctor found; see `doctor.examine`.
        sha256: of the file; "" of a folder.
        subject: the model for the engines; None where the file cannot be converted.
    """

    name: str
    about: dict[str, Any]
    sha256: str
    subject: Subject | None

    @property
    def model(self) -> Model | None:
        return None if self.subject is None else self.subject.runtime


def open_model(path: Path, config: Path | None = None) -> Opened:
    """Reads a Keras file of any age, or a bundle.

    Args:
        config: the architecture, for files of weights alone.

    Raises:
        LstmconvError: the file cannot be read as a Keras file at all.
        BundleError: a bundle that is damaged.
    """
    architecture = None if config is None else read_architecture(config)
    name = path.resolve().name
    file = read_model(path)
    if isinstance(file, bytes):
        about = bundle_report(file, path)
        return Opened(name, about, hashlib.sha256(file).hexdigest(), Subject(file))
    about = report(file, path, architecture)
    if not about["convertible"]:
        return Opened(name, about, file.sha256, None)
    conversion = convert(file, architecture=architecture)
    written = written_bundle(conversion)
    warnings = dict.fromkeys((*about["warnings"], *conversion.warnings, *written.warnings))
    return Opened(name, {**about, "warnings": list(warnings)}, file.sha256, Subject(written.data, path))
