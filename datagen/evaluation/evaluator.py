"""The evaluator: whatever answers how deployments perform, by simulation, formula or model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from datagen.deployment import Deployment
from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.candidates import Candidates
from datagen.evaluation.measures import Measures
from datagen.evaluation.packing import pack

__all__ = ["Evaluable", "Evaluator", "as_batch"]

Evaluable = Sequence[Deployment] | DeploymentBatch | Candidates


def as_batch(deployments: Evaluable, *, laws: bool = True) -> DeploymentBatch:
    """Return deployments in packed form.

    Args:
        deployments: Objects, a batch, or candidates.
        laws: Whether the laws needed to simulate are wanted.

    Returns:
        The batch; unchanged if it was one.
    """
    if isinstance(deployments, DeploymentBatch):
        return deployments
    if isinstance(deployments, Candidates):
        return deployments.batch(laws=laws)
    return pack(deployments)


class Evaluator(ABC):
    """Anything that measures deployments; searches know nothing else."""

    needs_laws: bool = False
    """Whether packed deployments must carry the laws that simulation draws from."""

    def evaluate(self, deployments: Evaluable) -> Measures:
        """Return the measures of deployments.

        Args:
            deployments: Objects, a batch, or candidates of one problem.

        Returns:
            Measures in the same order; what is unknown is NaN.

        Raises:
            NotSupportedError: If a deployment uses an effect outside of what is covered.
        """
        return self.evaluate_batch(as_batch(deployments, laws=self.needs_laws))

    def without_details(self) -> Evaluator:
        """Return the same judge without what only readers look at.

        Searches ask it about thousands of candidates. Values are the same; bounds, flags and
        reasons may be missing.

        Returns:
            An evaluator that is at least as fast; by default this one.
        """
        return self

    @abstractmethod
    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        """Return the measures of packed deployments.

        Args:
            batch: Packed deployments.

        Returns:
            Measures in the same order.
        """
