"""What a deployment decides, as plain values in the form of documents."""

from __future__ import annotations

from typing import Any

from datagen.deployment import Deployment
from datagen.exits import Thresholds
from datagen.npu.arrays import DEFAULT_ARRAY
from datagen.npu.latency import VARIANTS

__all__ = ["batching_of", "decisions_of", "placement_of", "thresholds_of"]


def placement_of(deployment: Deployment) -> dict[str, list[Any]]:
    """Return a placement as plain lists, as documents write it.

    Args:
        deployment: The deployment.

    Returns:
        Chain -> devices, or several such lists where there are several paths.
    """
    return {
        chain: list(paths[0]) if len(paths) == 1 else [list(path) for path in paths]
        for chain, paths in deployment.placement.items()
    }


def thresholds_of(deployment: Deployment) -> dict[str, list[float]]:
    """Return the thresholds of every chain of a deployment that is decided by some.

    Args:
        deployment: The deployment.

    Returns:
        Chain -> thresholds [E - 1].
    """
    exits = deployment.exits or {}
    return {
        name: list(decision.tau)
        for name, decision in exits.items()
        if isinstance(decision, Thresholds)
    }


def batching_of(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Return how every accelerator of a deployment forms batches.

    Args:
        deployment: The deployment.

    Returns:
        Device -> policy, largest batch, time-out [s], compaction and survivors; with array and
        variant where its times follow from a network.
    """
    found: dict[str, dict[str, Any]] = {}
    for device in deployment.problem.devices:
        if device.npu is None:
            continue
        config = deployment.batch_config(device.name)
        found[device.name] = {
            "policy": config.policy,
            "max_batch": config.max_batch,
            "timeout": config.timeout,
            "compaction": config.compaction,
            "survivors": config.survivors,
        }
        if device.npu.network is not None:
            found[device.name]["array"] = device.npu.array or DEFAULT_ARRAY
            found[device.name]["variant"] = device.npu.variant or VARIANTS[0]
    return found


def decisions_of(deployment: Deployment) -> dict[str, Any]:
    """Return everything that a deployment decides.

    Args:
        deployment: The deployment.

    Returns:
        The ``placement``; and, where they apply, ``thresholds``, ``routing`` and ``npu``.
    """
    found: dict[str, Any] = {"placement": placement_of(deployment)}
    thresholds, batching = thresholds_of(deployment), batching_of(deployment)
    if thresholds:
        found["thresholds"] = thresholds
    if any(len(paths) > 1 for paths in deployment.placement.values()):
        found["routing"] = {name: list(p) for name, p in (deployment.routing or {}).items()}
    if batching:
        found["npu"] = batching
    return found
