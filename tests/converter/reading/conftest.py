"""What the tests of the reader share: the committed files, and the check that a reader refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lstmconv.errors import LstmconvError
from lstmconv.reading import parse_keras_file
from paths import VECTORS

_VECTORS = VECTORS / "keras_file"


@pytest.fixture(scope="session")
def vectors() -> Path:
    return _VECTORS


@pytest.fixture(scope="session")
def archive() -> bytes:
    return (_VECTORS / "recurrent.keras").read_bytes()


@pytest.fixture(scope="session")
def legacy() -> bytes:
    return (_VECTORS / "recurrent.h5").read_bytes()


@pytest.fixture(scope="session")
def refusal() -> Callable[[bytes], tuple[int, str]]:
    """Reads a file and all its arrays: (exit code, error code) of the error that this ends in, (0, "") without one."""

    def read(data: bytes) -> tuple[int, str]:
        try:
            file = parse_keras_file(data, "input")
            weights = file.weights
            if hasattr(weights, "layer_names"):
                for name in weights.layer_names:
                    weights.arrays(name)
                return 0, ""
            waiting = [""]
            while waiting:
                path = waiting.pop()
                weights.arrays(path)
                waiting += [f"{path}/{name}".lstrip("/") for name in weights.groups(path)]
        except LstmconvError as error:
            message = str(error)
            assert len(message) <= 400
            assert message.isprintable()
            return error.exit_code, error.code
        return 0, ""

    return read
