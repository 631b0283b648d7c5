"""The early-exit chain: against the embedded chain of M/G/1/K, and a chain written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic import exponential_counts, mg1k, mixed_counts
from datagen.analytic.early_exit import early_exit_queue
from datagen.errors import InvalidInputError

RATE, EARLY, FULL = 0.8, 2.0, 0.7


@pytest.mark.parametrize("capacity", [1, 3, 12])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_constant_choice_is_hyperexponential_service(capacity: int, share: float) -> None:
    found = early_exit_queue(RATE, (EARLY, FULL), capacity, starts_early=share)
    parts = [exponential_counts(RATE / rate, capacity) for rate in (EARLY, FULL)]
    exact = mg1k(RATE, mixed_counts(parts, [share, 1.0 - share]))
    for name in ("loss_probability", "mean_jobs", "mean_latency", "utilization", "throughput"):
        assert getattr(found.queue, name) == pytest.approx(getattr(exact, name), rel=1e-12)
    assert found.early == pytest.approx(share * exact.throughput, abs=1e-14)


def test_an_exit_behind_a_trunk_is_the_same_law_in_other_stages() -> None:
    """A trunk of rate m, then on with probability 1 - q at rate n, mixes exponentials m and n."""
    kept = 0.6
    mixed_share = kept - (1.0 - kept) * FULL / (EARLY - FULL)
    found = early_exit_queue(RATE, (EARLY, FULL), 5, goes_on=1.0 - kept)
    same = early_exit_queue(RATE, (EARLY, FULL), 5, starts_early=mixed_share)
    assert found.queue.loss_probability == pytest.approx(same.queue.loss_probability, rel=1e-12)
    assert found.queue.mean_latency == pytest.approx(same.queue.mean_latency, rel=1e-12)
    assert found.early / found.full == pytest.approx(kept / (1.0 - kept))
    assert found.accuracy(0.5, 1.0) == pytest.approx(1.0 - 0.5 * kept)


def test_a_choice_by_backlog_written_out() -> None:
    """Full service alone, early service where another waits, half of these going on from 1."""
    found = early_exit_queue(
        RATE, (EARLY, FULL), 2, starts_early=[0.0, 1.0], goes_on=[0.5, 0.0]
    )  # fmt: skip
    # States: 0, one in early, one in full, two in early, two in full.
    flow = np.array([
        [0, 0, RATE, 0, 0],
        [0.5 * EARLY, 0, 0.5 * EARLY, RATE, 0],
        [FULL, 0, 0, 0, RATE],
        [0, 0, EARLY, 0, 0],
        [0, 0, FULL, 0, 0],
    ])
    balance = flow.T - np.diag(flow.sum(axis=1))
    balance[0] = 1.0
    p = np.linalg.solve(balance, np.eye(5)[0])
    assert found.queue.loss_probability == pytest.approx(p[3] + p[4], rel=1e-12)
    assert found.queue.mean_jobs == pytest.approx(p[1] + p[2] + 2 * (p[3] + p[4]), rel=1e-12)
    assert found.queue.utilization == pytest.approx(1.0 - p[0], rel=1e-12)
    assert found.early == pytest.approx(EARLY * (0.5 * p[1] + p[3]), abs=1e-15)
    assert found.full == pytest.approx(FULL * (p[2] + p[4]), rel=1e-12)


def test_every_job_is_early_full_or_lost() -> None:
    draw = np.random.default_rng(5)
    for capacity in (1, 4, 20):
        start, on = draw.uniform(size=(2, capacity))
        rate = 1.3
        found = early_exit_queue(rate, (EARLY, FULL), capacity, starts_early=start, goes_on=on)
        lost = rate * found.queue.loss_probability
        assert found.early + found.full + lost == pytest.approx(rate, rel=1e-12)


def test_leaving_early_under_backlog_loses_less_than_never() -> None:
    never = early_exit_queue(1.0, (EARLY, FULL), 6, starts_early=0.0)
    backlog = early_exit_queue(1.0, (EARLY, FULL), 6, starts_early=[0, 0, 0, 1, 1, 1])
    always = early_exit_queue(1.0, (EARLY, FULL), 6, starts_early=1.0)
    losses = [one.queue.loss_probability for one in (never, backlog, always)]
    assert losses == sorted(losses, reverse=True)
    accuracies = [one.accuracy(0.6, 0.9) for one in (never, backlog, always)]
    assert accuracies == sorted(accuracies, reverse=True)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidInputError, match=r"starts_early must have shape \(2,\)"):
        early_exit_queue(1.0, (1.0, 1.0), 2, starts_early=[0.1, 0.2, 0.3])
    with pytest.raises(InvalidInputError, match=r"goes_on must lie in \[0, 1\]"):
        early_exit_queue(1.0, (1.0, 1.0), 2, goes_on=1.5)
    with pytest.raises(InvalidInputError, match="service_rates must be > 0"):
        early_exit_queue(1.0, (1.0, 0.0), 2)
    with pytest.raises(InvalidInputError, match="arrival_rate must be > 0"):
        early_exit_queue(0.0, (1.0, 1.0), 2)
    with pytest.raises(InvalidInputError, match="capacity must be >= 1"):
        early_exit_queue(1.0, (1.0, 1.0), 0)
