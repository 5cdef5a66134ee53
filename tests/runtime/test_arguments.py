"""Whatever a caller gives that does not fit ends in an error of the runtime's own, which says what to do."""

from __future__ import annotations

import errno
import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lstmconv_runtime as lr
import numpy as np
import pytest
from lstmconv_runtime.format import nodes as n
from lstmconv_runtime.format.bundle import to_bytes


class Odd:
    """An object whose array protocol fails."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("cannot leave the other device\nsecond line")

    def __fspath__(self) -> Any:
        return 7


class ClosedFile(io.BytesIO):
    def read(self, *_: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")


# What no array, number, path or dict is expected to be.
NOTHING_THAT_FITS: tuple[Any, ...] = (
    None, True, 0, -1, 2.5, "text", b"bytes", "", [], (), {}, {"x": None}, {1: 2}, set(), object(), Odd(), len, str,
    np.float32(1), np.zeros(0), np.zeros((2, 2), complex), np.zeros((2, 3, 2), object), np.array("x"),
    np.zeros((1, 2), "M8[s]"), np.zeros((1, 2), [("a", "f4")]), [[1.0, 2.0], [3.0]], [[[1.0, 2.0]], [[3.0]]],
    [None], [[None, 1.0]], [["a", "b"]], [10**400], [[1e300, 0.0]], np.full((1, 2), 1e300), np.full((1, 1, 2), 1e300),
    np.ma.masked_array(np.zeros((1, 2)), [[True, False]]), [np.ma.masked_array(np.zeros(2), True)],
    range(3), iter("ab"),
)  # fmt: skip


@pytest.fixture(scope="module")
def sine(build: Any) -> Any:
    return build.sine()


@pytest.fixture(scope="module")
def two(build: Any) -> Any:
    """A streamed input of ids and one without a time axis."""
    nodes = [
        build.input(None, name="ids", dtype="int32"),
        build.input(3, name="fixed"),
        n.Embedding(name="e", x="ids", weights="e", input_size=5, units=2, dtype="float32"),
        build.recurrent("GRU", "gru", "e", 2, 3, h0="fixed"),
    ]
    return build.model(nodes)


def calls(sine: lr.Model, two: lr.Model) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Every public call, as a function of one argument that does not fit."""
    data, x = to_bytes(sine.bundle), np.zeros((1, 3, 2), np.float32)
    stream, pair = sine.stream(), two.stream(fixed={"fixed": np.zeros((1, 3))})
    yield "load", lr.load
    yield "load dtype", lambda odd: lr.load(data, dtype=odd)
    yield "Model", lr.Model
    yield "predict", sine.predict
    yield "predict two", two.predict
    yield "predict named", lambda odd: two.predict({"ids": odd, "fixed": np.zeros((1, 3))})
    yield "predict listed", lambda odd: two.predict([np.zeros((1, 3), int), odd])
    yield "predict batch_size", lambda odd: sine.predict(x, batch_size=odd)
    yield "predict threads", lambda odd: sine.predict(x, threads=odd)
    yield "trace", sine.trace
    yield "stream batch", sine.stream
    yield "stream fixed", lambda odd: two.stream(fixed=odd)
    yield "stream fixed array", lambda odd: two.stream(fixed={"fixed": odd})
    yield "step", stream.step
    yield "step two", pair.step
    yield "chunk", stream.chunk
    yield "chunk two", pair.chunk
    yield "state", lambda odd: setattr(stream, "state", odd)
    yield "state of a node", lambda odd: setattr(stream, "state", {"lstm": odd})
    yield "state array", lambda odd: setattr(stream, "state", {"lstm": {**stream.state["lstm"], "h": odd}})


# What is a proper argument after all, where it is.
FITS: dict[str, Callable[[Any], bool]] = {
    "load dtype": lambda odd: odd is None,
    "predict batch_size": lambda odd: odd is None,
    "predict threads": lambda odd: odd is None,
    "stream fixed": lambda odd: False,
}


def test_every_call_with_every_misfit(sine: Any, two: Any) -> None:
    seen = 0
    for name, call in calls(sine, two):
        for odd in NOTHING_THAT_FITS:
            if FITS.get(name, lambda odd: False)(odd):
                call(odd)
                continue
            with pytest.raises(lr.Error) as caught:
                call(odd)
            message = str(caught.value)
            assert message.isprintable(), (name, odd)
            assert len(message) <= 900, (name, odd)
            assert caught.value.code.startswith("E_"), (name, odd)
            seen += 1
    assert seen > 20 * len(NOTHING_THAT_FITS) - 10


def test_a_stream_goes_on_after_what_it_refused(sine: Any) -> None:
    x = np.random.default_rng(0).standard_normal((1, 2)).astype(np.float32)
    stream, untouched = sine.stream(), sine.stream()
    for odd in NOTHING_THAT_FITS:
        with pytest.raises(lr.Error):
            stream.step(odd)
        with pytest.raises(lr.Error):
            stream.state = odd
    assert np.array_equal(stream.step(x), untouched.step(x))
    stream.reset()
    untouched.reset()
    assert np.array_equal(stream.step(x), untouched.step(x))


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "no such.safetensors"
    with pytest.raises(lr.NoFileError, match=r"no such\.safetensors") as caught:
        lr.load(path)
    assert isinstance(caught.value, lr.FileError)
    assert isinstance(caught.value, FileNotFoundError)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == str(path)
    assert caught.value.code == "E_FILE"


def test_a_folder_and_paths_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(lr.FileError, match="is a folder") as caught:
        lr.load(tmp_path)
    assert isinstance(caught.value, OSError)
    with pytest.raises(lr.FileError):
        lr.load("x" * 5000)
    for odd in ("a\0b", "\udcff\ud800", Odd()):
        with pytest.raises(lr.Error):
            lr.load(odd)


def test_file_objects() -> None:
    closed = io.BytesIO(b"x")
    closed.close()
    for odd in (closed, ClosedFile()):
        with pytest.raises(lr.FileError, match="cannot read the file object"):
            lr.load(odd)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"PK\3\4", "this is a zip archive, as .keras files are, not a bundle; `lstmconv export` makes the bundle"),
        (b"\x89HDF\r\n\x1a\n", "this is an HDF5 file, as .h5 models are, not a bundle; `lstmconv export`"),
        (b"", "0 bytes are too short"),
        (b"version https://git-lfs.github.com/spec/v1", "not a safetensors file"),
    ],
)
def test_files_that_are_no_bundle(tmp_path: Path, start: bytes, words: str) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(start + bytes(100) * bool(start))
    with pytest.raises(lr.BundleError) as caught:
        lr.load(path)
    assert str(caught.value).startswith(f"'{path}': ")
    assert words in str(caught.value)
    assert caught.value.code == "E_BUNDLE_FORMAT"


def test_a_newer_bundle_is_named_too(build: Any, sine: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(to_bytes(sine.bundle).replace(b'\\"format\\":\\"1.0\\"', b'\\"format\\":\\"9.0\\"'))
    with pytest.raises(lr.VersionError, match=r"m\.safetensors': the bundle has format 9\.0"):
        lr.load(path)


def test_errors_survive_another_process(tmp_path: Path, sine: Any) -> None:
    for call in (lambda: lr.load(tmp_path / "x"), lambda: sine.predict(1), lambda: lr.load(b"")):
        with pytest.raises(lr.Error) as caught:
            call()
        copy = pickle.loads(pickle.dumps(caught.value))
        assert type(copy) is type(caught.value)
        assert (str(copy), copy.code) == (str(caught.value), caught.value.code)
        assert getattr(copy, "errno", None) == getattr(caught.value, "errno", None)


# --- what the messages say --------------------------------------------------------------------------------------------


def test_a_single_sample_without_its_batch_axis(sine: Any, two: Any) -> None:
    for call, x in (
        (sine.predict, np.zeros((3, 2))),
        (sine.trace, np.zeros((3, 2))),
        (sine.stream().step, np.zeros(2)),
        (sine.stream().chunk, np.zeros((3, 2))),
        (lambda x: two.stream(fixed={"fixed": x}), np.zeros(3)),
    ):
        with pytest.raises(lr.InputError, match=r"x\[None\]"):
            call(x)
        call(x[None])
    with pytest.raises(lr.InputError) as caught:
        sine.predict(np.zeros((3, 5)))
    assert "x[None]" not in str(caught.value)


def test_ragged_lists(sine: Any) -> None:
    for call, x in (
        (sine.predict, [[[1.0, 2.0], [3.0]]]),
        (sine.stream().step, [[1.0], [1.0, 2.0]]),
        (sine.stream(2).chunk, [[[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]]]),
    ):
        with pytest.raises(lr.InputError, match="input 'x': is ragged"):
            call(x)


def test_masked_arrays(sine: Any) -> None:
    masked = np.ma.masked_array(np.zeros((1, 3, 2)), mask=False)
    for x in (masked, [masked], [list(masked[0])], {"x": masked}):
        with pytest.raises(lr.InputError, match=r"masked array; give it filled"):
            sine.predict(x)
    assert sine.predict(masked.filled(0)).shape == (1, 1)


def test_sizes_that_only_the_stream_finds_out(build: Any) -> None:
    """A size that the graph leaves open: the error names the node, as in predict."""
    nodes = [
        build.input(None, None, 2, name="left"),
        build.input(None, None, 2, name="right"),
        n.Elementwise(name="sum", op="add", args=("left", "right")),
        n.Reduce(name="mean", x="sum", op="mean", axes=(2,), keepdims=False),
        build.recurrent("GRU", "gru", "mean", 2, 3),
    ]
    model = build.model(nodes)
    left, right = np.zeros((1, 4, 3, 2)), np.zeros((1, 4, 5, 2))
    for call, given in ((model.predict, [left, right]), (model.stream().step, [left[:, 0], right[:, 0]])):
        with pytest.raises(lr.InputError, match=r"node 'sum' \(Elementwise\)"):
            call(given)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_mask_of_another_number_of_steps(build: Any, steps: int) -> None:
    """One step is not stretched over all, nor are the first ones taken of more."""
    nodes = [
        build.input(None, 2),
        build.input(None, name="valid", dtype="bool"),
        build.recurrent("LSTM", "a", "x", 2, 3, mask="valid"),
    ]
    model = build.model(nodes, ["a"])
    x = np.ones((2, 4, 2), np.float32)
    assert model.predict({"x": x, "valid": np.ones((2, 4), bool)}).shape == (2, 4, 3)
    with pytest.raises(
        lr.InputError, match=rf"node 'a' \(LSTM\): its mask has {steps} time steps, its input 4"
    ) as error:
        model.predict({"x": x, "valid": np.ones((2, steps), bool)})
    assert error.value.code == "E_MASK_STEPS"
