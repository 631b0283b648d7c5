"""Parts of a data set, generated apart, put together into the data set itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datagen.errors import InvalidInputError, require
from datagen.store.files import sha256_of, write_whole
from datagen.store.manifest import WHOLE, shard_name
from datagen.store.reader import Dataset, read_dataset
from datagen.store.writer import DatasetWriter

__all__ = ["merge_datasets"]

OWN = ("part", "shards", "complete", "run")
"""Entries of a manifest in which the parts of one data set differ."""

IDENTITY = ("program", "config", "seed")
"""Entries that the one who generated the parts gave."""


def merge_datasets(
    parts: Sequence[str | Path],
    out: str | Path,
    progress: Callable[[int], object] = lambda parts: None,
) -> int:
    """Put the parts of a data set together.

    Args:
        parts: Folders of all its parts, each finished, in any order.
        out: A new or empty folder.
        progress: Called with the number of parts just taken in.

    Returns:
        Number of deployments.

    Raises:
        InvalidInputError: If a part is missing, given twice or of another data set, or ``out``
            holds something.
        CorruptDataError: If a shard is damaged.
    """
    require(len(parts) > 0, "parts", "name at least one folder", parts)
    found = [read_dataset(folder) for folder in parts]
    _require_one_whole(found)
    manifest = found[0].manifest
    writer = DatasetWriter(
        folder=Path(out),
        rows=int(manifest["rows"]),
        rows_per_shard=int(manifest["rows_per_shard"]),
        identity={name: manifest.get(name) for name in IDENTITY},
        source=manifest["labels"]["source"],
        level=manifest["labels"].get("level"),
        versions=manifest["versions"],
    )
    numbers = {shard_name(number): number for number in writer.shard_numbers}
    writer.open(resume=False)
    try:
        for part in found:
            for number, shard in enumerate(part.shards):
                part.verify(number)
                _copy(part.files[number], writer.folder / shard.file, shard.sha256)
                writer.vouch(numbers[shard.file], shard)
            progress(1)
    except BaseException:
        writer.abandon()
        raise
    writer.close({"merged": [part.manifest["run"] for part in found]})
    return sum(map(len, found))


def _require_one_whole(found: Sequence[Dataset]) -> None:
    first = _shared(found[0])
    for part in found[1:]:
        for key in sorted(first.keys() | _shared(part).keys()):
            if _shared(part).get(key) != first.get(key):
                rule = f"be parts of one data set; {part.path} differs in {key}"
                raise InvalidInputError("parts", rule, _shared(part).get(key))
    numbers = sorted(tuple(part.manifest.get("part", WHOLE)) for part in found)
    parts = numbers[0][1]
    if numbers != [(number, parts) for number in range(1, parts + 1)]:
        given = ", ".join(f"{number}/{of}" for number, of in numbers)
        raise InvalidInputError("parts", f"be all {parts} parts, each once", given)


def _shared(part: Dataset) -> dict[str, Any]:
    return {key: value for key, value in part.manifest.items() if key not in OWN}


def _copy(source: Path, target: Path, digest: str) -> None:
    def fill(temporary: Path) -> None:
        try:
            os.link(source, temporary)  # the same bytes on the same disk take no room
        except OSError:
            shutil.copyfile(source, temporary)

    def verify(temporary: Path) -> None:
        if sha256_of(temporary) != digest:
            raise InvalidInputError("parts", "not change while they are merged", str(source))

    write_whole(target, fill, verify)
