"""AdaEE's regret grows ever more slowly on the recorded contexts."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import numpy as np
import pytest

from datagen.exits import ExitTrace
from tests.conftest import REPOSITORY


@pytest.fixture
def regret(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return import_module("policy_regret")


def test_regret_is_sublinear_on_recorded_contexts(regret: ModuleType) -> None:
    trace = ExitTrace.load(REPOSITORY / "checkpoints" / "eenn-network" / "test.npz")
    rows = regret.regrets(trace, rounds=12_800, seeds=3)
    assert [row["contexts"] for row in rows] == ["clean", "blur", "noise"]
    for row in rows:
        # Over the last two doublings, behind the forced first pulls.
        assert np.mean(row["growth"][-2:]) < 0.9, row
        assert row["regret"][-1] < 0.3 * row["at_random"][-1], row


def test_rewards_are_nothing_where_jobs_leave(regret: ModuleType) -> None:
    trace = ExitTrace(
        name="t", confidences=[[0.97, 0.2], [0.5, 0.9]], correct=[[1, 1], [0, 1]], context=[0, 0]
    )
    rewards = regret.rewards_of(trace)
    assert np.all(rewards[0, :-1] == 0.0)  # sure enough for all thresholds but none above 0.97
    assert rewards[1, 0] == 0.0
    assert rewards[1, 1] == pytest.approx(0.4 - 0.1 * 0.75)
