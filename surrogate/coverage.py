"""What a trained model covers: effects it has seen, and the features that came with them.

An effect that was not trained on is refused by name. A feature outside of the range seen, a
combination of features far from any seen, and a chain far longer than any seen are only flagged,
with a reason in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from datagen.evaluation import DeploymentBatch, Effect
from surrogate.features.arrays import FlowArrays
from surrogate.features.features import PLAIN_FEATURES, Features
from surrogate.features.group import FeatureNames
from surrogate.neighbours import Neighbourhood
from surrogate.ranges import COUNTS, Ranges, first_rows

__all__ = ["FALSE_ALARMS", "Coverage"]

MIN_SHARE = 0.005
"""Share of the training deployments an effect needs to count as covered."""

FALSE_ALARMS = 0.01
"""Share of deployments like those trained on that may be flagged."""

ROUNDING = 1e-6
"""Weights that add up to one in float32 may fall short by as much."""


@cache
def _judged(names: FeatureNames) -> Tensor:
    """Return which step features distances are measured in."""
    return torch.tensor([name not in COUNTS for name in names.step])


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Effects and features.

    Args:
        effects: Effects covered.
        ranges: Ranges of the features.
        near: The steps trained on.
    """

    effects: Effect
    ranges: Ranges
    near: Neighbourhood

    @classmethod
    def of(cls, batch: DeploymentBatch, arrays: FlowArrays, features: Features) -> Coverage:
        """Describe training data.

        Args:
            batch: Deployments trained on.
            arrays: The same as tensors.
            features: Their features.

        Returns:
            What they cover.
        """
        effects = Effect.DEADLINE  # asks for one more measure, changes no other
        for effect in Effect:
            if np.mean((batch.effects & int(effect)) > 0) >= MIN_SHARE:
                effects |= effect
        near = Neighbourhood.of(features.step[:, _judged(features.names)])
        return cls(effects=effects, ranges=Ranges.of(arrays, features), near=near)

    def calibrated(self, sets: Sequence[Sequence[tuple[FlowArrays, Features]]]) -> Coverage:
        """Set the largest distance that counts as near.

        Args:
            sets: Of each distribution trained on, in parts: other deployments and their features.

        Returns:
            The coverage that flags FALSE_ALARMS of them, for their ranges or for their distance,
            each distribution weighing the same.
        """
        farthest, weight = [], []
        for parts in sets:
            own = torch.cat([self._farthest(arrays, features) for arrays, features in parts])
            farthest.append(own)
            weight.append(torch.full_like(own, 1.0 / len(own)))
        limit = _limit(torch.cat(farthest), torch.cat(weight) / len(sets))
        return replace(self, near=replace(self.near, limit=limit))

    def _farthest(self, arrays: FlowArrays, features: Features) -> Tensor:
        """Distance of each deployment's farthest step; infinite where a range is left [B]."""
        distance = self.near.distance(features.step[:, _judged(features.names)])
        owner = arrays.device_deployment[arrays.step_device]
        farthest = torch.zeros(arrays.deployments).scatter_reduce(0, owner, distance, "amax")
        for deployment, _ in self.ranges.reasons(arrays, features):
            farthest[deployment] = torch.inf
        return farthest

    def reasons(self, arrays: FlowArrays, features: Features) -> list[str | None]:
        """Say of each deployment why it is out of distribution.

        Args:
            arrays: The deployments.
            features: Their features.

        Returns:
            None where it is not, otherwise the feature that lies outside [B].
        """
        reasons: list[str | None] = [None] * arrays.deployments
        for deployment, reason in self.ranges.reasons(arrays, features):
            reasons[deployment] = reasons[deployment] or reason
        distance = self.near.distance(features.step[:, _judged(features.names)])
        owner = arrays.device_deployment[arrays.step_device]
        for deployment, row in first_rows(distance > self.near.limit, owner):
            reasons[deployment] = reasons[deployment] or (
                f"step features {distance[row]:.3g} radii from any trained on, more than "
                f"{self.near.limit:.3g}"
            )
        return reasons

    def as_json(self) -> dict[str, object]:
        """Return the form that config files hold."""
        return {
            "effects": [effect.name for effect in self.effects],
            "ranges": self.ranges.as_json(),
            "near": self.near.as_json(),
        }

    @classmethod
    def from_json(
        cls, document: dict[str, object], names: FeatureNames = PLAIN_FEATURES
    ) -> Coverage:
        """Read the form that config files hold.

        Args:
            document: What :meth:`as_json` gave.
            names: Names of the features that the model reads.

        Returns:
            The coverage.

        Raises:
            ValueError: If ranges or centres are not those of the features named.
        """
        effects = Effect.NONE
        for name in document["effects"]:  # type: ignore[attr-defined]
            effects |= Effect[name]
        ranges = Ranges.from_json(document["ranges"], names)  # type: ignore[arg-type]
        near = Neighbourhood.from_json(document["near"])  # type: ignore[arg-type]
        judged = int(_judged(names).sum())
        if len(near.mean) != judged:
            raise ValueError(f"near.mean must hold {judged} values, got {len(near.mean)}.")
        return cls(effects=effects, ranges=ranges, near=near)


def _limit(farthest: Tensor, weight: Tensor) -> float:
    """Smallest distance that at most FALSE_ALARMS of the weight lies beyond.

    Where more than that leaves a range, it is the largest distance of the others.
    """
    ordered, order = farthest.sort()
    beyond = 1.0 - weight[order].cumsum(0)
    enough = int((beyond <= FALSE_ALARMS + ROUNDING).int().argmax())
    if torch.isfinite(ordered[enough]):
        return float(ordered[enough])
    inside = ordered[torch.isfinite(ordered)]
    return float(inside[-1]) if len(inside) else 1.0
