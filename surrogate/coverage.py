"""What a trained model covers: effects it has seen, and the features that came with them.

An effect that was not trained on is refused by name. A feature outside of the range seen, a
combination of features far from any seen, and a chain far longer than any seen are only flagged,
with a reason in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from datagen.evaluation import DeploymentBatch, Effect
from surrogate.features.arrays import FlowArrays
from surrogate.features.features import DEVICE_FEATURES, FLOW_FEATURES, STEP_FEATURES, Features
from surrogate.neighbours import Neighbourhood

__all__ = ["Coverage"]

MIN_SHARE = 0.005
"""Share of the training deployments an effect needs to count as covered."""

MARGIN = 0.05
"""Ranges are widened by this share of their width: just outside is not another world."""

LEVELS = {"step": STEP_FEATURES, "device": DEVICE_FEATURES, "flow": FLOW_FEATURES}
"""Names of the features by level."""

COUNTS = ("length / 10", "number of steps / 10", "steps left / 10", "position / length of the flow")
"""Features that count: longer chains and more steps per device alone are no reason for doubt..."""

COUNT_REACH = 2.0
"""...up to this many times the largest count seen: what a network adds up over the steps of a chain
drifts where it was never trained to."""

FALSE_ALARMS = 0.01
"""Share of deployments like those trained on that may be flagged."""

_JUDGED_STEP = torch.tensor([name not in COUNTS for name in STEP_FEATURES])
"""Step features that distances are measured in."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Effects and feature ranges.

    Args:
        effects: Effects covered.
        ranges: Level -> smallest and largest value of each feature [2, features].
        near: The steps trained on.
    """

    effects: Effect
    ranges: dict[str, Tensor]
    near: Neighbourhood

    @classmethod
    def of(cls, batch: DeploymentBatch, features: Features) -> Coverage:
        """Describe training data.

        Args:
            batch: The deployments trained on.
            features: Features of a sample of them.

        Returns:
            What they cover.
        """
        effects = Effect.DEADLINE  # asks for one more measure, changes no other
        for effect in Effect:
            if np.mean((batch.effects & int(effect)) > 0) >= MIN_SHARE:
                effects |= effect
        levels = {"step": features.step, "device": features.device, "flow": features.flow}
        ranges = {}
        for level, values in levels.items():
            low, high = values.amin(dim=0), values.amax(dim=0)
            slack = MARGIN * (high - low)
            ranges[level] = torch.stack([low - slack, high + slack])
        near = Neighbourhood.of(features.step[:, _JUDGED_STEP])
        return cls(effects=effects, ranges=ranges, near=near)

    def calibrated(self, sets: Sequence[Sequence[tuple[FlowArrays, Features]]]) -> Coverage:
        """Set the largest distance that counts as near.

        Args:
            sets: Of each distribution trained on, in parts: other deployments and their features.

        Returns:
            The coverage that flags FALSE_ALARMS of them for their distance, each distribution
            weighing the same.
        """
        farthest, weight = [], []
        for parts in sets:
            own = torch.cat([self._farthest(arrays, features) for arrays, features in parts])
            farthest.append(own)
            weight.append(torch.full_like(own, 1.0 / len(own)))
        limit = _weighted_quantile(torch.cat(farthest), torch.cat(weight), 1.0 - FALSE_ALARMS)
        return replace(self, near=replace(self.near, limit=limit))

    def _farthest(self, arrays: FlowArrays, features: Features) -> Tensor:
        """Distance of the farthest step of each deployment [B]."""
        distance = self.near.distance(features.step[:, _JUDGED_STEP])
        owner = arrays.device_deployment[arrays.step_device]
        return torch.zeros(arrays.deployments).scatter_reduce(0, owner, distance, "amax")

    def reasons(self, arrays: FlowArrays, features: Features) -> list[str | None]:
        """Say of each deployment why it is out of distribution.

        Args:
            arrays: The deployments.
            features: Their features.

        Returns:
            None where it is not, otherwise the feature that lies outside [B].
        """
        step_owner = arrays.device_deployment[arrays.step_device]
        owners = {
            "step": step_owner,
            "device": arrays.device_deployment,
            "flow": arrays.chain_deployment[arrays.flow_chain],
        }
        reasons: list[str | None] = [None] * arrays.deployments
        for level, names in LEVELS.items():
            values, (low, high) = getattr(features, level), self.ranges[level]
            counts = torch.tensor([name in COUNTS for name in names])
            low = torch.where(counts, -torch.inf, low)
            high = torch.where(counts, COUNT_REACH * high, high)
            # Written so that NaN is outside.
            outside = ~((values >= low) & (values <= high))
            for deployment, row in _first_rows(outside.any(dim=1), owners[level]):
                at = int(outside[row].int().argmax())
                reasons[deployment] = reasons[deployment] or (
                    f"{level} {names[at]}: {values[row, at]:.3g} outside "
                    f"[{low[at]:.3g}, {high[at]:.3g}]"
                )
        distance = self.near.distance(features.step[:, _JUDGED_STEP])
        for deployment, row in _first_rows(distance > self.near.limit, step_owner):
            reasons[deployment] = reasons[deployment] or (
                f"step features {distance[row]:.3g} radii from any trained on, more than "
                f"{self.near.limit:.3g}"
            )
        return reasons

    def as_json(self) -> dict[str, object]:
        """Return the form that config files hold."""
        return {
            "effects": [effect.name for effect in self.effects],
            "ranges": {level: values.tolist() for level, values in self.ranges.items()},
            "near": self.near.as_json(),
        }

    @classmethod
    def from_json(cls, document: dict[str, object]) -> Coverage:
        """Read the form that config files hold.

        Args:
            document: What :meth:`as_json` gave.

        Returns:
            The coverage.

        Raises:
            ValueError: If ranges or centres are not those of this version's features.
        """
        effects = Effect.NONE
        for name in document["effects"]:  # type: ignore[attr-defined]
            effects |= Effect[name]
        ranges = {
            level: torch.tensor(values)
            for level, values in document["ranges"].items()  # type: ignore[attr-defined]
        }
        for level, names in LEVELS.items():
            shape = tuple(ranges[level].shape) if level in ranges else None
            if shape != (2, len(names)):
                raise ValueError(
                    f"ranges.{level} must have shape (2, {len(names)}), got shape={shape}."
                )
        near = Neighbourhood.from_json(document["near"])  # type: ignore[arg-type]
        judged = int(_JUDGED_STEP.sum())
        if len(near.mean) != judged:
            raise ValueError(f"near.mean must hold {judged} values, got {len(near.mean)}.")
        return cls(effects=effects, ranges=ranges, near=near)


def _first_rows(flagged: Tensor, owner: Tensor) -> list[tuple[int, int]]:
    """Return (deployment, its first flagged row) pairs."""
    rows = flagged.nonzero().flatten()
    found, first = np.unique(owner[rows].numpy(), return_index=True)
    return list(zip(found.tolist(), rows[torch.from_numpy(first)].tolist(), strict=True))


def _weighted_quantile(values: Tensor, weight: Tensor, share: float) -> float:
    """Smallest of the values that at least this share of the weight lies at or below."""
    ordered, order = values.sort()
    reached = weight[order].cumsum(0) / weight.sum()
    return float(ordered[int((reached >= share - 1e-6).int().argmax())])
