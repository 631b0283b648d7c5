"""Writing a data set: shards of labelled deployments and the manifest that vouches for them."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa

from datagen.errors import InvalidInputError, require
from datagen.store.files import TEMPORARY, sha256_of, write_shard
from datagen.store.lock import LOCK, FolderLock
from datagen.store.manifest import (
    MANIFEST,
    WHOLE,
    FailedRow,
    RowGroup,
    Shard,
    read_manifest,
    shard_name,
    shards_of,
    shards_of_part,
    write_manifest,
)
from datagen.store.schema import SCHEMA_VERSION, without_empty_labels

__all__ = ["DatasetWriter", "versions"]


@cache
def versions() -> dict[str, str]:
    """Return the versions of everything that decides the bytes of a data set."""
    found = {"python": platform.python_version()}
    for package in ("numpy", "numba", "pyarrow", "edge-surrogate"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that is not installed
            found[package] = "unknown"
    return found


@dataclass
class DatasetWriter:
    """Writes the shards of one data set; shard k holds rows [kR, (k + 1)R).

    From :meth:`open` to :meth:`close` or :meth:`abandon` no other writer is let into the folder.
    Shards may be written in any order; each is in the folder whole or not at all, and the manifest
    vouches for it from then on.

    Args:
        folder: Where the data set goes.
        rows: Rows of the finished data set, >= 1.
        rows_per_shard: Rows of every shard but the last, >= 1.
        identity: What decides the content: program, config, seed.
        source: Who says the labels.
        level: Nominal coverage of label bounds, or None.
        part: Which part of the shards this folder is for, the first being (1, n).
        versions: Versions that decide the bytes; those of this process, unless others wrote them.
    """

    folder: Path
    rows: int
    rows_per_shard: int
    identity: Mapping[str, Any]
    source: str
    level: float | None = None
    part: tuple[int, int] = WHOLE
    versions: Mapping[str, str] = field(default_factory=lambda: versions())
    _shards: dict[int, Shard] = field(default_factory=dict, init=False)
    _run: dict[str, Any] = field(default_factory=dict, init=False)
    _is_new: bool = field(default=False, init=False)
    _lock: FolderLock | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        number, parts = self.part
        given = f"{number}/{parts}"
        require(1 <= number <= parts, "part", "be i/n with 1 <= i <= n", given)
        shards = -(-self.rows // self.rows_per_shard)
        rule = f"have no more parts than there are shards, {shards}"
        require(parts <= shards, "part", rule, given)

    def open(self, *, resume: bool) -> list[int]:
        """Make or find the folder.

        Args:
            resume: Whether to go on with what another run of the same identity left there.

        Returns:
            The shards still to write.

        Raises:
            InvalidInputError: If the folder holds something else, or another run writes there.
            CorruptDataError: If its manifest is damaged.
        """
        self._is_new = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            found = {entry.name for entry in self.folder.iterdir()} - {LOCK}
        except OSError:
            raise InvalidInputError("out", "be a folder", str(self.folder)) from None
        if found and not resume:
            rule = "be a new or empty folder (--resume goes on with a broken run)"
            raise InvalidInputError("out", rule, str(self.folder))
        self._lock = FolderLock(self.folder)
        try:
            self._take_over(found)
            self._write_manifest()
        except BaseException:
            self._release()
            raise
        return [number for number in self.shard_numbers if number not in self._shards]

    def _take_over(self, found: set[str]) -> None:
        if MANIFEST in found:
            self._adopt(read_manifest(self.folder))
        elif any(not name.endswith(TEMPORARY) for name in found):
            rule = f"hold a {MANIFEST} to be resumed"
            raise InvalidInputError("out", rule, str(self.folder))
        for name in found:
            if name.endswith(TEMPORARY):  # of a run that was killed while it wrote
                (self.folder / name).unlink()

    @property
    def shard_numbers(self) -> range:
        """The shards that belong in this folder."""
        return shards_of_part(self.rows, self.rows_per_shard, self.part)

    @property
    def rows_here(self) -> int:
        """Rows that belong in this folder, those that failed included."""
        return sum(len(self.rows_of(number)) for number in self.shard_numbers)

    def rows_of(self, number: int) -> range:
        """Return the rows of a shard.

        Args:
            number: 0-based shard.

        Returns:
            Their indices.
        """
        first = number * self.rows_per_shard
        return range(first, min(first + self.rows_per_shard, self.rows))

    def path_of(self, number: int) -> Path:
        """Return the file of a shard.

        Args:
            number: 0-based shard.

        Returns:
            Its path, whether it is there or not.
        """
        return self.folder / shard_name(number)

    def failed_rows(self) -> dict[int, tuple[FailedRow, ...]]:
        """Return the deployments without a row, by shard written."""
        return {number: shard.failed for number, shard in self._shards.items() if shard.failed}

    def write(self, number: int, table: pa.Table, failed: Sequence[FailedRow] = ()) -> None:
        """Write one shard and vouch for it; one that is there already is replaced.

        Args:
            number: 0-based shard.
            table: Its rows.
            failed: Deployments of its range that have no row.

        Raises:
            ValueError: If rows are missing that did not fail, or there are too many.
        """
        expected = len(self.rows_of(number)) - len(failed)
        if len(table) != expected:
            raise ValueError(f"shard {number} must have {expected} rows, got rows={len(table)}.")
        digests = write_shard(self.path_of(number), without_empty_labels(table))
        self._shards[number] = Shard(
            file=shard_name(number),
            rows=len(table),
            sha256=digests.sha256,
            groups=tuple(RowGroup(end=end, sha256=digest) for end, digest in digests.groups),
            failed=tuple(failed),
        )
        self._write_manifest()

    def vouch(self, number: int, shard: Shard) -> None:
        """Vouch for a shard that was put into the folder by other means.

        Args:
            number: 0-based shard.
            shard: What the manifest shall say of it.
        """
        self._shards[number] = shard
        self._write_manifest()

    def close(self, run: Mapping[str, Any]) -> None:
        """Finish the data set.

        Args:
            run: Host, times, durations: what may differ between runs of one identity.
        """
        self._run = dict(run)
        self._write_manifest()
        self._release()

    def abandon(self) -> None:
        """Leave no trace of a run that failed before its first shard; later, shards are kept."""
        if not self._shards:
            (self.folder / MANIFEST).unlink(missing_ok=True)
        self._release()
        if not self._shards and self._is_new:
            self.folder.rmdir()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _identity(self) -> dict[str, Any]:
        part = {} if self.part == WHOLE else {"part": list(self.part)}
        return {
            "schema_version": SCHEMA_VERSION,
            **self.identity,
            "labels": {"source": self.source, "level": self.level},
            "versions": dict(self.versions),
            "rows": self.rows,
            "rows_per_shard": self.rows_per_shard,
            **part,
        }

    # Takes over what another run wrote, if it was to become the same data set.
    def _adopt(self, manifest: dict[str, Any]) -> None:
        for key, value in ({"part": None} | self._identity()).items():
            if manifest.get(key) != value:
                rule = f"resume with the {key} it began with, {manifest.get(key)!r}"
                raise InvalidInputError(key, rule, value)
        listed = {shard.file: shard for shard in shards_of(manifest, self.folder)}
        for number in self.shard_numbers:
            shard, path = listed.get(shard_name(number)), self.path_of(number)
            # A shard that is missing or not as vouched for is written again.
            if shard is None or not path.is_file() or sha256_of(path) != shard.sha256:
                continue
            if shard.rows + len(shard.failed) == len(self.rows_of(number)):
                self._shards[number] = shard

    def _write_manifest(self) -> None:
        complete = len(self._shards) == len(self.shard_numbers)
        shards = [self._shards[number].document() for number in sorted(self._shards)]
        content = {"complete": complete, "shards": shards, "run": self._run}
        write_manifest(self.folder, self._identity() | content)
