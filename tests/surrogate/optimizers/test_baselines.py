"""Placements by simple rules."""

from __future__ import annotations

import numpy as np
import pytest

from surrogate.optimizers.baselines import (
    feasible_placement,
    first_fit,
    least_loaded,
    least_loaded_start,
    random_placement,
)
from surrogate.optimizers.moves import propose
from surrogate.optimizers.space import PlacementSpace
from tests.surrogate.optimizers.problems import poor_start, small_problem


@pytest.fixture
def space() -> PlacementSpace:
    return PlacementSpace(poor_start(small_problem()))


def test_rules_honour_allowed_devices_and_memory(space: PlacementSpace) -> None:
    rng = np.random.default_rng(4)
    rows = [least_loaded(space), first_fit(space), first_fit(space, largest_first=True)]
    rows += [random_placement(space, rng) for _ in range(50)]
    placement = np.stack(rows)
    assert space.allowed[np.arange(space.slots), placement].all()
    assert (space.excess(placement) == 0).mean() > 0.8
    assert space.excess(feasible_placement(space, rng)[None])[0] == 0


def test_first_fit_fills_devices_in_order(space: PlacementSpace) -> None:
    placement = first_fit(space)
    assert placement[:3].tolist() == [0, 0, 0]
    assert placement.max() == 2 or placement.max() == 3


def test_least_loaded_without_memory_balances_by_speed() -> None:
    space = PlacementSpace(least_loaded_start(small_problem(memory=None, allowed=False)))
    work = space.work()[np.arange(space.slots), space.start]
    load = np.bincount(space.start, work, minlength=space.devices)
    assert load.max() < 2 * load.min()


def test_neighbours_differ_are_allowed_and_never_fit_worse(space: PlacementSpace) -> None:
    rng = np.random.default_rng(9)
    current = np.stack([random_placement(space, rng) for _ in range(200)])
    neighbours = propose(space, current, rng)
    assert space.allowed[np.arange(space.slots), neighbours].all()
    assert (space.excess(neighbours) <= space.excess(current)).all()
    assert (neighbours != current).any(axis=1).mean() > 0.95
    assert (neighbours != current).sum(axis=1).max() <= 3
