"""Tasks and applications: the workload is the one that is documented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from datagen.errors import InvalidInputError
from datagen.splitting import APPLICATIONS, HOSTS, Host, draw_tasks, interval_starts
from datagen.splitting.applications import INTERVAL


def test_latencies_on_idle_hosts_are_those_documented() -> None:
    for application, intervals in zip(APPLICATIONS, (5.2, 8.8, 10.6), strict=True):
        work = sum(piece.work for piece in application.layer)
        assert (4 * INTERVAL + work) / INTERVAL == pytest.approx(intervals, abs=0.05)
        assert len(application.layer) == 4
        assert len(application.semantic) == 5
        assert application.stages("semantic") == (application.semantic,)
        assert application.stages("layer")[1] == (application.layer[1],)
    assert [a.deadlines for a in APPLICATIONS] == [12, 16, 26]
    assert [a.latency / INTERVAL for a in APPLICATIONS] == [5, 8, 15]


def test_tasks_follow_their_laws() -> None:
    rng = np.random.default_rng(1)
    tasks = draw_tasks(interval_starts(1.0, 4000, rng), rng)
    assert [task.index for task in tasks] == list(range(4000))
    names = [task.application.name for task in tasks]
    for application in APPLICATIONS:
        share = names.count(application.name) / 4000
        assert abs(share - application.share) < 4 * np.sqrt(0.25 / 4000)
        own = [t for t in tasks if t.application is application]
        deadlines = {task.deadline / INTERVAL for task in own}
        assert deadlines == set(range(2, application.deadlines))
        accuracies = [task.accuracy("layer") for task in own]
        error = np.std(accuracies) / np.sqrt(len(own))
        assert abs(np.mean(accuracies) - application.accuracy["layer"]) < 4 * error
        spread = np.sqrt(application.accuracy["layer"] * (1 - application.accuracy["layer"]) / 2e4)
        assert np.std(accuracies) == pytest.approx(spread, rel=0.1)
    noise = np.array([task.noise for task in tasks])
    assert noise.shape == (4000, 5)
    assert noise.mean() == pytest.approx(1.0, abs=0.003)
    again = np.random.default_rng(1)
    assert draw_tasks(interval_starts(1.0, 4000, again), again) == tasks


@pytest.mark.parametrize("mean", [1.0, 2.0])
def test_arrivals_are_cut_normal_numbers_per_interval(mean: float) -> None:
    times = interval_starts(mean, 20_000, np.random.default_rng(2))
    assert np.all(times % INTERVAL == 0)
    assert np.all(np.diff(times) >= 0)
    # The number is at least k where the deviate is.
    expected = sum(norm.sf((k - mean) / 0.5) for k in range(1, 8))
    assert 20_000 / (times[-1] / INTERVAL) == pytest.approx(expected, rel=0.02)


def test_hosts() -> None:
    assert len(HOSTS) == 10
    assert sum(host.speed for host in HOSTS) == 14.0
    with pytest.raises(InvalidInputError, match="speed must be finite and > 0"):
        Host(name="none", speed=0.0)


@pytest.mark.parametrize(
    ("field", "value"), [("share", 1.5), ("semantic", ()), ("deadlines", 2), ("latency", 0.0)]
)
def test_an_application_out_of_range_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidInputError, match=f"{field} must"):
        replace(APPLICATIONS[0], **{field: value})
    assert hash(APPLICATIONS[0]) == hash(replace(APPLICATIONS[0]))
