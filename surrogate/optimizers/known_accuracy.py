"""Accuracies as they are known without simulation, in the place of those of a few simulated jobs.

Where thresholds or shares decide who leaves early, whether an answer will be right has nothing to
do with queues: its chance is an average over the recorded samples, by the time that each context
holds. A simulation estimates it from the jobs that it happens to draw, in the contexts that it
happens to meet, and a search that compares hundreds of such estimates with a floor takes the
luckiest. So simulation is asked for losses only. This is the estimator by conditional expectation
of Asmussen and Glynn, Stochastic Simulation, Springer 2007, section V.4, but for one thing: a lost
job counts as no harder than others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from datagen.evaluation.measures import Columns

__all__ = ["KnownAccuracy", "known_accuracy"]

Floats = NDArray[np.float64]


def known_accuracy(batch: DeploymentBatch) -> Floats:
    """Return the share of right answers of the jobs of each chain, if none is lost.

    Args:
        batch: Packed deployments.

    Returns:
        Shares in [0, 1], [C]; NaN where nothing is recorded, or decisions depend on queues.
    """
    chains = len(batch.chain_rate)
    if batch.exit_start is None:
        return np.full(chains, np.nan)
    assert batch.exit_probability is not None
    assert batch.exit_accuracy is not None
    exits = np.diff(batch.exit_start)
    right = np.bincount(
        np.repeat(np.arange(chains), exits),
        weights=batch.exit_probability * batch.exit_accuracy,
        minlength=chains,
    )
    return np.where(exits > 0, right, np.nan)


class KnownAccuracy(Evaluator):
    """Asks another evaluator about everything but the accuracy of answers, where that is known.

    Args:
        inner: Measures the losses, and the rest.
    """

    needs_laws = True

    def __init__(self, inner: Evaluator) -> None:
        self.inner = inner

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        measures, right = self.inner.evaluate_batch(batch), known_accuracy(batch)
        known = np.isfinite(right)
        if not known.any():
            return measures
        chain = dict(measures.chain)
        loss, error = measures.chain["loss_ratio"], measures.chain["loss_ratio_se"]
        for name, value, spread in (
            ("accuracy_completed", right, np.zeros(len(right))),
            ("accuracy_offered", right * (1.0 - loss), right * error),
        ):
            chain[name] = np.where(known, value, measures.chain[name])
            chain[f"{name}_se"] = np.where(known, spread, measures.chain[f"{name}_se"])
        return replace(measures, chain=Columns("chain", len(right), chain))
