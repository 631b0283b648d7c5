"""Effects: what a deployment uses beyond the plainest queueing network.

Engines, analytic models and surrogates each cover some effects. An effect that one does not cover
is refused by name instead of being ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Chain, Deployment, Device
from datagen.distributions import Law
from datagen.errors import NotSupportedError
from datagen.exits import ExitMix, Thresholds

__all__ = ["EFFECT_FIELDS", "Effect", "effects_of", "refuse_uncovered"]


class Effect(IntFlag):
    """Set of effects; the values are stored: append only."""

    NONE = 0
    RANDOM_SERVICE = 1 << 0
    GENERAL_ARRIVALS = 1 << 1
    MULTI_SERVER = 1 << 2
    UNLIMITED_BUFFER = 1 << 3
    DEMAND = 1 << 4
    REVISIT = 1 << 5
    PRIORITY = 1 << 6
    PROCESSOR_SHARING = 1 << 7
    NPU = 1 << 8
    LINKS = 1 << 9
    EXITS = 1 << 10
    THRESHOLDS = 1 << 11
    ROUTING = 1 << 12
    PARALLEL = 1 << 13
    BLOCKING = 1 << 14
    SPEEDUP = 1 << 15
    DEADLINE = 1 << 16
    LINK_QUEUES = 1 << 17
    LINK_ADMISSION = 1 << 18
    UNTRACED = 1 << 19
    CONTEXTS = 1 << 20
    VARIANTS = 1 << 21
    BATCHING = 1 << 22


EFFECT_FIELDS: dict[Effect, str] = {
    Effect.RANDOM_SERVICE: "service=random",
    Effect.GENERAL_ARRIVALS: "arrivals=non-Poisson",
    Effect.MULTI_SERVER: "servers>1",
    Effect.UNLIMITED_BUFFER: "capacity=unlimited",
    Effect.DEMAND: "demand>1",
    Effect.REVISIT: "placement=revisited device",
    Effect.PRIORITY: "discipline=priority",
    Effect.PROCESSOR_SHARING: "discipline=ps",
    Effect.NPU: "npu",
    Effect.LINKS: "links",
    Effect.EXITS: "exits=mix",
    Effect.THRESHOLDS: "exits=thresholds",
    Effect.ROUTING: "routing=several paths",
    Effect.PARALLEL: "parallel=true",
    Effect.BLOCKING: "overflow=block",
    Effect.SPEEDUP: "speedup",
    Effect.DEADLINE: "deadline",
    Effect.LINK_QUEUES: "links.queueing=true",
    Effect.UNTRACED: "exits=thresholds without a trace",
    Effect.CONTEXTS: "contexts that change",
    Effect.VARIANTS: "variants",
    Effect.BATCHING: "batching",
    Effect.LINK_ADMISSION: "links.admission=before_transfer",
}
"""How a message names each effect, in the words of the user's document."""


# Sets are put together as plain integers, which takes a tenth of the time that flags do.


def _device_effects(device: Device) -> int:
    effects = 0
    if device.servers > 1:
        effects |= Effect.MULTI_SERVER
    if device.capacity is None:
        effects |= Effect.UNLIMITED_BUFFER
    if device.discipline == "priority":
        effects |= Effect.PRIORITY
    if device.discipline == "ps":
        effects |= Effect.PROCESSOR_SHARING
    if device.npu is not None:
        effects |= Effect.NPU
    if device.speedup is not None:
        effects |= Effect.SPEEDUP
    return effects


def _chain_effects(chain: Chain) -> int:
    effects = 0
    if chain.arrivals.name != "poisson":
        effects |= Effect.GENERAL_ARRIVALS
    if chain.parallel:
        effects |= Effect.PARALLEL
    if chain.variants:
        effects |= Effect.VARIANTS
    if chain.deadline is not None:
        effects |= Effect.DEADLINE
    for fragment in chain.fragments:
        laws = fragment.service.values() if isinstance(fragment.service, Mapping) else None
        served: list[Law] = list(laws) if laws is not None else [fragment.service]  # type: ignore[list-item]
        if any(law.is_random for law in served):
            effects |= Effect.RANDOM_SERVICE
        if fragment.demand > 1:
            effects |= Effect.DEMAND
    return effects


def effects_of(deployment: Deployment) -> Effect:
    """Return the effects of the problem and its decisions, revisits and open heads excepted.

    Args:
        deployment: The deployment. Whether a path revisits a device and which classifiers are open
            is found where placements are packed.

    Returns:
        The set of effects.
    """
    problem = deployment.problem
    effects = 0
    for device in problem.devices:
        effects |= _device_effects(device)
    for chain in problem.chains:
        effects |= _chain_effects(chain)
        if len(deployment.placement[chain.name]) > 1:
            effects |= Effect.ROUTING
    traced = {chain.name: chain for chain in problem.chains if chain.trace is not None}
    for name, decision in (deployment.exits or {}).items():
        effects |= Effect.EXITS if isinstance(decision, ExitMix) else Effect.THRESHOLDS
        if isinstance(decision, Thresholds) and name not in traced:
            effects |= Effect.UNTRACED
        elif isinstance(decision, Thresholds) and traced[name].contexts is not None:
            effects |= Effect.CONTEXTS
    if deployment.batching:
        effects |= Effect.BATCHING
    if problem.links:
        effects |= Effect.LINKS
    if any(link.queueing for link in problem.links):
        effects |= Effect.LINK_QUEUES
    if any(link.admission == "before_transfer" for link in problem.links):
        effects |= Effect.LINK_ADMISSION
    if problem.overflow == "block":
        effects |= Effect.BLOCKING
    return Effect(effects)


def refuse_uncovered(name: str, covers: Effect, effects: NDArray[np.int64]) -> None:
    """Raise if any deployment uses an effect outside a set.

    Args:
        name: Who refuses: an engine, an evaluator, a checkpoint.
        covers: What it covers.
        effects: Effects per deployment [B].

    Raises:
        NotSupportedError: If an effect is not covered; it names the first one.
    """
    used = Effect(int(np.bitwise_or.reduce(effects, initial=0)))
    for effect in used & ~covers:
        raise NotSupportedError(name, EFFECT_FIELDS[effect])
