"""A Keras model as an oracle: its outputs for given arrays, from zero states, leaving the model as it was.

Nothing here imports Keras: a model that is in memory has brought it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import Array

from ..errors import UnsupportedError, UsageError, printable
from .probes import Oracle, OracleError

ROWS = 256  # computed at once, so that a large input does not need memory for every value of the graph at once


def keras_oracle(
    model: Any, inputs: Sequence[str], output_keys: Sequence[str] | None, *, predict: bool = True
) -> Oracle:
    """The outputs of a Keras model.

    Args:
        inputs: names of the inputs, in the model's order.
        output_keys: of a model that returns a dict, its keys in the order wanted.
        predict: by the model's `predict`; else by calling it, which compiles nothing. Given a second number of time
            steps, `predict` of Keras 3.15 computes TimeDistributed wrongly, and calling the model does not.

    Raises (the oracle):
        OracleError: Keras refuses the arrays, or fails.
    """

    def evaluate(given: Mapping[str, Array]) -> list[Array]:
        try:
            with states_kept(model):
                reset_states(model)
                held = arguments(model, {name: given[name] for name in inputs})
                made = computed(model, held, _rows(model) if predict else None)
        except Exception as error:  # TensorFlow's exceptions have no base in common with Keras's
            raise OracleError(f"Keras cannot compute it: {first_line(error)}") from None
        return [as_numpy(y) for y in flat_outputs(made, output_keys)]

    return evaluate


def computed(model: Any, held: Any, rows: int | None) -> Any:
    """What a Keras model computes; where TensorFlow has no kernels for a CPU, by XLA, which has.

    That concerns convolutions with the channels before space, and some windows over three axes in half precision.

    Args:
        held: the inputs, in the structure the model was built with.
        rows: for `predict`, how many at once; None calls the model.

    Raises:
        Exception: what TensorFlow raises, if XLA fails too.
    """
    try:
        return model(held, training=False) if rows is None else model.predict(held, batch_size=rows, verbose=0)
    except Exception as error:
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is None or not _lacks_kernel(tensorflow, error) or _resizes(model):
            raise
    return _by_xla(tensorflow, model, held, rows or ROWS)


def _lacks_kernel(tensorflow: Any, error: Exception) -> bool:
    """Whether TensorFlow has no kernel for an operation, or none for its numbers."""
    errors = tensorflow.errors
    return isinstance(error, TypeError | errors.UnimplementedError | errors.InvalidArgumentError)


def _resizes(model: Any) -> bool:
    """Whether a layer interpolates, which XLA does otherwise than TensorFlow."""
    return any(getattr(layer, "interpolation", "nearest") != "nearest" for layer in model._flatten_layers())


def _by_xla(tensorflow: Any, model: Any, held: Any, rows: int) -> Any:
    compiled = tensorflow.function(lambda x: model(x, training=False), jit_compile=True)
    nest = tensorflow.nest
    count = len(nest.flatten(held)[0])
    parts = [
        compiled(nest.map_structure(lambda x, start=start: x[start : start + rows], held))
        for start in range(0, count, rows)
    ]
    return nest.map_structure(lambda *made: np.concatenate([as_numpy(y) for y in made]), *parts)


def _rows(model: Any) -> int:
    """The batch size a model is built for, as stateful ones are; else ROWS."""
    sizes = [tensor.shape[0] for tensor in model.inputs]
    return next((size for size in sizes if size), ROWS)


def arguments(model: Any, inputs: Mapping[str, Array]) -> Any:
    """The inputs, in the model's order, in the structure it was built with; a dict may have keys of its own."""
    structure = functional(model)._inputs_struct
    if not isinstance(structure, list | tuple | dict):
        return next(iter(inputs.values()))
    waiting = iter(inputs.values())

    def filled(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: filled(part[key]) for key in sorted(part)}
        if isinstance(part, list | tuple):
            return [filled(item) for item in part]
        name = getattr(getattr(part, "_keras_history", None), "operation", part).name
        return inputs[name] if name in inputs else next(waiting)

    made = filled(structure)
    return made[0] if isinstance(made, list) and len(made) == 1 else made


def flat_outputs(made: Any, keys: Sequence[str] | None) -> list[Any]:
    """What `predict` returned, as the list of a graph's outputs."""
    if isinstance(made, dict):
        return [made[key] for key in (keys if keys is not None and made.keys() >= set(keys) else sorted(made))]
    return list(made) if isinstance(made, list | tuple) else [made]


def functional(model: Any) -> Any:
    """The functional graph of a Keras model: its own, or the one that a Sequential model keeps inside."""
    return getattr(model, "_functional", None) or model


def _stateful_layers(model: Any) -> list[Any]:
    layers = model._flatten_layers(include_self=False)
    return [layer for layer in layers if getattr(layer, "stateful", False) and hasattr(layer, "reset_state")]


def reset_states(model: Any) -> None:
    """Puts every stateful layer back to zeros: a prediction must not depend on the one before."""
    for layer in _stateful_layers(model):
        layer.reset_state()


@contextlib.contextmanager
def states_kept(model: Any) -> Iterator[None]:
    """Gives every variable that is not a weight back the value it had: states, and the seeds of random layers."""
    weights = {id(variable) for variable in model.weights}
    variables = [variable for variable in model.variables if id(variable) not in weights]
    variables += [s for layer in _stateful_layers(model) for s in _flat(getattr(layer, "states", None))]
    before = [(variable, np.asarray(variable).copy()) for variable in variables if hasattr(variable, "assign")]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _flat(states: Any) -> list[Any]:
    if isinstance(states, list | tuple):
        return [s for part in states for s in _flat(part)]
    return [] if states is None else [states]


def as_numpy(array: Any) -> Array:
    """NumPy has no bfloat16: such an array comes as float32."""
    made = np.asarray(array)
    return made.astype("float32") if "bfloat16" in str(made.dtype) else made


def save_archive(model: Any, path: Path) -> None:
    """Saves a model as an archive.

    Raises:
        UsageError: it has no weights yet.
        UnsupportedError: Keras cannot save it.
    """
    if getattr(model, "built", True) is False:
        raise UsageError("the model is not built yet: call it once, or give it an Input layer")
    try:
        model.save(path)
    except OSError:
        raise
    except Exception as error:  # whatever a layer of the user's raises
        raise UnsupportedError(f"Keras cannot save the model: {first_line(error)}", "E_UNSUPPORTED_MODEL") from None


def first_line(error: Exception, path: Path | None = None) -> str:
    """The class and the first line of a foreign exception; of the path of a file, its name alone."""
    text = str(error) if path is None else str(error).replace(str(path), path.name)
    lines = text.strip().splitlines()
    return f"{type(error).__name__}: {printable(lines[0]) if lines else ''}"
