"""Campaigns: label many deployments in worker processes and write them shard by shard.

Workers return tables and touch no file of the data set; the parent alone writes. Chunks are handed
out and joined in the order of the rows, so that neither their size nor the number of workers shows
in the bytes.
"""

from __future__ import annotations

import multiprocessing
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from datagen.errors import DatagenError
from datagen.generate.sources import Source
from datagen.simulator import SimulationOptions, simulate_batch, warm_up
from datagen.store import DatasetWriter, table_of

__all__ = ["CHUNK_ROWS", "label", "run_campaign"]

CHUNK_ROWS = 16
"""Deployments that a worker labels at a time: about a second of work."""

CHUNKS_AHEAD = 4
"""Chunks per worker that are handed out before their turn to be written."""


def label(source: Source, options: SimulationOptions, rows: range) -> pa.Table:
    """Simulate deployments.

    Args:
        source: Where they come from.
        options: How to simulate.
        rows: Their indices.

    Returns:
        Their rows of the data set.
    """
    batch, documents = source.rows(rows)
    measures = simulate_batch(batch, options)
    return table_of(batch, measures, documents, np.array(rows))


def run_campaign(
    source: Source,
    options: SimulationOptions,
    writer: DatasetWriter,
    *,
    workers: int = 1,
    resume: bool = False,
    chunk_rows: int = CHUNK_ROWS,
    progress: Callable[[int], object] = lambda rows: None,
) -> float:
    """Label deployments and write the data set.

    Args:
        source: Where the deployments come from.
        options: How to simulate.
        writer: Writer of the data set, not yet open.
        workers: Processes that simulate, >= 1.
        resume: Whether to go on with an unfinished data set of the same identity.
        chunk_rows: Deployments labelled at a time, >= 1.
        progress: Called with the number of rows just done.

    Returns:
        Seconds it took.

    Raises:
        DatagenError: If the folder is refused, a deployment cannot be simulated or a worker dies.
    """
    began, start = datetime.now(UTC), time.perf_counter()
    shards = writer.open(resume=resume)
    progress(writer.rows - sum(len(writer.rows_of(shard)) for shard in shards))
    try:
        _write_shards(source, options, writer, shards, workers, chunk_rows, progress)
    except BaseException:
        writer.abandon()
        raise
    seconds = time.perf_counter() - start
    writer.close({
        "host": platform.node(),
        "platform": platform.platform(),
        "started": began.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "workers": workers,
    })
    return seconds


def _write_shards(
    source: Source,
    options: SimulationOptions,
    writer: DatasetWriter,
    shards: list[int],
    workers: int,
    chunk_rows: int,
    progress: Callable[[int], object],
) -> None:
    chunks = [
        rows[first : first + chunk_rows]
        for rows in map(writer.rows_of, shards)
        for first in range(0, len(rows), chunk_rows)
    ]
    if chunks:
        warm_up()  # in the parent first, so that workers find compiled kernels on disk
    tables = _tables(source, options, chunks, min(workers, len(chunks)))
    for shard in shards:
        parts, missing = [], len(writer.rows_of(shard))
        while missing:
            parts.append(next(tables))
            missing -= len(parts[-1])
            progress(len(parts[-1]))
        writer.write(shard, pa.concat_tables(parts))


# The tables come in the order of the chunks, whichever worker is the first to finish.
def _tables(
    source: Source, options: SimulationOptions, chunks: list[range], workers: int
) -> Iterator[pa.Table]:
    if workers <= 1:
        for rows in chunks:
            yield label(source, options, rows)
        return
    # A forked worker that outlives a killed parent would keep its locks and its memory.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=spawn)
    try:
        waiting: deque[Future[pa.Table]] = deque()
        for rows in chunks:
            if len(waiting) == workers * CHUNKS_AHEAD:
                yield waiting.popleft().result()
            waiting.append(pool.submit(label, source, options, rows))
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise DatagenError("a worker process died; what is finished is kept.") from None
    finally:
        pool.shutdown(cancel_futures=True)
