"""Where the safetensors library is missing, NumPy reads and writes the same bytes, and refuses the same files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from lstmconv_runtime import BundleError, load
from lstmconv_runtime.format import tensors
from lstmconv_runtime.format.bundle import from_bytes, to_bytes
from lstmconv_runtime.format.container import TENSOR_DTYPES, checked_header
from paths import VECTORS

BUNDLES = sorted(path for path in VECTORS.rglob("*.safetensors") if path.stat().st_size < 5_000_000)
needs_library = pytest.mark.skipif(tensors.library is None, reason="there is nothing to compare with")


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "library", None)


def outcome(data: bytes) -> Any:
    """What reading gives: the file written anew, or the error's class, code and words."""
    try:
        return to_bytes(from_bytes(data))
    except BundleError as error:
        return type(error), error.code, str(error)


@needs_library
def test_every_vector_is_read_or_refused_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [path.read_bytes() for path in BUNDLES]
    with_library = [outcome(data) for data in files]
    monkeypatch.setattr(tensors, "library", None)
    assert [outcome(data) for data in files] == with_library
    assert sum(isinstance(made, bytes) for made in with_library) > 200
    assert sum(isinstance(made, tuple) for made in with_library) > 100


@needs_library
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        st.sampled_from(sorted(TENSOR_DTYPES.values())).flatmap(
            lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
        ),
        max_size=5,
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_any_arrays_give_the_bytes_of_the_library(named: dict[str, Any], text: str) -> None:
    named.pop("__metadata__", None)
    data = tensors.library.save(named, {"lstmconv": text})
    assert tensors.write_with_numpy(named, {"lstmconv": text}) == data
    made, expected = tensors.read_with_numpy(data, checked_header(data)), tensors.library.load(data)
    assert made.keys() == expected.keys()
    for name, array in made.items():
        assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape)
        assert array.tobytes() == expected[name].tobytes()


@needs_library
@given(st.integers(0, 2**32), st.integers(1, 255))
def test_damaged_files_are_refused_alike(place: int, flip: int) -> None:
    whole = (VECTORS / "invalid" / "valid.safetensors").read_bytes()
    data = bytearray(whole)
    data[place % len(data)] ^= flip
    with_library, library = outcome(bytes(data)), tensors.library
    tensors.library = None
    try:
        assert outcome(bytes(data)) == with_library
    finally:
        tensors.library = library
    assert with_library != whole


@pytest.mark.parametrize("sizes", ["[0,300,300,300,300,300,300,300,300]", "[300,300,300,300,300,300,300,300,0]"])
def test_sizes_whose_product_overflows_are_refused(sizes: str, request: pytest.FixtureRequest) -> None:
    entry = f'{{"a":{{"dtype":"F32","shape":{sizes},"data_offsets":[0,0]}},"__metadata__":{{"lstmconv":"{{}}"}}}}'
    text = entry.encode().ljust(512)
    data = len(text).to_bytes(8, "little") + text
    with_library = outcome(data)
    request.getfixturevalue("without")
    assert outcome(data) == with_library
    assert with_library[1] == "E_BUNDLE_FORMAT"


def test_a_model_is_written_and_read_without(build: Any, without: None) -> None:
    data = build.bytes(build.sine().bundle.graph)
    assert load(data).predict(np.zeros((1, 4, 2))).shape == (1, 1)
    assert to_bytes(from_bytes(data)) == data
