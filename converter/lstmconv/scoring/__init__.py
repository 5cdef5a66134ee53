"""Predictions for a lot of data: many files, tables, processes, and clusters.

from lstmconv.scoring import score_frame

score_frame(model, frame, ["a", "b"], window=30, group_by="id", time="t")  # of pandas or polars
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dask_collections import map_blocks, map_partitions
    from .frames import score_frame

__all__ = ["map_blocks", "map_partitions", "score_frame"]

_MODULES = {"map_blocks": "dask_collections", "map_partitions": "dask_collections", "score_frame": "frames"}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, so that scoring files does not wait for the rest."""
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module 'lstmconv.scoring' has no attribute {name!r}")
