"""Processes of this machine that share the batches of one output, or the partitions of a folder."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lstmconv_runtime import Model
from lstmconv_runtime.format.graph import Array
from lstmconv_runtime.threads import BLAS_THREADS

from ..errors import LimitError
from .partitions import FAILURES, Failure, Job, Record, score_partition
from .prediction import Batch
from .sources import Given

if TYPE_CHECKING:
    from concurrent.futures import Future

HEARTBEAT = 0.5  # seconds
MESSAGE = 2**20  # bytes
MOST_BATCHES = 16
_model: Model | None = None


def _begin(model: Model | None) -> None:
    """What a process does first."""
    global _model
    _model = model
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a terminal sends to all: the first process ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone, whatever ended that."""
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _compute(message: list[dict[str, Array]], threads: int | None) -> list[dict[str, Array]]:
    assert _model is not None
    return [_model.predict_by_name(inputs, threads=threads) for inputs in message]


def _messages(batches: Iterator[Batch]) -> Iterator[list[Batch]]:
    """The batches, as many together as MESSAGE bytes hold, or one."""
    message: list[Batch] = []
    size = 0
    for batch in batches:
        message.append(batch)
        size += sum(array.nbytes for array in batch.inputs.values())
        del batch
        if size >= MESSAGE or len(message) == MOST_BATCHES:
            yield message
            message, size = [], 0
    if message:
        yield message


class Workers:
    """Processes that end with the block. Each has one thread for its matrix products unless more are asked for.

    The environment of this process says so, since that is what they start with; it is put back at the end.
    """

    def __init__(self, jobs: int, threads: int | None, model: Model | None = None) -> None:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        self._jobs, self._threads = jobs, threads or 1
        self._before = {name: os.environ.get(name) for name in BLAS_THREADS}
        os.environ.update(dict.fromkeys(BLAS_THREADS, str(self._threads)))
        # Not forked: a process that has computed may have threads, which do not survive that.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(model,))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def predictions(self, batches: Iterator[Batch]) -> Iterator[tuple[Batch, dict[str, Array]]]:
        """The outputs of the batches in their order. Small batches travel together, MESSAGE bytes of them; at most two
        messages more than there are processes are held.

        Raises:
            InputError: a number does not fit.
            LimitError: a process was ended.
        """
        waiting: deque[tuple[list[Batch], Future[list[dict[str, Array]]]]] = deque()
        for message in _messages(batches):
            sent = self._submit(_compute, [batch.inputs for batch in message], self._threads)
            waiting.append(([replace(batch, inputs={}) for batch in message], sent))
            del message
            if len(waiting) > self._jobs + 1:
                yield from self._results(*waiting.popleft())
        while waiting:
            yield from self._results(*waiting.popleft())

    def _submit(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        from concurrent.futures.process import BrokenProcessPool

        try:
            return self._pool.submit(function, *given)
        except BrokenProcessPool:
            raise _ended() from None

    def _results(
        self, batches: list[Batch], sent: Future[list[dict[str, Array]]]
    ) -> Iterator[tuple[Batch, dict[str, Array]]]:
        from concurrent.futures.process import BrokenProcessPool

        try:
            made = sent.result()
        except BrokenProcessPool:
            raise _ended() from None
        made.reverse()
        for batch in batches:
            yield batch, made.pop()

    def partitions(self, job: Job, sources: Sequence[Given]) -> Iterator[tuple[Given, Record | Failure] | None]:
        """The records of partitions as they are done, or what went wrong with each; None after a while without any.

        Raises:
            LimitError: a process was ended.
        """
        from concurrent.futures import FIRST_COMPLETED
        from concurrent.futures import wait as wait_for
        from concurrent.futures.process import BrokenProcessPool

        futures = {self._submit(_score, job, given): given for given in sources}
        left = set(futures)
        while left:
            done, left = wait_for(left, HEARTBEAT, FIRST_COMPLETED)
            if not done:
                yield None
            for future in done:
                try:
                    yield futures[future], future.result()
                except BrokenProcessPool:
                    raise _ended() from None


def _score(job: Job, given: Given) -> Record | Failure:
    try:
        return score_partition(job, given)
    except FAILURES as error:
        return error


def one_after_the_other(
    job: Job, sources: Iterable[Given], advance: Callable[[int], None]
) -> Iterator[tuple[Given, Record | Failure] | None]:
    """What `Workers.partitions` gives, computed by this process.

    Args:
        advance: is told how many rows of the partition are done.
    """
    for given in sources:
        try:
            yield given, score_partition(job, given, advance)
        except FAILURES as error:
            yield given, error


def _ended() -> LimitError:
    return LimitError("a process that computed was ended, most likely for want of memory", "E_LIMIT_MEMORY")
