"""Ranges of the features that a model was trained on, of parts and of whole deployments.

A deployment may be strange though none of its devices is: if all of them are overloaded, say, where
training only ever saw some that were. So the means over a deployment's devices and flows have
ranges, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from surrogate.features.arrays import FlowArrays
from surrogate.features.features import PLAIN_FEATURES, Features
from surrogate.features.group import FeatureNames

__all__ = ["COUNTS", "Ranges", "first_rows", "levels_of"]

MARGIN = 0.01
"""Ranges are widened by this share of their width: just outside is not another world."""

COUNTS = ("length / 10", "number of steps / 10", "steps left / 10", "position / length of the flow")
"""Features that count: longer chains and more steps per device alone are no reason for doubt..."""

COUNT_REACH = 1.5
"""...up to this many times the largest count seen: what a network adds up over the steps of a chain
drifts where it was never trained to. Chains of twice the length seen were as badly predicted as any
other strange input."""

SMALLEST_WIDTH = 1e-3
"""A feature that hardly varied may vary by as much as rounding does."""


@cache
def _averaged(names: tuple[str, ...]) -> list[int]:
    """Return the columns whose means over a deployment have ranges: all but counts."""
    return [column for column, name in enumerate(names) if name not in COUNTS]


@cache
def levels_of(names: FeatureNames) -> dict[str, tuple[str, ...]]:
    """Return the names of what has a range, by level.

    Args:
        names: Names of the features.

    Returns:
        Level -> names in order; the last level is the deployment.
    """
    of_deployment = [
        *(f"mean over devices of {names.device[n]}" for n in _averaged(names.device)),
        *(f"mean over flows of {names.flow[n]}" for n in _averaged(names.flow)),
    ]
    return {
        "step": names.step,
        "device": names.device,
        "flow": names.flow,
        "deployment": tuple(of_deployment),
    }


Rows = tuple[Tensor, Tensor]
"""Features of the things of a level [N, F], and the deployment of each [N]."""


def _rows(arrays: FlowArrays, features: Features) -> dict[str, Rows]:
    flow_owner = arrays.chain_deployment[arrays.flow_chain]
    of_devices = features.device[:, _averaged(features.names.device)]
    of_flows = features.flow[:, _averaged(features.names.flow)]
    parts = [
        _means(of_devices, arrays.device_deployment, arrays.deployments),
        _means(of_flows, flow_owner, arrays.deployments),
    ]
    return {
        "step": (features.step, arrays.device_deployment[arrays.step_device]),
        "device": (features.device, arrays.device_deployment),
        "flow": (features.flow, flow_owner),
        "deployment": (torch.cat(parts, dim=-1), torch.arange(arrays.deployments)),
    }


def _means(values: Tensor, owner: Tensor, count: int) -> Tensor:
    """Mean of the rows of each owner; 0 where there are none [count, F]."""
    total = values.new_zeros(count, values.shape[1]).index_add(0, owner, values)
    return total / torch.bincount(owner, minlength=count).clamp_min(1).unsqueeze(-1)


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Smallest and largest value of each feature, margins included.

    Args:
        bounds: Level -> smallest and largest values [2, features].
    """

    bounds: dict[str, Tensor]

    @classmethod
    def of(cls, arrays: FlowArrays, features: Features) -> Ranges:
        """Describe training data.

        Args:
            arrays: Deployments trained on.
            features: Their features.

        Returns:
            Their ranges.
        """
        bounds = {}
        for level, (values, _) in _rows(arrays, features).items():
            low, high = values.amin(dim=0), values.amax(dim=0)
            slack = MARGIN * (high - low).clamp_min(SMALLEST_WIDTH)
            bounds[level] = torch.stack([low - slack, high + slack])
        return cls(bounds=bounds)

    def reasons(self, arrays: FlowArrays, features: Features) -> Iterator[tuple[int, str]]:
        """Say what lies outside.

        Args:
            arrays: The deployments.
            features: Their features.

        Yields:
            Deployments and what of them lies outside; a deployment may come once per level.
        """
        levels = levels_of(features.names)
        for level, (values, owner) in _rows(arrays, features).items():
            names = levels[level]
            low, high = self.bounds[level]
            counts = torch.tensor([name in COUNTS for name in names])
            low = torch.where(counts, -torch.inf, low)
            high = torch.where(counts, COUNT_REACH * high, high)
            # Written so that NaN is outside.
            outside = ~((values >= low) & (values <= high))
            for deployment, row in first_rows(outside.any(dim=1), owner):
                at = int(outside[row].int().argmax())
                yield (
                    deployment,
                    f"{level} {names[at]}: {values[row, at]:.3g} outside "
                    f"[{low[at]:.3g}, {high[at]:.3g}]",
                )

    def as_json(self) -> dict[str, object]:
        """Return the form that config files hold."""
        return {level: values.tolist() for level, values in self.bounds.items()}

    @classmethod
    def from_json(
        cls, document: Mapping[str, object], names: FeatureNames = PLAIN_FEATURES
    ) -> Ranges:
        """Read the form that config files hold.

        Args:
            document: What :meth:`as_json` gave.
            names: Names of the features that the ranges should be of.

        Returns:
            The ranges.

        Raises:
            ValueError: If they are not those of the features named.
        """
        bounds = {level: torch.tensor(values) for level, values in document.items()}
        for level, columns in levels_of(names).items():
            shape = tuple(bounds[level].shape) if level in bounds else None
            if shape != (2, len(columns)):
                raise ValueError(
                    f"ranges.{level} must have shape (2, {len(columns)}), got shape={shape}."
                )
        return cls(bounds=bounds)


def first_rows(flagged: Tensor, owner: Tensor) -> list[tuple[int, int]]:
    """Return the first flagged row of every deployment that has one.

    Args:
        flagged: Flags of rows [N].
        owner: Deployment of each row [N].

    Returns:
        Pairs of deployment and row.
    """
    rows = flagged.nonzero().flatten()
    found, first = np.unique(owner[rows].numpy(), return_index=True)
    return list(zip(found.tolist(), rows[torch.from_numpy(first)].tolist(), strict=True))
