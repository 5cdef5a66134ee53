"""Running a graph step by step.

After any number of steps, a stream output is what `predict` gives at these steps, and a latest output is what it gives
for the sequence so far; `stream_kinds` tells which values are of which kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np

from . import programs
from .errors import InputError
from .format.graph import Array, Node, Shape, Value
from .format.nodes import Conv
from .format.windows import dilated
from .inputs import InputCheck, Inputs, Outputs, as_array, as_dtype, by_name, fits
from .recurrent.states import State
from .stream_kinds import FIXED, STREAM, classify

Move: TypeAlias = Callable[[dict[Value, Array], dict[str, Any]], tuple[Array, ...]]  # (values, carried) → what it makes


class Streamed(Protocol):
    """What a stream takes of a model."""

    @property
    def program(self) -> programs.Program: ...
    @property
    def input_names(self) -> tuple[str, ...]: ...
    @property
    def checks(self) -> Mapping[str, InputCheck]: ...
    def _owned(self, values: Mapping[Value, Array]) -> list[Array]: ...
    def _pack(self, outputs: list[Array]) -> Outputs: ...


class Stream:
    """Runs a model step by step, carrying its state. Not to be shared between threads.

    ``step(x_t)`` takes one time step (batch, features) and gives the outputs for it; ``chunk(x)`` takes several
    (batch, time, features). ``state`` can be read, kept, and set again; ``reset()`` goes back to the start,
    ``reset(rows)`` with some sequences alone. A copy, and what comes out of a pickle, goes on from the same state by
    itself.
    """

    def __init__(self, model: Streamed, batch: int, fixed: Mapping[str, Any]) -> None:
        self._model = model
        self._program = program = model.program
        self._batch = batch
        self._kinds = classify(program.graph.nodes, program.types)
        self._names = tuple(name for name in model.input_names if self._kinds[name] == STREAM)
        if not isinstance(fixed, Mapping):
            raise InputError(f"fixed is a dict of arrays by input name, not {type(fixed).__name__}", "E_ARGUMENT")
        missing = {name for name in model.input_names if self._kinds[name] == FIXED} ^ set(fixed)
        if missing:
            raise InputError(
                f"input '{sorted(map(str, missing))[0]}': stream(fixed=…) takes exactly the inputs without a time axis"
            )
        moving = [step for step in program.steps if self._kinds[step.makes[0]] != FIXED]
        with np.errstate(all="ignore"):
            # Kept are copies; views of them enter the graph: see `engine`.
            self._given = {name: model.checks[name].whole(fixed[name]).copy() for name in fixed}
            self._fixed = self._compute_fixed()
            self._read = {*program.graph.outputs, *(value for step in moving for value in step.node.reads())}
            self._moves = [(step.node, *self._move(step)) for step in moving]
        self._carriers = [step.node for step in moving if self._carries(step.node)]
        self._moving_outputs = [k for k, name in enumerate(program.graph.outputs) if self._kinds[name] == STREAM]
        self.reset()

    def _compute_fixed(self) -> dict[Value, Array]:
        """Every value that does not depend on the stream."""
        values: dict[Value, Array] = {}
        for name, array in self._given.items():
            if len(array) != self._batch:
                raise InputError(f"input '{name}': needs {self._batch} rows, got {len(array)}")
            values[name] = array.view()
        for step in self._program.steps:
            if self._kinds[step.makes[0]] == FIXED:
                try:
                    made = step.execute(values, None)
                except (ValueError, IndexError) as error:
                    raise programs.misfit(step.node, error) from None
                values.update(zip(step.makes, [array.view() for array in made], strict=True))
        return values

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, or what comes out of a pickle, goes on from the same state, independently of this stream."""
        return _resumed, (self._model, self._batch, self._given, self.state)

    def _carries(self, node: Node) -> bool:
        """True for nodes that carry something from one step to the next."""
        if isinstance(node, Conv):
            return node.padding == "causal" and len(node.kernel_size) == 1 and self._kinds[node.x] == STREAM
        return isinstance(node, programs.RECURRENT) and self._kinds[node.x] == STREAM

    def _carried_shapes(self, node: Node) -> dict[str, Shape]:
        """Shapes of what a node carries, by name: h, c and the last output; of a convolution its past inputs. None is a
        size that the first step decides."""
        if isinstance(node, Conv):
            return {"past": (self._batch, dilated(node.kernel_size[0], node.dilation[0]) - 1, node.channels)}
        assert isinstance(node, programs.RECURRENT)
        last = (self._batch, *self._program.types[f"{node.name}:h"].shape[1:])
        return dict.fromkeys((*node.OUTPUTS[1:], "output"), last)

    def reset(self, rows: Any = None) -> None:
        """Back to the state before the first step.

        Args:
            rows: which sequences of the batch start again, as whole numbers from 0 or as bool (batch,); None is all.

        Raises:
            InputError: a row is not of this batch.
        """
        with np.errstate(all="ignore"):
            if rows is None:
                self._carried = {node.name: self._start(node, None) for node in self._carriers}
            else:
                chosen = chosen_rows(rows, self._batch)
                self._carried = {
                    node.name: self._started(node, self._carried[node.name], chosen) for node in self._carriers
                }

    def _start(self, node: Node, space: tuple[int, ...] | None) -> Any:
        """What a node carries before the first step: of a recurrent node its State, or None where its space is open
        and the first step decides it; of a convolution the past inputs."""
        if isinstance(node, Conv):
            past = self._carried_shapes(node)["past"]
            return np.zeros([size or 0 for size in past], self._program.dtype(node.x))
        assert isinstance(node, programs.RECURRENT)
        sizes = programs.state_space(node, self._program.types[node.x].shape[2:-1]) if space is None else space
        known = tuple(size for size in sizes if size is not None)
        if len(known) < len(sizes):
            return None
        return programs.initial_state(self._program, node, self._fixed, self._batch, known)

    def _started(self, node: Node, kept: Any, rows: Array) -> Any:
        """What a node carries, with some rows as they are before the first step; arrays of its own."""
        if kept is None:
            return None
        if not isinstance(kept, State):
            return _with_rows(kept, self._start(node, None), rows)
        start = self._start(node, kept.output.shape[1:-1])
        states = zip(kept.states, start.states, strict=True)
        return State(tuple(_with_rows(k, s, rows) for k, s in states), _with_rows(kept.output, start.output, rows))

    @property
    def state(self) -> dict[str, dict[str, Array]]:
        """Copies of what is carried: by node, h, c and the last output (batch, units); of a convolution, its past.

        A ConvLSTM over images of any size carries nothing before the first step.
        """
        carried: dict[str, dict[str, Array]] = {}
        for node in self._carriers:
            kept = self._carried[node.name]
            parts = (*kept.states, kept.output) if isinstance(kept, State) else () if kept is None else (kept,)
            carried[node.name] = {
                key: part.copy() for key, part in zip(self._carried_shapes(node), parts, strict=kept is not None)
            }
        return carried

    @state.setter
    def state(self, carried: Mapping[str, Mapping[str, Any]]) -> None:
        if not isinstance(carried, Mapping) or set(carried) != {node.name for node in self._carriers}:
            raise InputError("the state is not of this model: take it from `stream.state`")
        with np.errstate(all="ignore"):
            self._carried = {node.name: self._carried_from(node, carried[node.name]) for node in self._carriers}

    def _carried_from(self, node: Node, given: Mapping[str, Any]) -> Any:
        """What a node carries, from copies of the arrays of a state.

        Raises:
            InputError: they do not fit.
        """
        wanted = self._carried_shapes(node)
        if isinstance(given, Mapping) and not given and any(None in shape for shape in wanted.values()):
            return None
        if not isinstance(given, Mapping) or set(given) != set(wanted):
            raise InputError("the state is not of this model: take it from `stream.state`")
        dtype, arrays = self._program.dtype(node.reads()[0]), []
        for key, shape in wanted.items():
            where = f"state {node.name!r}.{key}"
            array = as_array(where, given[key])
            if array.dtype.kind not in "biuf" or not fits(shape, array.shape):
                listed = ", ".join("any" if n is None else str(n) for n in shape)
                raise InputError(f"{where}: needs the shape ({listed}), got {array.shape} of {array.dtype}")
            arrays.append(as_dtype(where, array, dtype).copy())
        if len({array.shape for array in arrays}) > 1:
            raise InputError(f"state {node.name!r}: its arrays have different shapes")
        return arrays[0] if isinstance(node, Conv) else State(tuple(arrays[:-1]), arrays[-1])

    def step(self, x: Inputs) -> Array | Any:
        """The outputs for one time step, which are the caller's alone.

        Args:
            x: (batch, features), or for several streamed inputs a dict by name or a list in the model's order.

        Raises:
            InputError: an array does not fit.
        """
        with np.errstate(all="ignore"):
            return self._advance(self._check(x, time=False), squeeze=True)

    def chunk(self, x: Inputs) -> Array | Any:
        """The outputs for several time steps: (batch, time, features) in; time on axis 1 of stream outputs.

        Raises:
            InputError: an array does not fit, or has no time steps.
        """
        with np.errstate(all="ignore"):
            inputs = self._check(x, time=True)
            steps = {array.shape[1] for array in inputs.values()}
            if len(steps) != 1 or 0 in steps:
                raise InputError(f"the inputs need the same number of time steps, at least 1; got {sorted(steps)}")
            return self._advance(inputs, squeeze=False)

    def _check(self, x: Inputs, time: bool) -> dict[Value, Array]:
        """The inputs (batch, time, features) by name, views; without `time`, x is one step."""
        arrays = {}
        for name, value in by_name(self._names, x).items():
            check = self._model.checks[name]
            array = check.chunk(value) if time else check.step(value)
            if len(array) != self._batch:
                raise InputError(f"input '{name}': the stream has {self._batch} rows, got {len(array)}")
            arrays[name] = array.view() if time else array[:, None]
        return arrays

    def _advance(self, inputs: dict[Value, Array], squeeze: bool) -> Outputs:
        values = {**self._fixed, **inputs}
        carried = dict(self._carried)
        for node, makes, move in self._moves:
            try:
                made = move(values, carried)
            except (ValueError, IndexError) as error:
                raise programs.misfit(node, error) from None
            if len(makes) == 1:
                values[makes[0]] = made[0]
            else:
                values.update(zip(makes, made, strict=True))
        self._carried = carried  # only now: a failed step leaves the stream as it was
        outputs = self._model._owned(values)
        if squeeze:
            for position in self._moving_outputs:
                outputs[position] = outputs[position][:, 0]
        return self._model._pack(outputs)

    def _move(self, step: programs.Step) -> tuple[tuple[Value, ...], Move]:
        """The values that are wanted of a node for the steps at hand, and the function that makes them and keeps what
        the node carries."""
        program, node, name = self._program, step.node, step.node.name
        rows = program.types[step.makes[0]].shape[0]
        if self._carries(node) and rows not in (None, self._batch):
            raise InputError(f"node '{name}' takes {rows} rows: the model needs stream(batch={rows})", "E_ARGUMENT")
        if not self._carries(node):
            return step.makes, lambda values, carried: step.execute(values, None)
        if isinstance(node, Conv):
            # The past stands where the padding would.
            convolve = programs.compiled(program, node.replace(padding="valid"))

            def convolution(values: dict[Value, Array], carried: dict[str, Any]) -> tuple[Array, ...]:
                past = carried[name]
                x = np.concatenate([past, values[node.x]], axis=1)
                carried[name] = x[:, x.shape[1] - past.shape[1] :]
                return convolve({**values, node.x: x}, None)

            return step.makes, convolution
        assert isinstance(node, programs.RECURRENT)
        run = program.prepared[name].loop.own(self._batch).run
        rounded = programs.rounding(program, node)
        open_space = None in program.types[f"{name}:h"].shape[1:]
        shown = not self._read.isdisjoint(step.makes[1:])  # the states

        def recur(values: dict[Value, Array], carried: dict[str, Any]) -> tuple[Array, ...]:
            x, mask = programs.recurrent_inputs(node, values)
            state = carried[name]
            if open_space:
                start = programs.state_of_input(program, node, values, x)
                state = start if state is None else state
                if state.output.shape != start.output.shape:
                    raise InputError(
                        f"node '{name}': the steps before gave states {state.output.shape}, not this space"
                    )
            result = run(x, mask, state, node.return_sequences)
            carried[name] = result.state
            y = result.state.output.view() if result.sequence is None else result.sequence
            made = (y, *[s.view() for s in result.state.states]) if shown else (y,)
            return made if rounded is None else rounded(made)

        return step.makes if shown else step.makes[:1], recur


def chosen_rows(rows: Any, batch: int) -> Array:
    """Rows of a batch as whole numbers from 0.

    Raises:
        InputError: they are none, or not of this batch.
    """
    array = as_array("rows", rows)
    if array.dtype.kind == "b" and array.shape == (batch,):
        return np.flatnonzero(array)
    whole = array.size == 0 or array.dtype.kind in "iu"
    if array.ndim > 1 or not whole or not all(0 <= int(row) < batch for row in array.flat):
        raise InputError(
            f"rows are whole numbers from 0 to {batch - 1}, or {batch} of bool; got {rows!r:.100}", "E_ARGUMENT"
        )
    return array.astype(np.intp)


def _with_rows(kept: Array, start: Array, rows: Array) -> Array:
    made = kept.copy()
    made[rows] = start[rows]
    return made


def _resumed(
    model: Streamed, batch: int, fixed: Mapping[str, Array], state: Mapping[str, Mapping[str, Array]]
) -> Stream:
    stream = Stream(model, batch, fixed)
    stream.state = state
    return stream
