"""From numbers to deployments: what scenarios share once everything is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from datagen.deployment import Chain, Deployment, Device, Problem

__all__ = ["distinct_paths", "on_paths", "renumbered"]


def distinct_paths(
    rng: np.random.Generator, pool: int, lengths: Sequence[int]
) -> list[tuple[int, ...]]:
    """Draw paths that visit no device twice, and leave out the devices that no path visits.

    Args:
        rng: The stream.
        pool: Devices to choose from.
        lengths: Length of each path, at most ``pool``.

    Returns:
        The paths; their devices are numbered from 0 without gaps.
    """
    return renumbered([rng.permutation(pool)[:length].tolist() for length in lengths])


def renumbered(paths: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Number the devices that paths visit from 0 without gaps, in their old order.

    Args:
        paths: Device of each fragment of each path.

    Returns:
        The same paths with the new numbers.

    Example:
        >>> renumbered([[7, 2], [4]])
        [(2, 0), (1,)]
    """
    number = {device: n for n, device in enumerate(sorted({d for path in paths for d in path}))}
    return [tuple(number[device] for device in path) for path in paths]


def on_paths(
    paths: Sequence[tuple[int, ...]],
    device: Callable[[int, str], Device],
    chain: Callable[[int, str], Chain],
    decisions: Mapping[str, Any] | None = None,
) -> Deployment:
    """Build a deployment of one path per chain.

    Args:
        paths: Device of each fragment of each chain; every device from 0 on is on some path.
        device: Makes a device from its number and name.
        chain: Makes a chain from its number and name.
        decisions: Exits of each chain and whatever else a deployment may say.

    Returns:
        The deployment; devices are named d0, d1, ... and chains c0, c1, ...
    """
    devices = tuple(device(n, f"d{n}") for n in range(1 + max(map(max, paths))))
    chains = tuple(chain(n, f"c{n}") for n in range(len(paths)))
    placement = {f"c{n}": (tuple(f"d{d}" for d in path),) for n, path in enumerate(paths)}
    problem = Problem(devices=devices, chains=chains)
    return Deployment(problem=problem, placement=placement, **(decisions or {}))
