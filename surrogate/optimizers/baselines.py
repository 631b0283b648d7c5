"""Placements by simple rules: starts of searches, and what a search has to beat.

Every rule honours the devices allowed to each fragment, and the memory as long as one of these has
room; a fragment for which none has goes to the allowed device with the most room left.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment, Problem
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = [
    "feasible_placement",
    "first_fit",
    "least_loaded",
    "least_loaded_start",
    "random_placement",
]

RANDOM_TRIES = 200
"""Random placements drawn when the rules find none that fits the memory."""

Choice = Callable[[int, NDArray[np.int64]], int]
"""Given a slot and the devices that have room for it, the device to take."""


def _placed(space: PlacementSpace, order: NDArray[np.int64], choose: Choice) -> Placements:
    """Place slots one after the other; slots of one fragment share its weights on a device."""
    free = space.memory.copy()
    placement = np.zeros(space.slots, dtype=np.int32)
    held: set[tuple[tuple[int, int], int]] = set()
    for slot in order.tolist():
        fragment = space.tables.slots[slot]
        devices = np.flatnonzero(space.allowed[slot])
        present = np.array([(fragment, d) in held for d in devices.tolist()])
        need = np.where(present, 0.0, space.weights[slot])
        room = devices[free[devices] >= need]
        device = choose(slot, room) if len(room) else int(devices[np.argmax(free[devices])])
        placement[slot] = device
        if (fragment, device) not in held:
            held.add((fragment, device))
            free[device] -= space.weights[slot]
    return placement


def least_loaded(space: PlacementSpace) -> Placements:
    """Place the most work first, each fragment where the load is lowest with it.

    Args:
        space: The placements of the problem.

    Returns:
        Device index per slot [F].
    """
    work = space.work()
    load = np.zeros(space.devices)

    def choose(slot: int, room: NDArray[np.int64]) -> int:
        device = int(room[np.argmin(load[room] + work[slot, room])])
        load[device] += work[slot, device]
        return device

    order = np.argsort(-np.nanmin(work, axis=1), kind="stable")
    return _placed(space, order, choose)


def first_fit(space: PlacementSpace, *, largest_first: bool = False) -> Placements:
    """Place each fragment on the first device with enough memory left.

    Args:
        space: The placements of the problem.
        largest_first: Whether the heaviest fragments go first, which packs better.

    Returns:
        Device index per slot [F].
    """
    order = np.arange(space.slots)
    if largest_first:
        order = np.argsort(-space.weights, kind="stable")
    return _placed(space, order, lambda _, room: int(room[0]))


def random_placement(space: PlacementSpace, rng: np.random.Generator) -> Placements:
    """Place the fragments in random order on random devices with enough memory left.

    Args:
        space: The placements of the problem.
        rng: Random numbers.

    Returns:
        Device index per slot [F].
    """
    order = rng.permutation(space.slots)
    return _placed(space, order, lambda _, room: int(room[rng.integers(len(room))]))


def feasible_placement(space: PlacementSpace, rng: np.random.Generator) -> Placements:
    """Return a placement that fits the memory, if the rules find one.

    Args:
        space: The placements of the problem.
        rng: Random numbers for when the rules fail.

    Returns:
        Device index per slot [F]; the one that exceeds the memory least if none fits.
    """
    best = least_loaded(space)
    least = space.excess(best[None])[0]
    rules: list[Callable[[], Placements]] = [lambda: first_fit(space, largest_first=True)]
    rules += [lambda: random_placement(space, rng)] * RANDOM_TRIES
    for rule in rules:
        if least <= 0:
            break
        trial = rule()
        excess = space.excess(trial[None])[0]
        if excess < least:
            best, least = trial, excess
    return best


def least_loaded_start(problem: Problem) -> Deployment:
    """Return the deployment a search starts from where the user gives none.

    Args:
        problem: The problem.

    Returns:
        One path per chain, placed least-loaded.
    """
    names = [device.name for device in problem.devices]
    anywhere = {
        chain.name: tuple(
            next(name for name in names if fragment.may_run_on(name))
            for fragment in chain.fragments
        )
        for chain in problem.chains
    }
    space = PlacementSpace(Deployment(problem=problem, placement=anywhere))  # type: ignore[arg-type]
    return space.candidates(least_loaded(space)[None]).deployment(0)
