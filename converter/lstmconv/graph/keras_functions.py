"""OPERATIONS: the functions of keras.ops that a functional graph may hold beside its layers, by module and class."""

from __future__ import annotations

from .call import Handler
from .functions import arrangement, arrays, contraction, elementwise, statistics

OPERATIONS: dict[tuple[str, str], Handler] = {
    **elementwise.OPERATIONS,
    **arrays.OPERATIONS,
    **arrangement.OPERATIONS,
    **statistics.OPERATIONS,
    **contraction.OPERATIONS,
}
