"""Activation functions, each with its formula and its source.

Every function takes an array of float32 or float64 and returns one of the same dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np

from ..format.graph import Activation, Array


def _as(x: Array, value: float) -> np.floating[Any]:
    """A constant of the dtype of x, so that float32 stays float32."""
    constant: np.floating[Any] = x.dtype.type(value)
    return constant


def linear(x: Array) -> Array:
    return x


def relu(x: Array, *, max_value: float | None, negative_slope: float, threshold: float) -> Array:
    """In this order: x where x > threshold, else 0; cut to 0 … max_value if given; less negative_slope *
    max(threshold − x, 0), which no cut follows. With threshold 0 the first is max(x, 0). NaN stays NaN in max and cut.
    """
    zero, t = _as(x, 0), _as(x, threshold)
    y = np.maximum(x, zero) if threshold == 0 else np.where(x > t, x, zero)
    if max_value is not None:
        y = np.clip(y, zero, _as(x, max_value))
    if negative_slope != 0:
        y = y - _as(x, negative_slope) * np.maximum(t - x, zero)
    return y


def sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ), for negative x as eˣ / (1 + eˣ): nothing overflows, and small values keep all their digits."""
    one, e = _as(x, 1), np.exp(-np.abs(x))
    return np.where(x >= 0, one, e) / (one + e)


def hard_sigmoid(x: Array, *, slope: float, offset: float) -> Array:
    """clip(slope * x + offset, 0, 1). Keras 1 and 2: 0.2, 0.5. Keras 3: 1/6, 0.5."""
    return np.clip(_as(x, slope) * x + _as(x, offset), _as(x, 0), _as(x, 1))


def softmax(x: Array, *, axis: float = -1) -> Array:
    """eˣ / Σ eˣ along axis, shifted by the maximum."""
    e = np.exp(x - x.max(axis=int(axis), keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=int(axis), keepdims=True))


def log_softmax(x: Array, *, axis: float = -1) -> Array:
    """x − log Σ eˣ along axis, shifted by the maximum."""
    x = x - x.max(axis=int(axis), keepdims=True, initial=-np.inf)
    return np.asarray(x - np.log(np.exp(x).sum(axis=int(axis), keepdims=True)))


def softplus(x: Array) -> Array:
    """log(1 + eˣ) = max(x, 0) + log1p(e^−|x|)."""
    return np.maximum(x, _as(x, 0)) + np.log1p(np.exp(-np.abs(x)))


def softsign(x: Array) -> Array:
    """x / (1 + |x|)."""
    return x / (_as(x, 1) + np.abs(x))


def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """x where x > 0; alpha (eˣ − 1) below (Clevert 2015)."""
    return np.where(x > 0, x, _as(x, alpha) * np.expm1(np.minimum(x, _as(x, 0))))


def selu(x: Array) -> Array:
    """Scale 1.05070098 times elu with alpha 1.67326324 (Klambauer 2017)."""
    return _as(x, 1.0507009873554805) * elu(x, alpha=1.6732632423543772)


def celu(x: Array, *, alpha: float = 1.0) -> Array:
    """max(x, 0) + min(0, alpha (e^(x/alpha) − 1)) (Barron 2017)."""
    zero = _as(x, 0)
    return np.maximum(x, zero) + _as(x, alpha) * np.expm1(np.minimum(x, zero) / _as(x, alpha))


def exponential(x: Array) -> Array:
    """eˣ."""
    return np.asarray(np.exp(x))


def gelu(x: Array) -> Array:
    """x Φ(x) = ½ x (1 + erf(x / √2)) (Hendrycks 2016)."""
    return _as(x, 0.5) * x * (_as(x, 1) + erf(x * _as(x, 2**-0.5)))


def gelu_tanh(x: Array) -> Array:
    """½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))."""
    inner = _as(x, 0.7978845608028654) * (x + _as(x, 0.044715) * x * x * x)
    return _as(x, 0.5) * x * (_as(x, 1) + np.tanh(inner))


def erf(x: Array) -> Array:
    """The error function, within 2 ulp of float32, or 1e-15 for float64.

    Power series for |x| < 3, where its largest term stays below 1e3, and the continued fraction of erfc beyond
    (Abramowitz and Stegun 7.1.6, 7.1.14), both evaluated in float64.
    """
    z = np.minimum(np.abs(x.astype(np.float64)), 6.0)
    square = z * z
    # 2/√π e^(−z²) Σ 2ⁿ z^(2n+1) / (1·3·…·(2n+1)): every term is positive, so nothing cancels.
    term, total = z.copy(), z.copy()
    for n in range(1, 60):
        term *= 2 * square / (2 * n + 1)
        total += term
    series = 2 / np.sqrt(np.pi) * np.exp(-square) * total
    fraction = np.zeros_like(z)
    for n in range(60, 0, -1):
        fraction = (n / 2) / (np.maximum(z, 1.0) + fraction)
    tail = 1 - np.exp(-square) / np.sqrt(np.pi) / (np.maximum(z, 1.0) + fraction)
    return np.asarray(np.copysign(np.where(z < 3, series, tail), x).astype(x.dtype))


def silu(x: Array) -> Array:
    """x σ(x), also called swish."""
    return x * sigmoid(x)


def hard_silu(x: Array, *, slope: float = 1 / 6, offset: float = 0.5) -> Array:
    """x hard_sigmoid(x), also called hard_swish."""
    return x * hard_sigmoid(x, slope=slope, offset=offset)


def mish(x: Array) -> Array:
    """x tanh(softplus(x)) (Misra 2019)."""
    return x * np.tanh(softplus(x))


def glu(x: Array, *, axis: float = -1) -> Array:
    """a σ(b), a the first and b the second half of x along axis, which has an even, known size (Dauphin 2016)."""
    a, b = np.split(x, 2, axis=int(axis))
    return a * sigmoid(b)


def hard_shrink(x: Array, *, threshold: float = 0.5) -> Array:
    """x where |x| > threshold, else 0."""
    return np.where(np.abs(x) > _as(x, threshold), x, _as(x, 0))


def soft_shrink(x: Array, *, threshold: float = 0.5) -> Array:
    """x moved towards 0 by threshold, and 0 within it."""
    t = _as(x, threshold)
    return np.where(x > t, x - t, np.where(x < -t, x + t, _as(x, 0)))


def tanh_shrink(x: Array) -> Array:
    """x − tanh(x)."""
    return x - np.tanh(x)


def hard_tanh(x: Array) -> Array:
    """clip(x, −1, 1)."""
    return np.clip(x, _as(x, -1), _as(x, 1))


def log_sigmoid(x: Array) -> Array:
    """log σ(x) = −softplus(−x)."""
    return -softplus(-x)


def sparse_plus(x: Array) -> Array:
    """0 for x ≤ −1; ¼ (x + 1)² within; x for x ≥ 1."""
    one = _as(x, 1)
    return np.where(x <= -one, _as(x, 0), np.where(x < one, _as(x, 0.25) * (x + one) ** 2, x))


def sparse_sigmoid(x: Array) -> Array:
    """clip(½ (x + 1), 0, 1)."""
    return np.clip(_as(x, 0.5) * (x + _as(x, 1)), _as(x, 0), _as(x, 1))


def sparsemax(x: Array, *, axis: float = -1) -> Array:
    """max(x − τ, 0), τ = (S − 1) / K. With x₍₁₎ ≥ x₍₂₎ ≥ … the numbers along axis in falling order and
    sₖ = x₍₁₎ + … + x₍ₖ₎ the sum of the k largest: the support is the k = 1, 2, … with x₍ₖ₎ − (sₖ − 1) / k > 0, K is how
    many they are, and S is the sum of sₖ over the support: s₁ + … + s_K, a sum of sums. This is what Keras computes;
    Martins 2016, where the idea comes from, has S = s_K, and the two agree only where K is 1.
    """
    z = np.sort(np.moveaxis(x, int(axis), -1), axis=-1)[..., ::-1]
    k = np.arange(1, z.shape[-1] + 1, dtype=x.dtype)
    sums = np.cumsum(z, axis=-1)
    support = z - (sums - 1) / k > 0
    tau = (np.sum(np.where(support, sums, 0), axis=-1, keepdims=True) - 1) / np.sum(support, axis=-1, keepdims=True)
    return np.maximum(x - np.moveaxis(tau.astype(x.dtype), -1, int(axis)), _as(x, 0))


def squareplus(x: Array, *, b: float = 4.0) -> Array:
    """½ (x + √(x² + b))."""
    return _as(x, 0.5) * (x + np.sqrt(x * x + _as(x, b)))


def threshold(x: Array, *, threshold: float, default_value: float) -> Array:
    """x where x > threshold, else default_value."""
    return np.where(x > _as(x, threshold), x, _as(x, default_value))


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "linear": linear,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
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


def function(activation: Activation) -> Callable[[Array], Array]:
    """The activation as a function of one array."""
    if callable(activation):  # an evaluation may bring its own, to ask how much the error of a function matters
        return cast("Callable[[Array], Array]", activation)
    return _named(activation)


@cache
def _named(activation: Activation) -> Callable[[Array], Array]:
    call = FUNCTIONS[activation.name]
    constants = dict(activation.constants)
    if not constants:
        return call
    return lambda x: call(x, **constants)
