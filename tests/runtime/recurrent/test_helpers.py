"""The threads that help the kernel: many callers, forks, sleep, and the processors they may run on."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lstmconv_runtime.threads import at_most

TASKS = Path("/proc/self/task")
linux = pytest.mark.skipif(not TASKS.exists(), reason="no list of threads")
X = np.random.default_rng(0).standard_normal((40, 30, 8)).astype(np.float32)


@pytest.fixture(scope="session")
def engine() -> None:
    """Not once for each engine, as elsewhere: helpers are the kernel's."""


@pytest.fixture
def model(build: Any) -> Any:
    return build.model([build.input(None, 8), build.recurrent("LSTM", "a", "x", 8, 130)])


def threads() -> set[str]:
    return {task.name for task in TASKS.iterdir()}


def test_many_threads_share_a_model(model: Any) -> None:
    expected = model.predict(X)
    found: list[Any] = []

    def predict() -> None:
        with at_most(4):
            found.extend(np.array_equal(model.predict(X), expected) for _ in range(5))

    callers = [threading.Thread(target=predict) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [True] * 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_threads_survive_a_fork(model: Any) -> None:
    """A child of a process that has used helpers has helpers of its own."""
    with at_most(4):
        expected = model.predict(X)
        before = threads() if TASKS.exists() else set()
        child = os.fork()
        if not child:
            alone = not before or len(threads()) == 1
            right = np.array_equal(model.predict(X), expected)
            os._exit(0 if alone and right and (not before or len(threads()) > 1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@linux
def test_helpers_are_made_once_and_sleep_between_calls(model: Any) -> None:
    with at_most(4):
        model.predict(X)
        made = threads()
        for _ in range(20):
            model.predict(X)
    assert threads() == made
    time.sleep(0.01)
    start = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - start < 0.05


@linux
def test_helpers_run_where_their_caller_may(model: Any) -> None:
    """What a thread may run on can change, and differs from thread to thread."""
    with at_most(4):
        model.predict(X)
        everywhere = os.sched_getaffinity(0)
        one = {min(everywhere)}
        os.sched_setaffinity(0, one)
        try:
            bound = wait_until(lambda: model.predict(X), lambda: one in affinities())
        finally:
            os.sched_setaffinity(0, everywhere)
        assert bound
        assert wait_until(lambda: model.predict(X), lambda: len(everywhere) == 1 or one not in affinities())


def affinities() -> list[set[int]]:
    """Of every thread but this one."""
    return [os.sched_getaffinity(int(task)) for task in threads() if int(task) != threading.get_native_id()]


def wait_until(again: Any, reached: Any) -> bool:
    """A helper may come too late for a call."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        again()
        if reached():
            return True
    return False
