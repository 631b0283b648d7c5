"""Worker processes on this machine, each of which may die or hang without harm.

A worker is handed one chunk at a time over a pipe of its own and answers over the same pipe, so it
is always known what a dead worker was doing. Its chunk is then tried again, deployment by
deployment: one that kills its worker every time is reported, and the rest of the chunk is labelled.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext

from datagen.errors import DatagenError
from datagen.generate.work import Executor, Labelled, Task, lost

__all__ = ["ATTEMPTS", "LocalPool"]

ATTEMPTS = 3
"""Workers that one deployment may take with it before it is given up."""

FALSE_STARTS = 3
"""Workers that may die before they are ready; then something is wrong that no retry will mend."""


@dataclass(frozen=True, slots=True)
class _Try:
    """Deployments to label, and how many workers they took with them so far."""

    rows: range
    deaths: int = 0

    def again(self) -> list[_Try]:
        """Return what to try after a worker died of these: one deployment at a time."""
        if len(self.rows) > 1:
            return [_Try(range(row, row + 1)) for row in self.rows]
        return [_Try(self.rows, self.deaths + 1)]


def _serve(connection: Connection, task: Task) -> None:
    """Label chunks until the parent hangs up: the life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answer: object
    try:
        task.prepare()
        gc.freeze()  # what is there by now stays: looking through it for garbage took 1 % of a run
        connection.send(None)
        while True:
            rows = connection.recv()
            try:
                answer = task.label(rows)
            except DatagenError as error:
                answer = error
            connection.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone, and so is every reason to go on


class _Worker:
    """The parent's side of one worker process."""

    def __init__(self, context: SpawnContext, task: Task) -> None:
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, task), daemon=True)
        self.process.start()
        theirs.close()  # the worker's end is then the only one, and closes when the worker dies
        self.is_ready = False
        self.busy: _Try | None = None
        self.deadline = float("inf")

    def give(self, chunk: _Try, seconds: float) -> None:
        """Hand out a chunk and start its clock."""
        self.busy = chunk
        self.deadline = time.monotonic() + seconds * len(chunk.rows)
        try:
            self.connection.send(chunk.rows)
        except OSError:
            return  # it died while idle; its silence will be noticed like any other death

    def stop(self) -> None:
        """End the process at once: it holds nothing that anybody needs."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.connection.close()


class LocalPool(Executor):
    """Labels in worker processes of this machine.

    Args:
        workers: Processes, >= 1.
        timeout: Seconds that one deployment may take before its worker is killed and it is tried
            again; None for no limit. It decides how long a run takes, never what a row says.
    """

    def __init__(self, workers: int, timeout: float | None = None) -> None:
        self.workers = workers
        self.seconds = float("inf") if timeout is None else timeout

    def run(self, task: Task, chunks: Sequence[range]) -> Iterator[Labelled]:
        if not chunks:
            return
        task.prepare()  # in the parent first, so that workers find compiled kernels on disk
        # A forked worker that outlives a killed parent would keep its locks and its memory.
        context = multiprocessing.get_context("spawn")
        waiting = deque(map(_Try, chunks))
        team = [_Worker(context, task) for _ in range(min(self.workers, len(chunks)))]
        false_starts = 0
        try:
            while waiting or any(worker.busy for worker in team):
                for worker in team:
                    if worker.is_ready and worker.busy is None and waiting:
                        worker.give(waiting.popleft(), self.seconds)
                for place, worker in self._heard(team):
                    try:
                        answer = worker.connection.recv()
                    except (EOFError, OSError):
                        false_starts += not worker.is_ready
                        yield from self._bury(worker, waiting, false_starts)
                        team[place] = _Worker(context, task)
                        continue
                    if isinstance(answer, DatagenError):
                        raise answer
                    worker.is_ready, worker.busy = True, None
                    if answer is not None:
                        yield answer
        finally:
            for worker in team:
                worker.stop()

    def _heard(self, team: list[_Worker]) -> list[tuple[int, _Worker]]:
        """Wait for answers and deaths; kill who is late, which is a death then."""
        deadline = min((worker.deadline for worker in team if worker.busy), default=float("inf"))
        left = deadline - time.monotonic()
        ready = wait(
            [worker.connection for worker in team],
            timeout=None if left == float("inf") else max(left, 0.0),
        )
        now = time.monotonic()
        for worker in team:
            if worker.busy and worker.connection not in ready and worker.deadline <= now:
                worker.process.kill()
        return [(place, w) for place, w in enumerate(team) if w.connection in ready]

    # Decides what becomes of a dead worker's chunk.
    def _bury(self, worker: _Worker, waiting: deque[_Try], false_starts: int) -> Iterator[Labelled]:
        was_late = worker.deadline <= time.monotonic()
        chunk = worker.busy
        worker.process.join()
        code = worker.process.exitcode
        worker.stop()
        if false_starts >= FALSE_STARTS:
            raise DatagenError(
                f"worker processes die before they can work (exit code {code}); "
                "what is finished is kept."
            )
        if chunk is None:
            return
        tries = chunk.again()
        if tries[0].deaths < ATTEMPTS:
            waiting.extendleft(reversed(tries))
            return
        why = f"took longer than {self.seconds:g} s" if was_late else "died"
        yield lost(chunk.rows, f"its worker process {why}, {ATTEMPTS} times")

    def description(self) -> dict[str, object]:
        return {"executor": "local", "workers": self.workers}
