from __future__ import annotations

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.evaluation import Measures, pack
from surrogate.optimizers import AccuracyFloor, AttainmentFloor, LatencyLimit, LossLimit
from surrogate.optimizers.constraints import CAUTION
from surrogate.optimizers.goal import Goal
from tests.surrogate.optimizers.problems import poor_start, small_problem


def measures() -> Measures:
    """Two deployments of three chains, the last chain without a deadline."""
    attainment = np.array([0.96, 0.80, np.nan, 0.94, 0.91, np.nan])
    return Measures.of(
        pack([poor_start(small_problem())] * 2),
        "simulation",
        deployment={
            "loss_ratio": np.array([0.009, 0.03]),
            "loss_ratio_se": np.array([0.001, 0.001]),
        },
        chain={
            "attainment": attainment,
            "attainment_se": np.full(6, 0.02),
            "accuracy_offered": np.array([0.7, 0.6, 0.9, 0.8, 0.8, 0.8]),
            "latency": np.array([1.0, 2.0, 3.0, 1.0, 1.0, 1.0]),
            "latency_se": np.full(6, 0.1),
        },
    )


def test_floors_are_exceeded_from_above() -> None:
    floor = AttainmentFloor({"c0": 0.95, "c1": 0.9})
    assert floor.excess(measures()) == pytest.approx([0.1 / 0.9, 0.01 / 0.95])
    (violation,) = floor.violations(measures(), 0)
    assert (violation.chain, violation.value, violation.limit) == ("c1", 0.8, 0.9)
    assert str(violation) == "c1 has a attainment of 0.8 and has to have 0.9"
    assert violation.to_dict()["floor"] is True
    assert AccuracyFloor(0.6).excess(measures()).tolist() == [0.0, 0.0]
    assert AccuracyFloor(0.6).violations(measures(), 0) == ()


def test_an_undefined_measure_is_no_kept_limit() -> None:
    assert np.isnan(AttainmentFloor(0.5).excess(measures())).all()
    assert [v.chain for v in AttainmentFloor(0.5).violations(measures(), 1)] == ["c2"]


def test_the_loss_of_the_system_is_limited() -> None:
    limit = LossLimit(0.01)
    assert limit.excess(measures()) == pytest.approx([0.0, 2.0])
    assert limit.violations(measures(), 0) == ()
    (violation,) = limit.violations(measures(), 1)
    assert str(violation) == "all chains has a loss_ratio of 0.03 and may have 0.01"


def test_caution_asks_for_a_margin_of_what_chance_may_do() -> None:
    assert LossLimit(0.01).cautious().excess(measures())[0] == pytest.approx(
        (0.009 + CAUTION * 0.001) / 0.01 - 1
    )
    floor = AttainmentFloor({"c0": 0.95})
    assert floor.excess(measures())[0] == 0.0
    assert floor.cautious().excess(measures())[0] == pytest.approx((0.95 - 0.92) / 0.95)
    limit = LatencyLimit({"c0": 1.1})
    assert limit.excess(measures())[0] == 0.0
    assert limit.cautious().excess(measures())[0] == pytest.approx(1.2 / 1.1 - 1)
    # Where no standard error is known, as of a surrogate, there is no margin.
    assert AccuracyFloor({"c0": 0.7}).cautious().excess(measures())[0] == 0.0
    goal = Goal(constraints=(floor, limit))
    assert goal.over(measures())[0] == 0.0
    assert goal.cautious().over(measures())[0] > 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AttainmentFloor(0.0), r"min_attainment must lie in \(0, 1\]"),
        (lambda: AccuracyFloor({"c": 1.1}), r"min_accuracy must lie in \(0, 1\]"),
        (lambda: LossLimit(1.0), r"loss_target must lie in \(0, 1\)"),
        (lambda: AccuracyFloor({"nobody": 0.5}).excess(measures()), "name chains of the problem"),
    ],
)
def test_improper_limits_are_refused(make: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()  # type: ignore[operator]
