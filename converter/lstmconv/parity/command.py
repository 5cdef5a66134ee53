"""`lstmconv parity`: a Keras file and, if given, inputs to check it on."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
from lstmconv_runtime.graph import Array

from ..errors import FileAccessError, MissingPackageError, UsageError, printable
from .cross_check import cross_check, draw_inputs
from .engines import EngineMissing, Subject, import_quietly


def run(model: Path, input: Path | None, as_json: bool) -> int:
    """Prints the parity report of a Keras file.

    Args:
        input: an .npy file for a model of one input, or an .npz file with an array per input; None draws random ones.
        as_json: print the report as JSON.

    Returns:
        0 where all engines agree, 1 where they do not or where there was nothing to compare.

    Raises:
        MissingPackageError: Keras is not installed, so there is nothing to compare with.
        LstmconvError: the model cannot be converted, or the inputs cannot be read.
        InputError: the inputs do not fit the model.
    """
    subject = Subject.from_file(model)
    names = subject.runtime.input_names
    inputs = draw_inputs(subject.runtime.bundle.graph) if input is None else read_inputs(input, names)
    try:
        import_quietly("keras")
    except EngineMissing as reason:
        raise MissingPackageError(f"parity {reason}") from None
    report = cross_check(subject, inputs)
    print(json.dumps(report.as_dict(), indent=2, allow_nan=False) if as_json else report.text())
    return 0 if report.ok else 1


def read_inputs(path: Path, names: tuple[str, ...]) -> dict[str, Array]:
    """Arrays by input name from an .npy or .npz file.

    In an .npz file the arrays have the names of the inputs; the single array of a file for a single input may have any.

    Raises:
        FileAccessError: the file cannot be read.
        UsageError: it is not such a file, or has other names.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            arrays = {"": loaded}
        else:
            with loaded:
                arrays = {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise FileAccessError(f"cannot read '{path}': {error.strerror or error}") from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"'{path}' is not an .npy or .npz file of plain arrays: {printable(str(error))}") from None
    if len(arrays) == 1 and len(names) == 1:
        return {names[0]: next(iter(arrays.values()))}
    if set(arrays) != set(names):
        found = ", ".join(printable(name) for name in arrays) if "" not in arrays else "a single array without a name"
        raise UsageError(f"'{path}' needs one array for each of the inputs {', '.join(names)}; it has {found}")
    return arrays
