"""Import of measured labels: what was observed on real systems, however little of it.

A CSV file has one line per chain, and a header that names the columns: ``deployment``, the YAML
file of the deployment with its placement (its path is taken from the CSV file's folder); ``chain``,
a name in it; and any measures of chains, each perhaps with ``_se``, ``_low`` or ``_high`` behind
its name. A line with ``device`` in place of a chain gives measures of a device, one with neither
those of the whole deployment. An empty cell is a label that is not known. Units are SI: s, 1/s, J.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.documents import read_deployment, to_json
from datagen.errors import InvalidInputError, require
from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.effects import Effect
from datagen.evaluation.measures import MEASURES, SUFFIXES, Measures
from datagen.evaluation.packing import pack
from datagen.store.schema import table_of
from datagen.store.writer import DatasetWriter

__all__ = ["import_measured", "read_measured"]

ROWS_PER_SHARD = 4096

NAMES = ("deployment", "chain", "device")
"""Columns that say what a line is about."""

RATIOS = frozenset({
    "throughput_ratio",
    "loss_ratio",
    "latency_ratio",
    "attainment",
    "accuracy_completed",
    "accuracy_offered",
    "utilization",
})
"""Measures that lie in [0, 1]; all others are >= 0."""

_NOT_THE_SUM_OF_SERVICES = (
    Effect.NPU
    | Effect.LINKS
    | Effect.EXITS
    | Effect.THRESHOLDS
    | Effect.ROUTING
    | Effect.PARALLEL
    | Effect.SPEEDUP
)
"""Effects under which an unloaded latency is another one than the sum of mean services."""

Labels = dict[str, dict[str, NDArray[np.float64]]]


def _known(level: str) -> set[str]:
    return {
        f"{name}{suffix}"
        for name, described in MEASURES[level].items()
        if described.dtype == "float64"
        for suffix in SUFFIXES
    }


Progress = Callable[[int, int], object]
"""Called with the deployments just read and with how many there are."""


def _unseen(done: int, total: int) -> None:
    del done, total


def read_measured(
    path: str | Path, progress: Progress = _unseen
) -> tuple[list[Deployment], Measures]:
    """Read a CSV file of measured labels.

    Args:
        path: The file.
        progress: Told of every deployment that was read.

    Returns:
        The deployments in the order they are first named, and their measures. Ratios that follow
        from what a file says are filled in: of throughput and loss from each other, from counts of
        offered and completed jobs or from the throughput, of latency from the mean latency.

    Raises:
        InvalidInputError: If a line is not as described; it names the file and the line.
    """
    file = Path(path)
    lines = list(_lines(file))
    require(len(lines) > 0, file.name, "hold at least one line of labels", 0)
    sources = list(dict.fromkeys(line["deployment"] for _, line in lines))
    deployments = []
    for source in sources:
        deployments.append(_deployment(file, lines, source))
        progress(1, len(sources))
    batch = pack(deployments)
    rows = {("deployment", source, ""): n for n, source in enumerate(sources)}
    for level, start in (("chain", batch.chain_start), ("device", batch.device_start)):
        for n, (source, deployment) in enumerate(zip(sources, deployments, strict=True)):
            for k, item in enumerate(getattr(deployment.problem, f"{level}s")):
                rows[level, source, item.name] = int(start[n]) + k
    labels: Labels = {"deployment": {}, "chain": {}, "device": {}}
    sizes = {"deployment": len(batch), "chain": len(batch.chain_rate)}
    sizes["device"] = len(batch.device_speed)
    seen: set[tuple[str, str, str]] = set()
    for place, line in lines:
        level = next((name for name in ("chain", "device") if line.get(name)), "deployment")
        key = (level, line["deployment"], line.get(level, "") if level != "deployment" else "")
        require(key in rows, f"{place}: {level}", "be a name in its deployment", key[-1])
        require(key not in seen, place, "say something not said before", " ".join(key))
        seen.add(key)
        for name, value in _values(place, level, line):
            column = labels[level].setdefault(name, np.full(sizes[level], np.nan))
            column[rows[key]] = value
    _derive(batch, labels["chain"])
    return deployments, Measures.of(batch, "measured", **labels)  # type: ignore[arg-type]


# Yields each line with its place, its cells stripped.
def _lines(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError:
        raise InvalidInputError("csv", "be a file", str(file)) from None
    except UnicodeDecodeError:
        raise InvalidInputError("csv", "be UTF-8 text", str(file)) from None
    reader = csv.reader(text.splitlines())
    header = [name.strip() for name in next(reader, [])]
    known = {
        *NAMES,
        *(name for level in ("deployment", "chain", "device") for name in _known(level)),
    }
    require("deployment" in header, f"{file.name} line 1", "name a column deployment", header)
    for name in header:
        require(name in known, f"{file.name} line 1", "name known measures", name)
    require(len(set(header)) == len(header), f"{file.name} line 1", "name each once", header)
    for cells in reader:
        place = f"{file.name} line {reader.line_num}"
        if not any(cell.strip() for cell in cells):
            continue
        require(len(cells) == len(header), place, f"hold {len(header)} cells", len(cells))
        line = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        require(line["deployment"] != "", place, "name its deployment", line)
        both = bool(line.get("chain")) and bool(line.get("device"))
        require(not both, place, "name a chain or a device, not both", line)
        yield place, line


def _deployment(file: Path, lines: list[tuple[str, dict[str, str]]], source: str) -> Deployment:
    place = next(place for place, line in lines if line["deployment"] == source)
    try:
        return read_deployment(file.parent / source)
    except InvalidInputError as error:
        raise error.within(f"{place}: {source}") from None


def _values(place: str, level: str, line: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for name, cell in line.items():
        if name in NAMES or cell == "":
            continue
        require(name in _known(level), f"{place}: {name}", f"be a measure of a {level}", cell)
        try:
            value = float(cell)
        except ValueError:
            raise InvalidInputError(f"{place}: {name}", "be a number or empty", cell) from None
        base = next((name.removesuffix(s) for s in SUFFIXES[1:] if name.endswith(s)), name)
        most = 1.0 if base in RATIOS else np.inf
        rule = "lie in [0, 1]" if base in RATIOS else "be finite and >= 0"
        require(bool(np.isfinite(value) and 0 <= value <= most), f"{place}: {name}", rule, cell)
        yield name, value


def _derive(batch: DeploymentBatch, chain: dict[str, NDArray[np.float64]]) -> None:
    """Fill in the ratios that follow from what is known."""
    unknown = np.full(len(batch.chain_rate), np.nan)

    def fill(name: str, values: NDArray[np.float64]) -> None:
        found = chain.get(name, unknown)
        chain[name] = np.where(np.isnan(found), values, found)

    offered, completed = chain.get("offered", unknown), chain.get("completed", unknown)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(offered > 0, completed / offered, np.nan)
        unloaded = _unloaded_latency(batch) / chain.get("latency", unknown)
    fill("throughput_ratio", ratio)
    fill("throughput_ratio", 1.0 - chain.get("loss_ratio", unknown))
    # A little more than arrives may be counted in a window of time.
    fill("throughput_ratio", np.minimum(chain.get("throughput", unknown) / batch.chain_rate, 1.0))
    fill("loss_ratio", 1.0 - chain["throughput_ratio"])
    fill("latency_ratio", np.where(np.isfinite(unloaded), unloaded, np.nan))


def _unloaded_latency(batch: DeploymentBatch) -> NDArray[np.float64]:
    """Return what each chain's services take together [s] [C]; NaN where that is not its latency.

    Where jobs take different ways or are sent over links, it depends on more than the deployment.
    """
    plain = (batch.effects & int(_NOT_THE_SUM_OF_SERVICES)) == 0
    chains = len(batch.chain_rate)
    total = np.bincount(batch.step_chain, weights=batch.step_mean, minlength=chains)
    return np.where(plain[batch.owner("chain")], total, np.nan)


def import_measured(path: str | Path, out: str | Path, progress: Progress = _unseen) -> int:
    """Write a CSV file of measured labels as a data set.

    Args:
        path: The file.
        out: A new or empty folder.
        progress: Told of every deployment that was read.

    Returns:
        Number of deployments.

    Raises:
        InvalidInputError: If a line is not as described, or ``out`` holds something.
    """
    deployments, measures = read_measured(path, progress)
    texts = [to_json(deployment) for deployment in deployments]
    table = table_of(pack(deployments), measures, texts, np.arange(len(texts)))
    writer = DatasetWriter(
        folder=Path(out),
        rows=len(deployments),
        rows_per_shard=ROWS_PER_SHARD,
        identity={"program": "datagen import-measured", "config": {}, "seed": None},
        source="measured",
    )
    shards = writer.open(resume=False)
    try:
        for number in shards:
            rows = writer.rows_of(number)
            writer.write(number, table.slice(rows.start, len(rows)))
    except BaseException:
        writer.abandon()
        raise
    writer.close({})
    return len(deployments)
