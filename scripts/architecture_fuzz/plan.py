"""A model as plain data, and the Keras source it stands for.

The model is made by running that very source, so the snippet printed for a failure is the failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

FLOAT32_ALONE = ("MaxPooling3D", "AveragePooling3D")  # TensorFlow has no kernels of float64 for CPUs


class Ref(NamedTuple):
    """A value: what a step, or an input, makes; `key` picks one of several."""

    name: str
    key: int | str | None = None


@dataclass(frozen=True)
class Make:
    """A layer or cell to construct; among the options there may be further ones, and nested plans."""

    cls: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Array:
    """An array written into the call; its numbers, multiples of 1/64, are the same in every floating point type.

    kind: float32, float64, int32, bool, causal (a matrix of bools), tensor (of Keras, float32).
    """

    shape: tuple[int, ...]
    seed: int
    kind: str = "float32"

    def source(self) -> str:
        drawn = f"np.random.default_rng({self.seed}).integers(-128, 129, {self.shape})"
        return {
            "float32": f"({drawn} / 64).astype('float32')",
            "float64": f"{drawn} / 64",
            "int32": f"({drawn} // 64).astype('int32')",
            "bool": f"{drawn} > -64",
            "causal": f"np.tril(np.ones({self.shape}))",
            "tensor": f"ops.convert_to_tensor({drawn} / 64, dtype='float32')",
        }[self.kind]


@dataclass(frozen=True)
class Again:
    """The layer that another step made."""

    of: str


@dataclass(frozen=True)
class Step:
    """One call: of a new layer, of an earlier one, or of an expression such as "ops.exp({0})"."""

    name: str
    what: Make | Again | str
    args: tuple[Any, ...]  # Refs, or lists of them
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Spec:
    """An input; `shape` without the batch. `time` says that its first axis is time."""

    name: str
    shape: tuple[int, ...]
    dtype: str | None = None  # None: the floating point type of the policy
    time: bool = True
    pad: float = 0.0  # what masked steps hold


@dataclass(frozen=True)
class Plan:
    """A Functional model, or a Sequential one where `form` says so."""

    inputs: tuple[Spec, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Ref, ...]
    form: str = "functional"  # functional, sequential
    input_form: str = "list"  # list, dict
    output_form: str = "list"  # list, dict
    policy: str = "float32"
    dynamic: bool = True  # the number of time steps is left open
    fixed_batch: bool = False
    batch: int = 2
    scale: float = 1.0  # of the inputs
    gain: float = 1.0  # of the weights
    seed: int = 0


def refs(structure: Any) -> Iterator[Ref]:
    """Every reference in the arguments of a step."""
    if isinstance(structure, Ref):
        yield structure
    elif isinstance(structure, list | tuple):
        for item in structure:
            yield from refs(item)
    elif isinstance(structure, dict):
        for item in structure.values():
            yield from refs(item)


def reads(step: Step) -> list[Ref]:
    again = [Ref(step.what.of)] if isinstance(step.what, Again) else []
    return [*refs(step.args), *refs(step.kwargs), *again]


class Source:
    """Keras source as it grows; with `run`, each piece is run as it is written."""

    def __init__(self, policy: str, *, dynamic: bool, batch: int | None, reference: bool = False) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.policy, self.dynamic, self.batch = policy, dynamic, batch
        self.reference = reference  # everything in float64, whatever the plan says
        self.nested = 0
        self.write("import keras\nimport numpy as np\nfrom keras import layers, ops")
        float_type = "float64" if reference or policy == "float64" else "float32"
        self.write(f"keras.config.set_floatx({float_type!r})")
        self.write(f"keras.config.set_dtype_policy({'float64' if reference else policy!r})")

    def write(self, text: str) -> None:
        if self.reference:
            text = text.replace("'float32'", "'float64'").replace("'float16'", "'float64'")
        exec(compile(text, "<plan>", "exec"), self.names)
        self.lines.append(text)

    def input(self, spec: Spec, prefix: str = "") -> None:
        shape = tuple(None if axis == 0 and spec.time and self.dynamic else n for axis, n in enumerate(spec.shape))
        given = f"batch_shape={(self.batch, *shape)}" if self.batch and not prefix else f"shape={shape}"
        dtype = f", dtype={spec.dtype!r}" if spec.dtype else ""
        self.write(f"{prefix}{spec.name} = keras.Input({given}{dtype}, name={spec.name!r})")

    def value(self, item: Any, prefix: str = "") -> str:
        """An option or argument as an expression."""
        if isinstance(item, Ref):
            return f"{prefix}{item.name}" + ("" if item.key is None else f"[{item.key!r}]")
        if isinstance(item, Array):
            return item.source()
        if isinstance(item, Make):
            options = {k: v for k, v in item.options.items() if k != "dtype" or not self.reference}
            inner = ", ".join(f"{k}={self.value(v, prefix)}" for k, v in options.items())
            if self.reference and item.cls in FLOAT32_ALONE:
                inner += ', dtype="float32"'
            return (
                f"keras.Sequential([{self.value(options['layers'], prefix)[1:-1]}])"
                if item.cls == "Sequential"
                else f"layers.{item.cls}({inner})"
            )
        if isinstance(item, Plan):
            return self.nested_model(item)
        if isinstance(item, list | tuple):
            inner = ", ".join(self.value(part, prefix) for part in item)
            return f"[{inner}]" if isinstance(item, list) else f"({inner},)"
        if isinstance(item, dict):
            return "{" + ", ".join(f"{k!r}: {self.value(v, prefix)}" for k, v in item.items()) + "}"
        return repr(item)

    def step(self, step: Step, prefix: str = "") -> None:
        args = [self.value(arg, prefix) for arg in step.args]
        name = f"{prefix}{step.name}"
        if isinstance(step.what, str):
            self.write(f"{name} = {step.what.format(*args)}")
            return
        if isinstance(step.what, Again):
            layer = f"{prefix}{step.what.of}_layer"
        else:
            layer = f"{name}_layer"
            inner = step.what.options["model"] if step.what.cls == "Model" else step.what
            self.write(f"{layer} = {self.value(inner, prefix)}")
        args += [f"{k}={self.value(v, prefix)}" for k, v in step.kwargs.items()]
        self.write(f"{name} = {layer}({', '.join(args)})")

    def nested_model(self, plan: Plan) -> str:
        self.nested += 1
        prefix = f"m{self.nested}_"
        for spec in plan.inputs:
            self.input(spec, prefix)
        for step in plan.steps:
            self.step(step, prefix)
        self.write(f"{prefix}model = {self.model(plan, prefix)}")
        return f"{prefix}model"

    def model(self, plan: Plan, prefix: str = "") -> str:
        if plan.form == "sequential":
            layers = ", ".join([f"{prefix}{plan.inputs[0].name}", *(f"{prefix}{s.name}_layer" for s in plan.steps)])
            return f"keras.Sequential([{layers}])"
        made = [self.value(ref, prefix) for ref in plan.outputs]
        inputs = {spec.name: Ref(spec.name) for spec in plan.inputs}
        given = self.value(inputs if plan.input_form == "dict" else list(inputs.values()), prefix)
        outputs = (
            ", ".join(f"'y{i}': {v}" for i, v in enumerate(made)) if plan.output_form == "dict" else ", ".join(made)
        )
        return f"keras.Model({given}, {'{' + outputs + '}' if plan.output_form == 'dict' else '[' + outputs + ']'})"


def source_for(plan: Plan, reference: bool = False) -> Source:
    return Source(
        plan.policy, dynamic=plan.dynamic, batch=plan.batch if plan.fixed_batch else None, reference=reference
    )


def build(plan: Plan, reference: bool = False) -> tuple[Any, str]:
    """The Keras model of a plan, and its source.

    Raises:
        Exception: Keras refuses it.
    """
    import keras

    keras.backend.clear_session(free_memory=False)
    source = source_for(plan, reference)
    for spec in plan.inputs:
        source.input(spec)
    for step in plan.steps:
        source.step(step)
    source.write(f"model = {source.model(plan)}")
    return source.names["model"], "\n".join(source.lines)
