"""Discretization, CategoryEncoding and IntegerLookup, which make classes of numbers. None of them passes a mask on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import INTS, Value
from lstmconv_runtime.format.nodes import Reduce, Squeeze

from ...errors import printable
from ..building import Layer, Tensor
from ..call import Call
from ..composition.compose import elementwise, expanded, reduced, where

MOST_CLASSES = 4096  # each number is compared with every one of them
ENCODINGS = ("one_hot", "multi_hot", "count")


def discretization(layer: Layer, call: Call) -> Tensor:
    """How many of the boundaries are not above x; NaN is above all."""
    config = layer.config
    _of_keras3(layer)
    config.ignore("num_bins", "epsilon")  # for finding the boundaries
    config.only("sparse", False)
    mode = config.choice("output_mode", ("int", *ENCODINGS), "int")
    boundaries = config.raw("bin_boundaries")
    if boundaries is None:
        raise layer.unsupported("bin_boundaries is not in its config: it was never adapted")
    if type(boundaries) is not list or not boundaries or not all(map(_is_number, boundaries)):
        raise config.bad("bin_boundaries", "a list of numbers")
    if sorted(boundaries) != boundaries or len(boundaries) > MOST_CLASSES:
        raise layer.unsupported(f"bin_boundaries that do not ascend, or more than {MOST_CLASSES}")
    x = call.one(layer)
    dtype = layer.build.dtype(x)
    if dtype not in ("float32", "float64", *INTS):
        raise layer.unsupported(f"an input of {dtype}")
    value = x.value if dtype == "float64" else layer.build.cast(layer.where, x.value, "float32")
    bounds = np.asarray(boundaries, np.float32)  # Keras keeps them so, whatever x is
    dtype = layer.build.dtype(value)
    last = len(layer.build.shape(value))
    beside = expanded(layer, "beside", value, last)
    constant = layer.build.constant(layer.where, f"{layer.name}.boundaries", bounds.astype(dtype), dtype)
    reached = elementwise(layer, "reached", "logical_not", elementwise(layer, "above", "less", beside, constant))
    counted = layer.build.cast(layer.where, reached, "int32")
    places = reduced(layer, "" if mode == "int" else "places", "sum", counted, (last,), keepdims=False)
    if mode == "int":
        return Tensor(places)
    return _encoded(layer, str(mode), places, len(boundaries) + 1, None, layer.dtype)


def _of_keras3(layer: Layer) -> None:
    """Refuses what Keras before 3 wrote: it gave other dtypes, and errors in other places."""
    if not layer.build.semantics.modern:
        raise layer.unsupported("a file of before Keras 3", "E_UNSUPPORTED_LAYER")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def category_encoding(layer: Layer, call: Call) -> Tensor:
    """Ids as vectors of `num_tokens` places: one for each, or for all of an example which are there, or how often."""
    config = layer.config
    _of_keras3(layer)
    depth = config.integer("num_tokens", most=MOST_CLASSES)
    mode = config.choice("output_mode", (*ENCODINGS, "binary"), "multi_hot")
    config.only("sparse", False)
    x = call.one(layer)
    if layer.build.dtype(x) not in INTS:
        raise layer.unsupported(f"an input of {layer.build.dtype(x)}: only ids of whole numbers are")
    weights = call.option(1, "count_weights")
    if weights is not None and (mode != "count" or not isinstance(weights, Tensor)):
        raise layer.unsupported("count_weights")
    return _encoded(layer, "multi_hot" if mode == "binary" else str(mode), x.value, depth, weights, layer.dtype)


def _encoded(layer: Layer, mode: str, ids: Value, depth: int, weights: Tensor | None, dtype: str) -> Tensor:
    """Ids (B, n) → (B, depth), or of one_hot (B, …, depth); an id that is none of 0 … depth − 1 counts nowhere."""
    shape = layer.build.shape(ids)
    if dtype not in ("float32", "float64", "int64"):
        raise layer.unsupported(f"dtype {dtype}", "E_UNSUPPORTED_DTYPE")
    if mode == "one_hot" and len(shape) > 1:
        if shape[-1] is None:
            raise layer.unsupported("one_hot where the size of the last axis is open: Keras leaves out one of size 1")
        if shape[-1] == 1:
            ids = layer.add(Squeeze(name=layer.name_for("squeezed"), x=ids, axis=len(shape) - 1))
    elif mode != "one_hot" and len(shape) != 2:
        raise layer.unsupported(f"{mode} of an input of rank {len(shape)}; only rank 2 is supported")
    last = len(layer.build.shape(ids))
    kind = layer.build.dtype(ids)
    if np.iinfo(kind).max < depth - 1:
        raise layer.unsupported(f"{depth} classes of ids of {kind}")
    classes = layer.build.constant(layer.where, f"{layer.name}.classes", np.arange(depth), kind)
    same = elementwise(layer, "same", "equal", expanded(layer, "beside", ids, last), classes)
    if mode == "one_hot":
        return Tensor(layer.build.cast(layer.where, same, dtype))
    if mode == "multi_hot":
        there = layer.add(Reduce(name=layer.name_for("there"), x=same, op="any", axes=(1,), keepdims=False))
        return Tensor(layer.build.cast(layer.where, there, dtype))
    counted = layer.build.cast(layer.where, same, dtype)
    if weights is not None:
        if layer.build.shape(weights) != shape:
            raise layer.unsupported("count_weights of another shape than its input")
        each = layer.build.cast(layer.where, weights.value, dtype)
        counted = elementwise(layer, "weighted", "multiply", counted, expanded(layer, "weights", each, 2))
    return Tensor(reduced(layer, "", "sum", counted, (1,), keepdims=False))


def integer_lookup(layer: Layer, call: Call) -> Tensor:
    """The place of each whole number in the vocabulary, after those of the mask and of what is not in it."""
    config = layer.config
    _of_keras3(layer)
    config.ignore("max_tokens", "vocabulary_size", "oov_method", "salt")
    for option, only in (("invert", False), ("sparse", False), ("pad_to_max_tokens", False), ("idf_weights", None)):
        config.only(option, only)
    config.only("vocabulary_dtype", "int64")
    config.only("num_oov_indices", 1)
    mode = config.choice("output_mode", ("int", *ENCODINGS, "binary"), "int")
    mask_token, oov_token = config.raw("mask_token"), config.raw("oov_token", -1)
    tokens = _vocabulary(layer, mask_token if mode == "int" else None, oov_token)
    x = call.one(layer)
    if layer.build.dtype(x) not in INTS:
        raise layer.unsupported(f"an input of {layer.build.dtype(x)}: only whole numbers are")
    value = layer.build.cast(layer.where, x.value, "int64")
    unknown = 1 if mode == "int" and mask_token is not None else 0

    def whole(part: str, number: Any) -> Value:
        return layer.build.constant(layer.where, f"{layer.name}.{part}", number, "int64")

    last = len(layer.build.shape(value))
    beside = expanded(layer, "beside", value, last)
    same = elementwise(layer, "same", "equal", beside, whole("vocabulary", tokens))
    known = reduced(layer, "known", "any", same, (last,), keepdims=False)
    places = whole("places", np.arange(len(tokens)) + unknown + 1)
    chosen = where(layer, "chosen", same, places, whole("zero", 0))
    place = reduced(layer, "place", "sum", chosen, (last,), keepdims=False)
    masked = mask_token is not None
    plain = mode == "int"
    made = where(layer, "" if plain and not masked else "found", known, place, whole("unknown", unknown))
    if masked:
        at_mask = elementwise(layer, "at_mask", "equal", value, whole("mask", mask_token))
        made = where(layer, "" if plain else "masked", at_mask, whole("masked_place", 0), made)
    if plain:
        return Tensor(made)
    return _encoded(layer, "multi_hot" if mode == "binary" else str(mode), made, len(tokens) + 1, None, "int64")


def _vocabulary(layer: Layer, mask_token: Any, oov_token: Any) -> list[int]:
    """The tokens, without those that stand for the mask and for the unknown where the list begins with them."""
    tokens = layer.config.raw("vocabulary")
    if tokens is None:
        raise layer.unsupported(
            "its vocabulary is not in its config, as it was adapted: make it with vocabulary=[…] and export again"
        )
    if type(tokens) is not list or not tokens or not all(type(n) is int and abs(n) < 2**63 for n in tokens):
        raise layer.config.bad("vocabulary", "a list of whole numbers")
    if not (mask_token is None or type(mask_token) is int) or type(oov_token) is not int:
        raise layer.unsupported(f"mask_token {printable(mask_token)}, oov_token {printable(oov_token)}")
    special = [oov_token] if mask_token is None else [mask_token, oov_token]
    tokens = tokens[len(special) :] if tokens[: len(special)] == special else tokens
    if len(set(tokens)) < len(tokens) or not tokens or mask_token in tokens:
        raise layer.unsupported("a vocabulary with a token twice, or with the mask among its tokens")
    if len(tokens) > MOST_CLASSES:
        raise layer.unsupported(f"a vocabulary of {len(tokens)}, over the limit of {MOST_CLASSES}", "E_LIMIT_SIZE")
    return tokens
