"""The manifest: what a data set is, which shards hold it, and what vouches for their bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from datagen.errors import CorruptDataError, InvalidInputError
from datagen.evaluation.measures import Source
from datagen.store.files import write_whole

__all__ = [
    "MANIFEST",
    "WHOLE",
    "FailedRow",
    "RowGroup",
    "Shard",
    "read_manifest",
    "shard_name",
    "shards_of",
    "shards_of_part",
    "write_manifest",
]

MANIFEST = "manifest.json"

WHOLE = (1, 1)
"""The part that is everything: the first of one."""

_SHARD_NAME = re.compile(r"part-\d{5,}\.parquet")

_NEEDED = ("schema_version", "rows", "shards", "labels")


def shard_name(number: int) -> str:
    """Return the file name of a shard.

    Args:
        number: 0-based shard.

    Returns:
        For example ``part-00000.parquet``.
    """
    return f"part-{number:05d}.parquet"


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedRow:
    """A deployment that has no row because it could not be labelled.

    Args:
        index: The row it would have.
        error: What went wrong.
    """

    index: int
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RowGroup:
    """The bytes of one row group, so that damage between its checksummed pages is located too.

    Args:
        end: Offset in the file behind its last byte; it begins where the one before ends.
        sha256: SHA-256 of these bytes.
    """

    end: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """What a manifest says of one file.

    Args:
        file: Its name.
        rows: Rows it holds.
        sha256: SHA-256 of its bytes.
        groups: Its row groups; none in older manifests.
        failed: Deployments of its range that have no row.
    """

    file: str
    rows: int
    sha256: str
    groups: tuple[RowGroup, ...] = ()
    failed: tuple[FailedRow, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the plain values of the manifest."""
        plain: dict[str, Any] = {"file": self.file, "rows": self.rows, "sha256": self.sha256}
        plain["groups"] = [asdict(group) for group in self.groups]
        if self.failed:
            plain["failed"] = [asdict(row) for row in self.failed]
        return plain

    @classmethod
    def read(cls, found: object) -> Shard:
        """Read what a manifest says of a shard.

        Args:
            found: The plain value.

        Returns:
            The shard.

        Raises:
            ValueError: If it does not describe one.
        """
        if not isinstance(found, Mapping):
            raise ValueError("be a mapping")
        file, rows, digest = (found.get(name) for name in ("file", "rows", "sha256"))
        if not (isinstance(file, str) and _SHARD_NAME.fullmatch(file)):
            raise ValueError("name a file like part-00000.parquet")
        if not _is_whole(rows) or not isinstance(digest, str):
            raise ValueError("hold rows, a whole number >= 0, and sha256, a text")
        try:
            groups = tuple(RowGroup(**group) for group in found.get("groups", ()))
            failed = tuple(FailedRow(**row) for row in found.get("failed", ()))
        except TypeError:
            raise ValueError("list its row groups and failed rows") from None
        proper = all(_is_whole(item.end) for item in groups)
        if not proper or not all(_is_whole(item.index) for item in failed):
            raise ValueError("hold whole numbers >= 0 in its row groups and failed rows")
        return cls(file=file, rows=int(rows or 0), sha256=digest, groups=groups, failed=failed)


def shards_of_part(rows: int, rows_per_shard: int, part: tuple[int, int]) -> range:
    """Return the shards of one part of a data set.

    Args:
        rows: Rows of the whole data set.
        rows_per_shard: Rows of every shard but the last.
        part: Its number, from 1, and the number of parts.

    Returns:
        The numbers of its shards, which follow each other.
    """
    shards, (number, parts) = -(-rows // rows_per_shard), part
    return range(shards * (number - 1) // parts, shards * number // parts)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def shards_of(manifest: Mapping[str, Any], folder: Path) -> list[Shard]:
    """Return the shards that a manifest lists.

    Args:
        manifest: What :func:`read_manifest` gave.
        folder: The data set, for messages.

    Returns:
        The shards in order.

    Raises:
        CorruptDataError: If the list is damaged; it names the entry.
    """
    listed = manifest["shards"]
    path = folder / MANIFEST
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise CorruptDataError(f"{path}: shards must be a list.")
    shards: list[Shard] = []
    for number, entry in enumerate(listed):
        try:
            shards.append(Shard.read(entry))
        except ValueError as error:
            raise CorruptDataError(f"{path}: shards[{number}] must {error}.") from None
        if shards[-1].file in {shard.file for shard in shards[:-1]}:
            raise CorruptDataError(f"{path}: shards[{number}] must name a file of its own.")
    return shards


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a data set.

    Args:
        folder: The data set.
        manifest: Plain values.
    """
    text = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
    write_whole(folder / MANIFEST, lambda file: file.write_text(text, encoding="utf-8"))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a data set.

    Args:
        folder: The data set.

    Returns:
        Plain values; :func:`shards_of` reads the list of shards.

    Raises:
        InvalidInputError: If the folder holds no data set.
        CorruptDataError: If the manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except OSError:
        raise InvalidInputError("path", f"be a folder with a {MANIFEST}", str(folder)) from None
    except ValueError:  # neither UTF-8 nor JSON
        raise CorruptDataError(f"{path} must be JSON.") from None
    if not isinstance(manifest, dict) or any(key not in manifest for key in _NEEDED):
        raise CorruptDataError(f"{path} must hold {', '.join(_NEEDED)}.")
    if not _is_whole(manifest["rows"]):
        raise CorruptDataError(f"{path}: rows must be a whole number >= 0.")
    part = manifest.get("part", list(WHOLE))
    listed = isinstance(part, list) and len(part) == 2 and all(map(_is_whole, part))
    if not listed or not (1 <= part[0] <= part[1] and _is_whole(manifest.get("rows_per_shard", 1))):
        raise CorruptDataError(f"{path}: part must hold its number and the number of parts.")
    labels = manifest["labels"]
    if not isinstance(labels, dict) or labels.get("source") not in get_args(Source):
        raise CorruptDataError(
            f"{path}: labels.source must be one of {', '.join(get_args(Source))}."
        )
    level = labels.get("level")
    is_number = isinstance(level, int | float) and not isinstance(level, bool)
    if level is not None and not (is_number and 0 < level < 1):
        raise CorruptDataError(f"{path}: labels.level must lie in (0, 1) or be null.")
    return manifest
