"""The activation functions, their constants and their values at the ends: the check, FORMAT.md and activations.json
follow this table. Their formulas stand with the functions, in `layers.activations`.
"""

from __future__ import annotations

from typing import NamedTuple


class Number(NamedTuple):
    """A constant of an activation.

    Attributes:
        whole: a whole number, written without a fraction; else written with one.
        nullable: null may stand for it.
    """

    meaning: str
    whole: bool = False
    nullable: bool = False


class Declared(NamedTuple):
    """An activation.

    Attributes:
        constants: all of them are stated in a bundle.
        at: its values at −∞, ∞ and NaN, in the words of FORMAT.md. Of a function along an axis, those of the place
            that holds it while the other places of the axis hold finite numbers.
    """

    constants: dict[str, Number]
    at: tuple[str, str, str]


AXIS = Number("the axis it works along, 1 … rank − 1 of what it is given", whole=True)
SLOPE, OFFSET = Number("factor of x"), Number("added to slope · x")
ACTIVATIONS: dict[str, Declared] = {
    "linear": Declared({}, ("−∞", "∞", "NaN")),
    "relu": Declared(
        {
            "max_value": Number("the upper cut, null for none", nullable=True),
            "negative_slope": Number("slope below the threshold"),
            "threshold": Number("where it begins"),
        },
        ("0; −∞ for negative_slope > 0", "∞, or max_value", "NaN; 0 for threshold ≠ 0 without negative_slope"),
    ),
    "sigmoid": Declared({}, ("0", "1", "NaN")),
    "tanh": Declared({}, ("−1", "1", "NaN")),
    "hard_sigmoid": Declared({"slope": SLOPE, "offset": OFFSET}, ("0", "1", "NaN")),
    "softmax": Declared({"axis": AXIS}, ("0", "NaN", "NaN")),
    "log_softmax": Declared({"axis": AXIS}, ("−∞", "NaN", "NaN")),
    "softplus": Declared({}, ("0", "∞", "NaN")),
    "softsign": Declared({}, ("NaN", "NaN", "NaN")),
    "elu": Declared({"alpha": Number("−alpha is the value at −∞")}, ("−alpha", "∞", "NaN")),
    "selu": Declared({}, ("−1.75809934", "∞", "NaN")),
    "celu": Declared({"alpha": Number("−alpha is the value at −∞; not 0")}, ("−alpha", "∞", "NaN")),
    "exponential": Declared({}, ("0", "∞", "NaN")),
    "gelu": Declared({}, ("NaN", "∞", "NaN")),
    "gelu_tanh": Declared({}, ("NaN", "∞", "NaN")),
    "silu": Declared({}, ("NaN", "∞", "NaN")),
    "hard_silu": Declared({"slope": SLOPE, "offset": OFFSET}, ("NaN", "∞", "NaN")),
    "mish": Declared({}, ("NaN", "∞", "NaN")),
    "glu": Declared({"axis": AXIS}, ("0 in b, −∞ in a", "a in b, ∞ in a", "NaN")),
    "hard_shrink": Declared({"threshold": Number("half the width of the gap")}, ("−∞", "∞", "0")),
    "soft_shrink": Declared({"threshold": Number("half the width of the gap")}, ("−∞", "∞", "0")),
    "tanh_shrink": Declared({}, ("−∞", "∞", "NaN")),
    "hard_tanh": Declared({}, ("−1", "1", "NaN")),
    "log_sigmoid": Declared({}, ("−∞", "0", "NaN")),
    "sparse_plus": Declared({}, ("0", "∞", "NaN")),
    "sparse_sigmoid": Declared({}, ("0", "1", "NaN")),
    "sparsemax": Declared({"axis": AXIS}, ("0", "not defined", "not defined")),
    "squareplus": Declared({"b": Number("curvature at 0, at least 0")}, ("NaN", "∞", "NaN")),
    "threshold": Declared(
        {"threshold": Number("the largest number that is replaced"), "default_value": Number("replaces them")},
        ("default_value", "∞", "default_value"),
    ),
}
