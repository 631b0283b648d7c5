"""The ceiling of single-exit policies: golden values, exact queues, what nothing may beat."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic import ExitQueue, deterministic_counts, exponential_counts, mg1k, mixed_counts
from datagen.analytic.early_exit import early_exit_queue
from datagen.errors import InvalidInputError

# CEED's measured ResNet-50 profile [s], and the accuracies that its golden table was made with.
TIMES = (
    0.00283102,
    0.05946781,
    0.11570732,
    0.15553848,
    0.25833748,
    0.30264256,
    0.34341683,
    0.65042625,
    0.80489045,
)
ACCURACY = (0.55, 0.68, 0.74, 0.78, 0.84, 0.87, 0.89, 0.92, 0.93)
CAPACITY, TARGET = 10, 0.01


def profiled(rate: float, capacity: int = CAPACITY) -> ExitQueue:
    services = [deterministic_counts(rate * time, capacity) for time in TIMES]
    return ExitQueue(rate, services, ACCURACY)


def test_golden_values() -> None:
    queue = profiled(8.0)
    assert queue.static(TARGET).accuracy_offered == pytest.approx(0.7236, abs=5e-5)
    assert queue.queue_aware(TARGET).accuracy_offered == pytest.approx(0.7455, abs=5e-5)


@pytest.mark.parametrize(
    ("rate", "mix", "loss"),
    [
        (1.0, {8: 1.0}, 3.96e-3),
        (3.0, {3: 0.166, 5: 0.834}, 7.19e-3),
        (20.0, {0: 0.428, 1: 0.572}, 4.04e-3),
    ],
)
def test_losses_of_the_digests_golden_mixes(
    rate: float, mix: dict[int, float], loss: float
) -> None:
    shares = np.zeros(len(TIMES))
    shares[list(mix)] = list(mix.values())
    # The mixes are printed to three digits.
    assert profiled(rate).measures(shares).loss_ratio == pytest.approx(loss, rel=0.01)


def test_a_static_mix_is_the_exact_finite_queue() -> None:
    queue, mix = profiled(5.0), np.array([0.2, 0.0, 0.1, 0.4, 0.0, 0.0, 0.3, 0.0, 0.0])
    counts = [deterministic_counts(5.0 * time, CAPACITY) for time in TIMES]
    exact = mg1k(5.0, mixed_counts(counts, mix.tolist()))
    found = queue.measures(mix)
    assert found.loss_ratio == pytest.approx(exact.loss_probability, rel=1e-9)
    assert found.mix == pytest.approx(mix)
    assert found.accuracy_offered == pytest.approx((1 - exact.loss_probability) * mix @ ACCURACY)


def test_a_policy_by_backlog_is_the_exact_markov_chain() -> None:
    rate, rates, capacity = 1.3, (4.0, 0.9), 4
    early = np.array([0.1, 0.4, 0.8, 1.0])
    exact = early_exit_queue(rate, rates, capacity, starts_early=early)
    services = [exponential_counts(rate / served, capacity) for served in rates]
    found = ExitQueue(rate, services, (0.6, 0.9)).measures(np.stack([early, 1 - early], axis=1))
    assert found.loss_ratio == pytest.approx(exact.queue.loss_probability, rel=1e-9)
    assert found.accuracy_completed == pytest.approx(exact.accuracy(0.6, 0.9), rel=1e-9)


@pytest.mark.parametrize("rate", [0.9, 3.0, 12.0])
def test_no_mix_beats_the_static_optimum_and_that_not_the_queue_aware_one(rate: float) -> None:
    queue, rng = profiled(rate), np.random.default_rng(0)
    static, aware = queue.static(TARGET), queue.queue_aware(TARGET)
    assert static.loss_ratio <= TARGET + 1e-8
    assert aware.accuracy_offered >= static.accuracy_offered - 1e-9
    for evenness in (0.05, 0.3, 1.0):
        for mix in rng.dirichlet(np.full(len(TIMES), evenness), size=40):
            found = queue.measures(mix)
            if found.loss_ratio <= TARGET:
                assert found.accuracy_offered <= static.accuracy_offered + 1e-9


def test_the_policy_of_the_program_measures_what_it_says() -> None:
    queue = profiled(8.0)
    aware = queue.queue_aware(TARGET)
    again = queue.measures(aware.policy)
    assert again.accuracy_offered == pytest.approx(aware.accuracy_offered, abs=1e-9)
    assert again.loss_ratio == pytest.approx(aware.loss_ratio, abs=1e-9)


def test_a_loss_that_nothing_keeps_is_refused() -> None:
    queue = ExitQueue(5.0, [deterministic_counts(5.0, 2)], (0.9,))
    for search in (queue.static, queue.queue_aware):
        with pytest.raises(InvalidInputError, match=r"loss_target must be >= 0\.8"):
            search(0.1)


def test_services_of_different_capacities_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="services must be of one capacity"):
        ExitQueue(1.0, [deterministic_counts(1.0, 2), deterministic_counts(1.0, 3)], (0.5, 0.6))


@pytest.mark.parametrize("price", [0.0, 0.5, 3.0, 30.0])
@pytest.mark.parametrize("rate", [2.0, 8.0, 30.0])
def test_a_price_leads_to_the_optimum_for_the_loss_it_comes_to(rate: float, price: float) -> None:
    queue = profiled(rate)
    found = queue.priced(price)
    best = queue.queue_aware(min(found.loss_ratio + 1e-12, 1.0))
    # The linear program keeps its limit to a tolerance of 1e-7.
    assert found.accuracy_offered == pytest.approx(best.accuracy_offered, abs=1e-6)
    assert set(np.unique(found.policy)) == {0.0, 1.0}  # nothing is drawn


def test_dearer_losses_are_fewer_and_cost_accuracy() -> None:
    found = [profiled(20.0).priced(price) for price in (0.0, 1.0, 5.0, 25.0)]
    assert np.all(np.diff([each.loss_ratio for each in found]) <= 1e-12)
    assert np.all(np.diff([each.accuracy_offered for each in found]) <= 1e-12)
    assert found[0].loss_ratio > 2 * found[-1].loss_ratio


def test_exits_may_be_valued_anew() -> None:
    queue, worth = profiled(8.0), np.linspace(0.2, 0.6, len(TIMES))
    services = [deterministic_counts(8.0 * time, CAPACITY) for time in TIMES]
    again = ExitQueue(8.0, services, worth).priced(1.0)
    assert queue.valued(worth).priced(1.0).accuracy_offered == again.accuracy_offered
    assert queue.accuracy[0] == ACCURACY[0]
    with pytest.raises(InvalidInputError, match="price must be > -1"):
        queue.priced(-1.0)
