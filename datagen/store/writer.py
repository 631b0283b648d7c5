"""Writing a data set: shards of labelled deployments and the manifest that vouches for them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa

from datagen.errors import InvalidInputError
from datagen.store.files import (
    MANIFEST,
    TEMPORARY,
    read_manifest,
    sha256_of,
    shard_name,
    write_manifest,
    write_shard,
)
from datagen.store.schema import SCHEMA_VERSION, without_empty_labels

__all__ = ["DatasetWriter", "versions"]


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

    Args:
        folder: Where the data set goes.
        rows: Rows of the finished data set, >= 1.
        rows_per_shard: Rows of every shard but the last, >= 1.
        identity: What decides the content: program, config, seed.
        source: Who says the labels.
        level: Nominal coverage of label bounds, or None.
    """

    folder: Path
    rows: int
    rows_per_shard: int
    identity: Mapping[str, Any]
    source: str
    level: float | None = None
    _shards: dict[int, dict[str, Any]] = field(default_factory=dict, init=False)
    _run: dict[str, Any] = field(default_factory=dict, init=False)
    _is_new: bool = field(default=False, init=False)

    def open(self, *, resume: bool) -> list[int]:
        """Make or find the folder.

        Args:
            resume: Whether to go on with what another run of the same identity left there.

        Returns:
            The shards still to write.

        Raises:
            InvalidInputError: If the folder holds something else.
        """
        self._is_new = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            found = {entry.name for entry in self.folder.iterdir()}
        except OSError:
            raise InvalidInputError("out", "be a folder", str(self.folder)) from None
        if found and not resume:
            rule = "be a new or empty folder (--resume goes on with a broken run)"
            raise InvalidInputError("out", rule, str(self.folder))
        if MANIFEST in found:
            self._adopt(read_manifest(self.folder))
        elif any(not name.endswith(TEMPORARY) for name in found):
            rule = f"hold a {MANIFEST} to be resumed"
            raise InvalidInputError("out", rule, str(self.folder))
        self._write_manifest()
        return [number for number in range(self.shard_count) if number not in self._shards]

    @property
    def shard_count(self) -> int:
        """Number of shards of the finished data set."""
        return -(-self.rows // self.rows_per_shard)

    def rows_of(self, number: int) -> range:
        """Return the rows of a shard.

        Args:
            number: 0-based shard.

        Returns:
            Their indices.
        """
        first = number * self.rows_per_shard
        return range(first, min(first + self.rows_per_shard, self.rows))

    def write(self, number: int, table: pa.Table) -> None:
        """Write one shard and vouch for it.

        Args:
            number: 0-based shard.
            table: Its rows.

        Raises:
            ValueError: If the table has not the shard's rows.
        """
        if len(table) != len(self.rows_of(number)):
            raise ValueError(f"shard {number} must have {len(self.rows_of(number))} rows.")
        file = shard_name(number)
        digest = write_shard(self.folder / file, without_empty_labels(table))
        self._shards[number] = {"file": file, "rows": len(table), "sha256": digest}
        self._write_manifest()

    def close(self, run: Mapping[str, Any]) -> None:
        """Finish the data set.

        Args:
            run: Host, times, durations: what may differ between runs of one identity.
        """
        self._run = dict(run)
        self._write_manifest()

    def abandon(self) -> None:
        """Leave no trace of a run that failed before its first shard; later, shards are kept."""
        if self._shards:
            return
        (self.folder / MANIFEST).unlink(missing_ok=True)
        if self._is_new:
            self.folder.rmdir()

    def _identity(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            **self.identity,
            "labels": {"source": self.source, "level": self.level},
            "versions": versions(),
            "rows": self.rows,
            "rows_per_shard": self.rows_per_shard,
        }

    def _adopt(self, manifest: dict[str, Any]) -> None:
        for key, value in self._identity().items():
            if manifest.get(key) != value:
                rule = f"resume with the {key} it began with, {manifest.get(key)!r}"
                raise InvalidInputError(key, rule, value)
        for number in range(self.shard_count):
            entry = next((s for s in manifest["shards"] if s["file"] == shard_name(number)), None)
            path = self.folder / shard_name(number)
            # A shard that is missing or not as vouched for is written again.
            if entry is not None and path.exists() and sha256_of(path) == entry["sha256"]:
                self._shards[number] = entry

    def _write_manifest(self) -> None:
        shards = [self._shards[number] for number in sorted(self._shards)]
        complete = len(shards) == self.shard_count
        content = self._identity() | {"complete": complete, "shards": shards, "run": self._run}
        write_manifest(self.folder, content)
