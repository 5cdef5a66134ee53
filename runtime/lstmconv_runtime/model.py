"""The face of the runtime: load a bundle, predict, look inside, stream, verify."""

from __future__ import annotations

import contextlib
import operator
import os
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cached_property
from math import prod
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from . import engines, programs
from .describing import TensorInfo, summary, tensor_infos
from .errors import BundleError, InputError
from .format.bundle import Bundle, from_bytes, to_bytes
from .format.graph import Array, Graph, Node
from .format.nodes import Input
from .format.source import read_file, read_object, shown
from .inputs import InputCheck, Inputs, Outputs, by_name
from .recurrent.tuned import ROWS
from .side_by_side import side_by_side
from .splitting import splits
from .streaming import Stream
from .threads import at_most
from .verifying import Verification, verify


class Gates(dict[str, Array]):
    """Arrays of one recurrent node by name, also as attributes: ``gates.i`` is ``gates["i"]``.

    All are (batch, time, units), of a ConvLSTM (batch, time, …space, filters); index t belongs to time step t of the
    input. At masked steps the gates are what the cell computed, while c and h are what it kept.

    Attributes:
        h: the hidden state. All nodes have it.
        output: what the node returns: (batch, units) where it returns the last step alone.
        i: the input gate. i, f, o, c_tilde and c are those of LSTM and ConvLSTM.
        f: the forget gate.
        o: the output gate.
        c_tilde: the candidate for the cell state.
        c: the cell state.
        z: the update gate. z, r and h_tilde are those of GRU.
        r: the reset gate.
        h_tilde: the candidate for the hidden state.
    """

    i: Array
    f: Array
    o: Array
    c_tilde: Array
    c: Array
    z: Array
    r: Array
    h_tilde: Array
    h: Array
    output: Array

    if not TYPE_CHECKING:  # a checker knows the attributes above, and tells a slip

        def __getattr__(self, name: str) -> Array:
            try:
                return self[name]
            except KeyError:
                raise AttributeError(f"no {name!r} here; there are {', '.join(self)}") from None


def load(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes],
    *,
    dtype: str | None = None,
    engine: str | None = None,
) -> Model:
    """Loads a bundle.

    Args:
        source: a path, the bundle's bytes, or a binary file object.
        dtype: "float64" computes everything in double precision, as a reference for accuracy.
        engine: "kernel" or "numpy"; None is what LSTMCONV_ENGINE in the environment says, else the kernel where it is
            built: see `engines`.

    Raises:
        EngineError: the kernel is asked for, and not there.
        BundleError: the file is no bundle, is damaged, or breaks a rule of FORMAT.md; the message names the path.
        VersionError: the bundle needs a newer runtime.
        FileError: the file cannot be read.
        InputError: an argument is of the wrong kind.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return Model(bytes(source), dtype=dtype, engine=engine)
    if isinstance(source, str | os.PathLike):
        try:
            return Model(read_file(source), dtype=dtype, engine=engine)
        except BundleError as error:
            raise type(error)(f"'{shown(source)}': {error}", error.code) from None
    return Model(read_object(source), dtype=dtype, engine=engine)


class Model:
    """A recurrent network. Immutable, safe to share between threads, and picklable: as a bundle, written anew.

    What its calls return is the caller's alone, and what they are given is left as it was and not kept: see `programs`.
    The arrays of `bundle`, which the model computes with, are read-only. `engine` says what runs its recurrent layers.
    """

    def __init__(self, data: bytes, *, dtype: str | None = None, engine: str | None = None) -> None:
        if not (dtype is None or (isinstance(dtype, str) and dtype == "float64")):
            raise InputError(f'dtype must be None or "float64", got {dtype!r}', "E_ARGUMENT")
        self.engine = engines.engine(engine)
        self._dtype, self._asked = dtype, engine
        self.bundle: Bundle = _frozen(from_bytes(data))
        self.program = programs.prepare(self.bundle.graph, dtype, self.engine)
        self._joined = side_by_side(self.program)
        types = self.program.types
        self._halves = [types[name].dtype == "float16" and dtype is None for name in self.bundle.graph.outputs]
        self.checks = {name: InputCheck(self.program, name) for name in self.bundle.graph.inputs}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (to_bytes(self.bundle), self._dtype, self._asked)

    def __repr__(self) -> str:
        return f"<Model {', '.join(self.input_names)} → {', '.join(self.output_names)}>"

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in the model's order."""
        return self.bundle.graph.inputs

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the model's order."""
        return self.bundle.graph.output_keys or self.bundle.graph.outputs

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the graph, in the order they run."""
        return self.bundle.graph.nodes

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """Name, shape and dtype of each input, in the model's order."""
        return tensor_infos(self.program, self.input_names, self.bundle.graph.inputs)

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """Name, shape and dtype of each output, in the model's order."""
        return tensor_infos(self.program, self.output_names, self.bundle.graph.outputs)

    def summary(self) -> str:
        """A table of the nodes with their shapes and parameters, the inputs and the outputs, as text to print."""
        return summary(self.program, self.engine.name, self.inputs, self.outputs)

    def predict(self, x: Inputs, *, batch_size: int | None = None, threads: int | None = None) -> Array | Any:
        """The model's outputs for a batch of whole sequences, from zero states.

        The outputs are the caller's alone: none shares memory with another one, with x or with the model.

        Args:
            x: (batch, time, features) for a model of one input; else a dict by input name, or a list in the model's
                order.
            batch_size: rows to compute at once; None is all. A model whose values do not follow the rows one by one
                (see `splits`) computes all at once, whatever is asked for.
            threads: how many threads may share these rows. None leaves it to the kernel and NumPy's matrix products,
                which use all processors where it pays; 1 keeps the kernel to this thread. More can pay where the
                environment keeps them to one, as by OPENBLAS_NUM_THREADS=1, and this process may use several
                nevertheless. Fewer are started where there is little to do (see `thread_count`), or where the process
                has fewer processors.

        Returns:
            One array, or a list in the model's order, or a dict where the model was built with a dict of outputs. Which
            it is depends on the file, so type checkers are told of an array or anything; `predict_by_name` has one type
            for every model.

        Raises:
            InputError: an array does not fit.
        """
        return self._pack(self._outputs(x, batch_size, threads))

    def predict_by_name(
        self, x: Inputs, *, batch_size: int | None = None, threads: int | None = None
    ) -> dict[str, Array]:
        """What `predict` gives, always as a dict by output name, in the model's order."""
        return dict(zip(self.output_names, self._outputs(x, batch_size, threads), strict=True))

    def _outputs(self, x: Inputs, batch_size: int | None, threads: int | None) -> list[Array]:
        with np.errstate(all="ignore"):
            inputs = self.check_inputs(x)
            if batch_size is None and threads is None:
                return self._run(inputs)
            rows = len(next(iter(inputs.values())))
            at_once = rows if batch_size is None else min(at_least_one("batch_size", batch_size), rows)
            wanted = 1 if threads is None else at_least_one("threads", threads)
            count = min(wanted, processors(), thread_count(self.bundle.graph, at_once)) if self.splits else 1
            if count > 1:
                at_once = -(-at_once // count)
            with nullcontext() if threads is None else at_most(wanted if count == 1 else 1):
                if rows <= at_once or not self.splits:
                    return self._run(inputs)
                return self._run_in_parts(inputs, rows, at_once, count)

    @cached_property
    def splits(self) -> bool:
        """Whether the rows of a batch can be computed in parts: see `splitting`."""
        return splits(self.bundle.graph, self.program.types)

    def _run_in_parts(self, inputs: dict[str, Array], rows: int, at_once: int, threads: int) -> list[Array]:
        """The outputs, each in one array that the parts are written into: joining them would need two at a time."""

        outputs: list[Array] = []
        lock = threading.Lock()

        def run_part(start: int) -> None:
            stop = min(start + at_once, rows)
            part = {name: array[start:stop] for name, array in inputs.items()}
            # What the caller's thread has set does not hold in another one.
            with np.errstate(all="ignore"), nullcontext() if threads == 1 else at_most(1):
                values = programs.run_quiet(self._joined, part, keep=False)
                made = [values[name] for name in self.bundle.graph.outputs]
                each = [len(y) // (stop - start) for y in made]  # 1, but for time steps that are rows of the batch
                with lock:
                    if not outputs:
                        shapes = [(rows * k, *y.shape[1:]) for k, y in zip(each, made, strict=True)]
                        halves = zip(self._halves, made, strict=True)
                        dtypes = [np.float16 if half else y.dtype for half, y in halves]
                        outputs.extend(map(np.empty, shapes, dtypes))
                for whole, k, y in zip(outputs, each, made, strict=True):
                    whole[start * k : stop * k] = y

        starts = range(0, rows, at_once)
        if threads > 1:
            # Threads of their own for each call: a pool kept by the model would not survive a fork.
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(run_part, starts))
        else:
            for start in starts:
                run_part(start)
        return outputs

    def _run(self, inputs: dict[str, Array]) -> list[Array]:
        """The outputs, in the model's order."""
        return self._owned(programs.run_quiet(self._joined, inputs, keep=False))

    def trace(self, x: Inputs) -> dict[str, Any]:
        """Every value of the graph by node name; for recurrent nodes their gates.

        ``trace["lstm"].i .f .o .c_tilde .c .h`` are (batch, time, units), index t belonging to time step t of the
        input; GRU has z, r, h_tilde, h; ``.output`` is what the node returns. At masked steps the gates are what the
        cell computed, while c and h are what it kept.

        Raises:
            InputError: an array does not fit.
        """
        gates: dict[str, dict[str, Array]] = {}
        with np.errstate(all="ignore"):
            values = programs.run_quiet(self.program, self.check_inputs(x), gates)
        names = [node.name for node in self.nodes]
        shown = zip(names, programs.own(values, names), strict=True)
        return {name: Gates(gates[name], output=y) if name in gates else y for name, y in shown}

    def gates(self, x: Inputs) -> dict[str, Gates]:
        """The gates and states of the recurrent nodes alone, by node name: see `Gates`.

        Raises:
            InputError: an array does not fit.
        """
        return {name: found for name, found in self.trace(x).items() if isinstance(found, Gates)}

    def __copy__(self) -> Model:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        return self  # immutable

    def stream(self, batch: int = 1, fixed: Mapping[str, Any] | None = None) -> Stream:
        """Explicit state for running step by step; see `Stream`.

        Args:
            batch: number of sequences that advance together.
            fixed: arrays for the inputs that have no time axis, by name.

        Raises:
            StreamError: a layer needs the future; names it.
            InputError: an argument does not fit.
        """
        return Stream(self, at_least_one("batch", batch), {} if fixed is None else fixed)

    def verify(self) -> Verification:
        """Runs the bundle's probes: inputs with the outputs an oracle computed for them when the bundle was made.

        Passes where there are probes, and every difference is rounding: see `verifying`.
        """
        with np.errstate(all="ignore"):
            return verify(self)

    def check_inputs(self, x: Inputs) -> dict[str, Array]:
        """Arrays by input name, checked and cast to the dtypes the inputs are held in; views, where they were given so.

        Raises:
            InputError: a name, number, rank, size or dtype does not fit.
        """
        given = by_name(self.input_names, x)
        arrays = {name: self.checks[name].whole(value).view() for name, value in given.items()}  # see `programs`
        if len(arrays) > 1:
            rows = {array.shape[0] for array in arrays.values()}
            if len(rows) > 1:
                raise InputError(f"the inputs have different numbers of rows: {sorted(rows)}")
        return arrays

    def _owned(self, values: Mapping[str, Array]) -> list[Array]:
        """The outputs as the caller gets them, in the model's order: in their own dtypes (bfloat16 as float32), and the
        caller's alone."""
        outputs = programs.own(values, self.bundle.graph.outputs)
        if True in self._halves:
            return [y.astype(np.float16) if half else y for y, half in zip(outputs, self._halves, strict=True)]
        return outputs

    def _pack(self, arrays: list[Array]) -> Outputs:
        """Outputs in the structure Keras returns them in."""
        return packed(self.bundle.graph, arrays)


def packed(graph: Graph, arrays: list[Array]) -> Outputs:
    """The outputs of a graph, in their order, in the structure Keras returns them in."""
    if graph.output_keys is not None:
        return dict(zip(graph.output_keys, arrays, strict=True))
    return arrays[0] if len(arrays) == 1 else arrays


# What a thread must have to do, or it costs more than it saves: so many rows, which one matrix product takes with the
# weights read once; and so many products of numbers in one step of the largest node (50 µs), because Python's share of
# a step, 10 µs, cannot be shared.
ROWS_PER_THREAD = 16
WORK_PER_THREAD = 2**20


def thread_count(graph: Graph, rows: int) -> int:
    """How many threads the work of so many rows is enough for, at least 1."""
    largest = max(sum(map(prod, node.parameters().values())) for node in graph.nodes)
    # From tuned.ROWS on, rows do not advance together: more of them make no step larger.
    enough = max(ROWS_PER_THREAD, -(-WORK_PER_THREAD // max(1, largest)))
    return 1 if enough > ROWS else max(1, rows // enough)


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def at_least_one(name: str, value: Any) -> int:
    """A number of rows or threads as an int; NumPy's whole numbers are taken too.

    Raises:
        InputError: it is none, or below 1.
    """
    number = 0
    if not isinstance(value, bool | np.bool_):  # an index to NumPy before 2
        with contextlib.suppress(TypeError):
            number = operator.index(value)
    if number < 1:
        raise InputError(f"{name} must be a whole number of at least 1, got {value!r}", "E_ARGUMENT")
    return number


def _frozen(bundle: Bundle) -> Bundle:
    """The bundle with its arrays read-only: a model shows them, and computes with them."""
    arrays = [*bundle.graph.arrays.values()]
    for probe in bundle.probes:
        arrays += [*probe.inputs.values(), *probe.outputs]
    for array in arrays:
        array.flags.writeable = False
    return bundle


def _rebuild(data: bytes, dtype: str | None, engine: str | None) -> Model:
    return Model(data, dtype=dtype, engine=engine)


def inputs_of(model: Model) -> list[Input]:
    """The Input nodes, in the model's order."""
    by_name = {node.name: node for node in model.nodes}
    return [node for name in model.input_names if isinstance(node := by_name[name], Input)]
