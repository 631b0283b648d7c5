"""Import of ChainNet's public text format, labels kept.

One line per deployment or per chain, in lockstep: ``numClasses``, ``numNodes``, ``capacity`` per
deployment; ``arrival`` (mean interarrival time), ``path`` (devices from 1), ``service`` (times in
path order) per chain, and where present the labels ``throughput``, ``responseTime``, ``tputRatio``,
``resptRatio``. Arrivals are Poisson, services deterministic; capacity counts the job in service.

References:
    Niu, Roveri, Casale, ChainNet: a customized graph neural network model for loss-aware edge AI
    service deployment, DSN 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic
from datagen.documents import to_json
from datagen.errors import InvalidInputError, require
from datagen.evaluation.measures import Measures
from datagen.evaluation.packing import pack
from datagen.store.schema import table_of
from datagen.store.writer import DatasetWriter

__all__ = ["LABEL_FILES", "import_chainnet", "read_chainnet"]

LABEL_FILES: dict[str, str] = {
    "throughput": "throughput.txt",
    "latency": "responseTime.txt",
    "throughput_ratio": "tputRatio.txt",
    "latency_ratio": "resptRatio.txt",
}
"""Chain measure -> file that holds it; every one is optional."""

RATIOS = ("throughput_ratio", "latency_ratio")
"""Labels that lie in [0, 1] by definition; the others are >= 0."""

ROWS_PER_SHARD = 4096

Labels = dict[str, NDArray[np.float64]]


Progress = Callable[[int, int], object]
"""Called with the deployments just done and with how many there are: each is read, then written."""


def _unseen(done: int, total: int) -> None:
    del done, total


def read_chainnet(
    source: str | Path, progress: Progress = _unseen
) -> tuple[list[Deployment], Labels]:
    """Read a folder of ChainNet's text files.

    Args:
        source: The folder, or the one above its ``raw``.
        progress: Told of every deployment that was read.

    Returns:
        The deployments, and the labels present by chain measure [C], with the loss ratio, which is
        1 - throughput ratio here.

    Raises:
        InvalidInputError: If a file is missing or does not fit the others.
    """
    folder = Path(source)
    if not (folder / "numClasses.txt").exists() and (folder / "raw").is_dir():
        folder = folder / "raw"
    classes = _whole(folder, "numClasses.txt")
    nodes = _whole(folder, "numNodes.txt")
    require(len(classes) > 0, "numClasses.txt", "hold at least one line", len(classes))
    chains = sum(classes)
    rows = {
        name: _rows(folder, f"{name}.txt", count)
        for name, count in (
            ("capacity", len(classes)),
            ("arrival", chains),
            ("path", chains),
            ("service", chains),
        )
    }
    require(len(nodes) == len(classes), "numNodes.txt", f"have {len(classes)} lines", len(nodes))
    labels = {
        measure: _labels(folder, file, chains, measure in RATIOS)
        for measure, file in LABEL_FILES.items()
        if (folder / file).exists()
    }
    if "throughput_ratio" in labels:
        labels["loss_ratio"] = 1.0 - labels["throughput_ratio"]
    deployments = []
    for deployment in _deployments(classes, nodes, rows):
        deployments.append(deployment)
        progress(1, 2 * len(classes))
    return deployments, labels


def _deployments(
    classes: list[int], nodes: list[int], rows: Mapping[str, list[list[float]]]
) -> Iterator[Deployment]:
    first = 0
    for number, (count, devices) in enumerate(zip(classes, nodes, strict=True)):
        capacity = rows["capacity"][number]
        place = f"capacity.txt line {number + 1}"
        require(len(capacity) == devices, place, f"hold {devices} numbers", capacity)
        members = range(first, first + count)
        first += count
        try:
            yield _deployment(members, capacity, rows)
        except InvalidInputError as error:
            raise error.within(f"deployment[{number}]") from None


def _deployment(
    members: range, capacity: list[float], rows: Mapping[str, list[list[float]]]
) -> Deployment:
    chains, placement = [], {}
    for index, line in enumerate(members):
        path, service, arrival = (rows[name][line] for name in ("path", "service", "arrival"))
        place = f"line {line + 1}"
        known = all(node == int(node) and 1 <= node <= len(capacity) for node in path)
        require(known, f"path.txt {place}", f"lie in 1..{len(capacity)}", path)
        fits = len(service) == len(path)
        require(fits, f"service.txt {place}", f"hold {len(path)} numbers", service)
        single = len(arrival) == 1 and arrival[0] > 0
        require(single, f"arrival.txt {place}", "hold one time > 0", arrival)
        fragments = tuple(
            Fragment(name=f"f{position}", service=Deterministic(mean=time))
            for position, time in enumerate(service)
        )
        name = f"c{index}"
        arrivals = Poisson(rate=1.0 / arrival[0])
        chains.append(Chain(name=name, arrivals=arrivals, fragments=fragments))
        placement[name] = (tuple(f"d{int(node) - 1}" for node in path),)
    devices = tuple(
        Device(name=f"d{index}", capacity=units)  # type: ignore[arg-type]
        for index, units in enumerate(capacity)
    )
    problem = Problem(devices=devices, chains=tuple(chains))
    return Deployment(problem=problem, placement=placement)


def _labels(folder: Path, file: str, chains: int, is_ratio: bool) -> NDArray[np.float64]:
    values = np.array([row[0] for row in _rows(folder, file, chains, width=1)])
    rule, most = ("lie in [0, 1]", 1.0) if is_ratio else ("be >= 0", np.inf)
    for line in np.flatnonzero((values < 0) | (values > most)):
        raise InvalidInputError(f"{file} line {line + 1}", rule, float(values[line]))
    return values


def _whole(folder: Path, file: str) -> list[int]:
    values = []
    for number, row in enumerate(_rows(folder, file, None, width=1)):
        proper = row[0] == int(row[0]) and row[0] >= 1
        require(proper, f"{file} line {number + 1}", "be a whole number >= 1", row[0])
        values.append(int(row[0]))
    return values


def _rows(
    folder: Path, file: str, count: int | None, width: int | None = None
) -> list[list[float]]:
    try:
        lines = (folder / file).read_text(encoding="utf-8").splitlines()
    except OSError:
        raise InvalidInputError("source", f"be a folder with {file}", str(folder)) from None
    except UnicodeDecodeError:
        raise InvalidInputError(file, "be a text", str(folder)) from None
    if count is not None:
        require(len(lines) == count, file, f"have {count} lines", len(lines))
    return [_row(f"{file} line {number}", line, width) for number, line in enumerate(lines, 1)]


def _row(place: str, line: str, width: int | None) -> list[float]:
    try:
        row = [float(word) for word in line.split()]
    except ValueError:
        raise InvalidInputError(place, "hold numbers", line) from None
    require(bool(row) and bool(np.all(np.isfinite(row))), place, "hold finite numbers", line)
    require(width is None or len(row) == width, place, f"hold {width} number", line)
    return row


def import_chainnet(source: str | Path, out: str | Path, progress: Progress = _unseen) -> int:
    """Write a folder of ChainNet's text files as a data set.

    Args:
        source: The folder, or the one above its ``raw``.
        out: A new or empty folder.
        progress: Told of every deployment that was read, and again when it is written.

    Returns:
        Number of deployments.

    Raises:
        InvalidInputError: If the files do not fit each other, or ``out`` holds something.
    """
    deployments, labels = read_chainnet(source, progress)
    writer = DatasetWriter(
        folder=Path(out),
        rows=len(deployments),
        rows_per_shard=ROWS_PER_SHARD,
        identity={"program": "datagen import-chainnet", "config": {}, "seed": None},
        source="simulation",
    )
    shards = writer.open(resume=False)
    try:
        first = 0
        for number in shards:
            rows = writer.rows_of(number)
            part = deployments[rows.start : rows.stop]
            batch = pack(part)
            last = first + len(batch.chain_rate)
            chain = {name: values[first:last] for name, values in labels.items()}
            measures = Measures.of(batch, "simulation", chain=chain)
            first = last
            writer.write(number, table_of(batch, measures, map(to_json, part), np.array(rows)))
            progress(len(rows), 2 * len(deployments))
    except BaseException:
        writer.abandon()
        raise
    writer.close({})
    return len(deployments)
