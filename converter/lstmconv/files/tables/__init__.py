"""Parquet and Arrow, which need pyarrow: asked for when a table is met, so that nothing else waits for it."""

from __future__ import annotations

from types import ModuleType

from ...errors import MissingPackageError


def table_inputs() -> ModuleType:
    """The module `rows`.

    Raises:
        MissingPackageError: pyarrow is not installed.
    """
    try:
        from . import rows
    except ImportError as error:
        raise _missing(error) from None
    return rows


def table_writing() -> ModuleType:
    """The module `writing`; raises like `table_inputs`."""
    try:
        from . import writing
    except ImportError as error:
        raise _missing(error) from None
    return writing


def table_cells() -> ModuleType:
    """The module `cells`, with all that tables of rows need; raises like `table_inputs`."""
    try:
        from . import cells
    except ImportError as error:
        raise _missing(error) from None
    return cells


def _missing(error: ImportError) -> MissingPackageError:
    if (error.name or "").partition(".")[0] != "pyarrow":
        raise error
    return MissingPackageError("Parquet, Arrow and tables of rows need pyarrow: pip install 'lstmconv[tables]'")
