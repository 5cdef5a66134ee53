"""The face of the runtime: load a bundle, predict, look inside, stream, verify."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np

from . import engine
from .bundle import Bundle, from_bytes
from .bundle_source import read_file, read_object, shown
from .errors import BundleError, InputError
from .graph import Array, Node
from .inputs import InputCheck, by_name
from .nodes import Input

if TYPE_CHECKING:
    from .streaming import Stream
    from .verifying import Verification

Inputs: TypeAlias = Any  # an array, a list of arrays, or a dict of arrays by input name
Outputs: TypeAlias = Array | list[Array] | dict[str, Array]


class Gates(dict[str, Array]):
    """Arrays of one recurrent node by name, also as attributes: ``gates.i`` is ``gates["i"]``."""

    def __getattr__(self, name: str) -> Array:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no {name!r} here; there are {', '.join(self)}") from None


def load(source: str | os.PathLike[str] | bytes | IO[bytes], *, dtype: str | None = None) -> Model:
    """Loads a bundle.

    Args:
        source: a path, the bundle's bytes, or a binary file object.
        dtype: "float64" computes everything in double precision, as a reference for accuracy.

    Raises:
        BundleError: the file is no bundle, is damaged, or breaks a rule of FORMAT.md; the message names the path.
        VersionError: the bundle needs a newer runtime.
        FileError: the file cannot be read.
        InputError: an argument is of the wrong kind.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return Model(bytes(source), dtype=dtype)
    if isinstance(source, str | os.PathLike):
        try:
            return Model(read_file(source), dtype=dtype)
        except BundleError as error:
            raise type(error)(f"'{shown(source)}': {error}", error.code) from None
    return Model(read_object(source), dtype=dtype)


class Model:
    """A recurrent network. Immutable, safe to share between threads, and picklable by its bundle's bytes."""

    def __init__(self, data: bytes, *, dtype: str | None = None) -> None:
        if not (dtype is None or (isinstance(dtype, str) and dtype == "float64")):
            raise InputError(f'dtype must be None or "float64", got {dtype!r}', "E_ARGUMENT")
        self._data = data
        self._dtype = dtype
        self.bundle: Bundle = from_bytes(data)
        self.program = engine.prepare(self.bundle.graph, dtype)
        self.checks = {name: InputCheck(self.program, name) for name in self.bundle.graph.inputs}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._data, self._dtype)

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

    def predict(self, x: Inputs, *, batch_size: int | None = None, threads: int | None = None) -> Outputs:
        """The model's outputs for a batch of whole sequences, from zero states.

        Args:
            x: (batch, time, features) for a model of one input; else a dict by input name, or a list in the model's
                order.
            batch_size: rows to compute at once; None is all.
            threads: how many threads share the rows. None leaves the choice to the runtime: one, because NumPy's
                matrix products use all processors by themselves; but where OPENBLAS_NUM_THREADS, OMP_NUM_THREADS or
                MKL_NUM_THREADS keeps them to one, as many as the processors this process may use.

        Returns:
            One array, or a list in the model's order, or a dict where the model was built with a dict of outputs.

        Raises:
            InputError: an array does not fit.
        """
        inputs = self.check_inputs(x)
        rows = len(next(iter(inputs.values())))
        if batch_size is None and threads is None and rows < 2 * ROWS_PER_THREAD:
            return self.pack(self._run(inputs))  # nothing to split
        for name, value in (("batch_size", batch_size), ("threads", threads)):
            if value is not None and (type(value) is not int or value < 1):
                raise InputError(f"{name} must be a whole number of at least 1, got {value!r}", "E_ARGUMENT")
        at_once = min(batch_size or rows, rows)
        count = max(1, thread_count(threads, at_once))
        if count > 1:
            at_once = -(-at_once // count)
        if rows <= at_once or not self.splits(rows):
            return self.pack(self._run(inputs))
        return self.pack(self._run_in_parts(inputs, rows, at_once, count))

    def splits(self, rows: int) -> bool:
        """Whether so many rows can be computed in parts; not where an output does not grow with them, as a constant."""
        types = self.program.types
        return all(types[name].shape[:1] in ((None,), (rows,)) for name in self.bundle.graph.outputs)

    def _run_in_parts(self, inputs: dict[str, Array], rows: int, at_once: int, threads: int) -> list[Array]:
        """The outputs, each in one array that the parts are written into: joining them would need two at a time."""

        outputs: list[Array] = []
        lock = threading.Lock()

        def run_part(start: int) -> None:
            stop = min(start + at_once, rows)
            made = self._run({name: array[start:stop] for name, array in inputs.items()})
            each = [len(y) // (stop - start) for y in made]  # 1, but for time steps that are rows of the batch
            with lock:
                if not outputs:
                    outputs.extend(np.empty((rows * k, *y.shape[1:]), y.dtype) for k, y in zip(each, made, strict=True))
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
        values = engine.run(self.program, inputs, keep=False)
        return [self.held(name, values) for name in self.bundle.graph.outputs]

    def trace(self, x: Inputs) -> dict[str, Any]:
        """Every value of the graph by node name; for recurrent nodes their gates.

        ``trace["lstm"].i .f .o .c_tilde .c .h`` are (batch, time, units), index t belonging to time step t of the
        input; GRU has z, r, h_tilde, h; ``.output`` is what the node returns. At masked steps the gates are what the
        cell computed, while c and h are what it kept.

        Raises:
            InputError: an array does not fit.
        """
        gates: dict[str, dict[str, Array]] = {}
        values = engine.run(self.program, self.check_inputs(x), gates)
        trace: dict[str, Any] = {}
        for node in self.nodes:
            held = values[node.name]
            trace[node.name] = Gates(gates[node.name], output=held) if node.name in gates else held
        return trace

    def stream(self, batch: int = 1, fixed: Mapping[str, Any] | None = None) -> Stream:
        """Explicit state for running step by step; see `Stream`.

        Args:
            batch: number of sequences that advance together.
            fixed: arrays for the inputs that have no time axis, by name.

        Raises:
            StreamError: a layer needs the future; names it.
            InputError: an argument does not fit.
        """
        from .streaming import Stream

        return Stream(self, batch, {} if fixed is None else fixed)

    def verify(self) -> Verification:
        """Runs the bundle's probes: inputs with the outputs an oracle computed for them when the bundle was made.

        Passes where there are probes, and every difference is rounding: see `verifying`.
        """
        from .verifying import verify

        return verify(self)

    def check_inputs(self, x: Inputs) -> dict[str, Array]:
        """Arrays by input name, checked and cast to the dtypes the inputs are held in.

        Raises:
            InputError: a name, number, rank, size or dtype does not fit.
        """
        given = by_name(self.input_names, x)
        arrays = {name: self.checks[name].whole(value) for name, value in given.items()}
        if len(arrays) > 1:
            rows = {array.shape[0] for array in arrays.values()}
            if len(rows) > 1:
                raise InputError(f"the inputs have different numbers of rows: {sorted(rows)}")
        return arrays

    def held(self, name: str, values: Mapping[str, Array]) -> Array:
        """An output as the caller gets it: in its own dtype (bfloat16 as float32), owning its memory."""
        made = values[name]
        if self.program.types[name].dtype == "float16" and self._dtype is None:
            return made.astype(np.float16)
        if made.base is not None or not made.flags.writeable:
            return made.copy()
        for source in self.bundle.graph.inputs:
            if made is values.get(source):
                return made.copy()
        return made

    def pack(self, arrays: list[Array]) -> Outputs:
        """Outputs in the structure Keras returns them in."""
        keys = self.bundle.graph.output_keys
        if keys is not None:
            return dict(zip(keys, arrays, strict=True))
        return arrays[0] if len(arrays) == 1 else arrays


BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
ROWS_PER_THREAD = 16  # fewer, and a thread spends more on starting than it saves


def thread_count(wanted: int | None, rows: int) -> int:
    """How many threads share so many rows: see `Model.predict`."""
    if wanted is None:
        blas_is_single = any(os.environ.get(name) == "1" for name in BLAS_THREADS)
        wanted = len(os.sched_getaffinity(0)) if blas_is_single and hasattr(os, "sched_getaffinity") else 1
    return min(wanted, rows // ROWS_PER_THREAD)


def _rebuild(data: bytes, dtype: str | None) -> Model:
    return Model(data, dtype=dtype)


def inputs_of(model: Model) -> list[Input]:
    """The Input nodes, in the model's order."""
    by_name = {node.name: node for node in model.nodes}
    return [node for name in model.input_names if isinstance(node := by_name[name], Input)]
