"""MAP/M/1/K: against Poisson arrivals, renewal theory, and slow and quick changes of phase."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic import mm1k
from datagen.analytic.markov_arrivals import mapm1k
from datagen.arrivals import MarkovArrivals, MarkovModulated
from datagen.errors import InvalidInputError

CAPACITY, SERVICE = 4, 1.3


def modulated(switch: float) -> MarkovArrivals:
    """Half of the time at rate 0.4, half at rate 2.0."""
    return MarkovModulated(rates=(0.4, 2.0), switch=(switch, switch)).as_map()


def test_phases_that_do_not_matter_leave_poisson_arrivals() -> None:
    same = MarkovModulated(rates=(0.9, 0.9), switch=(0.3, 2.0)).as_map()
    found, exact = mapm1k(same, SERVICE, CAPACITY), mm1k(0.9, SERVICE, CAPACITY)
    for name in ("loss_probability", "throughput", "mean_jobs", "mean_latency", "utilization"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=1e-10)


def test_quick_changes_average_the_rates() -> None:
    found, exact = mapm1k(modulated(1e6), SERVICE, CAPACITY), mm1k(1.2, SERVICE, CAPACITY)
    assert found.loss_probability == pytest.approx(exact.loss_probability, rel=1e-5)
    assert found.mean_jobs == pytest.approx(exact.mean_jobs, rel=1e-5)


def test_slow_changes_average_the_queues() -> None:
    found = mapm1k(modulated(1e-7), SERVICE, CAPACITY)
    queues = [mm1k(rate, SERVICE, CAPACITY) for rate in (0.4, 2.0)]
    lost = 0.5 * sum(r * q.loss_probability for r, q in zip((0.4, 2.0), queues, strict=True))
    assert found.loss_probability == pytest.approx(lost / 1.2, rel=1e-5)
    assert found.mean_jobs == pytest.approx(sum(q.mean_jobs for q in queues) / 2, rel=1e-5)


def test_erlang_arrivals_agree_with_the_embedded_chain() -> None:
    """E2/M/1/K by the jobs that arrivals find, a chain of its own (Gross et al., ch. 5)."""
    stage = 2.4
    erlang = MarkovArrivals(d0=((-stage, stage), (0.0, -stage)), d1=((0.0, 0.0), (stage, 0.0)))
    # Services completed between two arrivals: one stage lasts a geometric number of them.
    ends = stage / (stage + SERVICE)
    done = np.arange(60)
    law = (done + 1) * ends**2 * (1 - ends) ** done
    moves = np.zeros((CAPACITY + 1, CAPACITY + 1))
    for found in range(CAPACITY + 1):
        present = min(found + 1, CAPACITY)
        moves[found, present - np.arange(present)] = law[:present]
        moves[found, 0] = 1.0 - law[:present].sum()
    system = np.vstack([moves.T - np.eye(CAPACITY + 1), np.ones(CAPACITY + 1)])
    seen = np.linalg.lstsq(system, np.eye(CAPACITY + 2)[-1], rcond=None)[0]
    assert mapm1k(erlang, SERVICE, CAPACITY).loss_probability == pytest.approx(seen[-1], rel=1e-9)


def test_bursts_lose_more_than_poisson_arrivals() -> None:
    losses = [mapm1k(modulated(s), SERVICE, CAPACITY).loss_probability for s in (10.0, 1.0, 0.1)]
    assert mm1k(1.2, SERVICE, CAPACITY).loss_probability < losses[0] < losses[1] < losses[2]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidInputError, match="service_rate must be > 0"):
        mapm1k(modulated(1.0), 0.0, 1)
    with pytest.raises(InvalidInputError, match="capacity must be >= 1"):
        mapm1k(modulated(1.0), 1.0, 0)
