"""Steady states by elimination, against detailed balance and a linear solve."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic.markov_chain import stationary
from datagen.errors import InvalidInputError


@pytest.mark.parametrize("load", [1e-6, 0.5, 1.0, 1e5])
def test_birth_and_death_at_full_relative_accuracy(load: float) -> None:
    states = 31
    rates = np.diag(np.full(states - 1, load), 1) + np.diag(np.ones(states - 1), -1)
    logs = np.arange(states) * np.log(load)
    exact = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    np.testing.assert_allclose(stationary(rates), exact, rtol=1e-12)


def test_a_random_chain_is_balanced() -> None:
    rates = np.random.default_rng(1).exponential(size=(12, 12))
    rates[:, 3] *= 1e-4
    found = stationary(rates)
    off = rates - np.diag(np.diag(rates))
    np.testing.assert_allclose(found @ off, found * off.sum(axis=1), rtol=1e-12)
    assert found.sum() == pytest.approx(1.0, rel=1e-14)


def test_states_left_for_ever_have_no_share() -> None:
    rates = [[0.0, 1.0, 0.0], [2.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    np.testing.assert_allclose(stationary(rates), [2 / 3, 1 / 3, 0.0], atol=1e-15)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ([[0.0, 1.0]], "be a square matrix"),
        ([[0.0, -1.0], [1.0, 0.0]], "be finite and >= 0"),
        ([[0.0, 1.0], [0.0, 0.0]], "lead from every state to state 0"),
    ],
)
def test_bad_rates_are_refused(rates: list[list[float]], message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"rates must {message}"):
        stationary(rates)
