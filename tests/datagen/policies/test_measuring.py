"""What policies measure online: arrival rates, confidences; and tables they look up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.policies.arrival_rate import ArrivalRate
from datagen.policies.exit_policy import Outcome
from datagen.policies.threshold_table import ThresholdTable
from datagen.policies.worth import Confidence, ProfiledAccuracy
from datagen.simulator.policies import policy_scene
from tests.datagen.policies.contract import CHAIN, recorded, system


def test_a_rate_over_the_latest_arrivals() -> None:
    rate = ArrivalRate(3.0, window=4)
    assert rate.rate(0.0) == 3.0
    for time in (0.0, 100.0, 100.5, 101.0, 101.5):
        rate.add(time)
    assert rate.gap(101.5) == pytest.approx(0.5)  # the first is forgotten
    assert rate.gap(201.5) == pytest.approx(101.5 / 4)  # a silence counts
    rate = ArrivalRate(3.0)
    rate.add(1.0)
    rate.add(1.0)
    assert rate.rate(1.0) == 3.0  # two at once say nothing


def test_confidences_are_followed_where_classifiers_are_asked() -> None:
    scene = policy_scene(system(False), CHAIN, recorded(2))
    worth, profiled = Confidence(window=4), ProfiledAccuracy()
    worth.begin(scene)
    profiled.begin(scene)
    first = worth.values.copy()
    assert first == pytest.approx(recorded(2).confidences.mean(axis=0))
    for learner in (worth, profiled):
        learner.learn(Outcome(1.0, (), 1, ((0, 0.0), (1, 1.0))))
    moved = worth.values - first
    assert moved == pytest.approx([-first[0] / 4, (1.0 - first[1]) / 4, 0.0, 0.0])
    assert profiled.values == pytest.approx(recorded(2).correct.mean(axis=0))
    # What was profiled is not written over.
    assert scene.confidence == pytest.approx(first)


def test_the_nearest_rate_is_looked_up() -> None:
    table = ThresholdTable(rates=(1.0, 2.0, 4.0), thresholds=((0.1,), (0.2,), (1.01,)))
    assert [table.nearest(rate) for rate in (0.0, 1.4, 1.6, 2.0, 3.1, 99.0)] == [0, 0, 1, 1, 2, 2]


def test_tables_are_read_as_written(tmp_path: Path) -> None:
    table = ThresholdTable(rates=(0.1, 0.3), thresholds=((0.1, 1.01), (0.25, 0.0)))
    table.save(tmp_path / "table.json")
    assert ThresholdTable.load(tmp_path / "table.json") == table
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="table must be a table of thresholds"):
        ThresholdTable.load(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("rates", "rows", "message"),
    [
        ((2.0, 1.0), ((0.1,), (0.2,)), "rates must be > 0 and increase"),
        ((1.0,), ((0.1,), (0.2,)), "thresholds must hold 1 rows"),
        ((1.0, 2.0), ((0.1,), (0.2, 0.3)), r"thresholds\[1\] must hold 1 numbers"),
        ((1.0,), ((np.nan,),), r"thresholds\[0\] must hold 1 numbers"),
    ],
)
def test_what_is_no_table_is_refused(
    rates: tuple[float, ...], rows: tuple[tuple[float, ...], ...], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        ThresholdTable(rates=rates, thresholds=rows)
