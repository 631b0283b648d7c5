"""How far the steps of a deployment lie from those a model was trained on.

Each feature alone may be in its range and their combination still be one that never occurred. The
training steps are summed up by centres; a step lies as far out as its distance to the nearest
centre, measured in the radius of that centre's own steps.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

__all__ = ["Neighbourhood"]

CENTRES = 128
"""Enough that the steps around each are alike, few enough to be measured against in a search."""

RADIUS_QUANTILE = 0.95
"""Share of a centre's steps inside its radius: the very farthest ones would be luck."""

LARGEST_SAMPLE = 60_000
"""Steps the centres are found from."""

SEED = 0
"""Of the first choice of centres."""

SMALLEST_STD = 1e-3
"""Features that hardly vary are not stretched further."""

DIGITS = 4
"""Decimals kept in files; a distance does not depend on more."""


@dataclass(frozen=True, kw_only=True)
class Neighbourhood:
    """Centres of the training steps, in standardised features.

    Args:
        mean: Shift of each feature [F].
        std: Scale of each feature [F].
        centres: Centres [K, F].
        radius: Radius of each centre, > 0 [K].
        limit: Largest distance in radii that counts as near.
    """

    mean: Tensor
    std: Tensor
    centres: Tensor
    radius: Tensor
    limit: float

    @classmethod
    def of(cls, steps: Tensor) -> Neighbourhood:
        """Describe training steps; the limit is left open.

        Args:
            steps: Features of steps [N, F].

        Returns:
            Up to CENTRES centres, and an infinite limit.
        """
        steps = steps[:: max(1, len(steps) // LARGEST_SAMPLE)]
        mean = steps.mean(dim=0)
        std = steps.std(dim=0, correction=0).clamp_min(SMALLEST_STD)
        scaled = (steps - mean) / std
        count = min(CENTRES, len(steps))
        with warnings.catch_warnings():
            # A centre without steps, where few of them differ, stays where it is and does no harm.
            warnings.filterwarnings("ignore", message="One of the clusters is empty")
            centres, owner = kmeans2(
                scaled.double().numpy(), count, iter=15, minit="points", seed=SEED, missing="warn"
            )
        distance = np.linalg.norm(scaled.numpy() - centres[owner], axis=1)
        overall = float(np.quantile(distance, RADIUS_QUANTILE))
        radius = np.full(count, max(overall, SMALLEST_STD))
        for index in range(count):
            own = distance[owner == index]
            # A centre of few steps says little of how far its surroundings reach.
            if len(own) >= 1 / (1 - RADIUS_QUANTILE):
                radius[index] = max(float(np.quantile(own, RADIUS_QUANTILE)), SMALLEST_STD)
        return cls(
            mean=mean,
            std=std,
            centres=torch.from_numpy(centres).float(),
            radius=torch.from_numpy(radius).float(),
            limit=float("inf"),
        )

    def distance(self, steps: Tensor) -> Tensor:
        """Return how far steps lie out, in radii of the nearest centre.

        Args:
            steps: Features of steps [N, F].

        Returns:
            Distances, >= 0 [N].
        """
        scaled = (steps - self.mean) / self.std
        return (torch.cdist(scaled, self.centres) / self.radius).amin(dim=1)

    def as_json(self) -> dict[str, object]:
        """Return the form that config files hold."""
        tensors = ("mean", "std", "centres", "radius")
        rounded = {name: _rounded(getattr(self, name)) for name in tensors}
        return {"limit": self.limit, **rounded}

    @classmethod
    def from_json(cls, document: dict[str, object]) -> Neighbourhood:
        """Read the form that config files hold.

        Args:
            document: What :meth:`as_json` gave.

        Returns:
            The neighbourhood.

        Raises:
            ValueError: If the shapes do not belong together.
        """
        tensors = {
            name: torch.tensor(document[name]) for name in ("mean", "std", "centres", "radius")
        }
        centres = tuple(tensors["centres"].shape)
        expected = (len(tensors["radius"]), len(tensors["mean"]))
        if centres != expected or len(tensors["std"]) != expected[1]:
            raise ValueError(f"near.centres must have shape {expected}, got shape={centres}.")
        return cls(**tensors, limit=float(document["limit"]))  # type: ignore[arg-type]


def _rounded(values: Tensor) -> object:
    return np.round(values.double().numpy(), DIGITS).tolist()
