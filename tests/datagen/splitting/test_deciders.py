"""Deciders: the reward by hand, contexts that stay as they were decided in."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.splitting import (
    APPLICATIONS,
    AtRandom,
    ByBandit,
    Finished,
    Split,
    Task,
    UpperConfidence,
    reward,
)
from datagen.splitting.deciders import CONTEXTS, SPLITS

MNIST = APPLICATIONS[0]


def task(deadline: float, index: int = 0) -> Task:
    return Task(
        index=index,
        application=MNIST,
        arrival=0.0,
        deadline=deadline,
        noise=(1.0,) * 5,
        luck=0.0,
    )


def done(own: Task, split: Split, response: float, accuracy: float = 0.95) -> Finished:
    return Finished(task=own, split=split, response=response, accuracy=accuracy)


@pytest.mark.parametrize(
    ("response", "accuracy", "worth"),
    [
        (600.0, 1.0, 1.0),
        (600.0, 0.95, 0.75),
        (601.0, 0.95, 0.25),
        (600.0, 0.9, 0.5),
        (601.0, 0.4, 0.0),
    ],
)
def test_the_reward_by_hand(response: float, accuracy: float, worth: float) -> None:
    assert reward(done(task(600.0), "layer", response, accuracy)) == pytest.approx(worth)


def test_a_reward_goes_where_the_decision_was_made() -> None:
    bandit = UpperConfidence(CONTEXTS, SPLITS, np.random.default_rng(0))
    decider = ByBandit(bandit)
    assert decider.latency["mnist"] == 5 * 300.0
    first, second = task(1500.0, 0), task(1500.0, 1)
    assert decider.context(first) == "loose"  # the deadline is what is expected, not below
    splits = [decider.decide(first), decider.decide(second)]
    assert splits == ["layer", "semantic"]
    decider.learn(done(first, "layer", 1800.0))
    assert decider.latency["mnist"] == pytest.approx(0.9 * 1500 + 0.1 * 1800)
    assert decider.context(second) == "tight"  # by now; it was decided in the other
    decider.learn(done(second, "semantic", 1000.0))
    assert decider.latency["mnist"] == pytest.approx(1530.0)  # only layer-wise splits count
    tight, loose = bandit.rewarded
    assert (tight.tolist(), loose.tolist()) == ([0, 0], [1, 1])
    assert bandit.mean[1] == pytest.approx([0.25, 0.75])


def test_the_coin_is_fair() -> None:
    coin = AtRandom(np.random.default_rng(5))
    count = sum(coin.decide(task(600.0)) == "layer" for _ in range(2000))
    assert abs(count - 1000) < 4 * np.sqrt(500)
