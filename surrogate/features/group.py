"""Groups of features beside the plain ones, for models that ask for them.

The plain features describe queues. What goes on inside a special device - batches, cores that share
a memory - is told by a *feature group*: columns that are appended to the plain ones, and where it
knows better, another prior. A model names its groups (``ChainNet(groups=...)``); one without groups
reads the plain features and nothing else. The groups there are, are listed in
:mod:`surrogate.features.groups`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from datagen.evaluation import DeploymentBatch
from surrogate.features.arrays import FlowArrays
from surrogate.features.prior import Prior

__all__ = ["Columns", "FeatureGroup", "FeatureNames", "packed"]

Columns = tuple[Tensor, Tensor, Tensor]
"""Features of steps [S, ...], devices [D, ...] and flows [P, ...]."""


@dataclass(frozen=True, kw_only=True)
class FeatureNames:
    """Names of the columns of features, by level, in order.

    Args:
        step: Of steps.
        device: Of devices.
        flow: Of flows.
    """

    step: tuple[str, ...] = ()
    device: tuple[str, ...] = ()
    flow: tuple[str, ...] = ()

    def __add__(self, other: FeatureNames) -> FeatureNames:
        return FeatureNames(
            step=self.step + other.step,
            device=self.device + other.device,
            flow=self.flow + other.flow,
        )


class FeatureGroup(ABC):
    """Scale-free columns for one kind of device, and what it knows better than the plain prior.

    A group holds no state; a deployment without its kind of device gets constant columns (0) and
    the plain prior.
    """

    names: ClassVar[FeatureNames]
    joins: ClassVar[bool] = False
    """Whether a network that reads it says how branches of parallel chains join."""
    holds: ClassVar[bool] = False
    """Whether a trained network that reads it lets devices lose what they cannot serve."""

    @property
    def keeps_prior(self) -> bool:
        """Whether the group adds columns and leaves the prior as it is."""
        own = type(self)
        return own.adapted is FeatureGroup.adapted and own.refined is FeatureGroup.refined

    def adapted(self, arrays: FlowArrays) -> FlowArrays:
        """Return what the plain prior should decompose in place of the deployments.

        Args:
            arrays: The deployments.

        Returns:
            The same layout, with other service times, say; by default the deployments.
        """
        return arrays

    def refined(self, arrays: FlowArrays, prior: Prior) -> Prior:
        """Return a better prior.

        Args:
            arrays: The deployments.
            prior: Of what :meth:`adapted` returned, refined by the groups before this one.

        Returns:
            The prior that features and read-out start from; by default the one given.
        """
        return prior

    @abstractmethod
    def columns(self, arrays: FlowArrays, prior: Prior) -> Columns:
        """Return the features of this group.

        Args:
            arrays: The deployments.
            prior: What all groups made of the prior.

        Returns:
            Columns in the order of ``names``.
        """


def packed(arrays: FlowArrays) -> DeploymentBatch:
    """Return the deployments that tensors were made from, for what only a group reads.

    Args:
        arrays: Made by :func:`~surrogate.features.arrays.flow_arrays`.

    Returns:
        The packed deployments; steps are in their own order, see ``arrays.step_row``.

    Raises:
        ValueError: If the arrays were made in another way.
    """
    if arrays.batch is None:
        raise ValueError("arrays.batch must be present for a feature group, got None.")
    return arrays.batch
