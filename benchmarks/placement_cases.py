"""Problems of the placement benchmark: the ``placement`` scenario where loss is material.

Sizes are those of edge clusters, 8 to 60 devices and 4 to 20 chains, a third of them each with up
to 15 devices, up to 30 and more; the offered load is 50 to 95 % of what all devices together can
do, the range in which a good placement saves what a poor one loses. Memory binds as it does on
small boards: each fragment takes one unit, and a device holds one and a half times its share of all
fragments, at least two. A problem is used if no fragment alone keeps the fastest device busier than
80 % (what it loses would be lost by any placement), and if least-loaded placement loses at least
one request in a hundred, as the analytic approximation has it: elsewhere, there is nothing to
search for. No search has a say in the choice.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.deployment import Deployment
from datagen.scenarios.placement import PlacementScenario
from surrogate.optimizers import PlacementSpace
from surrogate.optimizers.baselines import least_loaded_start

__all__ = ["EVALUATION_SEED", "TUNING_SEED", "cases"]

EVALUATION_SEED = 770_977
"""Of the problems that searches are compared on; nothing was trained, chosen or tuned on it."""

TUNING_SEED = 20261122
"""Of the problems that the rival is tuned on."""

SCENARIO = PlacementScenario(chains=(4, 20), length=(2, 8), devices=(8, 60), load=(0.5, 0.95))

UNIT = 1e6
"""Memory of a fragment [bytes]; only how many fit matters."""

ROOM, LEAST_ROOM, MOST_ROOM = 1.5, 2, 12
"""Fragments that a device holds over its share of all, at least, and at most: what the scenario's
own placements have."""

MATERIAL_LOSS = 0.01
"""Loss ratio of the start from which a problem counts."""

SIZES = (8, 16, 31, 61)
"""Numbers of devices at which the thirds begin, and beyond the last."""

LARGEST_LOAD = 0.8
"""Load of the fastest device with one fragment up to which a problem counts."""


def with_memory(drawn: Deployment) -> Deployment:
    """Return the least-loaded placement of a drawn problem whose devices' memory binds.

    Args:
        drawn: A deployment without memory.

    Returns:
        The start of searches.
    """
    problem = drawn.problem
    fragments = sum(len(chain.fragments) for chain in problem.chains)
    share = math.ceil(ROOM * fragments / len(problem.devices))
    memory = UNIT * min(max(share, LEAST_ROOM), MOST_ROOM)
    devices = tuple(replace(device, memory=memory) for device in problem.devices)
    chains = tuple(
        replace(chain, fragments=tuple(replace(f, weights=UNIT) for f in chain.fragments))
        for chain in problem.chains
    )
    return least_loaded_start(replace(problem, devices=devices, chains=chains))


def cases(count: int, seed: int) -> list[tuple[int, Deployment]]:
    """Return problems, each as the deployment that searches start from.

    Args:
        count: How many, >= 1.
        seed: Seed of the scenario.

    Returns:
        Row of the scenario and start.
    """
    found: list[tuple[int, Deployment]] = []
    thirds = len(SIZES) - 1
    room = [len(range(third, count, thirds)) for third in range(thirds)]
    row = 0
    while len(found) < count:
        drawn = SCENARIO.sample(row, seed)
        third = int(np.searchsorted(SIZES, len(drawn.problem.devices), side="right")) - 1
        if room[third] > 0 and PlacementSpace(drawn).work().min(axis=1).max() <= LARGEST_LOAD:
            start = with_memory(drawn)
            loss = AnalyticEvaluator().evaluate([start]).deployment["loss_ratio"][0]
            if loss >= MATERIAL_LOSS:
                found.append((row, start))
                room[third] -= 1
        row += 1
    return found
