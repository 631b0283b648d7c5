"""The small cluster of the benchmark of placement searches, at several load factors.

ChainNet's authors report 71 % less loss on two Orange Pi Zero, two Raspberry Pi A+ and one
Raspberry Pi 3A+. Networks, loads and the placement they compare with are not public; ours are those
of ``configs/problems/five_boards.yaml``, and no equality is claimed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from placement_rivals import RULES, integer_rival
from placement_trial import judged, row_of, searched
from result_file import REPOSITORY

from datagen.arrivals import Arrivals, Periodic, Poisson
from datagen.deployment import Deployment, Problem
from datagen.documents import read_problem
from datagen.evaluation import Evaluator
from surrogate.optimizers import Budget, PlacementSpace
from surrogate.optimizers.baselines import least_loaded_start, random_placements
from surrogate.optimizers.budget import TimeKind

__all__ = ["LOADS", "PERIODIC_LOADS", "at_load", "boards_measured"]

FILE = REPOSITORY / "configs" / "problems" / "five_boards.yaml"

LOADS = (0.05, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
"""Load factors: work offered over what the boards can do together."""

PERIODIC_LOADS = (0.1, 0.2, 0.4, 0.6, 0.8)
"""The same where requests come like clockwork: what loses nothing on the mean loses nothing."""

LOAD_BLIND = ("first_fit", "round_robin", "random")
"""Rules that do not know of loads; ``random`` is the median of RANDOM placements. Neurosurgeon is
one as well, but fills the fastest boards, which nobody would take for a baseline."""

RANDOM = 51

MATERIAL_LOSS = 0.01
"""Loss of the best load-blind placement from which there is something to save."""

JUDGING_EVENTS = 1e6


def at_load(problem: Problem, load: float, *, periodic: bool = False) -> Problem:
    """Scale the arrivals of a problem.

    Args:
        problem: A problem of Poisson arrivals, each fragment allowed on a device of speed 1.
        load: Load factor, > 0.
        periodic: Whether requests come at equal distances instead.

    Returns:
        The problem at that load.
    """
    speed = sum(device.speed for device in problem.devices)
    work = sum(
        chain.arrivals.rate * fragment.service.mean  # type: ignore[union-attr]
        for chain in problem.chains
        for fragment in chain.fragments
    )
    factor = load * speed / work

    def arrivals(rate: float) -> Arrivals:
        return Periodic(period=1.0 / rate) if periodic else Poisson(rate=rate)

    chains = tuple(
        replace(chain, arrivals=arrivals(factor * chain.arrivals.rate)) for chain in problem.chains
    )
    return replace(problem, chains=chains)


def boards_measured(
    surrogate: Evaluator,
    *,
    loads: tuple[float, ...],
    seconds: float,
    time: TimeKind,
    seed: int,
    periodic: bool = False,
) -> dict[str, Any]:
    """Search the cluster at several loads.

    Args:
        surrogate: Judges candidates.
        loads: Load factors.
        seconds: Budget of each search [s].
        time: Which time the budget is of.
        seed: Seed of searches and of what judges them.
        periodic: Whether requests come at equal distances.

    Returns:
        A row per load, and the largest and the smallest reduction where loss is material.
    """
    problem, _ = read_problem(FILE)
    rows = [
        _row(
            surrogate,
            least_loaded_start(at_load(problem, load, periodic=periodic)),
            load,
            seconds,
            time,
            seed,
        )
        for load in loads
    ]
    material = [row for row in rows if row["best_load_blind"] >= MATERIAL_LOSS]
    reductions = [row["reduction"] for row in material]
    return {
        "seconds": seconds,
        "rows": rows,
        "material_loads": [row["load"] for row in material],
        "least_reduction": min(reductions, default=None),
        "median_reduction": float(np.median(reductions)) if reductions else None,
        "paper_reduction": 0.71,
    }


def _row(
    surrogate: Evaluator, start: Deployment, load: float, seconds: float, time: TimeKind, seed: int
) -> dict[str, Any]:
    result = searched(start, surrogate, None, seconds=seconds, time=time, seed=seed)
    space = PlacementSpace(start)
    program = integer_rival(space, seconds, Budget(seconds=seconds, time=time).now)
    rows = [row_of(result), *(rule(space) for rule in RULES.values()), program.placement]
    dealt = random_placements(space, RANDOM, np.random.default_rng(seed))
    losses = judged(
        start, np.concatenate([rows, dealt]), events=JUDGING_EVENTS, seed=seed + 1
    ).deployment["loss_ratio"]
    found = dict(zip(("search", *RULES, "ilp"), losses.tolist(), strict=False))
    found["random"] = float(np.median(losses[len(rows) :]))
    blind = min(found[name] for name in LOAD_BLIND)
    return {
        "load": load,
        "loss_ratio": found,
        "best_load_blind": blind,
        "reduction": 1.0 - found["search"] / blind if blind > 0 else None,
        "reduction_least_loaded": (
            1.0 - found["search"] / found["least_loaded"] if found["least_loaded"] > 0 else None
        ),
        "placement": result.to_dict()["placement"],
    }
