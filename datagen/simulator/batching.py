"""The accelerators of one deployment as the engines see them.

A *line* holds the samples of one model that pass the same segments on one accelerator; only they
share batches. Chains and paths whose visits are alike share a line.

Letters: D devices, S steps, L lines, G segments over all lines, B the largest batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation import DeploymentBatch
from datagen.evaluation.fields import ranges

__all__ = ["NO_ACCELERATOR", "Batching", "batching_of"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NO_ACCELERATOR = -1
"""Policy of a device that serves jobs one by one, and line of a step there."""

_RARE = 1e-9
"""Least share of the samples that reaches a segment: policies divide by it."""


class Batching(NamedTuple):
    """How accelerators form batches, and how long these take.

    Args:
        policy: Index into npu.BATCH_POLICIES, or NO_ACCELERATOR [D].
        max_batch: Largest batch [D].
        timeout: Longest wait for company [s] [D].
        compacts: Whether a batch pays for those only who are left [D].
        expectant: Whether samples are expected to leave as they do on average [D].
        least_demand: Fewest units that a sample takes there; inf where none comes [D].
        step_line: Line of each step, or NO_ACCELERATOR [S].
        step_segment: Its place among the segments of the line [S].
        step_stays: Whether the next step of the path belongs to the same visit [S].
        line_device: Device of each line [L].
        line_start: First segment of each line, and the total [L + 1].
        seconds: Time of each segment by batch size less one [s] [G, B].
        before: Sum of the segments of the line before each one [s] [G, B].
        rest: Sum of the segments from each one on [s] [G, B].
        reached: Share of the line's samples that reach each segment, > 0 [G].
    """

    policy: Ints
    max_batch: Ints
    timeout: Floats
    compacts: NDArray[np.bool_]
    expectant: NDArray[np.bool_]
    least_demand: Floats
    step_line: Ints
    step_segment: Ints
    step_stays: NDArray[np.bool_]
    line_device: Ints
    line_start: Ints
    seconds: Floats
    before: Floats
    rest: Floats
    reached: Floats


class _Visits(NamedTuple):
    """Visits of all paths of a deployment to its accelerators.

    Args:
        first: First step of each, local to the deployment [V].
        steps: Number of its steps [V].
        alike: What visits of one line have in common [V].
    """

    first: list[int]
    steps: list[int]
    alike: list[tuple[object, ...]]


def batching_of(batch: DeploymentBatch, index: int, rates: Floats) -> Batching:
    """Return how the accelerators of a deployment form batches.

    Args:
        batch: Packed deployments with their laws.
        index: 0-based deployment, one with accelerators.
        rates: What comes to each step of the batch [1/s], as
            :func:`~datagen.evaluation.loads.step_rates` says [S].

    Returns:
        Arrays for the engines.
    """
    devices = slice(batch.device_start[index], batch.device_start[index + 1])
    given = _settings(batch, devices)
    visits = _visits(batch, index, given[:, 0] != NO_ACCELERATOR)
    begin, end = _steps(batch, index)
    lines = {key: number for number, key in enumerate(dict.fromkeys(visits.alike))}
    models = [visits.alike.index(key) for key in lines]
    sizes = np.array([visits.steps[visit] for visit in models], dtype=np.int64)
    line_start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    step_line, step_segment = np.full((2, end - begin), NO_ACCELERATOR, dtype=np.int64)
    step_stays = np.zeros(end - begin, dtype=bool)
    for first, steps, key in zip(*visits, strict=True):
        step_line[first : first + steps] = lines[key]
        step_segment[first : first + steps] = np.arange(steps)
        step_stays[first : first + steps - 1] = True
    device = batch.step_device[begin:end]
    least = np.full(len(given), np.inf)
    np.minimum.at(least, device, batch.step_demand[begin:end])
    seconds = _times(batch, begin, [visits.first[visit] for visit in models], sizes)
    before, rest = _sums(seconds, line_start)
    return Batching(
        policy=given[:, 0].astype(np.int64),
        max_batch=given[:, 1].astype(np.int64),
        timeout=given[:, 2].copy(),
        compacts=given[:, 3] > 0,
        expectant=given[:, 4] > 0,
        least_demand=least,
        step_line=step_line,
        step_segment=step_segment,
        step_stays=step_stays,
        line_device=np.array([device[visits.first[visit]] for visit in models], dtype=np.int64),
        line_start=line_start,
        seconds=seconds,
        before=before,
        rest=rest,
        reached=_reached(rates[begin:end], step_line, step_segment, line_start),
    )


def _steps(batch: DeploymentBatch, index: int) -> tuple[int, int]:
    """Return the first step of a deployment, and the one after its last."""
    chains = batch.chain_start[index : index + 2]
    first, stop = batch.step_start[batch.path_start[chains]]
    return int(first), int(stop)


def _settings(batch: DeploymentBatch, devices: slice) -> Floats:
    """Return the ``batching_parameter`` rows of devices [D, 5]."""
    assert batch.batching_start is not None
    assert batch.batching_parameter is not None
    start = batch.batching_start[devices.start : devices.stop + 1]
    rows = [batch.batching_parameter[a:b] for a, b in zip(start[:-1], start[1:], strict=True)]
    none = np.array([NO_ACCELERATOR, 1.0, 0.0, 0.0, 0.0])
    return np.array([row if len(row) else none for row in rows])


def _visits(batch: DeploymentBatch, index: int, accelerated: NDArray[np.bool_]) -> _Visits:
    assert batch.fragment_start is not None
    begin, _ = _steps(batch, index)
    first_chain = int(batch.chain_start[index])
    visits = _Visits([], [], [])
    for row in range(first_chain, int(batch.chain_start[index + 1])):
        for path in range(int(batch.path_start[row]), int(batch.path_start[row + 1])):
            first, stop = batch.step_start[path : path + 2].tolist()
            devices = batch.step_device[first:stop].tolist()
            bounds = (batch.fragment_start[first : stop + 1] - batch.fragment_start[first]).tolist()
            place = 0
            while place < len(devices):
                after = place + 1
                while after < len(devices) and devices[after] == devices[place]:
                    after += 1
                if accelerated[devices[place]]:
                    segments = tuple(bounds[place : after + 1])
                    visits.first.append(first - begin + place)
                    visits.steps.append(after - place)
                    visits.alike.append((devices[place], int(batch.chain_model[row]), segments))
                place = after
    return visits


def _times(batch: DeploymentBatch, begin: int, first: list[int], sizes: Ints) -> Floats:
    """Return the times of the segments of lines whose visits begin at given steps [G, B].

    Larger batches than an accelerator forms are never looked up; their places repeat the last.
    """
    assert batch.table_start is not None
    assert batch.table_seconds is not None
    steps = begin + ranges(np.array(first, dtype=np.int64), sizes)
    start = batch.table_start
    rows = [batch.table_seconds[start[step] : start[step + 1]] for step in steps]
    longest = max((len(row) for row in rows), default=1)
    table = [np.pad(row, (0, longest - len(row)), mode="edge") for row in rows]
    return np.array(table, dtype=np.float64).reshape(-1, longest)


def _sums(seconds: Floats, line_start: Ints) -> tuple[Floats, Floats]:
    """Return for each segment the sums of those before it, and of itself and those behind it."""
    before, rest = np.zeros_like(seconds), np.zeros_like(seconds)
    for first, stop in zip(line_start[:-1], line_start[1:], strict=True):
        own = seconds[first:stop]
        before[first + 1 : stop] = own.cumsum(axis=0)[:-1]
        rest[first:stop] = own[::-1].cumsum(axis=0)[::-1]
    return before, rest


def _reached(rates: Floats, step_line: Ints, step_segment: Ints, line_start: Ints) -> Floats:
    on_line = step_line != NO_ACCELERATOR
    segment = line_start[step_line[on_line]] + step_segment[on_line]
    total = np.zeros(int(line_start[-1]))
    np.add.at(total, segment, rates[on_line])
    entering = np.repeat(total[line_start[:-1]], np.diff(line_start))
    share = np.divide(total, entering, out=np.ones_like(total), where=entering > 0)
    return np.asarray(np.maximum(share, _RARE))
