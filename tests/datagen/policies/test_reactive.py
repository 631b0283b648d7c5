"""The reactive ladder: down at a loss, up when nobody waits."""

from __future__ import annotations

import numpy as np

from datagen.policies.exit_policy import Seen
from datagen.policies.reactive import Reactive
from datagen.simulator.policies import policy_scene
from tests.datagen.policies.contract import CHAIN, recorded, system


def option(policy: Reactive, stage: int, jobs: int) -> int:
    """The option that the ladder stands at, deciding about one job."""
    scene = policy_scene(system(edges=True), CHAIN, recorded(2))
    decision = policy.decide(Seen(stage=stage, time=0.0, jobs=jobs, busy=1))
    return scene.stages[stage].single.index(decision)


def test_the_ladder() -> None:
    policy = Reactive()
    policy.begin(policy_scene(system(True), CHAIN, recorded(2)), np.random.default_rng(0))
    assert option(policy, 0, jobs=2) == 2  # from the deepest
    for _ in range(4):
        policy.arrived(0, 1.0, False)
    assert option(policy, 0, jobs=2) == 0  # and no further down than the first
    assert option(policy, 2, jobs=2) == 0  # the same device on the other path
    assert option(policy, 1, jobs=2) == 1  # another device stands where it stood
    assert option(policy, 0, jobs=1) == 0  # nobody waits: the next one may go deeper
    assert option(policy, 0, jobs=2) == 1
    policy.arrived(0, 2.0, True)
    assert option(policy, 0, jobs=2) == 1
