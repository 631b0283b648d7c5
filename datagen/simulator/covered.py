"""What each engine plays, and what of it is more than other numbers in the same arrays."""

from __future__ import annotations

import numpy as np

from datagen.errors import NotSupportedError
from datagen.evaluation import DeploymentBatch, Effect
from datagen.evaluation.effects import EFFECT_FIELDS, refuse_uncovered
from datagen.simulator.contention import CONTENTION_EFFECTS, LINK_EFFECTS
from datagen.simulator.sharing import SHARING_EFFECTS

__all__ = ["ENGINE_COVERS", "FEATURE_EFFECTS", "refuse_unplayed"]

ENGINE_COVERS = (
    Effect.RANDOM_SERVICE
    | Effect.GENERAL_ARRIVALS
    | Effect.MULTI_SERVER
    | Effect.UNLIMITED_BUFFER
    | Effect.DEMAND
    | Effect.REVISIT
    | Effect.PRIORITY
    | Effect.LINKS
    | Effect.ROUTING
    | Effect.EXITS
    | Effect.THRESHOLDS
    | Effect.CONTEXTS
    | Effect.DEADLINE
    | Effect.NPU
    | Effect.BATCHING
    | SHARING_EFFECTS
    | Effect.BLOCKING
    | Effect.PARALLEL
)
"""Effects that both engines play."""

COVERS = {"numba": ENGINE_COVERS, "simpy": ENGINE_COVERS | LINK_EFFECTS}
"""Effects that each engine plays; any other plays what both do."""

FEATURE_EFFECTS = (
    Effect.PRIORITY
    | Effect.LINKS
    | Effect.ROUTING
    | Effect.EXITS
    | Effect.THRESHOLDS
    | Effect.NPU
    | SHARING_EFFECTS
    | CONTENTION_EFFECTS
)
"""Effects that are more than other numbers in the arrays of a network."""


def refuse_unplayed(engine: str, batch: DeploymentBatch) -> None:
    """Refuse what an engine does not play, and say which one does, if any.

    Args:
        engine: Name of the engine.
        batch: Packed deployments.

    Raises:
        NotSupportedError: If there is something; it names the first.
    """
    covers = COVERS.get(engine, ENGINE_COVERS)
    for other, others in COVERS.items():
        used = Effect(int(np.bitwise_or.reduce(batch.effects, initial=0)))
        for effect in used & others & ~covers:
            raise NotSupportedError(engine, f"{EFFECT_FIELDS[effect]} (engine={other} plays it)")
    refuse_uncovered(engine, covers, batch.effects)
