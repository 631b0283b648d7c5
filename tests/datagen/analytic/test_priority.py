"""Priorities: against conservation laws, queues where the order cannot matter, and a limit."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic import exponential_counts, mg1k, mixed_counts, mm1k
from datagen.analytic.priority import mg1_priority_waits, mm1k_priority
from datagen.errors import InvalidInputError

RATES, MEANS, SCVS = [0.2, 0.3, 0.1], [0.5, 1.0, 2.0], [0.0, 1.0, 3.0]


def test_cobham_by_hand() -> None:
    # W0 = (0.2 * 0.25 + 0.3 * 2 + 0.1 * 16) / 2 = 1.125; loads 0.1, 0.3, 0.2.
    expected = [1.125 / 0.9, 1.125 / (0.9 * 0.6), 1.125 / (0.6 * 0.4)]
    assert mg1_priority_waits(RATES, MEANS, SCVS) == pytest.approx(expected)


def test_waits_are_conserved_whatever_the_order() -> None:
    """The wait weighted by load is that of FCFS (Kleinrock's conservation law)."""
    loads = np.multiply(RATES, MEANS)
    residual = 1.125
    fcfs = loads.sum() * residual / (1.0 - loads.sum())
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        rates, means, scvs = (np.take(values, order) for values in (RATES, MEANS, SCVS))
        assert loads[order] @ mg1_priority_waits(rates, means, scvs) == pytest.approx(fcfs)


def test_one_class_is_first_come_first_served() -> None:
    (one,) = mm1k_priority([0.8], [1.0], 6)
    exact = mm1k(0.8, 1.0, 6)
    for name in ("loss_probability", "mean_jobs", "mean_latency", "utilization"):
        assert getattr(one, name) == pytest.approx(getattr(exact, name), rel=1e-9)


@pytest.mark.parametrize("capacity", [1, 2])
def test_with_one_place_to_wait_the_order_cannot_matter(capacity: int) -> None:
    rates, services = [0.4, 0.9], [0.7, 2.0]
    total = sum(rates)
    parts = [exponential_counts(total / service, capacity) for service in services]
    queue = mg1k(total, mixed_counts(parts, [rate / total for rate in rates]))
    high, low = mm1k_priority(rates, services, capacity)
    assert high.loss_probability == pytest.approx(queue.loss_probability, rel=1e-12)
    assert low.loss_probability == high.loss_probability
    assert high.mean_jobs + low.mean_jobs == pytest.approx(queue.mean_jobs, rel=1e-12)
    assert high.utilization + low.utilization == pytest.approx(queue.utilization, rel=1e-12)
    waits = [m.mean_latency - 1 / s for m, s in zip((high, low), services, strict=True)]
    assert waits[0] == pytest.approx(waits[1], abs=1e-12)


def test_equal_services_lose_as_without_classes() -> None:
    classes = mm1k_priority([0.3, 0.2, 0.4], [1.0, 1.0, 1.0], 5)
    exact = mm1k(0.9, 1.0, 5)
    assert classes[0].loss_probability == pytest.approx(exact.loss_probability, rel=1e-9)
    assert sum(one.mean_jobs for one in classes) == pytest.approx(exact.mean_jobs, rel=1e-9)
    latencies = [one.mean_latency for one in classes]
    assert latencies == sorted(latencies)


def test_large_buffers_approach_cobham() -> None:
    rates, services = [0.2, 0.3], [0.8, 1.5]
    waits = mg1_priority_waits(rates, 1.0 / np.array(services), [1.0, 1.0])
    classes = mm1k_priority(rates, services, 28)
    for wait, service, one in zip(waits, services, classes, strict=True):
        assert one.loss_probability < 1e-7
        assert one.mean_latency == pytest.approx(wait + 1 / service, rel=1e-5)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidInputError, match="loads must sum to less than 1"):
        mg1_priority_waits([1.0, 0.5], [0.7, 0.7], [0.0, 0.0])
    with pytest.raises(InvalidInputError, match="mean_services must be one per class"):
        mg1_priority_waits([1.0], [0.1, 0.2], [1.0])
    with pytest.raises(InvalidInputError, match="service_scvs must be >= 0"):
        mg1_priority_waits([1.0], [0.1], [-1.0])
    with pytest.raises(InvalidInputError, match="arrival_rates must be > 0"):
        mm1k_priority([0.0], [1.0], 1)
    with pytest.raises(InvalidInputError, match="capacity must be >= 1"):
        mm1k_priority([1.0], [1.0], 0)
    with pytest.raises(InvalidInputError, match="service_rates must be one per class"):
        mm1k_priority([1.0], [1.0, 2.0], 1)
