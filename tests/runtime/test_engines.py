"""Which engine runs: by argument, by the environment, and what is said where it is not there."""

from __future__ import annotations

import pickle
from typing import Any

import lstmconv_runtime as lr
import pytest
from lstmconv_runtime import engines

SETS = list(engines.kernel.instruction_sets()) if engines.kernel else []


def test_an_engine_is_chosen_by_argument_and_environment(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = build.bytes(build.graph([build.input(None, 2), build.recurrent("LSTM", "a", "x", 2, 3)]))
    monkeypatch.delenv(engines.VARIABLE, raising=False)
    best = lr.engine()
    assert best.name == ("kernel" if SETS else "numpy")
    assert lr.load(data).engine == best
    assert lr.load(data, engine="numpy").engine == lr.Engine("numpy", None)
    monkeypatch.setenv(engines.VARIABLE, "numpy")
    assert str(lr.engine()) == "numpy"
    assert lr.load(data).engine == lr.engine()
    assert pickle.loads(pickle.dumps(lr.load(data, engine="numpy"))).engine.name == "numpy"
    if SETS:
        assert str(lr.load(data, engine="kernel").engine) == f"kernel ({SETS[0]})"
    monkeypatch.setenv(engines.VARIABLE, "")
    assert lr.engine() == best


@pytest.mark.parametrize("wrong", ["Kernel", "", "avx512", 1, b"numpy", ["numpy"]])
def test_no_such_engine(build: Any, monkeypatch: pytest.MonkeyPatch, wrong: Any) -> None:
    data = build.bytes(build.graph([build.input(None, 2), build.recurrent("LSTM", "a", "x", 2, 3)]))
    with pytest.raises(lr.InputError, match='engine must be "numpy" or "kernel"'):
        lr.load(data, engine=wrong)
    if isinstance(wrong, str) and wrong:
        monkeypatch.setenv(engines.VARIABLE, wrong)
        with pytest.raises(lr.InputError, match='LSTMCONV_ENGINE must be "numpy" or "kernel"'):
            lr.load(data)


def test_a_kernel_that_is_not_there(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = build.bytes(build.graph([build.input(None, 2), build.recurrent("LSTM", "a", "x", 2, 3)]))
    monkeypatch.setattr(engines, "kernel", None)
    monkeypatch.delenv(engines.VARIABLE, raising=False)
    assert lr.load(data).engine.name == "numpy"
    with pytest.raises(lr.EngineError, match="C compiler") as error:
        lr.load(data, engine="kernel")
    assert error.value.code == "E_ENGINE"
    monkeypatch.setenv(engines.VARIABLE, "kernel")
    with pytest.raises(lr.EngineError, match="C compiler"):
        lr.engine()
