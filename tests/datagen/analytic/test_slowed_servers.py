"""Servers that slow each other down: without slowing, M/M/c/K; with it, balance by hand."""

from __future__ import annotations

import pytest

from datagen.analytic.markovian import mmck
from datagen.analytic.processor_sharing import mgck_ps
from datagen.analytic.slowed_servers import mmck_slowed
from datagen.errors import InvalidInputError


@pytest.mark.parametrize("servers", [1, 3])
@pytest.mark.parametrize("rate", [0.5, 4.0])
def test_a_table_of_ones_changes_nothing(servers: int, rate: float) -> None:
    plain = mmck(rate, 1.2, servers, 6)
    found = mmck_slowed(rate, 1.2, (1.0,) * servers, 6)
    for name in ("loss_probability", "throughput", "mean_jobs", "mean_latency", "utilization"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name), rel=1e-10)


def test_two_servers_at_half_speed_each_serve_as_one() -> None:
    """Balance at rates 1 up and 1, 1, 1 down: all numbers of jobs are as likely."""
    found = mmck_slowed(1.0, 1.0, (1.0, 0.5), 3)
    assert found.loss_probability == pytest.approx(0.25)
    assert found.mean_jobs == pytest.approx(1.5)
    assert found.utilization == pytest.approx((1 + 2 + 2) / 8)


def test_sharing_has_as_many_jobs() -> None:
    table = (1.0, 0.7, 0.4)
    queue = mmck_slowed(1.5, 1.0, table, 5)
    short, long = mgck_ps([0.75, 0.25], [0.8, 3.6], 3, 5, table)
    assert short.loss_probability == pytest.approx(
        mmck_slowed(1.0, 1.0 / 1.5, table, 5).loss_probability
    )
    assert long.mean_latency / short.mean_latency == pytest.approx(4.5)
    (one,) = mgck_ps([1.5], [1.0], 3, 5, table)
    for name in ("loss_probability", "mean_jobs", "utilization"):
        assert getattr(one, name) == pytest.approx(getattr(queue, name))


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidInputError, match="arrival_rate must be > 0"):
        mmck_slowed(0.0, 1.0, (1.0,), 2)
    with pytest.raises(InvalidInputError, match="service_rate must be > 0"):
        mmck_slowed(1.0, 0.0, (1.0,), 2)
    with pytest.raises(InvalidInputError, match="speedup must hold at least one value"):
        mmck_slowed(1.0, 1.0, (), 2)
    with pytest.raises(InvalidInputError, match="speedup must hold values > 0"):
        mmck_slowed(1.0, 1.0, (1.0, 0.0), 2)
    with pytest.raises(InvalidInputError, match="capacity must be >= 2"):
        mmck_slowed(1.0, 1.0, (1.0, 1.0), 1)
    with pytest.raises(InvalidInputError, match="speedup must hold 2 values"):
        mgck_ps([1.0], [1.0], 2, 4, (1.0,))
