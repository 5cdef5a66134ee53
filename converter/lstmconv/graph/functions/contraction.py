"""ops.einsum and EinsumDense: sums of products over axes that letters name."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from math import prod

from lstmconv_runtime.format.graph import FLOATS, LINEAR, Array, Value
from lstmconv_runtime.format.nodes import Activate, Squeeze, Transpose
from lstmconv_runtime.format.operation_nodes import Einsum

from ...errors import printable
from ...reading.layer_weights import Spec
from ..building import Layer, Tensor
from ..call import Call, Handler
from ..composition.compose import as_added, elementwise, expanded, weight
from ..composition.quantised import is_int8, kernel_value, product_dtype, quantised, read_quantiser, rescaled
from ..layers.activations import read_activation
from .arguments import common_dtype, operand, result


def spelled_out(layer: Layer, equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each argument and of the result, letters of their own for the axes that "..." stands for.

    Raises:
        UnsupportedError: not an equation, or one whose result is left open.
    """
    plain = equation.replace(" ", "")
    odd = layer.unsupported(f"the equation '{printable(equation)}'")
    if plain.count("->") != 1 or not re.fullmatch(r"[a-zA-Z.,>-]*", plain):
        raise odd
    given, made = plain.split("->")
    terms = given.split(",")
    if len(terms) != len(ranks):
        raise odd
    free = [letter for letter in string.ascii_letters if letter not in plain]
    elided = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    if max(elided) > len(free) or min(elided) < 0:
        raise odd
    most = max((n for n, term in zip(elided, terms, strict=True) if "..." in term), default=0)

    def fill(term: str, count: int) -> str:
        filled = term.replace("...", "".join(free[most - count : most]), 1)
        if len(set(filled)) < len(filled) or not (filled.isalpha() or filled == ""):
            raise odd
        return filled

    letters = [fill(term, count) for term, count in zip(terms, elided, strict=True)]
    if any(len(term) != rank for term, rank in zip(letters, ranks, strict=True)):
        raise odd
    result_letters = fill(made, most)
    if not set(result_letters) <= set("".join(letters)):
        raise odd
    return letters, result_letters


def contracted(layer: Layer, part: str, values: Sequence[Value], batched: Sequence[bool], equation: str) -> Value:
    """The Einsum of values, of which those that are `batched` have the batch first."""
    terms, made = spelled_out(layer, equation, [len(layer.build.shape(value)) for value in values])
    batch = made[:1]
    for term, has_batch in zip(terms, batched, strict=True):
        if not batch or (term[:1] != batch if has_batch else batch in term):
            raise layer.unsupported(f"the equation '{printable(equation)}': the batch must stay first")
    sizes: dict[str, set[int]] = {}
    for term, value in zip(terms, values, strict=True):
        for letter, size in zip(term, layer.build.shape(value), strict=True):
            if size is not None:
                sizes.setdefault(letter, set()).add(size)
    if any(len(found) > 1 for found in sizes.values()):
        raise layer.unsupported(f"the equation '{printable(equation)}': axes of one letter have different sizes")
    spelled = f"{','.join(terms)}->{made}"
    return layer.add(Einsum(name=layer.name_for(part), args=tuple(values), equation=spelled))


def einsum(layer: Layer, call: Call) -> Tensor:
    equation = layer.config.raw("subscripts")
    if type(equation) is not str:
        raise layer.config.bad("subscripts", "an equation")
    items = call.positional()
    if not items:
        raise layer.unsupported("no arguments by position")
    dtype = common_dtype(layer, items)
    if dtype not in FLOATS:
        raise layer.unsupported(f"a product of {dtype}")
    values = [operand(layer, item, dtype) for item in items]
    return result(layer, contracted(layer, "", values, [isinstance(item, Tensor) for item in items], equation))


def einsum_dense(layer: Layer, call: Call) -> Tensor:
    """act(einsum(equation, x, kernel) + bias), passing no mask on; quantised to int8, as `quantised` says."""
    config = layer.config
    equation, bias_axes = config.raw("equation"), config.raw("bias_axes")
    if type(equation) is not str or not (bias_axes is None or type(bias_axes) is str):
        raise config.bad("equation", "an equation")
    config.only("lora_rank", None)
    config.only("gptq_unpacked_column_size", None)
    int8 = is_int8(layer)
    if not int8:
        config.only("quantization_config", None)
    x = call.one(layer)
    kernel_rank = len(re.sub(r"[^a-zA-Z]", "", equation.partition("->")[0].partition(",")[2]))
    (term, kernel_term), made = spelled_out(layer, equation, [len(layer.build.shape(x)), kernel_rank])
    if term[0] != made[:1] or made[0] in kernel_term:
        raise layer.unsupported(f"the equation '{printable(equation)}': the batch must stay first")
    activation = read_activation(config, "activation", layer.build, len(made))
    sizes = _sizes(layer, term, x, made)
    if not set(kernel_term) <= set(sizes):
        raise layer.unsupported(f"the equation '{printable(equation)}': an axis of the kernel has no size")
    kernel = Spec("kernel", tuple(sizes[letter] for letter in kernel_term), not int8, "i" if int8 else "f")
    bias_shape = _bias_shape(layer, made, bias_axes, sizes)
    specs = [kernel] + ([] if bias_shape is None else [Spec("bias", bias_shape)])
    if int8:
        scale_shape = tuple(sizes[letter] if letter in kernel_term else 1 for letter in made)
        specs.append(Spec("kernel_scale", scale_shape, trainable=False))
    arrays = layer.weights.take(layer.where, specs)
    linear = activation == LINEAR
    part = "product" if bias_shape is not None else "" if linear else "sum"
    if int8:
        value = _int8_product(layer, part, x.value, arrays, f"{term},{kernel_term}->{made}")
    else:
        values = (x.value, weight(layer, "kernel", arrays["kernel"]))
        value = contracted(layer, part, values, (True, False), equation)
    if bias_shape is not None:
        bias = as_added(layer, value, weight(layer, "bias", arrays["bias"]))
        value = elementwise(layer, "" if linear else "sum", "add", value, bias)
    if not linear:
        value = layer.add(Activate(name=layer.name_for(), x=value, activation=activation))
    return Tensor(value)


def _int8_product(layer: Layer, part: str, x: Value, arrays: dict[str, Array], equation: str) -> Value:
    """The inputs quantised over the axes that are summed up, a product of whole numbers, and back."""
    given, made = equation.split("->")
    term, kernel_term = given.split(",")
    summed_up = tuple(axis for axis, letter in enumerate(term) if letter not in made)
    if not summed_up or 0 in summed_up:
        raise layer.unsupported(f"the equation '{equation}' of a layer quantised to int8 sums up nothing")
    quantiser = read_quantiser(layer)
    sizes = dict(zip(kernel_term, arrays["kernel"].shape, strict=True))
    if not {term[axis] for axis in summed_up} <= set(sizes):
        raise layer.unsupported(f"the equation '{equation}' of a layer quantised to int8")
    exact = product_dtype(layer, quantiser, prod(sizes[term[axis]] for axis in summed_up))
    scale = None
    if quantiser is not None:
        x, scale = quantised(layer, quantiser, x, summed_up)
        scale = _beside_result(layer, scale, term, made)
    values = (layer.build.cast(layer.where, x, exact), kernel_value(layer, arrays["kernel"], exact))
    sums = contracted(layer, "sums", values, (True, False), equation)
    return rescaled(layer, part, sums, weight(layer, "kernel_scale", arrays["kernel_scale"]), scale)


def _beside_result(layer: Layer, scale: Value, term: str, made: str) -> Value:
    """A scale with the axes of `term`, its axes in the order of the result's and of size 1 where it has none there."""
    for axis in reversed([axis for axis, letter in enumerate(term) if letter not in made]):
        scale = layer.add(Squeeze(name=layer.name_for("scale"), x=scale, axis=axis))
    left = [letter for letter in term if letter in made]
    order = tuple(left.index(letter) for letter in made if letter in left)
    if order != tuple(range(len(left))):
        scale = layer.add(Transpose(name=layer.name_for("scale"), x=scale, axes=order))
    return expanded(layer, "scale", scale, *(axis for axis, letter in enumerate(made) if letter not in left))


def _sizes(layer: Layer, term: str, x: Tensor, made: str) -> dict[str, int]:
    """The size of each letter, from the input and the output_shape of the config, which leaves the batch out."""
    written = layer.config.raw("output_shape")
    listed = written if type(written) is list else [written]
    known = dict(zip(term, layer.build.shape(x), strict=True))
    # Keras fills the sizes that "..." stands for in from the input: after the batch on the left, at the end else.
    missing = len(made) - 1 - len(listed)
    equation = str(layer.config.raw("equation"))
    filled = [None] * missing + listed if equation.startswith("...") else listed + [None] * missing
    if missing < 0 or not all(n is None or (type(n) is int and 1 <= n <= 2**20) for n in filled):
        raise layer.config.bad("output_shape", f"{len(made) - 1} sizes")
    sizes = {letter: size for letter, size in known.items() if size is not None}
    for letter, size in zip(made[1:], filled, strict=True):
        if size is not None and sizes.setdefault(letter, size) != size:
            raise layer.config.bad("output_shape", "one that fits the input")
    return sizes


def _bias_shape(layer: Layer, made: str, bias_axes: str | None, sizes: dict[str, int]) -> tuple[int, ...] | None:
    """The bias has the axes it is for, and size 1 on those after the first of them; the ones before are left out."""
    if not bias_axes:
        return None
    if not set(bias_axes) <= set(made) or not set(bias_axes) <= set(sizes):
        raise layer.config.bad("bias_axes", "axes of the output whose sizes are known")
    first = min(made.index(letter) for letter in bias_axes)
    return tuple(sizes[letter] if letter in bias_axes else 1 for letter in made[first:])


OPERATIONS: dict[tuple[str, str], Handler] = {("numpy", "Einsum"): einsum}
