"""Budgets and clocks."""

from __future__ import annotations

import pytest

from datagen.errors import InvalidInputError
from surrogate.optimizers import Budget


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_seconds_must_be_positive_and_finite(seconds: float) -> None:
    with pytest.raises(InvalidInputError, match="seconds must be finite and > 0"):
        Budget(seconds=seconds)


@pytest.mark.parametrize("evaluations", [0, -3])
def test_evaluations_must_be_positive(evaluations: int) -> None:
    with pytest.raises(InvalidInputError, match="evaluations must be a whole number >= 1"):
        Budget(evaluations=evaluations)


def test_a_budget_limits_something() -> None:
    with pytest.raises(InvalidInputError, match="budget must limit seconds or evaluations"):
        Budget()


def test_the_tighter_limit_counts() -> None:
    clock = Budget(seconds=1000.0, evaluations=10).start()
    clock.evaluations = 5
    assert clock.spent() == pytest.approx(0.5)
    assert clock.reached() is None
    assert clock.reached(reserve=2000.0) == "time_limit"
    clock.evaluations = 10
    assert clock.reached() == "evaluation_limit"
