"""Sizes of batches: what calls cost is worth more candidates at once."""

from __future__ import annotations

import pytest

from surrogate.optimizers import Budget, budget
from surrogate.optimizers.pace import LEAST_ROUNDS, WARM_BATCH, Pace


class Judge:
    """Moves a clock on by a fixed time per call and a time per candidate."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, call: float, each: float) -> None:
        self.now, self.call, self.each = 0.0, call, each
        monkeypatch.setitem(budget.TIMERS, "wall", lambda: self.now)

    def evaluate(self, count: int) -> None:
        self.now += self.call + self.each * count


def first_size(judge: Judge, seconds: float) -> int:
    given = Budget(seconds=seconds)
    pace = Pace(given, reserve=0.0, planned=None)
    pace.warm_up(judge.evaluate)
    return pace.size(given.start())


def test_dear_calls_are_made_for_many_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(monkeypatch, call=0.01, each=0.001)
    assert first_size(judge, seconds=1.0) == 16  # 26 ms, up to four times the cost of a call


def test_cheap_calls_leave_time_for_many_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(monkeypatch, call=1e-6, each=0.001)
    assert first_size(judge, seconds=1.0) == 1
    assert first_size(judge, seconds=10.0) == 8
    assert first_size(judge, seconds=100.0) == WARM_BATCH


def test_some_rounds_remain_where_calls_are_very_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(monkeypatch, call=0.03, each=0.001)
    size = first_size(judge, seconds=1.0)
    assert size > 1
    assert judge.call + judge.each * size <= 1.0 / LEAST_ROUNDS


def test_a_judge_slower_than_the_budget_is_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(monkeypatch, call=0.0, each=2.0)
    assert first_size(judge, seconds=1.0) == 1
