"""GroupQueryAttention, whose heads of queries share fewer heads of keys and values (Ainslie 2023)."""

from __future__ import annotations

from lstmconv_runtime.format.graph import Value
from lstmconv_runtime.format.nodes import Repeat

from ...reading.layer_weights import Spec
from ..building import Layer, Tensor
from ..call import Call, Outputs
from ..composition.compose import elementwise
from ..composition.shapes import known_size
from .attention import argument, attended, check_bias, dense, flag, head_masks, split_heads


def group_query_attention(layer: Layer, call: Call) -> Outputs:
    """Attention of query, value and key (B, time, features), as MultiHeadAttention computes it once each head of keys
    and values stands for its group of query heads. Passes the mask of its query on."""
    config = layer.config
    config.only("sliding_window", None)
    size = config.integer("head_dim")
    heads, groups = config.integer("num_query_heads"), config.integer("num_key_value_heads")
    if heads % groups:
        raise config.bad("num_key_value_heads", f"a divisor of {heads}")
    use_bias, use_gate = config.flag("use_bias", True), config.flag("use_gate", False)
    scores_wanted = flag(layer, call, 7, "return_attention_scores")
    query, value = argument(layer, call, 0, "query"), argument(layer, call, 1, "value")
    given_key = None if call.tensor(layer, 2, "key") is None else argument(layer, call, 2, "key")

    q = split_heads(layer, "query_heads", _project(layer, "query", query, heads, size, use_bias), heads)
    key = value if given_key is None else given_key
    k = split_heads(layer, "key_heads", _project(layer, "key", key, groups, size, use_bias), groups)
    gate = _project(layer, "gate", query, heads, size, use_bias) if use_gate else None
    v = split_heads(layer, "value_heads", _project(layer, "value", value, groups, size, use_bias), groups)
    if heads > groups:
        k, v = (
            layer.add(Repeat(name=layer.name_for(part), x=x, axis=1, count=heads // groups))
            for part, x in (("key_groups", k), ("value_groups", v))
        )

    explicit = call.tensor(layer, 3, "query_mask")
    query_mask = query.mask if explicit is None else explicit.value
    masks = head_masks(layer, call, Tensor(query.value, query_mask), value, given_key)
    factor = size**-0.5
    weights, joined = attended(layer, call, (q, k, v), masks, factor, heads * size, scores_wanted)
    if gate is not None:
        joined = elementwise(layer, "gated", "multiply", joined, gate)
    features = known_size(layer, query)
    part = layer.weights.child("_output_dense")
    specs = [Spec("kernel", (heads, size, features))] + [Spec("bias", (features,))] * use_bias
    made = dense(layer, "", joined, part.take(layer.where, specs), heads * size, features)
    output = Tensor(made, query.mask)
    return [output, Tensor(weights)] if scores_wanted else output


def _project(layer: Layer, name: str, x: Tensor, heads: int, size: int, use_bias: bool) -> Value:
    """(B, T, features) → (B, T, heads · size)."""
    features = known_size(layer, x)
    check_bias(layer, x, heads, size, use_bias)
    specs = [Spec("kernel", (features, heads, size))] + [Spec("bias", (heads, size))] * use_bias
    arrays = layer.weights.child(f"_{name}_dense").take(layer.where, specs)
    return dense(layer, name, x.value, arrays, features, heads * size, gate=name == "gate")
