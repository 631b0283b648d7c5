"""Objectives, limits, and the order in which broken rules are ranked."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.errors import InvalidInputError, NotSupportedError
from datagen.evaluation import Measures, pack
from surrogate.optimizers import (
    Energy,
    Latency,
    LatencyLimit,
    MissedDeadlines,
    Mix,
    Objective,
    SystemLoss,
    Throughput,
)
from surrogate.optimizers.goal import EXCEEDED, MISFIT, UNSTABLE, Goal, penalized
from tests.surrogate.optimizers.problems import poor_start, small_problem


@pytest.fixture
def measures() -> Measures:
    """Two deployments of three chains; nothing of the second's last chain is completed."""
    batch = pack([poor_start(small_problem())] * 2)
    return Measures.of(
        batch,
        "simulation",
        chain={
            "loss_ratio": np.array([0.1, 0.2, 0.3, 0.4, 0.5, 1.0]),
            "throughput": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 0.0]),
            "latency": np.array([0.5, 1.0, 1.5, 2.0, 2.5, np.nan]),
            "attainment": np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.0]),
        },
        deployment={"unstable": np.array([False, False])},
    )


@pytest.mark.parametrize(
    ("objective", "values"),
    [
        (Throughput(), [-6.0, -9.0]),
        (Throughput({"c0": 2.0, "c2": 1.0}), [-5.0, -8.0]),
        (Latency(), [1.0, np.nan]),
        (Latency({"c0": 3.0, "c1": 1.0}), [0.625, 2.125]),
        (MissedDeadlines(), [0.2, 1 - 1.1 / 3]),
        (MissedDeadlines({"c1": 1.0}), [0.2, 0.5]),
        (Energy(), [np.nan, np.nan]),
        (Mix({Throughput(): 2.0, MissedDeadlines({"c1": 1.0}): 10.0}), [-10.0, -13.0]),
    ],
)
def test_values(measures: Measures, objective: Objective, values: list[float]) -> None:
    assert objective.values(measures) == pytest.approx(np.array(values), nan_ok=True)


def test_the_system_loss_is_that_of_the_deployment(measures: Measures) -> None:
    loss = SystemLoss().values(measures)
    assert (loss == measures.deployment["loss_ratio"]).all()
    assert 0.1 < loss[0] < loss[1]


@pytest.mark.parametrize("weights", [{}, {"c0": -1.0}, {"c0": 0.0}, {"c0": np.nan}])
def test_bad_weights_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="weights must be finite, >= 0 and not all 0"):
        Throughput(weights)


def test_unknown_chains_are_refused(measures: Measures) -> None:
    with pytest.raises(InvalidInputError, match="weights must name chains of the problem"):
        Latency({"nobody": 1.0}).values(measures)
    with pytest.raises(InvalidInputError, match="max_latency must name chains of the problem"):
        LatencyLimit({"nobody": 1.0}).excess(measures)


def test_a_mix_needs_positive_weights() -> None:
    with pytest.raises(InvalidInputError, match="latency must have a finite weight > 0"):
        Mix({Latency(): 0.0})


def test_limits_are_exceeded_in_parts_of_themselves(measures: Measures) -> None:
    assert LatencyLimit(1.0).excess(measures)[0] == pytest.approx(0.5)
    assert np.isnan(LatencyLimit(1.0).excess(measures)[1])
    limit = LatencyLimit({"c0": 0.25, "c1": 2.0})
    assert limit.excess(measures) == pytest.approx([1.0, 7.0 + 0.25])
    (found,) = limit.violations(measures, 0)
    assert (found.chain, found.value, found.limit, found.source) == ("c0", 0.5, 0.25, "simulation")
    nothing = LatencyLimit({"c2": 9.0}).violations(measures, 1)
    assert [(item.chain, item.value) for item in nothing] == [("c2", None)]
    assert "nothing that could be measured" in str(nothing[0])


@pytest.mark.parametrize("limit", [0.0, -1.0, np.nan, {"c0": 0.0}])
def test_bad_limits_are_refused(limit: float | dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="max_latency must be finite and > 0"):
        LatencyLimit(limit)


def test_broken_rules_are_ranked() -> None:
    values = np.array([0.9, 0.1, 0.1, np.nan, 0.1, 0.1, np.nan])
    excess = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 5.0, 9.0])
    over = np.array([0.0, 0.2, 1e30, 0.0, np.nan, 0.0, 0.0])
    ranked = penalized(values, excess, over)
    assert ranked[0] == 0.9
    assert ranked[1] == EXCEEDED + 0.2
    assert ranked[2] < UNSTABLE
    assert ranked[3:].tolist() == [UNSTABLE, UNSTABLE, MISFIT + 5, MISFIT + 9]
    assert np.isfinite(ranked).all()


def test_a_goal_has_distinct_objectives() -> None:
    with pytest.raises(InvalidInputError, match="objectives must be at least one, with distinct"):
        Goal(objectives=(SystemLoss(), SystemLoss()))
    with pytest.raises(InvalidInputError, match="objectives must be at least one"):
        Goal(objectives=())


def test_what_nobody_measures_is_refused_by_name(measures: Measures) -> None:
    Goal.of([SystemLoss(), Latency()]).require_known(measures)
    with pytest.raises(NotSupportedError, match="the simulation evaluator: energy"):
        Goal.of(Energy()).require_known(measures)
