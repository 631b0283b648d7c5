"""The cases beyond plain queues: what they use together, and some of their values by hand."""

from __future__ import annotations

import math
from functools import reduce
from operator import or_

import pytest

from datagen.evaluation import Effect, pack
from datagen.theory import Case, oracle_cases
from datagen.theory.features import feature_cases

CASES = {case.name: case for case in feature_cases()}


def exact(case: Case, measure: str, name: str = "c") -> float:
    (value,) = (e.value for e in case.exact if (e.measure, e.name) == (measure, name))
    return value


def test_theory_knows_a_case_of_every_feature_it_can() -> None:
    used = reduce(
        or_, (Effect(int(pack([case.deployment]).effects.max())) for case in CASES.values())
    )
    plain = reduce(or_, (Effect(int(pack([c.deployment]).effects.max())) for c in oracle_cases()))
    for effect in (
        Effect.GENERAL_ARRIVALS,
        Effect.PRIORITY,
        Effect.EXITS,
        Effect.THRESHOLDS,
        Effect.ROUTING,
        Effect.LINKS,
    ):
        assert effect in used
    for effect in (Effect.MULTI_SERVER, Effect.DEMAND, Effect.REVISIT, Effect.DEADLINE):
        assert effect in plain


def test_accuracy_follows_the_samples_that_leave() -> None:
    """Two of three early answers are right, one of two late ones; losses are wrong answers."""
    case = CASES["M/M/1/K trunk, exit and rest, by a threshold K=5"]
    assert exact(case, "accuracy_completed") == pytest.approx(3 / 5)
    passed = 1.0 - exact(case, "loss_ratio")
    assert exact(case, "accuracy_offered") == pytest.approx(3 / 5 * passed)


def test_what_periodic_arrivals_find_solves_its_equation() -> None:
    found = 1.0 - 1.0 / exact(CASES["D/M/1 load=0.8"], "latency")
    assert 0.0 < found < 1.0
    assert found == pytest.approx(math.exp(-(1.0 - found) / 0.8), rel=1e-12)


def test_higher_classes_wait_less_and_lose_alike() -> None:
    infinite = CASES["M/G/1 non-preemptive priorities load=0.56 (Cobham)"]
    waits = [
        exact(infinite, "latency", name) - mean
        for name, mean in (("high", 0.5), ("middle", 0.8), ("low", 1.0))
    ]
    assert waits == sorted(waits)
    finite = CASES["M/M/1/K non-preemptive priorities load=1.0 K=5"]
    assert exact(finite, "loss_ratio", "high") == exact(finite, "loss_ratio", "low")
