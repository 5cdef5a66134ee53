"""The grammar: what a random model is drawn from.

`ops_table` is the table: a name, how often it is drawn, and a function that picks values it can be applied to, draws
its options and emits the step; it returns False where nothing fits. Whatever Keras refuses is not part of the model.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from . import companions, operations
from .drawing import Draw, RefusedError, Value, is_float
from .plan import Again, Array, Make, Plan, Ref, Spec, refs, source_for
from .recurrent import (
    RNNS,
    activation,
    bidirectional,
    bidirectional_layer,
    embedding,
    layer_dtype,
    mask_for,
    masking,
    plain_rnn,
    recurrent,
    rnn,
)

# --- layers of one input: name → (weight, ranks, options) -------------------------------------------------------------


def supported(name: str) -> bool:
    from lstmconv.graph.keras_classes import HANDLERS

    return name in HANDLERS


def dense_options(d: Draw, rank: int) -> dict[str, Any]:
    options: dict[str, Any] = {"units": d.units()}
    return {**options, **d.pick({}, {"use_bias": False}, {"activation": activation(d)})}


UNARY: dict[str, tuple[float, tuple[int, ...], Callable[[Draw, int], dict[str, Any]]]] = {
    **companions.UNARY,
    "Dense": (2, (2, 3, 4), dense_options),
    "Activation": (1, (2, 3, 4, 5), lambda d, rank: {"activation": activation(d)}),
    "Dropout": (0.5, (2, 3, 4, 5), lambda d, rank: {"rate": 0.3}),
}


TAKES_MASK = ("Softmax", "GlobalAveragePooling1D", "BatchNormalization")


def unary(name: str) -> Callable[[Draw], bool]:
    def op(d: Draw) -> bool:
        if (x := d.ranked(*UNARY[name][1])) is None:
            return False
        kwargs = {}
        if name in TAKES_MASK and len(x.shape) == 3 and d.chance(0.2) and (mask := mask_for(d, x)) is not None:
            kwargs["mask"] = mask
        d.emit(Make(name, {**UNARY[name][2](d, len(x.shape)), **layer_dtype(d)}), x, **kwargs)
        return True

    return op


# --- wrappers and nested models ---------------------------------------------------------------------------------------


def unary_layer(d: Draw, rank: int) -> Make:
    """A layer of one input and one output, for Sequential models and TimeDistributed."""
    if rank == 3 and d.chance(0.6):
        x = Value(Ref("x"), (None, None, 1), "float32")
        if d.chance(0.3):
            make, _, _ = bidirectional_layer(d, x)
            make.options["layer"].options["return_state"] = False
            if "backward_layer" in make.options:
                make.options["backward_layer"].options["return_state"] = False
            return make if make.options.get("merge_mode", "") is not None else Make("Dropout", {"rate": 0.3})
        return plain_rnn(d, x, return_state=False)[0]
    # Softmax takes the mask of a TimeDistributed around it, and adds (batch,) to (batch, features).
    names = [name for name, (_, ranks, _) in UNARY.items() if rank in ranks and supported(name) and name != "Softmax"]
    name = d.rng.choice(names)
    return Make(name, UNARY[name][2](d, rank))


def stacked(d: Draw, rank: int, count: int) -> list[Make]:
    made: list[Make] = []
    for _ in range(count):
        made.append(unary_layer(d, rank))
        if rank == 3 and not _keeps_sequence(made[-1]):
            rank = 2
    return made


def _keeps_sequence(make: Make) -> bool:
    inner = make.options.get("layer", make)
    recurrent = isinstance(inner, Make) and inner.cls in (*RNNS, "RNN")
    return (
        bool(inner.options.get("return_sequences")) if recurrent else "Global" not in make.cls and make.cls != "Flatten"
    )


def time_distributed(d: Draw) -> bool:
    x = d.ranked(3, 4, 5) if d.chance(0.6) else d.ranked(4, 5)
    if x is None:
        return False
    rank = len(x.shape) - 1
    inner: Any
    what = d.rng.random()
    if what < 0.6:
        inner = unary_layer(d, rank)
    elif what < 0.8:
        inner = Make("Sequential", {"layers": stacked(d, rank, d.pick(1, 2))})
    else:
        inner = sub_plan(d, [replace_time(x)], steps=d.pick(1, 2), outputs=1)
        if inner is None:
            return False
    kwargs = {"mask": mask} if d.chance(0.1) and (mask := mask_for(d, x)) is not None else {}
    d.emit(Make("TimeDistributed", {"layer": inner}), x, **kwargs)
    return True


def replace_time(x: Value) -> Value:
    return Value(x.ref, (x.shape[0], *x.shape[2:]), x.dtype)


def again(d: Draw) -> bool:
    """A layer or nested model called once more, on something of the same size."""
    layers = [step for step in d.steps if isinstance(step.what, Make) and step.what.cls != "Masking"]
    if not layers:
        return False
    step = d.rng.choice(layers)
    before = {value.ref: value for value in d.values}

    def other(item: Any) -> Any:
        if isinstance(item, Ref):
            old = before[item]
            return d.find(
                lambda v: len(v.shape) == len(old.shape) and v.shape[-1] == old.shape[-1] and v.dtype == old.dtype
            )
        return [other(part) for part in item] if isinstance(item, list) else item

    kwargs = step.kwargs if d.chance(0.5) else {}
    d.emit(Again(step.name), *(other(arg) for arg in step.args), **{k: other(v) for k, v in kwargs.items()})
    return True


def sub_plan(d: Draw, args: list[Value], steps: int, outputs: int) -> Plan | None:
    """A model to be nested: drawn like any other, for inputs like these values."""
    if d.depth > 1:
        return None
    d.source.nested += 1
    inputs = [
        Spec(f"x{i}", tuple(n or 3 for n in v.shape[1:]), v.dtype, time=len(v.shape) > 2 and v.shape[1] is None)
        for i, v in enumerate(args)
    ]
    if d.source.reference or d.source.policy != "float32":
        inputs = [replace(spec, dtype=None) if is_float(v) else spec for spec, v in zip(inputs, args, strict=True)]
    inner = Draw(d.rng, d.source, inputs, f"d{d.source.nested}_", d.depth + 1)
    written = len(d.source.lines)
    grow(inner, steps)
    del d.source.lines[written:]
    made = outputs_of(inner, outputs)
    if not inner.steps or not made:
        return None
    d.kinds |= inner.kinds
    return Plan(tuple(inputs), tuple(inner.steps), tuple(made),
                output_form="dict" if outputs > 1 and d.chance(0.3) else "list",
                input_form="dict" if len(args) > 1 and d.chance(0.3) else "list")  # fmt: skip


def nested(d: Draw) -> bool:
    """A model called as a layer; often twice."""
    args = [v for v in (d.ranked(2, 3), d.ranked(2, 3) if d.chance(0.3) else None) if v is not None]
    if not args:
        return False
    if len(args) == 1 and d.chance(0.4):
        what = Make("Sequential", {"layers": stacked(d, len(args[0].shape), d.pick(1, 2, 3))})
    else:
        plan = sub_plan(d, args, d.pick(1, 2, 3), d.pick(1, 1, 2))
        if plan is None:
            return False
        what = Make("Model", {"model": plan})
        if plan.input_form == "dict":
            return bool(d.emit(what, {f"x{i}": arg.ref for i, arg in enumerate(args)}))
    kwargs = {}
    if len(args) == 1 and len(args[0].shape) == 3 and d.chance(0.1) and (mask := mask_for(d, args[0])) is not None:
        kwargs["mask"] = mask
    if len(args) > 1 and d.chance(0.25) and (array := d.array((1, *args[1].shape[1:]), "tensor")) is not None:
        d.emit(what, [args[0], array])
        return True
    d.emit(what, args[0] if len(args) == 1 else args, **kwargs)
    if d.chance(0.5) and (other := d.like(args[0])) is not None and len(args) == 1:
        d.emit(Again(d.steps[-1].name), other)
    return True


# --- several inputs ---------------------------------------------------------------------------------------------------


def merge(name: str) -> Callable[[Draw], bool]:
    def op(d: Draw) -> bool:
        if (x := d.ranked(2, 3, 3)) is None:
            return False
        others = [d.like(x) for _ in range(1 if name == "Subtract" else d.pick(1, 1, 2))]
        if d.chance(0.1):  # broadcasts
            others[-1] = d.find(lambda v: is_float(v) and v.dtype == x.dtype and v.shape[-1] in (1, x.shape[-1]))
        items: list[Value | Array | None] = [x, *(other for other in others if other is not None)]
        d.rng.shuffle(items)
        if d.chance(0.2):  # an array, which Keras does not take as the first
            shape = tuple(1 if axis == 0 or d.chance(0.3) else n for axis, n in enumerate(x.shape))
            items[1:] = [d.array(shape[d.pick(0, 0, 0, 1) :], "float32", "float64", "tensor", "int32")]
        d.emit(Make(name), items)
        return True

    return op


def concatenate(d: Draw) -> bool:
    if (x := d.ranked(2, 3, 3)) is None:
        return False
    rank, time = len(x.shape), x.shape[1:-1]
    if rank == 3 and d.chance(0.3):
        other = d.find(lambda v: len(v.shape) == 3 and is_float(v) and v.shape[2] == x.shape[2])
        d.emit(Make("Concatenate", {"axis": d.pick(1, -2)}), [x, other])
        return True
    others = [
        d.find(lambda v: len(v.shape) == rank and is_float(v) and v.shape[1:-1] == time) for _ in range(d.pick(1, 2))
    ]
    d.emit(Make("Concatenate", d.pick({}, {"axis": -1}, {"axis": rank - 1})), [x, *others])
    return True


def dot(d: Draw) -> bool:
    x, y = d.ranked(2, 3), d.ranked(2, 3)
    if x is None or y is None:
        return False
    axes = [(i, j) for i in range(1, len(x.shape)) for j in range(1, len(y.shape)) if x.shape[i] == y.shape[j]]
    if not axes:
        return False
    d.emit(Make("Dot", {"axes": d.rng.choice(axes), **d.pick({}, {"normalize": True})}), [x, y])
    return True


# --- whole models -----------------------------------------------------------------------------------------------------


class Op(NamedTuple):
    name: str
    weight: float
    draw: Callable[[Draw], bool]


def ops_table() -> list[Op]:
    return [
        *(Op(kind, 3.0, recurrent(kind)) for kind in RNNS),
        Op("RNN", 2.5, rnn),
        Op("Bidirectional", 3.5, bidirectional),
        Op("TimeDistributed", 1.5, time_distributed),
        Op("Masking", 1.5, masking),
        Op("Embedding", 1.5, embedding),
        *(Op(name, weight, unary(name)) for name, (weight, _, _) in UNARY.items() if supported(name)),
        *(Op(name, 0.5, merge(name)) for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
        Op("Concatenate", 1.2, concatenate),
        Op("Dot", 0.4, dot),
        Op("again", 1.0, again),
        Op("nested", 1.5, nested),
        *(Op(name, weight, draw) for name, weight, draw in operations.OPS),
        *(Op(name, weight, draw) for name, weight, draw in companions.OPS if supported(name)),
    ]


def grow(d: Draw, steps: int, only: str | None = None) -> None:
    """Adds steps; where `only` names an op, it comes up time and again."""
    table = ops_table()
    weights = [op.weight * (30 if op.name == only else 1) for op in table]
    for _ in range(6 * steps):
        if len(d.steps) >= steps:
            return
        op = d.rng.choices(table, weights)[0]
        try:
            if op.draw(d):
                d.kinds.add(op.name)
        except RefusedError:
            continue


def outputs_of(d: Draw, most: int) -> list[Ref]:
    """What the model returns: values that nothing reads first."""
    names = {step.name for step in d.steps}
    made = [value.ref for value in d.values if value.ref.name in names]
    used = {ref for step in d.steps for ref in (*refs(step.args), *refs(step.kwargs))}
    leaves = [ref for ref in made if ref not in used]
    d.rng.shuffle(leaves)
    chosen = leaves[:most]
    if made and d.chance(0.15):
        chosen.append(d.rng.choice(made))
    return list(dict.fromkeys(chosen))


def draw_inputs(rng: random.Random) -> list[Spec]:
    steps = rng.choice([1, 2, 3, 4, 5, 5, 6, 7])
    other = steps if rng.random() < 0.8 else rng.choice([1, 3, 6])
    made = []
    for index in range(rng.choice([1, 1, 1, 2, 2, 3])):
        length = steps if index == 0 else other
        kinds = {"sequence": 6, "ids": 3, "vector": 1.5 * index, "mask": 1.5 * index, "deep": 0.8, "video": 0.7}
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        name = f"x{index}"
        if kind == "sequence":
            made.append(Spec(name, (length, rng.choice([1, 2, 3, 3, 4])), pad=rng.choice([0.0, 0.0, -1.5])))
        elif kind == "ids":
            made.append(Spec(name, (length,), dtype="int32"))
        elif kind == "vector":
            made.append(Spec(name, (rng.choice([2, 3, 4]),), time=False))
        elif kind == "mask":
            made.append(Spec(name, (length,), dtype="bool"))
        elif kind == "deep":
            made.append(Spec(name, (length, rng.choice([2, 3]), rng.choice([2, 3]))))
        else:
            made.append(Spec(name, (length, rng.choice([2, 3, 4]), rng.choice([2, 3]), rng.choice([1, 2]))))
    return made


def draw(seed: int, only: str | None = None) -> tuple[Plan, set[str]]:
    """The plan of a seed, and the ops in it; where `only` names an op, drawn until it is among them."""
    for attempt in range(30):
        plan, kinds = _draw(seed, random.Random(seed if attempt == 0 else f"{seed}, {attempt}"), only)
        if only is None or only in kinds:
            break
    return plan, kinds


def _draw(seed: int, rng: random.Random, only: str | None) -> tuple[Plan, set[str]]:
    import keras

    fixed_batch = rng.random() < 0.06
    frame = Plan(
        (), (), (), batch=rng.randint(1, 5),
        scale=rng.choice([0.3, 1.0, 1.0, 4.0]), gain=rng.choice([0.5, 1.0, 1.0, 3.0]),
        policy=rng.choices(["float32", "float64", "mixed_float16", "float16"], [90, 4, 4, 2])[0],
        dynamic=rng.random() < 0.55, fixed_batch=fixed_batch, seed=seed,
        input_form=rng.choice(["list", "list", "dict"]), output_form=rng.choice(["list", "list", "dict"]),
        form="sequential" if rng.random() < 0.15 else "functional",
    )  # fmt: skip
    keras.backend.clear_session(free_memory=False)
    source = source_for(frame)
    inputs = draw_inputs(rng)
    d = Draw(rng, source, inputs[:1] if frame.form == "sequential" else inputs)
    if frame.form == "sequential":
        _draw_sequential(d)
    else:
        if rng.random() < 0.5:
            table = {op.name: op for op in ops_table()}
            for name in rng.sample(["Masking", "Embedding"], 2):
                if table[name].draw(d):
                    break
        grow(d, rng.choice([1, 2, 3, 4, 5, 6, 8]), only)
    outputs = (
        outputs_of(d, rng.choice([1, 1, 2, 4]))
        if frame.form == "functional"
        else [Ref(d.steps[-1].name)]
        if d.steps
        else []
    )
    used = {ref.name for step in d.steps for ref in (*refs(step.args), *refs(step.kwargs))}
    kept = tuple(spec for spec in d.inputs if spec.name in used) or tuple(d.inputs[:1])
    return replace(frame, inputs=kept, steps=tuple(d.steps), outputs=tuple(outputs)), d.kinds


def _draw_sequential(d: Draw) -> None:
    current = d.values[0]
    if "int" in current.dtype:
        (current,) = d.emit(
            Make("Embedding", {"input_dim": 6, "output_dim": d.units(), **d.pick({"mask_zero": True}, {})}), current
        )
    elif len(current.shape) == 3 and d.chance(0.6):
        (current,) = d.emit(Make("Masking", {"mask_value": d.inputs[0].pad}), current)
    for _ in range(d.pick(1, 2, 3, 4)):
        try:
            made = d.emit(unary_layer(d, len(current.shape)), current)
        except RefusedError:
            continue
        current = made[0]
