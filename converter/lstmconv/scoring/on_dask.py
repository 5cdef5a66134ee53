"""The partitions of a folder on a Dask cluster: of this machine, or one whose scheduler is named.

What a worker is sent is the paths, so bundle, inputs and outputs lie where all workers see them by the same names.
Which partition is done is told by what lies in the folder, and not by the scheduler, which may be lost.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from ..errors import FileAccessError, LimitError, MissingPackageError, printable
from .partitions import FAILURES, Failure, Job, Record, model_of, score_partition
from .sources import Given

LOCAL = "local"
LOGGERS = ("distributed", "distributed.client", "tornado", "tornado.application")
POLL = 0.05  # seconds
PATIENCE = 10  # seconds for a scheduler to answer


def require_dask() -> None:
    """Raises MissingPackageError where there is no Dask."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise MissingPackageError("Dask is not installed: pip install 'lstmconv[dask]'") from None


@contextmanager
def cluster(address: str, workers: int) -> Iterator[Any]:
    """A client of the scheduler at an address, or for LOCAL of one started here with so many workers of one thread.

    Raises:
        FileAccessError: no scheduler answers.
    """
    require_dask()
    import dask

    quiet = {"distributed.comm.timeouts.connect": f"{PATIENCE}s"}
    with dask.config.set(quiet), ExitStack() as opened:
        os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")  # of the workers' processes
        from distributed import Client, LocalCluster

        for name in LOGGERS:  # what they say of lost connections is said in an error of ours
            logging.getLogger(name).setLevel(logging.CRITICAL)
        where: Any = address
        try:
            if address == LOCAL:
                where = opened.enter_context(
                    LocalCluster(workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL)
                )
            client = opened.enter_context(Client(where, timeout=PATIENCE))
        except (OSError, ValueError, TypeError) as error:
            raise FileAccessError(
                f"no Dask scheduler answers at {printable(address)}: {printable(str(error), 100)}", "E_SCHEDULER"
            ) from None
        yield client


def score_on_dask(client: Any, job: Job, sources: Sequence[Given]) -> Iterator[tuple[Given, Record | Failure] | None]:
    """The records of partitions as they are done, or what went wrong with each; None after a while without any. A
    partition whose worker dies is done by another one.

    Raises:
        FileAccessError: the scheduler is gone.
    """
    from distributed import CancelledError, KilledWorker, as_completed

    futures = {client.submit(score_on_worker, job, given, pure=False): given for given in sources}
    done, left = as_completed(futures), len(futures)
    while left:
        ready = done.next_batch(block=False)
        left -= len(ready)
        for future in ready:
            try:
                yield futures[future], future.result()
            except KilledWorker:
                yield (
                    futures[future],
                    LimitError(
                        "every worker that scored it was ended, most likely for want of memory", "E_LIMIT_MEMORY"
                    ),
                )
            except (CancelledError, Exception):
                if future.status == "error":  # of the task, and a bug
                    raise
                raise FileAccessError("the Dask scheduler is gone; --resume does what is left", "E_SCHEDULER") from None
            future.release()
        if not ready:
            time.sleep(POLL)
            yield None


def score_on_worker(job: Job, given: Given) -> Record | Failure:
    """`score_partition` in a worker, one thread for each of its slots."""
    try:
        keep_to_one_thread()
        model_of(job)
        settings = replace(job.settings, threads=job.settings.threads or 1)
        return score_partition(replace(job, settings=settings), given)
    except FAILURES as error:
        return error


def keep_to_one_thread() -> None:
    """In a worker, keeps the matrix products of its process to one thread each for as long as it lives: a slot of a
    worker is one thread, and others use the other processors. A nanny says so to the workers it starts; others have to
    be told. Elsewhere, as on Dask's threads, the process is the caller's and left as it is."""
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")
