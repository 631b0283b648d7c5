"""The unit of work of a campaign: label some deployments, and let no bad one spoil the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from datagen.errors import CorruptDataError
from datagen.generate.sources import Source
from datagen.simulator import SimulationOptions, simulate_batch, warm_up
from datagen.store import table_of
from datagen.store.manifest import FailedRow

__all__ = ["Executor", "InProcess", "Labelled", "Task", "lost"]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """What became of some deployments.

    Args:
        rows: Their indices.
        table: The rows of those that were labelled, in order; None where there are none.
        failed: The others.
    """

    rows: range
    table: pa.Table | None
    failed: tuple[FailedRow, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        # Arrow's own form of a table of many columns is written twenty times as fast as pickle's.
        return _received, (self.rows, _sent(self.table), self.failed)


def _sent(table: pa.Table | None) -> bytes | None:
    """Return a table as it travels between processes."""
    if table is None:
        return None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def _received(rows: range, table: bytes | None, failed: tuple[FailedRow, ...]) -> Labelled:
    """Return what another process labelled."""
    arrived = None if table is None else pa.ipc.open_stream(table).read_all()
    return Labelled(rows=rows, table=arrived, failed=failed)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the workers of a campaign do; a small value that travels to them.

    Args:
        source: Where the deployments come from.
        options: How they are simulated.
    """

    source: Source
    options: SimulationOptions

    def label(self, rows: range) -> Labelled:
        """Label deployments; one that cannot be is reported beside the others.

        Args:
            rows: Their indices.

        Returns:
            What became of them: a function of the task and the indices alone.

        Raises:
            CorruptDataError: If the source itself is damaged.
        """
        try:
            batch, documents = self.source.rows(rows)
            measures = simulate_batch(batch, self.options)
            return Labelled(rows=rows, table=table_of(batch, measures, documents, batch.key))
        except CorruptDataError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one deployment raises is its own
            if len(rows) == 1:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                return lost(rows, text)
        return _joined(rows, [self.label(range(row, row + 1)) for row in rows])

    def prepare(self) -> None:
        """Compile the kernels or load them from disk, before any clock runs."""
        warm_up()


def lost(rows: range, error: str) -> Labelled:
    """Return deployments that all failed.

    Args:
        rows: Their indices.
        error: What went wrong.

    Returns:
        What became of them.
    """
    failed = tuple(FailedRow(index=row, error=error) for row in rows)
    return Labelled(rows=rows, table=None, failed=failed)


def _joined(rows: range, parts: Sequence[Labelled]) -> Labelled:
    tables = [part.table for part in parts if part.table is not None]
    return Labelled(
        rows=rows,
        table=pa.concat_tables(tables) if tables else None,
        failed=tuple(row for part in parts for row in part.failed),
    )


class Executor(ABC):
    """Where a task is done: in this process, in others, or on other machines."""

    @abstractmethod
    def run(self, task: Task, chunks: Sequence[range]) -> Iterator[Labelled]:
        """Label deployments.

        Args:
            task: What to do.
            chunks: Indices, so many at a time; every index once.

        Yields:
            What became of them, in any order and perhaps in smaller chunks; every index once.

        Raises:
            DatagenError: If there is nobody left to do the work.
        """

    @abstractmethod
    def description(self) -> dict[str, object]:
        """Return plain values for the record of the run."""


class InProcess(Executor):
    """Labels in the process that asks: nothing to start, and nobody to kill."""

    def run(self, task: Task, chunks: Sequence[range]) -> Iterator[Labelled]:
        task.prepare()
        for rows in chunks:
            yield task.label(rows)

    def description(self) -> dict[str, object]:
        return {"executor": "local", "workers": 1}
