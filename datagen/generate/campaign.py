"""Campaigns: label many deployments, wherever, and write them shard by shard.

Workers return tables and touch no file of the data set; this process alone writes. Rows are put in
order when their shard is whole, so that neither the number of workers nor the order in which they
finish shows in the bytes.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa

from datagen.errors import DatagenError
from datagen.generate.work import Executor, Labelled, Task
from datagen.store import DatasetWriter
from datagen.store.manifest import FailedRow
from datagen.store.schema import INDEX, known_fields
from datagen.store.shard_reader import complete_shard

__all__ = ["CHUNK_ROWS", "CampaignLimits", "run_campaign"]

CHUNK_ROWS = (16, 128)
"""Fewest and most deployments that a worker labels at a time: about a second of work at most."""

CHUNKS = 32
"""Chunks that a campaign has at least, chunks allowing: no worker idles for long at its end."""

TOLERATED_SHARE = 0.01
"""Share of failed deployments from which the configuration is taken to be wrong, not a few rows."""

ALWAYS_TOLERATED = 10
"""Failed deployments that end no run, unless none succeeds: a share means little in small runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CampaignLimits:
    """How a campaign goes about its work; nothing here changes what a row says.

    Args:
        resume: Whether to go on with an unfinished data set of the same identity.
        retry_failed: Whether to try the deployments again that failed before; implies ``resume``.
        most_failures: Failed deployments that end the run when exceeded; None for 1 %, at least 10.
        chunk_rows: Deployments labelled at a time, >= 1; None to choose by their number.
    """

    resume: bool = False
    retry_failed: bool = False
    most_failures: int | None = None
    chunk_rows: int | None = None

    def failures_of(self, rows: int) -> int:
        """Return how many of some rows may fail.

        Args:
            rows: Number of rows, >= 1.

        Returns:
            The number given, or the tolerated share.
        """
        if self.most_failures is not None:
            return self.most_failures
        return max(int(TOLERATED_SHARE * rows), min(ALWAYS_TOLERATED, rows - 1))

    def chunk_of(self, rows: int) -> int:
        """Return how many of some rows are labelled at a time.

        Args:
            rows: Number of rows, >= 1.

        Returns:
            The number given, or one that keeps workers busy and progress visible.
        """
        if self.chunk_rows is not None:
            return self.chunk_rows
        fewest, most = CHUNK_ROWS
        return min(max(rows // CHUNKS, fewest), most)


def run_campaign(
    task: Task,
    writer: DatasetWriter,
    executor: Executor,
    limits: CampaignLimits = CampaignLimits(),
    progress: Callable[[int], object] = lambda rows: None,
) -> float:
    """Label deployments and write the data set.

    Args:
        task: What the deployments are and how they are simulated.
        writer: Writer of the data set, not yet open.
        executor: Where the work is done.
        limits: How to go about it.
        progress: Called with the number of rows just done.

    Returns:
        Seconds it took.

    Raises:
        DatagenError: If the folder is refused, too many deployments fail, nobody is left to do the
            work, or the disk is full; what is finished is kept.
    """
    began, start = datetime.now(UTC), time.perf_counter()
    shards = writer.open(resume=limits.resume or limits.retry_failed)
    progress(writer.rows_here - sum(len(writer.rows_of(shard)) for shard in shards))
    try:
        _Campaign(task, writer, executor, limits, progress).run(shards)
    except BaseException:
        writer.abandon()
        raise
    seconds = time.perf_counter() - start
    writer.close({
        "host": platform.node(),
        "platform": platform.platform(),
        "started": began.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        **executor.description(),
    })
    return seconds


@dataclass(slots=True)
class _OpenShard:
    """A shard whose rows are still coming in."""

    missing: int
    tables: list[pa.Table] = field(default_factory=list)
    failed: list[FailedRow] = field(default_factory=list)

    def take(self, part: Labelled) -> None:
        """Take in rows that are done."""
        self.missing -= len(part.rows)
        self.failed += part.failed
        if part.table is not None:
            self.tables.append(part.table)

    def table(self) -> pa.Table:
        """Return the rows in order."""
        empty = pa.schema(list(known_fields().values())).empty_table()
        return pa.concat_tables([empty, *self.tables]).sort_by(INDEX)


@dataclass(slots=True)
class _Campaign:
    task: Task
    writer: DatasetWriter
    executor: Executor
    limits: CampaignLimits
    progress: Callable[[int], object]
    failures: list[FailedRow] = field(default_factory=list)

    def run(self, shards: list[int]) -> None:
        """Label what is missing and write each shard when it is whole."""
        rows = {shard: list(self.writer.rows_of(shard)) for shard in shards}
        still = {shard: _OpenShard(len(wanted)) for shard, wanted in rows.items()}
        if self.limits.retry_failed:
            self._reopen(rows, still)
        else:
            self.failures = [row for few in self.writer.failed_rows().values() for row in few]
        chunks = [chunk for shard in sorted(rows) for chunk in self._chunks(rows[shard])]
        for part in self.executor.run(self.task, chunks):
            number = part.rows.start // self.writer.rows_per_shard
            still[number].take(part)
            self.progress(len(part.rows))
            self._refuse_too_many(part)
            if still[number].missing == 0:
                shard = still.pop(number)
                failed = sorted(shard.failed, key=lambda row: row.index)
                self.writer.write(number, shard.table(), failed)

    def _reopen(self, rows: dict[int, list[int]], still: dict[int, _OpenShard]) -> None:
        """Open the shards with failed rows again: only these rows are labelled."""
        for shard, failed in self.writer.failed_rows().items():
            rows[shard] = [row.index for row in failed]
            kept = complete_shard(self.writer.path_of(shard), self.task.options.windows or 0)
            still[shard] = _OpenShard(len(failed), [kept])
            self.progress(-len(failed))

    def _chunks(self, rows: list[int]) -> Iterator[range]:
        """Cut rows into ranges of neighbours, none longer than a chunk."""
        first, most = 0, self.limits.chunk_of(self.writer.rows_here)
        for place in range(1, len(rows) + 1):
            if place == len(rows) or rows[place] != rows[place - 1] + 1 or place - first == most:
                yield range(rows[first], rows[place - 1] + 1)
                first = place

    def _refuse_too_many(self, part: Labelled) -> None:
        self.failures += part.failed
        most = self.limits.failures_of(self.writer.rows_here)
        if len(self.failures) > most:
            first = min(self.failures, key=lambda row: row.index)
            raise DatagenError(
                f"{len(self.failures)} deployments failed and at most {most} may; "
                f"the first, {first.index}: {first.error}"
            )
