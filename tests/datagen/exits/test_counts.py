"""The empirical table counts what its definition says, for any trace and thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import InvalidInputError
from datagen.exits import ExitTrace
from datagen.exits.counts import checked_thresholds, count_exits, samples_in


def random_trace(seed: int, samples: int = 40, exits: int = 4) -> ExitTrace:
    rng = np.random.default_rng(seed)
    # Few distinct values, so that confidences equal thresholds often.
    confidences = rng.integers(0, 6, (samples, exits)) / 5
    return ExitTrace(
        name="t",
        confidences=confidences,
        correct=rng.random((samples, exits)) < 0.7,
        context=rng.permutation(np.arange(samples) % 3),
    )


@given(seed=st.integers(0, 1000), context=st.sampled_from([None, 0, 2]))
def test_agrees_with_the_definition(seed: int, context: int | None) -> None:
    trace = random_trace(seed)
    tau = np.random.default_rng(seed).integers(0, 8, (5, 3)) / 5
    counts = count_exits(trace, tau, context)
    leaving, right, sure = np.zeros((5, 4)), np.zeros((5, 4)), np.zeros((5, 4))
    for b in range(5):
        for i in range(trace.samples):
            if context is not None and trace.context[i] != context:
                continue
            exit_ = next((e for e in range(3) if trace.confidences[i, e] >= tau[b, e]), 3)
            leaving[b, exit_] += 1
            right[b, exit_] += trace.correct[i, exit_]
            sure[b, exit_] += trace.confidences[i, exit_]
    assert np.array_equal(counts.leaving, leaving)
    assert np.array_equal(counts.right, right)
    assert counts.confidence == pytest.approx(sure)
    assert counts.mix.sum(axis=1) == pytest.approx(np.ones(5))
    assert counts.overall_accuracy == pytest.approx(right.sum(axis=1) / leaving.sum(axis=1))
    somebody = leaving > 0
    assert np.array_equal(np.isnan(counts.accuracy), ~somebody)
    assert counts.accuracy[somebody] == pytest.approx((right / leaving.clip(1))[somebody])
    assert counts.mean_confidence[somebody] == pytest.approx((sure / leaving.clip(1))[somebody])


def test_contexts_add_up() -> None:
    trace, tau = random_trace(1), [[0.5, 0.9, 0.2]]
    parts = [count_exits(trace, tau, k).leaving for k in range(3)]
    assert np.array_equal(sum(parts), count_exits(trace, tau).leaving)
    assert samples_in(trace, 1).samples == parts[1].sum()
    assert samples_in(trace, 1).contexts == 0


def test_both_forms_of_a_vector_are_taken() -> None:
    short = [[0.5, 1.5, 0.0]]
    assert np.array_equal(checked_thresholds(short, 4), short)
    assert np.array_equal(checked_thresholds([[0.5, 1.5, 0.0, 0.0]], 4), short)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([[0.5, 0.5]], r"thresholds must have shape \[B, 3\].*got thresholds=\(1, 2\)"),
        ([[0.1] * 5], r"thresholds must have shape"),
        ([0.5, 0.5, 0.5], r"thresholds must have shape"),
        ([[0.5, -0.1, 0.5]], r"thresholds\[0\]\[1\] must be finite and >= 0, got .*=-0.1"),
        ([[0.5] * 3, [0.5, 0.5, np.nan]], r"thresholds\[1\]\[2\] must be finite"),
        ([[0.5, np.inf, 0.5]], r"thresholds\[0\]\[1\] must be finite"),
        ([[0.5, 0.5, 0.5, 0.3]], r"thresholds\[0\]\[3\] must be 0 at the final classifier"),
        ([[0.5], [0.5, 0.5]], r"thresholds must be vectors of numbers"),
        ([["a", "b", "c"]], r"thresholds must be vectors of numbers"),
    ],
)
def test_refuses_thresholds_that_are_none(thresholds: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        checked_thresholds(thresholds, 4)


@pytest.mark.parametrize("context", [-1, 3])
def test_refuses_contexts_that_are_none(context: int) -> None:
    with pytest.raises(InvalidInputError, match=r"context must lie in \[0, 3\)"):
        count_exits(random_trace(1), [[0.5] * 3], context)
    with pytest.raises(InvalidInputError, match=r"context must lie in \[0, 0\)"):
        samples_in(samples_in(random_trace(1), 0), 0)
