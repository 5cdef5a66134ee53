"""Runs a graph. `prepare` turns every node into a function once, at load; `run` calls them one after the other.

Two rules hold for whatever the package is called for.

**Ownership.** What the caller gets is the caller's alone; what the caller gave is neither written into nor kept. A node
may pass on the array it reads, or a view of it, but never writes into one. And what somebody holds beyond the run (the
caller an input, the program a weight, a stream its state) enters the graph as a view of it. So an array that owns its
memory was made in this run and is nobody else's: `own` gives it out as it is, and of any other one a copy. Nothing is
copied that need not be, and no list of nodes that pass arrays on has to be kept true.

**The caller's error state.** Saturated gates overflow on purpose, and NaN and infinity are the answers Keras gives too,
so nothing here may depend on np.seterr, or on whether warnings are errors. Each public call enters
`np.errstate(all="ignore")` once, as does each thread it starts: that state belongs to the thread (in NumPy 2 to its
context), so nothing global is touched. It costs half a microsecond a call, what clipping the gates of two LSTMs would
for a single step. Warnings that are not of this state (the mean of nothing) have to be avoided, because Python's
filters of warnings belong to the whole process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .engines import Engine
from .engines import engine as find_engine
from .errors import InputError
from .format.graph import FLOATS, Array, Graph, Node, Shape, Type, Value, infer_types
from .format.nodes import GRU, LSTM, Cast, Constant, ConvLSTM, Input, SimpleRNN
from .format.windows import output_size
from .layers.by_node import LAYERS
from .layers.number_range import out_of_range
from .layers.precision import compute_dtype, round_to, rounder
from .recurrent import choose
from .recurrent.states import Given, Recurrent, State, zero_state

RECURRENT = (LSTM, GRU, SimpleRNN, ConvLSTM)
Values: TypeAlias = Mapping[Value, Array]
GateTrace: TypeAlias = dict[str, dict[str, Array]]  # by node, by gate: (B, T, u)
Execute: TypeAlias = Callable[[Values, "GateTrace | None"], tuple[Array, ...]]


class Step(NamedTuple):
    """A node ready to run."""

    node: Node
    makes: tuple[Value, ...]
    execute: Execute  # its outputs from the values so far, already rounded to their dtype
    last_reads: tuple[Value, ...]  # values that nothing after this node needs


@dataclass(frozen=True, eq=False, repr=False)
class Program:
    """A graph ready to run.

    Attributes:
        steps: every node but the inputs, in order.
        prepared: by node name, its arrays in the dtype they are computed in; of recurrent nodes their loops.
    """

    graph: Graph
    types: dict[Value, Type]
    precision: str | None
    prepared: dict[str, Any]
    steps: tuple[Step, ...]

    def dtype(self, value: Value) -> np.dtype[np.generic]:
        """NumPy dtype the value is held in."""
        return compute_dtype(self.types[value].dtype, self.precision)


def prepare(graph: Graph, precision: str | None = None, engine: Engine | None = None) -> Program:
    """Checks the graph and lays its arrays out for running.

    The arrays of the graph are neither changed nor copied where they can be used as they are: what is written into them
    later may or may not change the results.

    Args:
        precision: "float64" lifts every float.
        engine: what runs the recurrent nodes; None is what `engines.engine` says.

    Raises:
        GraphError: the graph breaks a rule.
    """
    types = infer_types(graph)
    runs = find_engine() if engine is None else engine
    with np.errstate(all="ignore"):
        laid_out: dict[Any, Any] = {}
        prepared = {node.name: _arrays(graph, node, types, precision, runs, laid_out) for node in graph.nodes}
    program = Program(graph, types, precision, prepared, ())
    steps: list[Step] = []
    needed = {*graph.outputs, *graph.inputs}
    for node in reversed(graph.nodes):
        if not isinstance(node, Input):
            last_reads = tuple(value for value in dict.fromkeys(node.reads()) if value not in needed)
            needed.update(last_reads)
            steps.append(Step(node, node.makes(), compiled(program, node), last_reads))
    return Program(graph, types, precision, prepared, tuple(reversed(steps)))


def _arrays(
    graph: Graph, node: Node, types: Mapping[Value, Type], precision: str | None, engine: Engine, laid_out: Any
) -> Any:
    """The arrays of a node as it computes with them; `laid_out` holds what nodes of the same arrays share."""
    held = types[node.makes()[0]].dtype
    dtype, rounding = compute_dtype(held, precision), rounder(held, precision)
    key = node.namespace(), held, *node.parameters().items()
    if key not in laid_out:
        arrays = {name: _read_only(array, dtype) for name, array in graph.node_arrays(node).items()}
        if rounding and not isinstance(node, Constant):
            arrays = {name: round_to(array, rounding) for name, array in arrays.items()}
        laid_out[key] = arrays, {}
    arrays, loops = laid_out[key]
    if not isinstance(node, RECURRENT):
        return arrays
    # What is rounded to half precision is so after it has been widened.
    return choose.prepare(node, arrays, {} if rounding else graph.int8_arrays(node), engine, loops)


def _read_only(array: Array, dtype: np.dtype[np.generic]) -> Array:
    view = array.astype(dtype, copy=False).view()
    view.flags.writeable = False
    return view


def own(values: Values, names: Iterable[Value]) -> list[Array]:
    """Some values of a run, as arrays that are nobody else's: see above."""
    owned: list[Array] = []
    for name in names:
        array = values[name]
        alone = array.base is None
        for other in owned:  # one and the same array may be asked for under several names
            alone = alone and array is not other
        owned.append(array if alone else array.copy())
    return owned


def run(program: Program, inputs: Values, gates: GateTrace | None = None, keep: bool = True) -> dict[Value, Array]:
    """The values of the graph, for arrays already checked and cast to the types of the Input nodes.

    The values are of the graph: they may share memory with each other, with the inputs and with the weights.

    Args:
        gates: filled with the gates of each recurrent node, time-aligned with the node's input.
        keep: give back every value; else the inputs and outputs alone, the others freed as soon as they can be.

    Raises:
        InputError: sizes that the graph leaves open do not fit each other; names the node.
    """
    with np.errstate(all="ignore"):
        return run_quiet(program, inputs, gates, keep)


def run_quiet(
    program: Program, inputs: Values, gates: GateTrace | None = None, keep: bool = True
) -> dict[Value, Array]:
    """`run` for callers that have silenced NumPy's error state themselves."""
    values: dict[Value, Array] = dict(inputs)
    for node, makes, execute, last_reads in program.steps:
        try:
            made = execute(values, gates)
        except (ValueError, IndexError) as error:  # sizes that only the arrays themselves have
            raise misfit(node, error) from None
        if len(makes) == 1:
            values[makes[0]] = made[0]
        else:
            values.update(zip(makes, made, strict=True))
        if not keep:
            for value in last_reads:
                del values[value]
    return values


def misfit(node: Node, error: Exception) -> InputError:
    """What NumPy raised in a node, where it is not an error of ours already."""
    if isinstance(error, InputError):
        return error
    return InputError(f"node '{node.name}' ({type(node).__name__}): {error}")


# --- nodes → functions ------------------------------------------------------------------------------------------------


def compiled(program: Program, node: Node) -> Execute:
    """The node's function, its results rounded where it computes in half precision."""
    execute, rounded = COMPILERS[type(node)](program, node), rounding(program, node)
    return execute if rounded is None else lambda values, gates: rounded(execute(values, gates))


def rounding(program: Program, node: Node) -> Callable[[tuple[Array, ...]], tuple[Array, ...]] | None:
    """What rounds the outputs of a node that computes in half precision."""
    dtype = rounder(program.types[node.makes()[0]].dtype, program.precision)
    return None if dtype is None else lambda made: tuple(round_to(array, dtype) for array in made)


def _layer(program: Program, node: Node) -> Execute:
    compute, p = LAYERS[type(node)], program.prepared[node.name]
    return lambda values, gates: (compute(node, p, values),)


def _constant(program: Program, node: Node) -> Execute:
    value: Array = program.prepared[node.name]["value"]
    return lambda values, gates: (value,)


def _cast(program: Program, node: Node) -> Execute:
    assert isinstance(node, Cast)
    dtype, source = program.dtype(node.name), node.x
    if program.types[source].dtype not in FLOATS or dtype.kind not in "iu":
        return lambda values, gates: (cast(values[source], dtype),)

    def execute(values: Values, gates: GateTrace | None) -> tuple[Array, ...]:
        odd = out_of_range(values[source], dtype)
        if odd is not None:
            raise InputError(f"node '{node.name}' (Cast): {dtype} cannot hold {odd}", "E_CAST_OVERFLOW")
        return (cast(values[source], dtype),)

    return execute


def cast(x: Array, dtype: np.dtype[np.generic]) -> Array:
    """x as dtype: NumPy's rules, which agree with Keras for floats that are within the range of an integer dtype."""
    if x.dtype == dtype:
        return x
    with np.errstate(invalid="ignore", over="ignore"):
        return x.astype(dtype)


def initial_state(program: Program, node: Recurrent, values: Values, batch: int, space: tuple[int, ...]) -> State:
    """The state before the first step: what the graph gives, zeros where it gives nothing.

    Args:
        space: the space of the states: of a convolution see `state_space`, else ().

    Raises:
        InputError: a state that the graph gives has another shape.
    """
    zero = zero_state(node, batch, space, program.dtype(node.name))
    states = tuple(
        z if name is None else _state_of_rows(node, name, values[name], z.shape)
        for z, name in zip(zero.states, node.states, strict=True)
    )
    return State(states, zero.output)


def _state_of_rows(node: Recurrent, name: Value, state: Array, shape: tuple[int, ...]) -> Array:
    """A state for every row: one for all of them stands for each."""
    if state.shape == shape:
        return state
    if state.shape != (1, *shape[1:]):
        raise InputError(
            f"node '{node.name}' ({type(node).__name__}): the state '{name}' has the shape {state.shape}, not {shape}"
        )
    return np.broadcast_to(state, shape)


def state_space(node: Recurrent, space: Shape) -> Shape:
    """The space of the states of a ConvLSTM whose input has this space; of other nodes it is ()."""
    if not isinstance(node, ConvLSTM):
        return ()
    places = zip(space, node.kernel_size, node.strides, node.dilation, strict=True)
    return tuple(output_size(n, k, s, d, node.padding) for n, k, s, d in places)


def state_of_input(program: Program, node: Recurrent, values: Values, x: Array) -> State:
    """`initial_state` for the input x (B, T, …), whose space the graph may leave open.

    Raises:
        InputError: as there, or the window is wider than x.
    """
    space = tuple(size or 0 for size in state_space(node, x.shape[2:-1]))
    if any(size < 1 for size in space):
        raise InputError(
            f"node '{node.name}' ({type(node).__name__}): its window does not fit {x.shape[2:-1]}", "E_NO_STEPS"
        )
    return initial_state(program, node, values, len(x), space)


def recurrent_inputs(node: Recurrent, values: Values) -> tuple[Array, Array | None]:
    """x (B, T, …) and the mask (B, T) of a recurrent node.

    Raises:
        InputError: there are no time steps, or the mask is of another number of them.
    """
    x = values[node.x]
    if x.shape[1] == 0:
        raise InputError(f"node '{node.name}' ({type(node).__name__}): the sequence has no time steps", "E_NO_STEPS")
    if node.mask is None:
        return x, None
    mask = values[node.mask]
    if mask.shape[1] != x.shape[1]:
        steps = f"its mask has {mask.shape[1]} time steps, its input {x.shape[1]}"
        raise InputError(f"node '{node.name}' ({type(node).__name__}): {steps}", "E_MASK_STEPS")
    return x, np.broadcast_to(mask, x.shape[:2])


def _recurrent(program: Program, node: Node) -> Execute:
    assert isinstance(node, RECURRENT)
    prepared: choose.Prepared = program.prepared[node.name]
    loop, traced = prepared
    taken = given(program, node)

    def execute(values: Values, gates: GateTrace | None) -> tuple[Array, ...]:
        result = (loop if gates is None else traced).run(*taken(values))
        if gates is not None and result.gates is not None:
            gates[node.name] = {k: g[:, ::-1] if node.go_backwards else g for k, g in result.gates.items()}
        return result.outputs

    return execute


def given(program: Program, node: Recurrent) -> Callable[[Values], Given]:
    """What the loop of a node is given."""
    from_zeros = not isinstance(node, ConvLSTM) and all(state is None for state in node.states)

    def of(values: Values) -> Given:
        x, mask = recurrent_inputs(node, values)
        if node.go_backwards:
            x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
        state = None if from_zeros else state_of_input(program, node, values, x)
        return Given(x, mask, state, node.return_sequences)

    return of


COMPILERS: Mapping[type[Node], Callable[[Program, Node], Execute]] = {
    **dict.fromkeys(LAYERS, _layer),
    **dict.fromkeys(RECURRENT, _recurrent),
    Constant: _constant,
    Cast: _cast,
}
