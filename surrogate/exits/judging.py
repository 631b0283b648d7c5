"""How good exit predictions are, beside the rivals: the empirical table and independent exits.

Everything is judged against the table of held-out samples, under vectors of thresholds that were
not trained on. That table is noisy itself: the noise floor is how far the tables of two disjoint
sets of images differ, one as large as the calibration set and one as the held-out set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from datagen.exits import ExitTrace
from datagen.exits.counts import count_exits, samples_in
from surrogate.exits.draws import random_thresholds

__all__ = ["Mixes", "contexts_of", "errors", "independent_mix", "judge", "noise_floor"]

Floats = NDArray[np.float64]

RESPLITS = 20
"""Pairs of image sets that the noise floor is the mean of."""


class Mixes(Protocol):
    """Anything that says who leaves where: counts and estimates."""

    @property
    def mix(self) -> Floats:
        """Share that leaves at each exit [B, E]."""

    @property
    def overall_accuracy(self) -> Floats:
        """Share of right answers [B]."""


def contexts_of(trace: ExitTrace) -> list[int | None]:
    """Return the contexts of a trace; None where it has none.

    Args:
        trace: The trace.

    Returns:
        What :func:`datagen.exits.counts.count_exits` takes.
    """
    return list(range(trace.contexts)) if trace.contexts else [None]


def errors(predicted: Mixes, true: Mixes) -> dict[str, float]:
    """Return mean absolute errors.

    Args:
        predicted: For B vectors of thresholds.
        true: For the same.

    Returns:
        ``mix``, over vectors and exits, and ``accuracy``, over vectors.
    """
    return {
        "mix": float(np.abs(predicted.mix - true.mix).mean()),
        "accuracy": float(np.abs(predicted.overall_accuracy - true.overall_accuracy).mean()),
    }


def independent_mix(trace: ExitTrace, thresholds: Floats) -> Floats:
    """Return the exit mix if confidences of different exits were independent.

    Args:
        trace: Samples of the network.
        thresholds: Thresholds of its intermediate classifiers [B, E - 1].

    Returns:
        Shares [B, E].
    """
    leaving = np.stack(
        [
            (trace.confidences[None, :, e] >= thresholds[:, e, None]).mean(axis=1)
            for e in range(trace.exits - 1)
        ]
        + [np.ones(len(thresholds))],
        axis=1,
    )
    reaching = np.cumprod(1.0 - leaving[:, :-1], axis=1)
    return np.asarray(leaving * np.concatenate([np.ones((len(leaving), 1)), reaching], axis=1))


def noise_floor(
    calibration: ExitTrace, test: ExitTrace, thresholds: Floats, seed: int
) -> list[dict[str, float]]:
    """Return how far the tables of two random disjoint sets of images differ, by context.

    Args:
        calibration: One recorded trace, all contexts of an image together.
        test: Another one of the same network.
        thresholds: Vectors of thresholds [B, E - 1].
        seed: Seed of the division.

    Returns:
        Per context the errors, see :func:`errors`, means over :data:`RESPLITS` divisions into sets
        of the sizes of the two traces.
    """
    rng = np.random.default_rng(seed)
    joint = _joined(calibration, test)
    groups = _groups(calibration)
    group = np.concatenate([groups, _groups(test) + groups.max() + 1])
    images, image = np.unique(group, return_inverse=True)
    first = len(np.unique(groups))
    found: list[list[dict[str, float]]] = [[] for _ in contexts_of(joint)]
    for _ in range(RESPLITS):
        order = rng.permutation(len(images))
        inside = np.isin(image, order[:first])
        parts = [_rows(joint, rows) for rows in (inside, ~inside)]
        for rows, context in zip(found, contexts_of(joint), strict=True):
            tables = [count_exits(part, thresholds, context) for part in parts]
            rows.append(errors(tables[0], tables[1]))
    return [_means(rows) for rows in found]


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def judge(
    predict: Callable[[Floats, int | None], Mixes],
    calibration: ExitTrace,
    test: ExitTrace,
    *,
    vectors: int,
    seed: int,
    unseen: Sequence[int] = (),
) -> dict[str, Any]:
    """Compare predictions with held-out samples, context by context.

    Args:
        predict: Estimates for thresholds [B, E - 1] in a context.
        calibration: What the predictor was trained on.
        test: Other samples of the same network.
        vectors: Number of random vectors of thresholds per context.
        seed: Seed of thresholds and resplits.
        unseen: Contexts that the predictor was not trained in.

    Returns:
        Errors, means over the contexts, and those of each context.
    """
    rows: list[dict[str, float]] = []
    tau = random_thresholds(calibration.confidences, vectors, np.random.default_rng(seed))
    contexts = contexts_of(calibration)
    floors = noise_floor(calibration, test, tau, seed)
    for context, floor in zip(contexts, floors, strict=True):
        part = calibration if context is None else samples_in(calibration, context)
        true = count_exits(test, tau, context)
        found, table = errors(predict(tau, context), true), errors(count_exits(part, tau), true)
        rows.append({
            "exit_mix_mae": found["mix"],
            "exit_mix_mae_independence": float(
                np.abs(independent_mix(part, tau) - true.mix).mean()
            ),
            "exit_mix_mae_empirical_table": table["mix"],
            "exit_mix_noise_floor": floor["mix"],
            "accuracy_mae": found["accuracy"],
            "accuracy_mae_empirical_table": table["accuracy"],
            "accuracy_noise_floor": floor["accuracy"],
        })
    named = [
        {"context": context, "trained_on": context not in unseen, **row}
        for context, row in zip(contexts, rows, strict=True)
    ]
    return {**_means(rows), "vectors": vectors, "by_context": named}


def _groups(trace: ExitTrace) -> NDArray[np.int64]:
    """Return the image of each sample [N]; every sample is one of its own where none is told."""
    return np.arange(trace.samples) if trace.group is None else trace.group


def _rows(trace: ExitTrace, rows: NDArray[np.bool_]) -> ExitTrace:
    return ExitTrace(
        name=trace.name,
        confidences=trace.confidences[rows],
        correct=trace.correct[rows],
        context=None if trace.context is None else trace.context[rows],
    )


def _joined(first: ExitTrace, second: ExitTrace) -> ExitTrace:
    contexts = [trace.context for trace in (first, second) if trace.context is not None]
    return ExitTrace(
        name=first.name,
        confidences=np.concatenate([first.confidences, second.confidences]),
        correct=np.concatenate([first.correct, second.correct]),
        context=np.concatenate(contexts) if len(contexts) == 2 else None,
    )
