"""Bandits: regret that grows ever more slowly, rewards that are credited where they belong."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.splitting import ContextualBandit, EpsilonGreedy, Ticket, UpperConfidence

CONTEXTS, ARMS = ("wet", "dry"), ("boots", "sandals")
CHANCE = {"wet": (0.7, 0.4), "dry": (0.35, 0.6)}
"""Chance that an arm is rewarded in a context: what is best in one is not in the other."""

ROUNDS = (300, 2400)
DELAY = 7
"""Choices that are made before a reward comes."""

Maker = Callable[[np.random.Generator], ContextualBandit]


def upper(rng: np.random.Generator) -> ContextualBandit:
    return UpperConfidence(CONTEXTS, ARMS, rng)


def decaying(rng: np.random.Generator) -> ContextualBandit:
    # A bar that does not grow, so that epsilon falls with every reward.
    return EpsilonGreedy(CONTEXTS, ARMS, rng, growth=1.0)


def constant(rng: np.random.Generator) -> ContextualBandit:
    return EpsilonGreedy(CONTEXTS, ARMS, rng, epsilon=0.4, decay=1.0)


def regrets(make: Maker, seeds: int = 8) -> np.ndarray:
    """Expected reward missed until each of ROUNDS, a mean over runs with delayed rewards."""
    found = np.zeros((seeds, len(ROUNDS)))
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 1])
        bandit = make(np.random.default_rng([seed, 2]))
        waiting: list[tuple[Ticket, float]] = []
        regret = 0.0
        for number in range(1, ROUNDS[-1] + 1):
            context = CONTEXTS[rng.integers(2)]
            ticket = bandit.choose(context)
            chance = CHANCE[context][ARMS.index(ticket.arm)]
            regret += max(CHANCE[context]) - chance
            waiting.append((ticket, float(rng.random() < chance)))
            if len(waiting) > DELAY:
                bandit.learn(*waiting.pop(0))
            if number in ROUNDS:
                found[seed, ROUNDS.index(number)] = regret
    return found.mean(axis=0)


@pytest.mark.parametrize("make", [upper, decaying])
def test_regret_grows_more_slowly_than_time(make: Maker) -> None:
    early, late = regrets(make)
    # Eight times the rounds: eight times the regret for what does not learn, ln 2400 / ln 300 = 1.4
    # times for what learns as well as can be.
    assert late < 3.5 * early
    assert late < 0.25 * 0.275 * ROUNDS[-1] / 2  # a quarter of what a coin would miss


def test_regret_of_constant_exploration_grows_with_time() -> None:
    early, late = regrets(constant, seeds=4)
    assert late > 5.0 * early


def test_both_contexts_are_learnt_apart() -> None:
    for make in (upper, decaying):
        rng = np.random.default_rng(3)
        bandit = make(np.random.default_rng(4))
        for number in range(2000):
            context = CONTEXTS[number % 2]
            ticket = bandit.choose(context)
            chance = CHANCE[context][ARMS.index(ticket.arm)]
            bandit.learn(ticket, float(rng.random() < chance))
        assert bandit.rewarded.sum() == 2000
        assert bandit.rewarded.argmax(axis=1).tolist() == [0, 1]
        best = bandit.mean[[0, 1], [0, 1]]
        assert best == pytest.approx([0.7, 0.6], abs=0.06)


def test_upper_confidence_by_hand() -> None:
    bandit = UpperConfidence(("only",), ARMS, np.random.default_rng(0), width=1.0)
    for arm, rewards in (("boots", [0.9, 0.7]), ("sandals", [0.5])):
        for value in rewards:
            ticket = bandit.choose("only")
            bandit.forget(ticket)
            bandit.pending[0, ARMS.index(arm)] += 1
            bandit.learn(Ticket("only", arm), value)
    assert bandit.mean.tolist() == [[pytest.approx(0.8), 0.5]]
    # 0.8 + sqrt(ln 3 / 2) = 1.541 against 0.5 + sqrt(ln 3) = 1.548.
    first = bandit.choose("only")
    assert first.arm == "sandals"
    # The pending choice counts: 0.8 + sqrt(ln 4 / 2) = 1.633 against 0.5 + sqrt(ln 4 / 2) = 1.333.
    assert bandit.choose("only").arm == "boots"


def test_epsilon_falls_when_the_bar_is_reached_and_only_then() -> None:
    bandit = EpsilonGreedy(CONTEXTS, ARMS, np.random.default_rng(0))
    bandit.learn(bandit.choose("wet"), 0.449)
    assert (bandit.epsilon, bandit.bar) == (0.95, 0.45)
    bandit.learn(bandit.choose("wet"), 0.45)
    assert (bandit.epsilon, bandit.bar) == pytest.approx((0.931, 0.4725))
    for _ in range(100):
        bandit.learn(bandit.choose("wet"), 0.9)
    # 0.45 x 1.05**n is beyond 0.9 from n = 15 on: the default goes on exploring.
    assert bandit.epsilon == pytest.approx(0.95 * 0.98**15)
    bandit.settle()
    assert {bandit.choose("wet").arm for _ in range(50)} == {ARMS[int(bandit.mean[0].argmax())]}


@pytest.mark.parametrize("make", [upper, decaying])
def test_a_ticket_is_good_once_and_may_be_lost(make: Maker) -> None:
    bandit = make(np.random.default_rng(0))
    first, second = bandit.choose("wet"), bandit.choose("wet")
    assert {first.arm, second.arm} == set(ARMS)  # nothing is known of either
    bandit.learn(first, 1.0)
    bandit.forget(second)
    assert bandit.pending.sum() == 0
    for settle in (bandit.forget, lambda ticket: bandit.learn(ticket, 1.0)):
        with pytest.raises(InvalidInputError, match="ticket must be pending"):
            settle(first)
    # What was lost has not been tried.
    assert bandit.choose("wet").arm == second.arm
    with pytest.raises(InvalidInputError, match="reward must be finite"):
        bandit.learn(bandit.choose("dry"), float("nan"))


@pytest.mark.parametrize("make", [upper, decaying])
def test_its_state_goes_through_json(make: Maker) -> None:
    rng = np.random.default_rng(0)
    bandit = make(rng)
    for number in range(40):
        bandit.learn(bandit.choose(CONTEXTS[number % 2]), float(rng.random()))
    other = make(np.random.default_rng(9))
    other.restore(json.loads(json.dumps(bandit.state())))
    for name in ("mean", "rewarded", "pending"):
        assert np.array_equal(getattr(other, name), getattr(bandit, name))
    assert other.state() == bandit.state()


def test_settings_out_of_range_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInputError, match="arms must be at least two"):
        UpperConfidence(CONTEXTS, ("one",), rng)
    with pytest.raises(InvalidInputError, match="width"):
        UpperConfidence(CONTEXTS, ARMS, rng, width=-1.0)
    with pytest.raises(InvalidInputError, match="epsilon"):
        EpsilonGreedy(CONTEXTS, ARMS, rng, epsilon=1.5)
