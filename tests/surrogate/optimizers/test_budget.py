"""Budgets and clocks."""

from __future__ import annotations

import time

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


def test_a_part_of_a_plan_ends_with_its_batch_and_is_paced_by_the_whole() -> None:
    clock = Budget(evaluations=50, planned=100).start()
    clock.evaluations = 25
    assert clock.spent() == pytest.approx(0.25)
    assert clock.evaluations_left() == 75
    clock.evaluations = 52
    assert clock.reached() == "evaluation_limit"
    rest = Budget(evaluations=48).start(evaluations=52, seconds=7.0)
    assert rest.spent() == pytest.approx(0.52)
    assert rest.evaluations_left() == 48
    assert 7.0 <= rest.seconds < 8.0
    assert rest.reached() is None


def test_time_of_earlier_parts_does_not_count() -> None:
    clock = Budget(seconds=10.0).start(evaluations=5, seconds=100.0)
    assert 9.0 < clock.seconds_left() <= 10.0
    assert clock.spent() < 0.1


def test_processor_time_stands_still_while_others_work() -> None:
    processor, wall = (Budget(seconds=0.05, time=kind).start() for kind in ("processor", "wall"))
    time.sleep(0.06)
    assert processor.reached() is None
    assert wall.reached() == "time_limit"


def test_the_kind_of_time_is_checked() -> None:
    with pytest.raises(InvalidInputError, match="time must be one of wall, processor"):
        Budget(seconds=1.0, time="local")  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"seconds": 1.0}, {"evaluations": 60}])
def test_a_plan_covers_its_part(given: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="planned must be >= evaluations"):
        Budget(**given, planned=50)  # type: ignore[arg-type]
