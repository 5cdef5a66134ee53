"""One plan through Keras and through lstmconv, and what differs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import lstmconv
import lstmconv_runtime as lr
import numpy as np
from lstmconv.bundles.compare import reference as engine_reference
from lstmconv.errors import LstmconvError, UnsupportedError
from lstmconv.onnx.exporting import onnx_of
from lstmconv.onnx.running import onnxruntime_of
from lstmconv_runtime import programs
from lstmconv_runtime.difference import difference
from lstmconv_runtime.format.bundle import from_bytes, to_bytes
from lstmconv_runtime.format.graph import Activation, Node
from lstmconv_runtime.stream_kinds import STREAM, classify

from .plan import Make, Plan, build

# Of the output's scale. Half precision keeps 11 bits, and Keras rounds after every operation of its own order. In
# float64, TensorFlow still keeps some constants in float32; the slope of leaky_relu, an attribute of that type, is
# rounded in ours as well before the two are compared: an unbounded gate makes much of it.
TOLERANCES = {"float32": 1e-5, "float64": 1e-7, "float16": 2e-2, "mixed_float16": 2e-2}
REFERENCE_TOLERANCE = 1e-7  # float64 against float64
# An output that has cancelled down to this, among values of the order of 1, is judged as if it were that large: what is
# left of it is rounding. Times the tolerance it is a few ulps of 1.
LEAST_SCALES = {"float32": 5e-2, "float64": 1e-6, "float16": 5e-2, "mixed_float16": 5e-2}
CHAOS = 8  # a difference within this multiple of the model's own sensitivity to one ulp is rounding
# Where Keras itself is this far from its own float64, ours may be a few times as far: an update gate that rounds to one
# ulp below 1 leaves 1 − z with a digit or two, which an unbounded candidate then multiplies.
SAME_ROUNDING = 4
HUGE = 1e12  # an output that large has overflowed its meaning
SENSITIVITY_RUNS = 4


@dataclass
class Outcome:
    """What came of one seed.

    Attributes:
        status: agrees, chaotic, keras_rounds, overflow, too_short, keras_file_differs, refused_by_keras, unsupported,
            failed.
        what: of a failure, which comparison; of a refusal, its reason.
        keras_error, our_error: largest differences from float64, of the output's scale.
    """

    status: str
    what: str = ""
    detail: str = ""
    source: str = ""
    keras_error: float | None = None
    our_error: float | None = None
    streamed: bool = False
    notes: list[str] = field(default_factory=list)

    def fail(self, what: str, detail: str) -> Outcome:
        self.status, self.what, self.detail = "failed", what, detail
        return self


class _DifferenceError(Exception):
    def __init__(self, what: str, detail: str) -> None:
        super().__init__(detail)
        self.what, self.detail = what, detail


# --- weights and inputs -----------------------------------------------------------------------------------------------


def draw_weights(model: Any, plan: Plan) -> list[np.ndarray]:
    """Random values for every weight; large enough to saturate gates where the gain is 3.

    A recurrent kernel stays within 1/√units: beyond it rounding grows from step to step (keras-facts §11).
    """
    random = np.random.default_rng(plan.seed + 1)
    made = []
    for weight in model.weights:
        shape, name = tuple(weight.shape), weight.name
        if "float" not in str(weight.dtype):
            made.append(np.asarray(weight))
            continue
        normal = random.standard_normal(shape)
        if name == "recurrent_kernel":
            value = normal * min(plan.gain, 1.0) / np.sqrt(np.prod(shape[:-1]))
        elif name in ("moving_variance", "variance"):
            value = random.uniform(0.3, 2.0, shape)
        elif name == "gamma":
            value = 1 + 0.3 * normal
        elif len(shape) > 1 and name != "bias":
            value = normal * plan.gain / np.sqrt(np.prod(shape[:-1]))
        else:
            value = normal * 0.5 * plan.gain
        made.append(value.astype("float16" if "float16" in str(weight.dtype) else "float32"))
    return made


def draw_inputs(plan: Plan) -> dict[str, np.ndarray]:
    """Random inputs; masked steps hold the pad value, and lie left, right, in gaps, or everywhere."""
    random = np.random.default_rng(plan.seed + 2)
    shared: dict[int, np.ndarray] = {}
    made = {}
    for spec in plan.inputs:
        shape = (plan.batch, *spec.shape)
        length = spec.shape[0]
        valid = _valid_steps(random, plan.batch, length)
        if random.random() < 0.5:
            valid = shared.setdefault(length, valid)
        if spec.dtype == "bool":
            made[spec.name] = valid
        elif spec.dtype == "int32":
            ids = random.integers(0, 6, shape)
            ids[~valid] = 0
            made[spec.name] = ids.astype("int32")
        else:
            x = random.standard_normal(shape) * plan.scale
            if spec.time and random.random() < 0.8:
                x[~valid] = spec.pad
            made[spec.name] = x.astype("float16" if "float16" in plan.policy else "float32")
    return made


def _valid_steps(random: np.random.Generator, batch: int, steps: int) -> np.ndarray:
    valid = np.ones((batch, steps), bool)
    for row in valid:
        pattern = random.choice(["none", "right", "left", "gap", "first", "all"], p=[0.2, 0.25, 0.2, 0.2, 0.07, 0.08])
        count = random.integers(0, steps + 1)
        if pattern == "right":
            row[count:] = False
        elif pattern == "left":
            row[: steps - count] = False
        elif pattern == "gap":
            row[:] = random.random(steps) < 0.6
        elif pattern == "first":
            row[0] = False
        elif pattern == "all":
            row[:] = False
    return valid


# --- Keras ------------------------------------------------------------------------------------------------------------


def flat(made: Any) -> list[np.ndarray]:
    """Outputs as arrays in the order of the bundle's outputs."""
    if isinstance(made, dict):
        return [np.asarray(made[key]) for key in sorted(made)]
    return [np.asarray(part) for part in (made if isinstance(made, list | tuple) else [made])]


def structure(made: Any) -> Any:
    if isinstance(made, dict):
        return sorted(made)
    return len(made) if isinstance(made, list | tuple) else "one"


def set_weights(model: Any, weights: list[np.ndarray]) -> None:
    for variable, value in zip(model.weights, weights, strict=True):
        variable.assign(value)
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):  # Normalization keeps a copy of its statistics
            layer.finalize_state()


def run_keras(model: Any, plan: Plan, inputs: dict[str, np.ndarray], *, predict: bool = False) -> Any:
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
            layer.reset_state()
    given = _given(plan, inputs)
    if predict:
        return model.predict(given, verbose=0, batch_size=plan.batch)
    return model(given, training=False)


def _given(plan: Plan, inputs: dict[str, np.ndarray]) -> Any:
    if plan.form == "functional" and plan.input_form == "dict":
        return inputs
    given = [inputs[spec.name] for spec in plan.inputs]
    return given if len(given) > 1 else given[0]


def reference(plan: Plan, weights: list[np.ndarray], inputs: dict[str, np.ndarray]) -> tuple[Any, list[np.ndarray]]:
    """The model built in float64, and its outputs."""
    model, _ = build(plan, reference=True)
    set_weights(model, weights)
    return model, flat(run_keras(model, plan, widened(inputs)))


def widened(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: x.astype("float64") if x.dtype.kind == "f" else x for name, x in inputs.items()}


def sensitivity(
    model: Any, plan: Plan, weights: list[np.ndarray], inputs: dict[str, np.ndarray], exact: list[np.ndarray]
) -> list[float]:
    """How far each output goes when every weight and input moves by one ulp at random."""
    random = np.random.default_rng(plan.seed + 3)
    ulp = 2.0 ** (-10 if "float16" in plan.policy else -52 if plan.policy == "float64" else -23)

    def moved(x: np.ndarray) -> np.ndarray:
        return x.astype("float64") * (1 + ulp * random.choice([-1.0, 1.0], x.shape)) if x.dtype.kind == "f" else x

    worst = [0.0] * len(exact)
    for _ in range(SENSITIVITY_RUNS):
        set_weights(model, [moved(w) for w in weights])
        made = flat(run_keras(model, plan, {k: moved(x) for k, x in inputs.items()}))
        worst = [max(w, distance(a, b, LEAST_SCALES[plan.policy])) for w, a, b in zip(worst, made, exact, strict=True)]
    set_weights(model, weights)
    return worst


# --- comparison -------------------------------------------------------------------------------------------------------


def distance(a: np.ndarray, b: np.ndarray, least: float) -> float:
    """Largest difference, of the scale of b or `least`; infinite where one is finite and the other is not."""
    found = difference(np.asarray(a), np.asarray(b))
    return found.largest / max(found.scale, least)


def check(plan: Plan, *, predict: bool = False) -> Outcome:
    """Runs a plan through everything and compares."""
    outcome = Outcome("agrees")
    try:
        model, outcome.source = build(plan)
        weights, inputs = draw_weights(model, plan), draw_inputs(plan)
        set_weights(model, weights)
        made = run_keras(model, plan, inputs, predict=predict)
    except Exception as error:
        return Outcome("refused_by_keras", type(error).__name__, str(error)[:300], source=outcome.source)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path, bundle = Path(folder) / "model.keras", Path(folder) / "model.safetensors"
        try:
            model.save(path)
        except Exception as error:
            return Outcome("refused_by_keras", f"save: {type(error).__name__}", str(error)[:300])
        try:
            lstmconv.export(path, bundle)
        except UnsupportedError as error:
            outcome.status, outcome.what = "unsupported", str(error)
            return outcome
        except Exception as error:
            kind = "refused" if isinstance(error, LstmconvError) else "crash"
            return outcome.fail(f"export {kind}: {type(error).__name__}", str(error))
        try:
            _compare(plan, weights, inputs, made, bundle.read_bytes(), outcome)
        except lr.InputError as error:
            outcome.fail("refused at run time", str(error))
            if error.code == "E_NO_STEPS":  # documented; Keras goes on with an empty array
                outcome.status = "too_short"
            elif error.code == "E_MASK_STEPS":  # Keras goes on with a part of the mask, or ends with a TensorFlow error
                outcome.status = "unsupported"
        except _DifferenceError as failure:
            outcome.fail(failure.what, failure.detail)
            if _file_differs(path, plan, inputs, made, predict):
                outcome.status = "keras_file_differs"
        except Exception as error:
            outcome.fail(f"crash: {type(error).__name__}", str(error))
    return outcome


def _file_differs(path: Path, plan: Plan, inputs: dict[str, np.ndarray], made: Any, predict: bool) -> bool:
    """Whether Keras itself computes something else from the file it wrote: SpatialDropout1D loses its mixed policy."""
    import keras

    again = flat(run_keras(keras.models.load_model(path), plan, inputs, predict=predict))
    return any(a.dtype != b.dtype or distance(a, b, 1e-2) > 1e-4 for a, b in zip(again, flat(made), strict=True))


def _compare(plan: Plan, weights: list[np.ndarray], inputs: dict[str, np.ndarray], made: Any, data: bytes,
             outcome: Outcome) -> None:  # fmt: skip
    expected, least = flat(made), LEAST_SCALES[plan.policy]
    model = lr.load(with_tensorflow_slopes(data) if plan.policy == "float64" else data)
    ours = model.predict(inputs)
    if structure(ours) != structure(made):
        raise _DifferenceError("structure", f"Keras {structure(made)}, ours {structure(ours)}")
    for index, (a, b) in enumerate(zip(flat(ours), expected, strict=True)):
        if a.shape != b.shape or str(a.dtype) != str(b.dtype):
            raise _DifferenceError("shape", f"output {index}: Keras {b.shape} {b.dtype}, ours {a.shape} {a.dtype}")
    exact: list[np.ndarray] | None = None
    oracle = None
    if not _mixes(plan):
        oracle, exact = reference(plan, weights, inputs)
        outcome.keras_error = max(distance(b, e, least) for b, e in zip(expected, exact, strict=True))
        outcome.our_error = max(distance(a, e, least) for a, e in zip(flat(ours), exact, strict=True))
    judged = exact if exact is not None else expected
    if any(np.abs(np.nan_to_num(np.asarray(e, "float64"), nan=0.0)).max(initial=0) > HUGE for e in judged) or any(
        (np.isfinite(e) & ~np.isfinite(b)).any() for b, e in zip(expected, judged, strict=True)
    ):
        outcome.status = "overflow"
        return
    tolerance = 2e-2 if _mixes(plan) else TOLERANCES[plan.policy]
    moves: list[float] = []
    engine_errors: list[float] = []

    def engine_error(index: int) -> float:
        """What `parity` allows an engine: a sigmoid that is an ulp of 1 off weighs much before an exponential."""
        if not engine_errors:
            truth = engine_reference(model.bundle.graph, inputs)
            engine_errors.extend(truth.allowed(value) for value in model.bundle.graph.outputs)
        return engine_errors[index]

    def agree(
        what: str, found: list[np.ndarray], wanted: list[np.ndarray], allowed: float, own_ways: bool = False
    ) -> None:
        """own_ways: what was found comes from an engine with its own ways to compute activations."""
        for index, (a, b) in enumerate(zip(found, wanted, strict=True)):
            gap = distance(a, b, least)
            if gap <= allowed:
                continue
            if own_ways and difference(np.asarray(a), np.asarray(b)).largest <= engine_error(index):
                continue
            if oracle is not None and exact is not None:
                if not moves:
                    moves.extend(sensitivity(oracle, plan, weights, inputs, exact))
                if what == "float64" and gap <= moves[index]:
                    continue  # a constant that TensorFlow keeps in float32
                if what == "float64" and _attends(plan) and distance(a, expected[index], least) <= tolerance:
                    continue
                ours, theirs = distance(a, exact[index], least), distance(b, exact[index], least)
                if what != "float64" and ours <= max(allowed, SAME_ROUNDING * theirs):
                    # Keras lost digits, as LayerNormalization of one place does, and is further from the truth.
                    outcome.status = "keras_rounds"
                    outcome.notes.append(f"{what}: {gap:.1e}, from float64 ours {ours:.1e}, Keras {theirs:.1e}")
                    continue
                if what != "float64" and gap <= CHAOS * moves[index]:
                    outcome.status = "chaotic"
                    outcome.notes.append(f"{what}: {gap:.1e}, one ulp moves it by {moves[index]:.1e}")
                    continue
            sense = f"; one ulp of the weights moves it by {moves[index]:.2e}" if moves else ""
            raise _DifferenceError(
                what, f"output {index} differs by {gap:.3g} of its scale, allowed {allowed:.0e}{sense}"
            )

    agree("predict", flat(ours), expected, tolerance)
    program = model.program
    values = programs.run(program, model.check_inputs(inputs), {})
    agree("trace", [values[name] for name in program.graph.outputs], expected, tolerance)
    _ = model.trace(inputs)
    if exact is not None and "float16" not in plan.policy:
        wide = lr.load(with_tensorflow_slopes(data), dtype="float64")
        agree("float64", flat(wide.predict(widened(inputs))), exact, REFERENCE_TOLERANCE)
    # Its recurrent operators clamp infinite sums and go on with a number: docs/decisions.md.
    if all(np.isfinite(value).all() for value in values.values() if value.dtype.kind == "f"):
        found = onnxruntime_of(onnx_of(model.bundle), threads=1)(inputs)
        agree("onnxruntime on our ONNX", found, expected, tolerance, own_ways=True)
    try:
        kinds = classify(program.graph.nodes, program.types)
    except lr.StreamError:
        return
    outcome.streamed = True
    agree("stream", stream(model, kinds, plan, inputs), expected, tolerance)


def stream(model: lr.Model, kinds: dict[str, str], plan: Plan, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a stream that is fed in random steps and chunks, each compared in shape by concatenation."""
    random = np.random.default_rng(plan.seed + 4)
    moving = [name for name in model.input_names if kinds[name] == STREAM]
    fixed = {name: inputs[name] for name in model.input_names if name not in moving}
    lengths = {inputs[name].shape[1] for name in moving}
    if len(lengths) > 1:
        return flat(model.predict(inputs))
    flow = model.stream(plan.batch, fixed)
    steps, at = lengths.pop(), 0
    parts: list[list[np.ndarray]] = []
    while at < steps:
        count = int(random.integers(1, steps - at + 1))
        if count == 1 and random.random() < 0.7:
            made = flat(flow.step({name: inputs[name][:, at] for name in moving}))
            made = [y[:, None] if kinds[name] == STREAM else y
                    for y, name in zip(made, model.program.graph.outputs, strict=True)]  # fmt: skip
        else:
            made = flat(flow.chunk({name: inputs[name][:, at : at + count] for name in moving}))
        parts.append(made)
        at += count
    return [np.concatenate([part[index] for part in parts], axis=1) if kinds[name] == STREAM else parts[-1][index]
            for index, name in enumerate(model.program.graph.outputs)]  # fmt: skip


def with_tensorflow_slopes(data: bytes) -> bytes:
    """A bundle with the slopes of its activations as TensorFlow keeps them, in float32."""
    bundle = from_bytes(data)
    nodes = tuple(node.replace(**_rounded_slopes(node)) for node in bundle.graph.nodes)
    return to_bytes(replace(bundle, graph=replace(bundle.graph, nodes=nodes)))


def _rounded_slopes(node: Node) -> dict[str, Activation]:
    rounded = {}
    for field_name in node.FIELDS:
        activation = getattr(node, field_name)
        if isinstance(activation, Activation) and "negative_slope" in dict(activation.constants):
            constants = dict(activation.constants)
            constants["negative_slope"] = float(np.float32(constants["negative_slope"]))
            rounded[field_name] = Activation(activation.name, tuple(sorted(constants.items())))
    return rounded


def _mixes(plan: Plan) -> bool:
    """True where a layer has a dtype of its own: there is no one precision to compare with."""
    return _any_make(plan, lambda make: "dtype" in make.options)


def _attends(plan: Plan) -> bool:
    """True where scores of masked places are lowered by 1e9, which in float32 swallows them and in float64 does not."""
    return _any_make(plan, lambda make: make.cls in ("Attention", "AdditiveAttention"))


def _any_make(item: Any, holds: Callable[[Make], bool]) -> bool:
    if isinstance(item, Plan):
        return any(_any_make(step.what, holds) for step in item.steps)
    if isinstance(item, Make):
        return holds(item) or any(_any_make(option, holds) for option in item.options.values())
    return isinstance(item, list) and any(_any_make(part, holds) for part in item)
