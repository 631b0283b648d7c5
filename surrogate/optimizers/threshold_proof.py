"""Proof of thresholds by simulation: which keeps the loss target best, and how good it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from datagen.evaluation import Candidates, Measures
from datagen.simulator import SimulationEvaluator
from surrogate.optimizers.proof import same_window
from surrogate.optimizers.result import Outcome
from surrogate.optimizers.threshold_result import Judged
from surrogate.optimizers.threshold_search import system_accuracy
from surrogate.optimizers.threshold_space import ThresholdSpace
from surrogate.optimizers.watch import PROOF, SELECTION, Steps, Watch, unwatched
from surrogate.parallel import in_threads

__all__ = ["FINALISTS", "ThresholdProof", "judged"]

Floats = NDArray[np.float64]

FINALISTS = 6
"""Candidates simulated per round of selection, from bold to careful."""

CAREFUL = (1.0, 0.9, 0.8, 0.65, 0.5, 0.3)
"""Shares of the loss target that finalists are held to by the prediction, one each."""

ROUNDS = 3
"""Rounds of selection: after one in which everything loses too much, or too little, the prediction
is scaled by what was simulated."""

SELECTION_EVENTS = 6e5
"""Events per finalist: a loss ratio of 1 % is known to about 2 % of itself."""

VERIFICATION_EVENTS = 4e6
"""Events of each verified deployment."""

RUNS = 8
"""Independent runs of either."""

NORMAL_95 = 1.96
"""Standard errors on either side of a 95 % interval."""


def judged(space: ThresholdSpace, measures: Measures, index: int) -> Judged:
    """Read one row of measures.

    Args:
        space: What is searched.
        measures: Measures of several candidates.
        index: 0-based row.

    Returns:
        Its losses and accuracy.
    """
    accuracy = system_accuracy(space, measures.chain["accuracy_offered"], len(measures))
    error = measures.chain["accuracy_offered_se"].reshape(len(measures), -1)[index]
    rate = np.array([
        c.arrivals.rate * (c.name in space.columns) for c in space.base.problem.chains
    ])
    spread = float(np.sqrt(np.sum((np.where(rate > 0, error, 0.0) * rate / rate.sum()) ** 2)))
    value, reach = float(accuracy[index]), NORMAL_95 * spread
    interval = (value - reach, value + reach) if np.isfinite(reach) else None
    return Judged(
        outcome=Outcome.of(measures, index), accuracy_offered=value, accuracy_ci95=interval
    )


class ThresholdProof:
    """Simulates candidates of one deployment.

    Args:
        space: What is searched.
        selection_seed: Seed of the selection.
        verification_seed: Seed of the verification, which nothing is chosen by.
        watch: Told how far selection and verification are.
    """

    def __init__(
        self,
        space: ThresholdSpace,
        *,
        selection_seed: int,
        verification_seed: int,
        watch: Watch = unwatched,
    ) -> None:
        self._space, self._watch = space, watch
        self._seeds = selection_seed, verification_seed

    def _simulated(
        self, candidates: Candidates, events: float, seed: int, told: Callable[[], object]
    ) -> Measures:
        problem = self._space.base.problem
        options = same_window(problem, events=events, replications=RUNS, seed=seed)
        return SimulationEvaluator(options, told).evaluate(candidates)

    def selected(
        self, levels: Floats, routing: Floats, accuracy: Floats, loss: Floats, target: float
    ) -> int:
        """Choose among candidates by simulation.

        Args:
            levels: Levels of everything visited [N, T].
            routing: Its routing [N, P].
            accuracy: Its predicted accuracy [N].
            loss: Its predicted loss ratio [N].
            target: Largest system loss ratio.

        Returns:
            0-based candidate: the most accurate whose loss keeps the target beyond doubt (upper end
            of its 95 % interval), or the one that loses least.
        """
        known: dict[int, tuple[float, float, float]] = {}
        scale = 1.0
        steps = Steps(SELECTION, self._watch)
        told = partial(steps.add, 1.0 / (ROUNDS * FINALISTS * RUNS))  # if all are needed
        for _ in range(ROUNDS):
            rows = _finalists(accuracy, scale * loss, target)
            rows = [row for row in rows if row not in known]
            if not rows:
                break
            known |= dict(zip(rows, self._tried(levels[rows], routing[rows], told), strict=True))
            ratios = [known[row][1] / max(loss[row], 1e-6) for row in rows if known[row][1] > 0]
            scale = float(np.median(ratios)) if ratios else 0.5 * scale
            kept = [row for row in known if known[row][2] <= target]
            # A row near the target on its good side: nothing to gain from another round.
            if any(known[row][2] > 0.85 * target for row in kept):
                break
        steps.end()
        kept = [row for row in known if known[row][2] <= target]
        if kept:
            return max(kept, key=lambda row: known[row][0])
        return min(known, key=lambda row: known[row][1])

    def _tried(
        self, levels: Floats, routing: Floats, told: Callable[[], object]
    ) -> list[tuple[float, float, float]]:
        """Simulate candidates side by side: accuracy, loss, and upper end of the loss of each."""

        def played(rows: NDArray[np.intp]) -> list[tuple[float, float, float]]:
            candidates = self._space.candidates(levels[rows], routing[rows])
            measures = self._simulated(candidates, SELECTION_EVENTS, self._seeds[0], told)
            right = system_accuracy(self._space, measures.chain["accuracy_offered"], len(rows))
            lost, high = (measures.deployment[name] for name in ("loss_ratio", "loss_ratio_high"))
            return list(zip(right.tolist(), lost.tolist(), high.tolist(), strict=True))

        threads = min(torch.get_num_threads(), len(levels))
        parts = np.array_split(np.arange(len(levels)), threads)
        return [found for part in in_threads(played, parts) for found in part]

    def verified(self, candidates: Candidates) -> Measures:
        """Measure candidates on seeds that nothing was chosen by."""
        steps = Steps(PROOF, self._watch)
        told = partial(steps.add, 1.0 / (RUNS * len(candidates)))
        measures = self._simulated(candidates, VERIFICATION_EVENTS, self._seeds[1], told)
        steps.end()
        return measures


def _finalists(accuracy: Floats, loss: Floats, target: float) -> list[int]:
    """Return the most accurate candidate for each share of the target, without repetition."""
    rows: list[int] = []
    for share in CAREFUL[:FINALISTS]:
        kept = np.flatnonzero(loss <= share * target)
        row = int(kept[np.argmax(accuracy[kept])]) if len(kept) else int(np.argmin(loss))
        if row not in rows:
            rows.append(row)
    return rows
