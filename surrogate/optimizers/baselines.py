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
    "first_rows",
    "least_loaded",
    "least_loaded_start",
    "random_placements",
    "round_robin",
]

RANDOM_TRIES = 200
"""Random placements drawn when the rules find none that fits the memory."""

REDRAWS = 4
"""Draws of a random placement before one that does not fit is handed out."""

Ints = NDArray[np.int64]
Choice = Callable[[Ints, NDArray[np.bool_]], Ints]
"""Given a slot per row [B] and the devices with room for it [B, D], the device to take per row."""


def _placed(space: PlacementSpace, order: Ints, choose: Choice) -> Placements:
    """Place slots one after the other, for many rows at once.

    Args:
        space: The placements of the problem.
        order: The slots of each row in the order in which they are placed [B, F].
        choose: Takes a device for each row.

    Returns:
        Device index per slot [B, F].
    """
    rows = np.arange(len(order))
    free = np.tile(space.memory, (len(order), 1))
    placement = np.full(order.shape, -1, dtype=np.int32)
    for slot in order.T:
        need = space.tables.added(placement, slot)
        allowed = space.allowed[slot]
        room = allowed & (free >= need)
        full = np.flatnonzero(~room.any(axis=1))
        room[full, np.argmax(np.where(allowed[full], free[full], -np.inf), axis=1)] = True
        device = choose(slot, room)
        placement[rows, slot] = device
        free[rows, device] -= need[rows, device]
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

    def choose(slot: Ints, room: NDArray[np.bool_]) -> Ints:
        after = np.where(room, load + work[slot], np.inf)
        device = np.argmin(after, axis=1)
        load[device] = after[0, device]
        return np.asarray(device)

    order = np.argsort(-np.nanmin(work, axis=1), kind="stable")
    return np.asarray(_placed(space, order[None], choose)[0])


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
    return np.asarray(_placed(space, order[None], lambda _, room: room.argmax(axis=1))[0])


def round_robin(space: PlacementSpace) -> Placements:
    """Deal the fragments out to the devices in turn; one without room is passed over.

    Args:
        space: The placements of the problem.

    Returns:
        Device index per slot [F].
    """
    turn = np.zeros(1, dtype=np.int64)

    def choose(_: Ints, room: NDArray[np.bool_]) -> Ints:
        device = (turn + np.argmax(np.roll(room[0], -turn[0]))) % space.devices
        turn[:] = device + 1
        return np.asarray(device)

    return np.asarray(_placed(space, np.arange(space.slots)[None], choose)[0])


def random_placements(space: PlacementSpace, count: int, rng: np.random.Generator) -> Placements:
    """Place the fragments in random order on random devices with enough memory left.

    Rows into which not everything fitted are drawn again a few times.

    Args:
        space: The placements of the problem.
        count: How many.
        rng: Random numbers.

    Returns:
        Device index per slot [B, F].
    """

    def choose(_: Ints, room: NDArray[np.bool_]) -> Ints:
        pick = np.floor(rng.random(len(room)) * room.sum(axis=1))
        return np.asarray(np.argmax(np.cumsum(room, axis=1) > pick[:, None], axis=1))

    placement = np.empty((count, space.slots), dtype=np.int32)
    pending = np.arange(count)
    for _ in range(REDRAWS):
        order = rng.permuted(np.tile(np.arange(space.slots), (len(pending), 1)), axis=1)
        placement[pending] = _placed(space, order, choose)
        pending = pending[space.excess(placement[pending]) > 0]
        if len(pending) == 0:
            break
    return placement


def feasible_placement(space: PlacementSpace, rng: np.random.Generator) -> Placements:
    """Return a placement that fits the memory, if the rules find one.

    Args:
        space: The placements of the problem.
        rng: Random numbers for when the rules fail.

    Returns:
        Device index per slot [F]; the one that exceeds the memory least if none fits.
    """
    rules = np.stack([least_loaded(space), first_fit(space, largest_first=True)])
    fits = np.flatnonzero(space.excess(rules) <= 0)
    if len(fits):
        return np.asarray(rules[fits[0]])
    trials = np.concatenate([rules, random_placements(space, RANDOM_TRIES, rng)])
    return np.asarray(trials[np.argmin(space.excess(trials))])


def first_rows(space: PlacementSpace, count: int, rng: np.random.Generator) -> Placements:
    """Return what a search looks at first: the start, placements by rules, then random ones.

    Args:
        space: The placements of the problem.
        count: How many, >= 1.
        rng: Random numbers.

    Returns:
        Device index per slot [B, F].
    """
    rows = [space.start]
    if count > 1:
        rows.append(feasible_placement(space, rng))
    if count > 2:
        rows.append(first_fit(space))
    others = random_placements(space, count - len(rows), rng)
    return np.concatenate([np.stack(rows), others])


def least_loaded_start(problem: Problem) -> Deployment:
    """Return the deployment a search starts from where the user gives none.

    Args:
        problem: The problem.

    Returns:
        One path per chain, placed least-loaded.
    """
    anywhere = {
        chain.name: tuple(
            next(device.name for device in problem.devices if chain.may_run_on(place, device))
            for place in range(len(chain.fragments))
        )
        for chain in problem.chains
    }
    space = PlacementSpace(Deployment(problem=problem, placement=anywhere))  # type: ignore[arg-type]
    return space.candidates(least_loaded(space)[None]).deployment(0)
