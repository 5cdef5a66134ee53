"""What one run of scoring is told: the same for each of its partitions, and for each process that computes some."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .columns import Columns


@dataclass(frozen=True)
class Settings:
    """How files become predictions.

    Attributes:
        rows_are: of a CSV, see `csv_table`.
        batch_size: rows to compute at once; None leaves it to `prediction.rows_at_once`.
        threads: for `Model.predict`.
        columns: of a table whose rows are cut into sequences; None for arrays.
    """

    rows_are: str | None = None
    batch_size: int | None = None
    threads: int | None = None
    columns: Columns | None = None

    def prefix(self) -> str | None:
        """What stands before the names of outputs that are joined to a table; None for arrays."""
        return None if self.columns is None else self.columns.prefix

    def lasting(self) -> dict[str, Any]:
        """Those that predictions hang on, for a run that goes on where another one stopped."""
        held = asdict(self)
        del held["threads"]
        return held
