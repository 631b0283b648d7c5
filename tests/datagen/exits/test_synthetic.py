from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.exits import ExitTrace, compare_traces
from datagen.exits.likeness import exit_mixes
from datagen.exits.synthetic import SyntheticExits

MODEL = SyntheticExits.of_accuracy(
    [[0.6, 0.8, 0.9, 0.95], [0.3, 0.5, 0.7, 0.7]], shares=(0.75, 0.25), persistence=0.7
)
LARGE = MODEL.sample(40_000, seed=0)


def test_answers_are_right_as_often_as_they_are_sure() -> None:
    assert MODEL.accuracy.tolist() == [
        pytest.approx([0.6, 0.8, 0.9, 0.95], abs=1e-9),
        pytest.approx([0.3, 0.5, 0.7, 0.7], abs=1e-9),
    ]
    assert LARGE.context is not None
    for context, wished in enumerate(MODEL.accuracy):
        rows = LARGE.context == context
        # The largest standard error of a share is 0.5 / sqrt(10000).
        assert LARGE.correct[rows].mean(axis=0) == pytest.approx(wished, abs=4 * 0.005)
    for low in np.arange(0.1, 1.0, 0.1):
        inside = (LARGE.confidences >= low) & (LARGE.confidences < low + 0.1)
        gap = (LARGE.confidences - LARGE.correct)[inside]
        assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap) / 4)  # four exits share a sample


def test_a_hard_sample_stays_hard() -> None:
    def kept(persistence: float) -> float:
        trace = replace(MODEL, persistence=[persistence] * 3).sample(20_000, seed=1)
        return float(np.corrcoef(np.log(trace.confidences[:, 1:3] - 0.0999).T)[0, 1])

    assert kept(0.0) < kept(0.6) < kept(0.95)
    agreeing = [
        replace(MODEL, agreement=[value] * 3).sample(20_000, seed=1).correct for value in (0.0, 1.0)
    ]
    both = [(correct[:, 1] == correct[:, 2]).mean() for correct in agreeing]
    assert both[0] + 0.05 < both[1]


def test_contexts_have_their_shares_and_seeds_repeat() -> None:
    assert LARGE.context is not None
    assert np.bincount(LARGE.context).tolist() == [30_000, 10_000]
    assert MODEL.sample(40_000, seed=0) == LARGE
    assert MODEL.sample(40_000, seed=1) != LARGE
    single = SyntheticExits.of_accuracy([0.5, 0.9], spread=0.0).sample(10, seed=0, name="one")
    assert (single.name, single.context) == ("one", None)
    assert single.confidences.tolist() == [pytest.approx([0.5, 0.9])] * 10


def test_a_fit_gives_back_the_model_it_came_from() -> None:
    fitted = SyntheticExits.fit(LARGE, chance=0.1)
    assert fitted.shares.tolist() == [0.75, 0.25]
    assert fitted.accuracy == pytest.approx(MODEL.accuracy, abs=0.01)
    assert fitted.persistence == pytest.approx(MODEL.persistence, abs=0.02)
    assert fitted.agreement == pytest.approx(MODEL.agreement, abs=0.1)
    likeness = compare_traces(LARGE, fitted.sample(40_000, seed=2))
    assert likeness.confidence.max() < 0.02
    assert likeness.leaving < 0.05
    assert likeness.mix < 0.005
    assert likeness.answers < 0.01


def test_a_fitted_accuracy_does_not_fall() -> None:
    confidences = np.column_stack([np.linspace(0.2, 0.9, 50), np.linspace(0.1, 0.8, 50)])
    trace = ExitTrace(name="t", confidences=confidences, correct=confidences > 0.5)
    accuracy = SyntheticExits.fit(trace, chance=0.1).accuracy[0]
    assert accuracy[1] >= accuracy[0] - 1e-9


def test_the_digits_network_is_imitated_as_well_as_new_images_would(repository: Path) -> None:
    shipped = repository / "checkpoints" / "eenn-network"
    recorded, other = (ExitTrace.load(shipped / f"{part}.npz") for part in ("calibration", "test"))
    synthetic = SyntheticExits.fit(recorded, chance=0.1).sample(20_000, seed=1)
    likeness, floor = compare_traces(recorded, synthetic), compare_traces(recorded, other)
    assert likeness.confidence.max() < 0.04
    assert likeness.mix < 0.006
    assert likeness.mix < 1.5 * floor.mix
    assert likeness.leaving < 0.2
    # The recorded confidences of the first exits are less calibrated than the model's.
    assert np.abs(likeness.accuracy).max() < 0.06
    assert np.abs(likeness.accuracy[2:]).max() < 0.02


def test_distances_see_differences() -> None:
    other = SyntheticExits.of_accuracy([0.5, 0.7, 0.8, 0.9], persistence=0.2).sample(9000, seed=3)
    likeness = compare_traces(LARGE, other)
    assert likeness.confidence.min() > 0.04
    assert likeness.leaving > 0.2
    assert likeness.mix > 0.02
    assert likeness.answers > 0.01
    with pytest.raises(InvalidInputError, match="second must have 4 exits, got second=2"):
        compare_traces(LARGE, SyntheticExits.of_accuracy([0.5, 0.7]).sample(9, seed=0))
    with pytest.raises(InvalidInputError, match="vectors must be >= 1"):
        compare_traces(LARGE, LARGE, vectors=0)


def test_exit_mixes_are_counts() -> None:
    trace = ExitTrace(
        name="t",
        confidences=[[0.5, 0.2, 0.0], [0.4, 0.9, 0.1], [0.1, 0.1, 0.1], [0.9, 0.9, 0.9]],
        correct=[[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 1, 1]],
    )
    mixes, right = exit_mixes(trace, np.array([[0.5, 0.9], [2.0, 2.0], [0.0, 0.0]]))
    assert mixes.tolist() == [[0.5, 0.25, 0.25], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert right.tolist() == [0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shares": [0.5, 0.6]}, "shares must hold 2 numbers >= 0 that sum to 1"),
        ({"shares": [1.0]}, "shares must hold 2 numbers"),
        ({"persistence": [0.5] * 2}, r"persistence must hold 3 numbers in \[0, 1\]"),
        ({"agreement": [1.5] * 3}, r"agreement must hold 3 numbers in \[0, 1\]"),
        ({"agreement": [float("nan")] * 3}, "agreement must hold finite numbers"),
        ({"logits": np.zeros((2, 4, 3))}, r"logits must have shape \[K, E, 9\]"),
        ({"logits": -MODEL.logits}, "logits must not fall from knot to knot"),
        ({"chance": 1.0}, r"chance must lie in \[0, 1\)"),
    ],
)
def test_bad_models_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        replace(MODEL, **fields)


def test_bad_wishes_are_refused() -> None:
    for accuracy, message in (
        ([0.9, 0.8], "accuracy must not fall from exit to exit"),
        ([0.05, 0.8], r"accuracy must lie in \(0\.1, 1\)"),
        ([0.5, float("nan")], r"accuracy must lie in \(0\.1, 1\)"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            SyntheticExits.of_accuracy(accuracy)
    with pytest.raises(InvalidInputError, match="samples must be enough for one in each context"):
        MODEL.sample(1, seed=0)
    lonely = ExitTrace(name="t", confidences=[[0.5]] * 3, correct=[[1]] * 3, context=[0, 0, 1])
    with pytest.raises(InvalidInputError, match=r"trace must have two samples in each .*=\[2, 1\]"):
        SyntheticExits.fit(lonely, chance=0.1)
