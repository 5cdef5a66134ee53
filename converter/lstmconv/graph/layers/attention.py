"""Attention, AdditiveAttention and MultiHeadAttention, written out in matrix products, masks and a softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import SIGMOID, Activation, Array, Value
from lstmconv_runtime.format.nodes import Activate, CausalMask, Dense, Reshape, Transpose

from ...errors import InvalidFileError, printable
from ...reading.layer_weights import LayerWeights, Spec
from ..building import Layer, Tensor
from ..call import Call, Outputs
from ..composition.compose import conjunction, elementwise, expanded, product, reduced, scalar, where
from ..composition.shapes import known_size, shape_of

SOFTMAX = Activation("softmax", (("axis", -1.0),))


def _softmax(layer: Layer, part: str, x: Value) -> Value:
    return layer.add(Activate(name=layer.name_for(part), x=x, activation=SOFTMAX))


def flag(layer: Layer, call: Call, position: int, name: str) -> bool:
    """A switch among the arguments of the call."""
    value = call.option(position, name)
    if value not in (None, True, False):
        raise layer.unsupported(f"called with {name}={printable(value)}")
    return bool(value)


def _as_mask(layer: Layer, mask: Tensor | Value) -> Value:
    return layer.build.cast(layer.where, mask.value if isinstance(mask, Tensor) else mask, "bool")


def attention(layer: Layer, call: Call) -> Outputs:
    """Attention (Luong 2015), AdditiveAttention (Bahdanau 2015) over [query, value] or [query, value, key].

    A score outside the mask is lowered by 10⁹ (65504 in float16), so a row with nothing in its mask attends to every
    place alike. The output is 0 where the query is masked.
    """
    layer.config.ignore("dropout")
    inputs = call.many(layer, 2)
    if len(inputs) > 3:
        raise InvalidFileError(f"{layer.where}: takes query, value and key, got {len(inputs)} tensors", "E_GRAPH")
    for tensor in inputs:
        shape_of(layer, tensor, 3)
    query, value, key = inputs[0], inputs[1], inputs[-1]
    query_mask, value_mask = _attention_masks(layer, call, inputs)
    scores = _scores(layer, query.value, key.value)
    dtype = layer.build.dtype(scores)
    masks = [expanded(layer, "value_mask", value_mask, 1)] if value_mask else []
    if flag(layer, call, 4, "use_causal_mask"):
        masks.append(layer.add(CausalMask(name=layer.name_for("causal"), x=scores)))
    mask = conjunction(layer, "mask", masks)
    if mask is not None:
        scores = where(layer, "masked", mask, scores, _lowered(layer, scores))
    weights = _softmax(layer, "scores", scores)
    made = product(layer, "" if query_mask is None else "attended", weights, value.value)
    if query_mask is not None:
        zero = scalar(layer, "zero", 0.0, dtype)
        made = where(layer, "", expanded(layer, "query_mask", query_mask, 2), made, zero)
    output = Tensor(made, query_mask)
    return [output, Tensor(weights)] if flag(layer, call, 3, "return_attention_scores") else output


def _lowered(layer: Layer, scores: Value) -> Value:
    """scores − 10⁹, or − 65504 in float16.

    In float32 the difference is a multiple of 64, which decides what a row with nothing in its mask attends to. The
    scores are rounded to that before, so that the graph says the same when it is evaluated in float64.
    """
    dtype = layer.build.dtype(scores)
    if dtype == "float32":
        shares = elementwise(layer, "lowered", "multiply", scores, scalar(layer, "share", 1 / 64, dtype))
        shifted = elementwise(layer, "lowered", "add", shares, scalar(layer, "half", 0.5, dtype))
        whole = elementwise(layer, "lowered", "floor", shifted)
        scores = elementwise(layer, "lowered", "multiply", whole, scalar(layer, "step", 64.0, dtype))
    penalty = scalar(layer, "penalty", 65504.0 if dtype == "float16" else 1e9, dtype)
    return elementwise(layer, "lowered", "subtract", scores, penalty)


def _attention_masks(layer: Layer, call: Call, inputs: list[Tensor]) -> tuple[Value | None, Value | None]:
    """The masks of query and value: those passed by hand, or those of the tensors."""
    given = call.option(1, "mask")
    if given is None:
        return inputs[0].mask, inputs[1].mask
    masks = list(given) if isinstance(given, list | tuple) and not isinstance(given, Tensor) else [given]
    if not 2 <= len(masks) <= 3 or not all(mask is None or isinstance(mask, Tensor) for mask in masks):
        raise layer.unsupported("a mask that is not a list of one for the query and one for the value")
    query, value = (None if mask is None else _as_mask(layer, mask) for mask in masks[:2])
    for mask in (query, value):
        if mask is not None and len(layer.build.shape(mask)) != 2:
            raise layer.unsupported("a mask that is not (batch, time)")
    return query, value


def _scores(layer: Layer, query: Value, key: Value) -> Value:
    """How much each place of the query attends to each of the key: (B, Tq, Tv)."""
    config, dtype = layer.config, layer.build.dtype(query)
    additive = layer.class_name == "AdditiveAttention"
    use_scale = config.flag("use_scale", additive)
    concat = not additive and config.choice("score_mode", ("dot", "concat"), "dot") == "concat"
    features = (known_size(layer, Tensor(query)),) if additive else ()
    specs = [Spec("scale", features)] * use_scale + [Spec("concat_score_weight", ())] * concat
    weights = {
        name: layer.build.constant(layer.where, f"{layer.name}.{name}", array, dtype)
        for name, array in layer.weights.take(layer.where, specs).items()
    }
    if not (additive or concat):
        scores = product(layer, "products", query, key, transpose_b=True)
        return elementwise(layer, "scaled", "multiply", scores, weights["scale"]) if use_scale else scores
    pairs = elementwise(layer, "pairs", "add", expanded(layer, "query", query, 2), expanded(layer, "key", key, 1))
    if concat and use_scale:
        pairs = elementwise(layer, "scaled", "multiply", pairs, weights["scale"])
    bent = layer.add(Activate(name=layer.name_for("tanh"), x=pairs, activation=Activation("tanh")))
    if additive and use_scale:
        bent = elementwise(layer, "scaled", "multiply", bent, weights["scale"])
    scores = reduced(layer, "sums", "sum", bent, (3,), keepdims=False)
    return elementwise(layer, "weighted", "multiply", scores, weights["concat_score_weight"]) if concat else scores


def multi_head_attention(layer: Layer, call: Call) -> Outputs:
    """MultiHeadAttention (Vaswani 2017) over query, value and key (B, time, features).

    Keras has two ways to compute it, which differ only where a query has nothing to attend to: with dropout, or if the
    scores are wanted, such a query attends to nothing; else it attends to every place alike.
    """
    config = layer.config
    config.only("sliding_window", None)
    config.only("attention_axes", None, [1], [-2], 1, -2)
    heads, key_size = config.integer("num_heads"), config.integer("key_dim")
    value_size = key_size if config.raw("value_dim") is None else config.integer("value_dim")
    use_bias, use_gate = config.flag("use_bias", True), config.flag("use_gate", False)
    scores_wanted = flag(layer, call, 7, "return_attention_scores")
    query, value = argument(layer, call, 0, "query"), argument(layer, call, 1, "value")
    given_key = call.tensor(layer, 2, "key")
    key = value if given_key is None else argument(layer, call, 2, "key")
    output_size = _output_size(layer, query)

    names = ["query", "key", *["gate"] * use_gate, "value"]
    tensors = {"query": query, "key": key, "gate": query, "value": value}
    sizes = {"query": key_size, "key": key_size, "gate": value_size, "value": value_size}
    projected = {name: _project(layer, name, tensors[name], heads, sizes[name], use_bias) for name in names}
    q, k, v = (split_heads(layer, f"{name}_heads", projected[name], heads) for name in ("query", "key", "value"))

    masks = head_masks(layer, call, query, value, key if given_key is not None else None)
    factor = key_size**-0.5
    weights, joined = attended(layer, call, (q, k, v), masks, factor, heads * value_size, scores_wanted)
    if use_gate:
        joined = elementwise(layer, "gated", "multiply", joined, projected["gate"])
    part = layer.weights.child("output_dense")
    specs = [Spec("kernel", (heads, value_size, output_size))] + [Spec("bias", (output_size,))] * use_bias
    made = dense(layer, "", joined, part.take(layer.where, specs), heads * value_size, output_size)
    # Keras takes the masks off its arguments, for every layer that runs after this one.
    layer.build.masks.update((tensor.value, None) for tensor in (query, value, key))
    output = Tensor(made, query.mask)
    return [output, Tensor(weights)] if scores_wanted else output


def argument(layer: Layer, call: Call, position: int, name: str) -> Tensor:
    given = call.tensor(layer, position, name)
    if given is None:
        raise InvalidFileError(f"{layer.where}: called without {name}", "E_GRAPH")
    tensor = layer.cast(given)
    shape_of(layer, tensor, 3)
    return tensor


def _output_size(layer: Layer, query: Tensor) -> int:
    shape = layer.config.raw("output_shape")
    if shape is None or shape == []:
        return known_size(layer, query)
    given = shape if type(shape) is list else [shape]
    if len(given) != 1:
        raise layer.unsupported(f"output_shape {printable(shape)} of several axes")
    return layer.config.integers("output_shape", length=1)[0]


def dense(
    layer: Layer, part: str, x: Value, arrays: dict[str, Array], inputs: int, units: int, gate: bool = False
) -> Value:
    """x @ kernel + bias, the kernel's heads side by side."""
    node = Dense(
        name=layer.name_for(part), x=x, weights=layer.stored(part), input_size=inputs, units=units,
        use_bias="bias" in arrays, activation=SIGMOID if gate else Activation("linear"),
    )  # fmt: skip
    bias = {"b": arrays["bias"].reshape(units)} if "bias" in arrays else {}
    return layer.add(node, {"W": arrays["kernel"].reshape(inputs, units), **bias})


def attended(
    layer: Layer,
    call: Call,
    heads: tuple[Value, Value, Value],
    masks: list[Value],
    factor: float,
    width: int,
    scores_wanted: bool,
) -> tuple[Value, Value]:
    """The weights (B, heads, Tq, Tk) of query, key and value (B, heads, T, size), and what they gather, the heads side
    by side (B, Tq, width). Keras scores in two ways, by what else is asked for."""
    q, k, v = heads
    if layer.config.number("dropout", 0.0) > 0 or scores_wanted:
        weights = scores_of_softmax_layer(layer, call, q, k, masks, factor)
    else:
        weights = scores_of_dot_product(layer, call, q, k, masks, factor)
    context = product(layer, "context", weights, v)  # (B, heads, Tq, size)
    turned = layer.add(Transpose(name=layer.name_for("context_turned"), x=context, axes=(0, 2, 1, 3)))
    return weights, layer.add(Reshape(name=layer.name_for("joined"), x=turned, shape=(0, 0, width)))


def check_bias(layer: Layer, x: Tensor, heads: int, size: int, use_bias: bool) -> None:
    """A bias (heads, 1) is a vector to Keras's `ops.add`, which adds it along time where there are as many steps
    (`compose.as_added`).

    Raises:
        UnsupportedError: it would, or whether it would is not known.
    """
    if use_bias and size == 1 < heads and layer.build.semantics.adds_as_bias:
        steps = layer.build.shape(x)[1]
        if steps in (None, heads):
            raise layer.unsupported(
                f"heads of size 1 with a bias: where there are {heads} time steps, Keras adds it along the steps"
            )


def _project(layer: Layer, name: str, x: Tensor, heads: int, size: int, use_bias: bool) -> Value:
    """(B, T, features) → (B, T, heads · size)."""
    features = known_size(layer, x)
    check_bias(layer, x, heads, size, use_bias)
    part: LayerWeights = layer.weights.child("_gate_dense" if name == "gate" else f"{name}_dense")
    specs = [Spec("kernel", (features, heads, size))] + [Spec("bias", (heads, size))] * use_bias
    arrays = part.take(layer.where, specs)
    return dense(layer, name, x.value, arrays, features, heads * size, gate=name == "gate")


def split_heads(layer: Layer, part: str, x: Value, heads: int) -> Value:
    """(B, T, heads · size) → (B, heads, T, size)."""
    split = layer.add(Reshape(name=layer.name_for(part), x=x, shape=(0, 0, heads, -1)))
    return layer.add(Transpose(name=layer.name_for(part), x=split, axes=(0, 2, 1, 3)))


def head_masks(layer: Layer, call: Call, query: Tensor, value: Tensor, key: Tensor | None) -> list[Value]:
    """The masks of the tensors and the one given, each to broadcast against (B, heads, Tq, Tv).

    The query's own mask counts, whatever `query_mask` says; those of value and key can be given by hand.
    """
    masks: list[Value] = []
    call.tensor(layer, 3, "query_mask")
    if query.mask is not None:
        masks.append(expanded(layer, "query_mask", _as_mask(layer, query.mask), 1, 3))
    for name, position, tensor in (("value_mask", 4, value), ("key_mask", 5, key)):
        explicit: Any = call.tensor(layer, position, name)
        mask = explicit if explicit is not None else None if tensor is None else tensor.mask
        if mask is not None:
            masks.append(expanded(layer, name, _as_mask(layer, mask), 1, 2))
    given = call.tensor(layer, 6, "attention_mask")
    if given is None:
        return masks
    rank, mask = len(layer.build.shape(given)), _as_mask(layer, given)
    if rank == 4 and masks:
        raise layer.unsupported("an attention_mask of rank 4 together with masks of its inputs")
    if rank == 2 and given.value in layer.build.fixed:  # one of the graph would have its batch where the queries are
        return [*masks, mask]
    if rank not in (3, 4):
        raise layer.unsupported(f"an attention_mask of rank {rank}; only 3 or 4 is supported, or an array of rank 2")
    return [*masks, mask if rank == 4 else expanded(layer, "attention_mask", mask, 1)]


def _joined_masks(layer: Layer, call: Call, logits: Value, masks: list[Value]) -> Value | None:
    causal = flag(layer, call, 9, "use_causal_mask")
    more = [layer.add(CausalMask(name=layer.name_for("causal"), x=logits))] if causal else []
    return conjunction(layer, "mask", [*masks, *more])


def scores_of_dot_product(layer: Layer, call: Call, q: Value, k: Value, masks: list[Value], factor: float) -> Value:
    """softmax(q kᵀ · factor), −0.7 · 3.38953·10³⁸ where masked; in float32 at least."""
    dtype = layer.build.dtype(q)
    wide = "float64" if dtype == "float64" else "float32"
    products = layer.build.cast(layer.where, product(layer, "products", q, k, transpose_b=True), wide)
    logits = elementwise(
        layer, "logits", "multiply", products, scalar(layer, "factor", float(np.float32(factor)), wide)
    )
    mask = _joined_masks(layer, call, logits, masks)
    if mask is not None:
        lowest = scalar(layer, "lowest", 3.38953e38 * -0.7, wide)
        logits = where(layer, "masked", mask, logits, lowest)
    return layer.build.cast(layer.where, _softmax(layer, "scores", logits), dtype)


def scores_of_softmax_layer(layer: Layer, call: Call, q: Value, k: Value, masks: list[Value], factor: float) -> Value:
    """softmax((q · factor) kᵀ), −10⁹ where masked (−3·10⁴ in float16), then 0 there."""
    dtype = layer.build.dtype(q)
    scaled = elementwise(layer, "scaled", "multiply", q, scalar(layer, "factor", float(np.float32(factor)), dtype))
    logits = product(layer, "logits", scaled, k, transpose_b=True)
    mask = _joined_masks(layer, call, logits, masks)
    if mask is None:
        return _softmax(layer, "scores", logits)
    lowest = scalar(layer, "lowest", -3e4 if dtype == "float16" else -1e9, dtype)
    attended = _softmax(layer, "softmax", where(layer, "masked", mask, logits, lowest))
    return where(layer, "scores", mask, attended, scalar(layer, "zero", 0.0, dtype))
