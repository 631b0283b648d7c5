"""What jobs of a network contend for beyond servers: room ahead, all branches at once, links.

With ``overflow="block"``, a job that has been served stays where it is until its next device has
room. The jobs of a parallel chain run all their steps, its branches, at the same time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation import DeploymentBatch, Effect

__all__ = ["CONTENTION_EFFECTS", "LINK_EFFECTS", "NO_LINK", "Contention", "contention_of"]

LINK_EFFECTS = Effect.LINK_QUEUES | Effect.LINK_ADMISSION
"""Effects of links that are more than a delay: the readable engine plays them."""

CONTENTION_EFFECTS = Effect.BLOCKING | Effect.PARALLEL | LINK_EFFECTS
"""Effects that give a network its :class:`Contention`."""

NO_LINK = -1
"""Number of the link after a step whose transfers queue for nothing."""


class Contention(NamedTuple):
    """What else jobs wait for.

    Args:
        blocks: Whether a served job keeps its place until there is room ahead.
        parallel: Whether all steps of a chain start at once [C].
        step_link: Number of the link that a job queues for after each step, or NO_LINK [S].
        step_asks: Whether it is admitted ahead before it is sent there [S].
    """

    blocks: bool
    parallel: NDArray[np.bool_]
    step_link: NDArray[np.int64]
    step_asks: NDArray[np.bool_]


def contention_of(batch: DeploymentBatch, index: int, steps: slice) -> Contention | None:
    """Return what the jobs of a deployment contend for.

    Args:
        batch: Packed deployments.
        index: 0-based deployment.
        steps: Its steps in the batch.

    Returns:
        The arrays, or None where the deployment has none of it.
    """
    effects = Effect(int(batch.effects[index]))
    if not effects & CONTENTION_EFFECTS:
        return None
    chains = slice(batch.chain_start[index], batch.chain_start[index + 1])
    parallel = batch.chain_parallel[chains].astype(bool)
    return Contention(
        blocks=bool(effects & Effect.BLOCKING),
        parallel=parallel,
        step_link=batch.step_link[steps].astype(np.int64),
        step_asks=batch.step_asks[steps].astype(bool),
    )
