"""AdaEE: rewards as defined, and regret that grows ever more slowly on recorded contexts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from datagen.policies.adaee import (
    AdaEE,
    AdaEEMultiGate,
    AdaEEOriginal,
    AdaEEQueueAware,
    elapsed_times,
    gained,
)
from datagen.policies.exit_policy import Made, Outcome, Scene, Seen
from datagen.policies.ucb import Ucb
from datagen.simulator.policies import policy_scene
from tests.datagen.policies.contract import CHAIN, recorded, system


def scene(edges: bool = False) -> Scene:
    return policy_scene(system(edges), CHAIN, recorded(2))


def begun(policy: AdaEE, edges: bool = False) -> AdaEE:
    policy.begin(scene(edges), np.random.default_rng(0))
    return policy


def test_a_loss_of_confidence_is_no_gain() -> None:
    assert gained(0.5, 0.8) == 0.0
    assert gained(0.75, 0.5) == 0.25


def test_times_run_along_the_path() -> None:
    # Works 0.1, 0.2, 0.4, 0.6 with heads of 0.02 s; the last has none.
    assert elapsed_times(scene(), 0) == pytest.approx([0.12, 0.32, 0.72, 1.3])
    edges = scene(True)
    assert elapsed_times(edges, 0) == pytest.approx([0.12, 0.32, 0.72, 1.3])
    assert elapsed_times(edges, 3) == pytest.approx([0.0, 0.0, 0.42, 1.0])


def test_the_original_reward() -> None:
    policy = begun(AdaEEOriginal(gate=1, time_weight=0.1))
    assert policy.reward(0, 0, 1, [(1, 0.9)]) == 0.0  # left early
    gain = 0.95 - 0.6 - 0.1 * (1.3 - 0.32)
    assert policy.reward(0, 0, 3, [(1, 0.6), (3, 0.95)]) == pytest.approx(gain)
    # Confidence fell: only time was spent.
    assert policy.reward(0, 0, 3, [(1, 0.9), (3, 0.7)]) == pytest.approx(-0.1 * (1.3 - 0.32))


def test_the_multi_gate_reward_is_a_mean_over_what_was_passed() -> None:
    policy = begun(AdaEEMultiGate(4, time_weight=0.5))
    asked = [(0, 0.4), (1, 0.7), (2, 0.9)]
    first, second = 0.5 - 0.5 * (0.72 - 0.12), 0.2 - 0.5 * (0.72 - 0.32)
    assert policy.reward(0, 0, 2, asked) == pytest.approx((first + second) / 2)
    assert policy.reward(0, 0, 0, [(0, 0.8)]) == 0.0


def test_those_who_wait_are_paid_for() -> None:
    policy = begun(AdaEEQueueAware(gate=1, time_weight=0.0, queue_weight=0.2))
    asked = [(1, 0.6), (3, 0.9)]
    assert policy.reward(0, 0, 3, asked) == pytest.approx(0.3)
    assert policy.reward(0, 2, 3, asked) == pytest.approx(0.3 - 0.2 * 2 / 4)


def test_passing_on_is_rewarded_when_the_job_is_done() -> None:
    policy = begun(AdaEEOriginal(gate=0, time_weight=0.0), edges=True)
    # Stage 0 is the gateway, which passes the job on to stage 1.
    assert policy.reward(0, 0, 3, [(0, 0.5), (3, 0.9)]) == pytest.approx(0.4)


def test_the_line_is_frozen_at_the_decision() -> None:
    policy = begun(AdaEEQueueAware())
    decision = policy.decide(Seen(stage=0, time=0.0, jobs=3, busy=1))
    assert isinstance(decision.tag, tuple)
    assert decision.tag[0] == 2
    policy.finished(Outcome(1.0, (Made(0, decision),), 0, ((0, 0.9),)))
    assert policy._bandits[0][2].counts.sum() == 1
    assert policy._bandits[0][0].counts.sum() == 0


def test_a_lost_job_calls_its_pull_off() -> None:
    bandit = Ucb(2, 1.0)
    assert [bandit.pull(), bandit.pull()] == [0, 1]
    bandit.call_off(0)
    bandit.reward(1, 0.5)
    assert bandit.pull() == 0  # it has never been tried, as far as anybody knows
    assert bandit.counts.tolist() == [0.0, 1.0]


def test_late_rewards_do_not_repeat_an_arm() -> None:
    bandit = Ucb(3, math.sqrt(2))
    assert [bandit.pull() for _ in range(3)] == [0, 1, 2]
    bandit.reward(2, 1.0)
    assert bandit.pull() == 2  # the only one that anything is known of


def test_a_cube_covers_every_threshold() -> None:
    policy = AdaEEMultiGate(32)
    arms = np.array(policy.arms(scene().stages[0]))
    assert arms.shape == (32, 3)
    for column in arms.T:
        # Latin: one point in each of 32 slices of [0, 1.01).
        assert sorted(np.floor(column / 1.01 * 32).astype(int)) == list(range(32))
