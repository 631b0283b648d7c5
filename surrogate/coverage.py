"""What a trained model covers: effects it has seen, and the ranges of its features.

An effect that was not trained on is refused by name; a feature outside of the range seen is only
flagged, with a reason in words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datagen.evaluation import DeploymentBatch, Effect
from surrogate.features.arrays import FlowArrays
from surrogate.features.features import DEVICE_FEATURES, FLOW_FEATURES, STEP_FEATURES, Features

__all__ = ["Coverage"]

MIN_SHARE = 0.005
"""Share of the training deployments an effect needs to count as covered."""

MARGIN = 0.05
"""Ranges are widened by this share of their width: just outside is not another world."""

LEVELS = {"step": STEP_FEATURES, "device": DEVICE_FEATURES, "flow": FLOW_FEATURES}
"""Names of the features by level."""

COUNTS = ("length / 10", "number of steps / 10", "steps left / 10", "position / length of the flow")
"""Features that count: longer chains and busier devices alone are no reason for doubt."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Effects and feature ranges.

    Args:
        effects: Effects covered.
        ranges: Level -> smallest and largest value of each feature [2, features].
    """

    effects: Effect
    ranges: dict[str, Tensor]

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
        return cls(effects=effects, ranges=ranges)

    def reasons(self, arrays: FlowArrays, features: Features) -> list[str | None]:
        """Say of each deployment why it is out of distribution.

        Args:
            arrays: The deployments.
            features: Their features.

        Returns:
            None where it is not, otherwise the feature that lies outside [B].
        """
        owners = {
            "step": arrays.device_deployment[arrays.step_device],
            "device": arrays.device_deployment,
            "flow": arrays.chain_deployment[arrays.flow_chain],
        }
        reasons: list[str | None] = [None] * arrays.deployments
        for level, names in LEVELS.items():
            values, (low, high) = getattr(features, level), self.ranges[level]
            judged = torch.tensor([name not in COUNTS for name in names])
            outside = ((values < low) | (values > high)) & judged
            row, column = outside.nonzero().unbind(-1)
            found, first = np.unique(owners[level][row].numpy(), return_index=True)
            for deployment, place in zip(found.tolist(), first.tolist(), strict=True):
                at = int(column[place])
                reasons[deployment] = reasons[deployment] or (
                    f"{level} {names[at]}: {values[row[place], at]:.3g} outside "
                    f"[{low[at]:.3g}, {high[at]:.3g}]"
                )
        return reasons

    def as_json(self) -> dict[str, object]:
        """Return the form that config files hold."""
        return {
            "effects": [effect.name for effect in self.effects],
            "ranges": {level: values.tolist() for level, values in self.ranges.items()},
        }

    @classmethod
    def from_json(cls, document: dict[str, object]) -> Coverage:
        """Read the form that config files hold.

        Args:
            document: What :meth:`as_json` gave.

        Returns:
            The coverage.

        Raises:
            ValueError: If the ranges are not those of this version's features.
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
        return cls(effects=effects, ranges=ranges)
