"""What holds for every call of the runtime, over every vector.

What it gives is the caller's alone; NumPy's error state changes nothing; the parts of a batch are the whole.
"""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from lstmconv.exporting import bundle_of, convert
from lstmconv_runtime import InputError, Model, StreamError
from lstmconv_runtime import model as model_module
from lstmconv_runtime.recurrent.compiled import Compiled
from lstmconv_runtime.recurrent.plain import Plain, Traced
from lstmconv_runtime.recurrent.runner import Runner
from lstmconv_runtime.recurrent.tuned import Tuned
from lstmconv_runtime.stream_kinds import stream_inputs
from lstmconv_runtime.streaming import Stream
from vector_files import NAMES, apart, read_vector

PART = 1e-13  # of the scale of an output, between a batch and its parts in float64: sums are taken in another order


@lru_cache(maxsize=8)
def bundle(name: str) -> bytes:
    return bundle_of(convert(read_vector(name).read()))


def subject(name: str) -> tuple[Model, dict[str, Any]]:
    """The model of a vector, and its inputs by name."""
    model = Model(bundle(name))
    return model, dict(zip(model.input_names, read_vector(name).inputs, strict=True))


def arrays(held: Any) -> Iterator[Any]:
    """Every array in what a call gives, or in what a model is made of."""
    if isinstance(held, np.ndarray):
        yield held
    elif isinstance(held, dict):
        for one in held.values():
            yield from arrays(one)
    elif isinstance(held, list | tuple):
        for one in held:
            yield from arrays(one)
    elif isinstance(held, Plain | Traced | Tuned | Runner | Compiled):
        yield from arrays(vars(held))


def copies(held: Any) -> list[Any]:
    return [array.copy() for array in arrays(held)]


def equal(one: Any, other: Any) -> bool:
    pairs = zip(arrays(one), arrays(other), strict=True)
    return all(a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def spoil(held: Any) -> None:
    """Writes into every array."""
    for array in arrays(held):
        array[...] = array == 0 if array.dtype.kind == "b" else 77


def streaming(model: Model, inputs: dict[str, Any]) -> tuple[Stream, dict[str, Any]] | None:
    """A stream of the model, and the inputs that stream; None where it cannot."""
    moving = stream_inputs(model.nodes)
    given = {name: x for name, x in inputs.items() if name not in moving}
    rows = len(next(iter(inputs.values())))
    try:
        stream = model.stream(max(rows, 1), given)
    except StreamError:
        return None
    if rows == 0:
        return None
    held = {name: inputs[name] for name in moving}
    return (stream, held) if len({x.shape[1] for x in held.values()}) == 1 else None


def check_ownership(model: Model, given: Any, made: Any) -> None:
    outputs = list(arrays(made))
    assert all(array.flags.writeable for array in outputs)
    assert not any(np.may_share_memory(a, b) for a, b in combinations(outputs, 2))
    bundle = model.bundle
    kept = [model.program.prepared, bundle.graph.arrays, [(p.inputs, p.outputs) for p in bundle.probes], given]
    assert not any(np.may_share_memory(a, b) for a in outputs for b in arrays(kept))


def outputs_are_the_callers_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array of every call is written into, and what the call was given too; the next call is not changed."""
    model, inputs = subject(name)
    before, verified = copies(inputs), model.verify()
    for call in (model.predict, lambda x: model.predict(x, batch_size=2), model.trace):
        made = call(inputs)
        assert equal(copies(inputs), before)
        check_ownership(model, inputs, made)
        expected = copies(made)
        spoil(made)
        again = {key: x.copy() for key, x in inputs.items()}
        assert equal(copies(call(again)), expected)
        spoil(again)
        assert equal(copies(call(inputs)), expected)
    assert model.verify() == verified


def what_a_stream_gives_is_the_callers_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream whose every array is written into after every step goes on as its twin does; so does one in a pickle."""
    model, inputs = subject(name)
    twin = streaming(model, inputs)
    if twin is None:
        pytest.skip("it cannot stream")
    untouched, moving = twin
    fixed = {key: x.copy() for key, x in inputs.items() if key not in moving}
    stream = model.stream(len(next(iter(inputs.values()))), fixed)
    spoil(fixed)
    steps = next(iter(moving.values())).shape[1]
    for t in range(steps):
        piece = {key: x[:, t : t + 1].copy() for key, x in moving.items()}
        if t % 2:
            expected = untouched.chunk({key: x[:, t : t + 1] for key, x in moving.items()})
            made = stream.chunk(piece)
        else:
            expected = untouched.step({key: x[:, t] for key, x in moving.items()})
            piece = {key: x[:, 0] for key, x in piece.items()}
            made = stream.step(piece)
        assert equal(made, expected), t
        check_ownership(model, [piece, stream._carried, stream._fixed], made)
        state = stream.state
        check_ownership(model, [piece, made, stream._carried, stream._fixed], state)
        spoil([piece, made, state])
        if t == 1:
            stream = copy.deepcopy(pickle.loads(pickle.dumps(stream)))
            stream.state = kept = untouched.state
            spoil(kept)
    assert equal(stream.state, untouched.state)


def all_calls(model: Model, inputs: dict[str, Any]) -> list[Any]:
    """What every call gives."""
    made: list[Any] = [model.predict(inputs), model.trace(inputs)]
    made += [model.predict(inputs, batch_size=1), model.predict(inputs, threads=3)]
    found = streaming(model, inputs)
    if found is not None:
        stream, moving = found
        made += [stream.step({key: x[:, 0] for key, x in moving.items()}), stream.chunk(moving)]
        stream.state = stream.state
        made.append(stream.state)
    return made


def the_callers_error_state_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every floating point error raised, every warning an error: the same numbers; of large inputs too."""
    monkeypatch.setattr(model_module, "thread_count", lambda graph, rows: rows)
    monkeypatch.setattr(model_module, "processors", lambda: 3)
    model, inputs = subject(name)
    large = {key: x * x.dtype.type(3e4) if x.dtype.kind == "f" else x for key, x in inputs.items()}
    for given in (inputs, large):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                expected = all_calls(model, given)
            except InputError:  # too large for ids that come as floats
                assert given is large
                continue
        with warnings.catch_warnings(), np.errstate(all="raise"):
            warnings.simplefilter("error")
            before = np.geterr()
            strict = Model(bundle(name))
            assert equal(all_calls(strict, given), expected)
            strict.verify()
            assert np.geterr() == before


def parts_of_a_batch_are_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row at a time, four, or shared by threads: what the whole gives, whether the model can be split or not."""
    monkeypatch.setattr(model_module, "thread_count", lambda graph, rows: rows)
    monkeypatch.setattr(model_module, "processors", lambda: 3)
    model = Model(bundle(name), dtype="float64")
    inputs = dict(zip(model.input_names, read_vector(name).inputs, strict=True))
    whole = list(arrays(model.predict(inputs)))
    options: list[dict[str, Any]] = [{"batch_size": 1}, {"batch_size": np.int64(4)}, {"threads": 2}]
    for option in options:
        parts = list(arrays(model.predict(inputs, **option)))
        assert [y.dtype for y in parts] == [y.dtype for y in whole]
        for part, one in zip(parts, whole, strict=True):
            assert apart(part, one) <= PART


@pytest.mark.parametrize(
    "holds",
    [
        outputs_are_the_callers_alone,
        what_a_stream_gives_is_the_callers_alone,
        the_callers_error_state_changes_nothing,
        parts_of_a_batch_are_the_whole,
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_call(name: str, holds: Callable[[str, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    holds(name, monkeypatch)
