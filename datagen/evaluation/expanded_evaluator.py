"""Early exits and routing for evaluators of plain chains, by expansion."""

from __future__ import annotations

import numpy as np

from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.evaluator import Evaluator
from datagen.evaluation.expansion import EXPANDED, Expansion
from datagen.evaluation.measures import Measures

__all__ = ["ExpandedEvaluator"]


class ExpandedEvaluator(Evaluator):
    """Asks another evaluator about the expansions of deployments.

    Args:
        inner: Measures deployments whose chains have one path and no exits.
    """

    needs_laws = True

    def __init__(self, inner: Evaluator) -> None:
        self.inner = inner

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        if not np.any(batch.effects & int(EXPANDED)):
            return self.inner.evaluate_batch(batch)
        expansion = Expansion.of(batch)
        return expansion.collected(self.inner.evaluate_batch(expansion.batch))
