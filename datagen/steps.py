"""Steps: which fragments of a chain are served together, and what a job occupies meanwhile.

A *visit* is a maximal run of consecutive fragments on one device. On a device that serves jobs one
by one it is a single step, or a step per fragment where they are not fused. On an accelerator the
steps of a visit are the segments between classifiers, the points where samples may leave their
batch; a job is admitted once, and keeps its units to the end of the visit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Step", "path_steps", "run_starts", "stays"]

Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Consecutive fragments of a chain that one device serves together.

    Args:
        device: 0-based index of the device.
        start: First fragment of the run.
        stop: One past its last fragment.
        demand: Buffer units a job occupies: the largest demand in the run, on an accelerator in the
            visit.
    """

    device: int
    start: int
    stop: int
    demand: int


def run_starts(
    devices: NDArray[np.int32], path_first: Flags, fuse: bool, segmented: Flags | None = None
) -> Flags:
    """Tell where steps begin: the one rule of fusing, for one placement or many.

    Args:
        devices: Device index per fragment [..., F], paths one after the other.
        path_first: Whether a fragment is the first of its path [F].
        fuse: Whether neighbours on one device are one step.
        segmented: Whether a fragment is on an accelerator and follows a classifier [..., F]; None
            where none is.

    Returns:
        Whether a step begins at each fragment [..., F].

    Example:
        >>> first = np.array([True, False, False, False])
        >>> run_starts(np.array([0, 0, 1, 0]), first, fuse=True).tolist()
        [True, False, True, True]
    """
    if not fuse:
        return np.ones(devices.shape, dtype=bool)
    starts = np.empty(devices.shape, dtype=bool)
    starts[..., 0] = True
    np.not_equal(devices[..., 1:], devices[..., :-1], out=starts[..., 1:])
    starts |= path_first
    return starts if segmented is None else np.asarray(starts | segmented)


def stays(devices: NDArray[np.int32], path_first: Flags) -> Flags:
    """Tell which fragments run where the one before on their path does.

    Args:
        devices: Device index per fragment [..., F], paths one after the other.
        path_first: Whether a fragment is the first of its path [F].

    Returns:
        Flags [..., F].
    """
    return np.asarray(~run_starts(devices, path_first, fuse=True))


def path_steps(
    devices: NDArray[np.int32],
    demands: Sequence[int],
    classified: Sequence[bool],
    batching: Flags,
    *,
    fuse: bool,
) -> tuple[Step, ...]:
    """Return the steps of one path.

    Args:
        devices: Device index per fragment [F].
        demands: Units that each fragment occupies [F].
        classified: Whether a classifier stands after each fragment [F].
        batching: Whether each device is an accelerator [D].
        fuse: Whether neighbours on one device are one step.

    Returns:
        The steps, in the order a job visits them.
    """
    first = np.arange(len(devices)) == 0
    follows = np.array([False, *classified[:-1]])
    starts = np.flatnonzero(run_starts(devices, first, fuse, batching[devices] & follows)).tolist()
    visits = np.flatnonzero(~stays(devices, first)).tolist()
    steps = []
    for start, stop in zip(starts, [*starts[1:], len(devices)], strict=True):
        device, span = int(devices[start]), slice(start, stop)
        if batching[device]:
            begin = max(visit for visit in visits if visit <= start)
            ends = [visit for visit in visits if visit > start]
            span = slice(begin, min(ends, default=len(devices)))
        steps.append(Step(device=device, start=start, stop=stop, demand=max(demands[span])))
    return tuple(steps)
