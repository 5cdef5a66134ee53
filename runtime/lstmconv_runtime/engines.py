"""Which engine runs the recurrent layers: the compiled kernel where it is built, else NumPy. The rest is NumPy's.

The kernel computes what NumPy does, to the rounding of float32; nodes that it does not know are left to NumPy one by
one (see `recurrent.choose`).
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from .errors import EngineError, InputError

kernel: ModuleType | None = None
ABSENT = ""  # why there is no kernel
try:
    kernel = import_module("._kernel", __package__)
except ImportError as reason:
    ABSENT = str(reason)

VARIABLE = "LSTMCONV_ENGINE"
NUMPY, KERNEL = "numpy", "kernel"


class Engine(NamedTuple):
    """What runs the recurrent layers; as text ``kernel (AVX2)`` or ``numpy``."""

    name: str  # "kernel" or "numpy"
    instruction_set: str | None  # of the processor, that the kernel uses; None for NumPy, which has a choice of its own

    def __str__(self) -> str:
        return self.name if self.instruction_set is None else f"{self.name} ({self.instruction_set})"


def engine(name: str | None = None) -> Engine:
    """The engine that `load` gives a model.

    Args:
        name: "kernel" or "numpy"; None is what the environment variable LSTMCONV_ENGINE says, and where it is not set
            or empty the kernel, if it is built.

    Raises:
        EngineError: the kernel is asked for, and not there.
        InputError: no such engine.
    """
    asked, source = name, "engine"
    if name is None:
        asked, source = os.environ.get(VARIABLE) or None, VARIABLE
    if not isinstance(asked, str | None) or asked not in (None, NUMPY, KERNEL):
        raise InputError(f'{source} must be "{NUMPY}" or "{KERNEL}", got {asked!r}', "E_ARGUMENT")
    if asked == NUMPY or (asked is None and kernel is None):
        return Engine(NUMPY, None)
    if kernel is None:
        raise EngineError(
            f"the compiled kernel is not built here ({ABSENT}): reinstall lstmconv-runtime where there is a C compiler "
            f'(gcc or clang) and LSTMCONV_RUNTIME_PURE is not set, or take engine="{NUMPY}"'
        )
    return Engine(KERNEL, next(iter(kernel.instruction_sets())))
