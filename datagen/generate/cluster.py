"""Workers of a Dask cluster: machines that come and go, with a scheduler that knows them.

The scheduler does what :class:`~datagen.generate.pool.LocalPool` does here: it hands the chunks of
a dead worker to another one, and gives a chunk up when several died of it. Such a chunk is then
tried deployment by deployment, and what still ends its workers once more when all else is done, by
itself, so that only the one at fault is lost.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from datagen.errors import DatagenError, InvalidInputError
from datagen.generate.work import Executor, Labelled, Task, lost
from datagen.store.writer import versions

__all__ = ["DaskCluster"]

CHUNKS_PER_THREAD = 4
"""Chunks that each thread of the cluster has waiting: enough that none is idle, few to lose."""

PATIENCE = 60.0
"""Seconds to wait for the scheduler, and then for its first worker."""


class DaskCluster(Executor):
    """Labels on the workers of a running Dask scheduler.

    Args:
        address: Address of the scheduler, for example ``tcp://10.0.0.1:8786``.
        timeout: Seconds that one deployment may take before its worker ends itself and it is tried
            again; None for no limit. Workers come back where a nanny watches them, as by default.
        patience: Seconds to wait for the scheduler, and for its first worker.
    """

    def __init__(
        self, address: str, timeout: float | None = None, patience: float = PATIENCE
    ) -> None:
        self.address = address
        self.seconds = timeout
        self.patience = patience
        self._workers = 0

    def run(self, task: Task, chunks: Sequence[range]) -> Iterator[Labelled]:
        if not chunks:
            return
        client = self._connected()
        try:
            yield from self._run(client, task, chunks)
        except (CancelledError, OSError) as error:
            text = " ".join(str(error).split())
            raise DatagenError(
                f"the scheduler at {self.address} is gone ({text}); what is finished is kept."
            ) from None
        finally:
            client.close(timeout=5)

    def _connected(self) -> Any:
        distributed = _library()
        try:
            client = distributed.Client(self.address, timeout=self.patience, set_as_default=False)
        except (OSError, TimeoutError, ValueError):
            rule = "be the address of a running Dask scheduler"
            raise InvalidInputError("scheduler", rule, self.address) from None
        try:
            client.wait_for_workers(1, timeout=self.patience)
        except TimeoutError:
            client.close()
            rule = f"have a worker within {self.patience:g} s"
            raise InvalidInputError("scheduler", rule, self.address) from None
        return client

    def _run(self, client: Any, task: Task, chunks: Sequence[range]) -> Iterator[Labelled]:
        distributed = _library()
        threads = client.nthreads()
        self._workers, ahead = len(threads), CHUNKS_PER_THREAD * sum(threads.values())
        waiting = deque(chunks)
        known = versions()
        running: dict[str, range] = {}
        suspects: list[range] = []
        done = distributed.as_completed(loop=client.loop)

        def submitted(rows: range) -> Any:
            # A name of its own, so that the scheduler never takes the answer of another run for it.
            return client.submit(_label, task, rows, known, self.seconds, pure=False)

        def submit() -> None:
            rows = waiting.popleft()
            future = submitted(rows)
            running[future.key] = rows
            done.add(future)

        for _ in range(min(len(waiting), ahead)):
            submit()
        for future in done:
            rows = running.pop(future.key)
            try:
                yield future.result()
            except distributed.KilledWorker:
                if len(rows) == 1:
                    suspects.append(rows)
                else:
                    waiting.extendleft(range(row, row + 1) for row in reversed(rows))
            future.release()
            while waiting and len(running) < ahead:
                submit()
        # A worker that dies takes along what waited for it; alone, nobody is blamed for others.
        for rows in suspects:
            try:
                yield submitted(rows).result()
            except distributed.KilledWorker:
                yield lost(rows, "the workers that labelled it died")

    def description(self) -> dict[str, object]:
        return {"executor": "dask", "workers": self._workers}


def _library() -> Any:
    try:
        import distributed
    except ImportError:
        rule = "be used with the extra 'dask' installed"
        raise InvalidInputError("executor", rule, "dask") from None
    return distributed


# Runs on a worker, which must have the versions of the process that asks.
def _label(task: Task, rows: range, known: dict[str, str], seconds: float | None) -> Labelled:
    if versions() != known:
        raise DatagenError(f"a worker has other versions, {versions()}, than this run, {known}.")
    task.prepare()
    if seconds is None:
        return task.label(rows)
    # A thread cannot be ended from outside, so the process is; its scheduler knows what it did.
    alarm = threading.Timer(seconds * len(rows), os._exit, args=(1,))
    alarm.daemon = True
    alarm.start()
    try:
        return task.label(rows)
    finally:
        alarm.cancel()
