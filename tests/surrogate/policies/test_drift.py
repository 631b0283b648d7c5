"""What drifts is noticed: steps of a rate, contexts, losses beyond the target."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.exits import ExitTrace
from surrogate.policies.drift import ContextFilter, LossPrice, SteppingRate
from tests.datagen.policies.contract import recorded


def fed(rate: SteppingRate, gaps: np.ndarray, start: float = 0.0) -> list[float]:
    """Estimates after each of some arrivals."""
    found = []
    for time in (start + np.cumsum(gaps)).tolist():
        rate.add(time)
        found.append(rate.rate(time))
    return found


def test_a_steady_rate_is_known_to_a_few_percent() -> None:
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(20):
        found = fed(SteppingRate(1.0), rng.exponential(0.5, size=1000))
        errors.append(np.log(np.array(found[400:]) / 2.0))
    # A twentieth over 400 arrivals, and a false alarm now and then.
    assert np.median(np.abs(errors)) < 0.07
    assert np.mean(np.abs(errors) > np.log(2.0)) < 0.03


@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_a_step_is_found_within_a_few_arrivals(factor: float) -> None:
    rng, late, kept = np.random.default_rng(1), [], []
    for _ in range(20):
        rate = SteppingRate(1.0)
        gaps = rng.exponential(1.0, size=300)
        fed(rate, gaps)
        before = float(gaps.sum())
        found = np.array(fed(rate, rng.exponential(1.0 / factor, size=60), start=before))
        near = np.abs(np.log(found / factor)) < np.log(2.0)
        late.append(int(np.argmax(near)))
        kept.append(near[-20:].mean())
    assert np.median(late) <= 15
    assert np.mean(kept) > 0.8


def test_a_silence_lowers_the_rate_at_once() -> None:
    rate = SteppingRate(1.0)
    fed(rate, np.full(100, 0.1))
    assert rate.rate(10.0) == pytest.approx(10.0)
    assert rate.rate(10.0 + 4.0) == pytest.approx(1.0)


def test_many_at_once_are_survived() -> None:
    rate = SteppingRate(1.0)
    found = fed(rate, np.concatenate([np.full(40, 1.0), np.zeros(60), np.full(60, 1.0)]))
    assert np.all(np.isfinite(found))
    assert found[-1] == pytest.approx(1.0, rel=0.2)


def test_the_context_is_recognised() -> None:
    known, met = recorded(2), recorded(9, samples=4000)
    assert met.context is not None
    told = ContextFilter(known)
    right = []
    for context in (0, 1, 0):
        rows = np.flatnonzero(met.context == context)[:300]
        for number, row in enumerate(rows.tolist()):
            told.see(0, float(met.confidences[row, 0]))
            assert told.belief.sum() == pytest.approx(1.0)
            if number > 60:
                right.append(told.belief.argmax() == context)
    assert np.mean(right) > 0.85


def test_a_trace_without_contexts_is_refused() -> None:
    plain = ExitTrace(name="t", confidences=[[0.5, 1.0]], correct=[[0, 1]])
    with pytest.raises(InvalidInputError, match="calibration must have contexts"):
        ContextFilter(plain)


def test_the_price_rests_where_the_target_is_met() -> None:
    rng, price = np.random.default_rng(3), LossPrice(0.02, 0.0, 10, gain=0.002)
    losses, places = 0, []
    for _ in range(40_000):
        price.job()
        # Losses halve with every unit of the scale: 2 % at 3.
        if rng.random() < 0.16 * 0.5**price.place:
            price.loss()
            losses += 1
        places.append(price.place)
    assert np.mean(places[10_000:]) == pytest.approx(3.0, abs=0.3)
    assert losses / 40_000 == pytest.approx(0.02, rel=0.15)


def test_the_price_stays_on_its_scale() -> None:
    price = LossPrice(0.01, 1.0, 3)
    for _ in range(100):
        price.loss()
    assert price.place == 3.0
    for _ in range(10_000):
        price.job()
    assert price.place == 0.0
