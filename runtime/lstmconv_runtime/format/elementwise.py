"""The operations of the Elementwise node, declared once: the check, FORMAT.md and nodes.json follow this table."""

from __future__ import annotations

from typing import NamedTuple

from .graph import DTYPES, FLOATS, INTS

NUMBERS = (*FLOATS, *INTS)
BOOL = ("bool",)


class Operation(NamedTuple):
    """One operation, of places x, or x and y.

    Attributes:
        takes: the dtypes its arguments may have, all of them the same one.
        gives: the dtype of the result; "" is that of the arguments.
        odd: what becomes of NaN, infinities and zeros, beyond what IEEE 754 says of the formula.
        whole: what becomes of whole numbers; "" where it takes none.
    """

    arity: int
    takes: tuple[str, ...]
    gives: str
    formula: str
    odd: str = ""
    whole: str = ""


WRAPS = "modulo 2ⁿ"
SPREADS = "NaN if an argument is NaN; of 0 and −0 either one"
ORDERED = "false if an argument is NaN; −0 equals 0"
OF_ALL = "exact; false is below true"
OPERATIONS: dict[str, Operation] = {
    "add": Operation(2, NUMBERS, "", "x + y", whole=WRAPS),
    "subtract": Operation(2, NUMBERS, "", "x − y", whole=WRAPS),
    "multiply": Operation(2, NUMBERS, "", "x · y", whole=WRAPS),
    "divide": Operation(2, FLOATS, "", "x / y", "x / 0 is ±∞, 0 / 0 is NaN"),
    "power": Operation(
        2, NUMBERS, "", "xʸ", "as `pow` of C: x⁰ and 1ʸ are 1 for NaN too; a fractional power of x < 0 is NaN",
        "modulo 2ⁿ; 0⁰ is 1; y < 0 is an error",
    ),
    "maximum": Operation(2, NUMBERS, "", "the larger of x and y", SPREADS, "exact"),
    "minimum": Operation(2, NUMBERS, "", "the smaller of x and y", SPREADS, "exact"),
    "negative": Operation(1, NUMBERS, "", "−x", whole="modulo 2ⁿ, unsigned ones too"),
    "absolute": Operation(1, NUMBERS, "", "|x|", whole="modulo 2ⁿ: the least number of a signed dtype stays itself"),
    "exp": Operation(1, FLOATS, "", "eˣ"),
    "log": Operation(1, FLOATS, "", "the natural logarithm of x", "−∞ at 0 and −0, NaN below"),
    "sqrt": Operation(1, FLOATS, "", "√x", "NaN below 0"),
    "rsqrt": Operation(1, FLOATS, "", "1 / √x", "∞ at 0, −∞ at −0, 0 at ∞, NaN below 0"),
    "square": Operation(1, NUMBERS, "", "x · x", whole=WRAPS),
    "sign": Operation(1, NUMBERS, "", "−1, 0 or 1", "NaN stays NaN; 0 for −0", "exact"),
    "reciprocal": Operation(1, FLOATS, "", "1 / x", "±∞ at ±0"),
    "sin": Operation(1, FLOATS, "", "sin x, x in radians", "NaN at ±∞"),
    "cos": Operation(1, FLOATS, "", "cos x, x in radians", "NaN at ±∞"),
    "floor": Operation(1, FLOATS, "", "the largest whole number ≤ x", "±∞ stay"),
    "equal": Operation(2, DTYPES, "bool", "x = y", ORDERED, OF_ALL),
    "not_equal": Operation(2, DTYPES, "bool", "x ≠ y", "true if an argument is NaN; −0 equals 0", OF_ALL),
    "greater": Operation(2, DTYPES, "bool", "x > y", ORDERED, OF_ALL),
    "greater_equal": Operation(2, DTYPES, "bool", "x ≥ y", ORDERED, OF_ALL),
    "less": Operation(2, DTYPES, "bool", "x < y", ORDERED, OF_ALL),
    "less_equal": Operation(2, DTYPES, "bool", "x ≤ y", ORDERED, OF_ALL),
    "logical_and": Operation(2, BOOL, "bool", "x and y"),
    "logical_or": Operation(2, BOOL, "bool", "x or y"),
    "logical_xor": Operation(2, BOOL, "bool", "x ≠ y"),
    "logical_not": Operation(1, BOOL, "bool", "not x"),
}  # fmt: skip

OF_FLOATS = tuple(name for name, operation in OPERATIONS.items() if operation.takes == FLOATS)
COMPARISONS = tuple(name for name, operation in OPERATIONS.items() if operation.takes == DTYPES)
