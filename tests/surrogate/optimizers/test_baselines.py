"""Placements by simple rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.deployment import Deployment, Device, Npu, Problem
from surrogate.optimizers.baselines import (
    feasible_placement,
    first_fit,
    least_loaded,
    least_loaded_start,
    random_placements,
    round_robin,
)
from surrogate.optimizers.moves import propose
from surrogate.optimizers.space import PlacementSpace
from tests.surrogate.optimizers.hubs import TABLE, hub
from tests.surrogate.optimizers.problems import UNIT, poor_start, small_problem


@pytest.fixture
def space() -> PlacementSpace:
    return PlacementSpace(poor_start(small_problem()))


def test_rules_honour_allowed_devices_and_memory(space: PlacementSpace) -> None:
    rng = np.random.default_rng(4)
    rules = [least_loaded(space), first_fit(space), first_fit(space, largest_first=True)]
    placement = np.concatenate([np.stack(rules), random_placements(space, 200, rng)])
    assert space.allowed[np.arange(space.slots), placement].all()
    assert (space.excess(placement) == 0).mean() > 0.99
    assert space.excess(feasible_placement(space, rng)[None])[0] == 0


def test_first_fit_fills_devices_in_order(space: PlacementSpace) -> None:
    placement = first_fit(space)
    assert placement[:3].tolist() == [0, 0, 0]
    assert placement.max() == 2 or placement.max() == 3


def test_round_robin_deals_fragments_out_in_turn(space: PlacementSpace) -> None:
    unlimited = PlacementSpace(least_loaded_start(small_problem(memory=None, allowed=False)))
    assert round_robin(unlimited).tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    placement = round_robin(space)
    assert placement[:5].tolist() == [0, 1, 2, 3, 0]
    assert space.excess(placement[None])[0] == 0


def test_least_loaded_without_memory_balances_by_speed() -> None:
    space = PlacementSpace(least_loaded_start(small_problem(memory=None, allowed=False)))
    work = space.work()[np.arange(space.slots), space.start]
    load = np.bincount(space.start, work, minlength=space.devices)
    assert load.max() < 2 * load.min()


def test_neighbours_differ_are_allowed_and_never_fit_worse(space: PlacementSpace) -> None:
    rng = np.random.default_rng(9)
    current = random_placements(space, 200, rng)
    neighbours = propose(space, current, rng)
    assert space.allowed[np.arange(space.slots), neighbours].all()
    assert (space.excess(neighbours) <= space.excess(current)).all()
    assert (neighbours != current).any(axis=1).mean() > 0.95
    assert (neighbours != current).sum(axis=1).max() <= 3


def test_random_placements_reach_every_allowed_device_about_equally() -> None:
    space = PlacementSpace(poor_start(small_problem(memory=None)))
    placement = random_placements(space, 4000, np.random.default_rng(1))
    for slot in range(space.slots):
        share = np.bincount(placement[:, slot], minlength=space.devices) / len(placement)
        allowed = space.allowed[slot]
        assert (share[~allowed] == 0).all()
        # Four standard errors of a share of 1 / 4 or 1 / 3 among 4,000 are 0.03.
        assert share[allowed] == pytest.approx(1 / allowed.sum(), abs=0.03)


def test_rules_place_the_weights_of_a_shared_fragment_once() -> None:
    chain = replace(small_problem(allowed=False).chains[0], name="c")
    tight = (Device(name="a", memory=4 * UNIT, capacity=5), Device(name="b", memory=0, capacity=5))
    paths = {"c": (("b", "b", "b"), ("b", "b", "b"))}
    problem = Problem(devices=tight, chains=(chain,))
    base = Deployment(problem=problem, placement=paths, routing={"c": (0.5, 0.5)})
    space = PlacementSpace(base)
    # Three fragments of 4 units in all fit on the one board that has memory, for both paths.
    assert space.weights.sum() == 8 * UNIT
    for placement in (first_fit(space), random_placements(space, 1, np.random.default_rng(0))[0]):
        assert placement.tolist() == [0] * 6
        assert space.excess(placement[None])[0] == 0


def test_a_start_is_found_where_times_are_those_of_a_table() -> None:
    """The accelerator comes first, and has times for other fragments than these only."""
    problem = hub(cpus=1).problem
    chain = replace(problem.chains[0], model="other")
    npu = Npu(table={"camera": TABLE})
    devices = (replace(problem.devices[0], npu=npu), problem.devices[1])
    start = least_loaded_start(replace(problem, devices=devices, chains=(chain,)))
    assert start.placement == {"camera": (("cpu0", "cpu0"),)}
