"""Neurosurgeon on a cluster: the best single cut of each chain in the memory that is left."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from surrogate.optimizers import PlacementSpace
from surrogate.optimizers.baselines import least_loaded_start
from surrogate.optimizers.cuts import best_cuts
from surrogate.optimizers.split_task import split_task
from surrogate.optimizers.splitting import min_cut
from surrogate.optimizers.unloaded import UnloadedTimes
from tests.surrogate.optimizers.problems import poor_start, small_problem
from tests.surrogate.optimizers.test_integer_program import random_space


def test_a_chain_between_two_boards_is_cut_as_the_minimum_cut_has_it() -> None:
    seen = 0
    for seed in range(120):
        space = random_space(seed)
        problem = space.base.problem
        if space.devices != 2 or len(problem.chains) > 1:
            continue
        seen += 1
        devices = tuple(replace(device, memory=None) for device in problem.devices)
        wide = PlacementSpace(least_loaded_start(replace(problem, devices=devices)))
        tasks = [split_task(problem, "c0", *ends) for ends in (("d0", "d1"), ("d1", "d0"))]
        best = min(min_cut(task).value("latency") for task in tasks)
        assert UnloadedTimes(wide).latency(best_cuts(wide)[None])[0] == pytest.approx(best)
    assert seen > 10


def test_cuts_are_the_best_in_the_memory_that_is_left() -> None:
    checked = 0
    for seed in range(120):
        space = random_space(seed)
        if len(space.base.problem.chains) > 1:
            continue
        found = best_cuts(space)
        times = UnloadedTimes(space)
        rows = np.array(list(product(range(space.devices), repeat=space.slots)), dtype=np.int32)
        changes = (np.diff(rows, axis=1) != 0).sum(axis=1)
        allowed = space.allowed[np.arange(space.slots), rows].all(axis=1)
        rows = rows[(changes <= 1) & allowed]
        rows = rows[space.excess(rows) == 0]
        if len(rows) == 0:
            continue
        checked += 1
        assert space.excess(found[None])[0] == 0
        assert times.latency(found[None])[0] == pytest.approx(times.latency(rows).min())
    assert checked > 20


def test_cuts_honour_memory_and_allowed_devices() -> None:
    space = PlacementSpace(poor_start(small_problem()))
    placement = best_cuts(space)
    assert space.allowed[np.arange(space.slots), placement].all()
    assert space.excess(placement[None])[0] == 0
    unlimited = PlacementSpace(least_loaded_start(small_problem(memory=None, allowed=False)))
    assert set(best_cuts(unlimited)) == {0}  # blind to load: the fastest board takes it all
