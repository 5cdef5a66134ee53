"""Each activation as ONNX nodes; formulas and their sources are in `lstmconv_runtime.layers.activations`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from lstmconv_runtime.format.graph import Activation

from ..writer import Tensor, Writer


class Formula:
    """Writes a formula of numbers of one dtype: +, −, × take tensors and Python's numbers alike."""

    def __init__(self, w: Writer, dtype: str) -> None:
        self.w, self.dtype = w, dtype

    def __call__(self, op: str, *args: Tensor | float) -> Tensor:
        return self.w(op, *(arg if isinstance(arg, str) else self.w.number(arg, self.dtype) for arg in args))

    def clip(self, x: Tensor, low: float, high: float) -> Tensor:
        return self("Clip", x, low, high)

    def expm1(self, x: Tensor) -> Tensor:
        """eˣ − 1 of x ≤ 0. ONNX has no expm1; the last digits of numbers near 0 are lost, an ulp of 1 at most."""
        return self("Sub", self("Exp", x), 1.0)

    def log1p(self, x: Tensor) -> Tensor:
        """log(1 + x) of x ≥ 0."""
        return self("Log", self("Add", x, 1.0))

    def erf(self, x: Tensor) -> Tensor:
        """The error function.

        No engine has `Erf` of float64. There it is a sine series: a square wave of half period L that the heat equation
        has smoothed for the time ¼ is erf(x) for |x| < L / 2, up to erfc(L / 2), and

            erf(x) = Σ over odd k of 4 / (k π) · exp(−(k π / 2L)²) · sin(k π x / L)

        With L = 12 what is left out is below 1e-16, and 1 − erf(6) is too.
        """
        if self.dtype != "float64":
            return self("Erf", x)
        k = np.arange(1, 50, 2) * np.pi
        terms = self("Sin", self.w("Mul", self.w.unsqueeze(self.clip(x, -6.0, 6.0), -1), self.w.array(k / 12)))
        return self.w("MatMul", terms, self.w.array(4 / k * np.exp(-((k / 24) ** 2))))


def linear(f: Formula, x: Tensor) -> Tensor:
    return x


def relu(f: Formula, x: Tensor, *, max_value: float | None, negative_slope: float, threshold: float) -> Tensor:
    y = f("Max", x, 0.0) if threshold == 0 else f("Where", f("Greater", x, threshold), x, 0.0)
    if max_value is not None:
        y = f.clip(y, 0.0, max_value)
    if negative_slope != 0:
        y = f("Sub", y, f("Mul", negative_slope, f("Max", f("Sub", threshold, x), 0.0)))
    return y


def sigmoid(f: Formula, x: Tensor) -> Tensor:
    return f("Sigmoid", x)


def tanh(f: Formula, x: Tensor) -> Tensor:
    return f("Tanh", x)


def hard_sigmoid(f: Formula, x: Tensor, *, slope: float, offset: float) -> Tensor:
    return f.clip(f("Add", f("Mul", x, slope), offset), 0.0, 1.0)


def softmax(f: Formula, x: Tensor, *, axis: float = -1) -> Tensor:
    return f.w("Softmax", x, axis=int(axis))


def log_softmax(f: Formula, x: Tensor, *, axis: float = -1) -> Tensor:
    return f.w("LogSoftmax", x, axis=int(axis))


def softplus(f: Formula, x: Tensor) -> Tensor:
    return f("Add", f("Max", x, 0.0), f.log1p(f("Exp", f("Neg", f("Abs", x)))))


def softsign(f: Formula, x: Tensor) -> Tensor:
    return f("Div", x, f("Add", f("Abs", x), 1.0))


def elu(f: Formula, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return f("Where", f("Greater", x, 0.0), x, f("Mul", alpha, f.expm1(f("Min", x, 0.0))))


def selu(f: Formula, x: Tensor) -> Tensor:
    return f("Mul", 1.0507009873554805, elu(f, x, alpha=1.6732632423543772))


def celu(f: Formula, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return f("Add", f("Max", x, 0.0), f("Mul", alpha, f.expm1(f("Div", f("Min", x, 0.0), alpha))))


def exponential(f: Formula, x: Tensor) -> Tensor:
    return f("Exp", x)


def gelu(f: Formula, x: Tensor) -> Tensor:
    return f("Mul", f("Mul", x, 0.5), f("Add", f.erf(f("Mul", x, 2**-0.5)), 1.0))


def gelu_tanh(f: Formula, x: Tensor) -> Tensor:
    cube = f("Mul", f("Mul", x, x), x)
    inner = f("Mul", 0.7978845608028654, f("Add", x, f("Mul", 0.044715, cube)))
    return f("Mul", f("Mul", x, 0.5), f("Add", f("Tanh", inner), 1.0))


def silu(f: Formula, x: Tensor) -> Tensor:
    return f("Mul", x, f("Sigmoid", x))


def hard_silu(f: Formula, x: Tensor, *, slope: float = 1 / 6, offset: float = 0.5) -> Tensor:
    return f("Mul", x, hard_sigmoid(f, x, slope=slope, offset=offset))


def mish(f: Formula, x: Tensor) -> Tensor:
    return f("Mul", x, f("Tanh", softplus(f, x)))


def glu(f: Formula, x: Tensor, *, axis: float = -1) -> Tensor:
    a, b = f.w.several("Split", 2, x, axis=int(axis))
    return f("Mul", a, f("Sigmoid", b))


def hard_shrink(f: Formula, x: Tensor, *, threshold: float = 0.5) -> Tensor:
    return f("Where", f("Greater", f("Abs", x), threshold), x, 0.0)


def soft_shrink(f: Formula, x: Tensor, *, threshold: float = 0.5) -> Tensor:
    below = f("Where", f("Less", x, -threshold), f("Add", x, threshold), 0.0)
    return f("Where", f("Greater", x, threshold), f("Sub", x, threshold), below)


def tanh_shrink(f: Formula, x: Tensor) -> Tensor:
    return f("Sub", x, f("Tanh", x))


def hard_tanh(f: Formula, x: Tensor) -> Tensor:
    return f.clip(x, -1.0, 1.0)


def log_sigmoid(f: Formula, x: Tensor) -> Tensor:
    return f("Neg", softplus(f, f("Neg", x)))


def sparse_plus(f: Formula, x: Tensor) -> Tensor:
    above = f("Add", x, 1.0)
    within = f("Mul", 0.25, f("Mul", above, above))
    return f("Where", f("LessOrEqual", x, -1.0), 0.0, f("Where", f("Less", x, 1.0), within, x))


def sparse_sigmoid(f: Formula, x: Tensor) -> Tensor:
    return f.clip(f("Mul", 0.5, f("Add", x, 1.0)), 0.0, 1.0)


def sparsemax(f: Formula, x: Tensor, *, axis: float = -1) -> Tensor:
    """max(x − τ, 0), τ = (Σₖ sₖ − 1) / K over the K places k of x in falling order with x₍ₖ₎ − (sₖ − 1) / k > 0."""
    w, along = f.w, int(axis)
    n = w.size(x, along)
    z, _ = w.several("TopK", 2, x, n, axis=along, largest=1, sorted=1)
    ones = w("Expand", w.number(1.0, f.dtype), w("Shape", x))
    at = w.array(np.asarray(along, np.int64))
    k, sums = w("CumSum", ones, at), w("CumSum", z, at)
    support = f("Greater", f("Sub", z, f("Div", f("Sub", sums, 1.0), k)), 0.0)
    inside, axes = w.cast(support, f.dtype), w.ints(along)
    total = w("ReduceSum", f("Mul", sums, inside), axes, keepdims=1)
    tau = f("Div", f("Sub", total, 1.0), w("ReduceSum", inside, axes, keepdims=1))
    return f("Max", f("Sub", x, tau), 0.0)


def squareplus(f: Formula, x: Tensor, *, b: float = 4.0) -> Tensor:
    return f("Mul", 0.5, f("Add", x, f("Sqrt", f("Add", f("Mul", x, x), b))))


def threshold(f: Formula, x: Tensor, *, threshold: float, default_value: float) -> Tensor:
    return f("Where", f("Greater", x, threshold), x, default_value)


ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "linear": linear,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "hard_sigmoid": hard_sigmoid,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softplus": softplus,
    "softsign": softsign,
    "elu": elu,
    "selu": selu,
    "celu": celu,
    "exponential": exponential,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": silu,
    "hard_silu": hard_silu,
    "mish": mish,
    "glu": glu,
    "hard_shrink": hard_shrink,
    "soft_shrink": soft_shrink,
    "tanh_shrink": tanh_shrink,
    "hard_tanh": hard_tanh,
    "log_sigmoid": log_sigmoid,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid,
    "sparsemax": sparsemax,
    "squareplus": squareplus,
    "threshold": threshold,
}


def activated(w: Writer, x: Tensor, activation: Activation, dtype: str) -> Tensor:
    """act(x), of a dtype that ONNX computes in."""
    return ACTIVATIONS[activation.name](Formula(w, dtype), x, **dict(activation.constants))


# The functions that we use inside LSTM, GRU and RNN: those that onnxruntime has, which other engines need not have. It
# has Softplus too, which overflows from x = 89 on.
FUNCTIONS = ("Affine", "LeakyRelu", "ThresholdedRelu", "HardSigmoid", "Elu", "Softsign", "Relu", "Sigmoid", "Tanh")
# One of them by its name there, with the alpha and the beta that it takes.
Fused = tuple[str, list[float], list[float]]


def fused(activation: Activation) -> Fused | None:
    """An activation as a function of the fused operators; None where they have none."""
    constants = dict(activation.constants)
    match activation.name:
        case "linear":
            return "Affine", [1.0], [0.0]
        case "relu":
            return _fused_relu(constants)
        case "hard_sigmoid":
            return "HardSigmoid", [_number(constants["slope"])], [_number(constants["offset"])]
        case "elu":
            return "Elu", [_number(constants["alpha"])], []
        case "sigmoid" | "tanh" | "softsign":
            return activation.name.capitalize(), [], []
    return None


def _fused_relu(constants: dict[str, float | None]) -> Fused | None:
    slope, threshold = _number(constants["negative_slope"]), _number(constants["threshold"])
    if constants["max_value"] is not None or (slope and threshold) or threshold < 0:
        return None
    if slope:
        return "LeakyRelu", [slope], []
    return ("ThresholdedRelu", [threshold], []) if threshold else ("Relu", [], [])


def _number(value: float | None) -> float:
    assert value is not None
    return value
