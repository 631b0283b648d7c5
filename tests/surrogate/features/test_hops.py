"""Shared hops against a loop over pairs of steps."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.evaluation import pack
from surrogate.features.arrays import flow_arrays
from surrogate.features.hops import shared_hops
from tests.surrogate.cases import random_deployments


@pytest.mark.parametrize("paths", [1, 3])
def test_pairs_are_the_steps_that_end_the_same_hop(paths: int) -> None:
    arrays = flow_arrays(pack(random_deployments(12, seed=4, paths=paths)))
    device, previous = arrays.step_device.numpy(), arrays.step_previous.numpy()
    position = arrays.step_position.numpy()
    found = shared_hops(device, previous, position, arrays.devices)
    hop = {
        step: (device[previous[step]], device[step])
        for step in range(len(device))
        if position[step] > 0
    }
    pairs = list(zip(found.leader.tolist(), found.follower.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == {(a, b) for a in hop for b in hop if hop[a] == hop[b]}
    assert found.number == len(set(hop.values()))
    for a in hop:
        for b in hop:
            assert (hop[a] == hop[b]) == (found.step_hop[a] == found.step_hop[b])
    assert (found.step_hop[position == 0] == found.number).all()
    for pair, (leader, follower) in enumerate(pairs):
        before = (int(previous[leader]), int(previous[follower]))
        expected = pairs.index(before) if before in set(pairs) else len(pairs)
        assert found.before[pair] == expected


def test_flows_of_one_step_have_no_hops() -> None:
    device, position = np.array([0, 1, 0]), np.zeros(3, dtype=np.int64)
    found = shared_hops(device, np.arange(3), position, 2)
    assert found.number == 0
    assert len(found.leader) == len(found.before) == 0
    assert found.step_hop.tolist() == [0, 0, 0]
