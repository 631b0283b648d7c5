"""Intervals that hold what they promise: split conformal prediction by bins of load and size.

On deployments whose network shapes no training saw, labelled far more precisely than the network
predicts, the distance between prediction and truth is measured on a scale where errors are alike,
in units of the error that is to be expected there. The interval of a new chain reaches as far as
the wanted share of these distances of chains like it. No assumption about the errors is made but
that new chains come from the same distribution.

References:
    Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005 (conformal prediction;
    by categories: "Mondrian").
    Vovk, Cross-conformal predictors, Annals of Mathematics and Artificial Intelligence 74 (2015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogate.error_scale import Chains, ErrorScale
from surrogate.targets import TARGETS

__all__ = ["LEVEL", "MIN_CHAINS", "Intervals", "crossed_coverage"]

LEVEL = 0.9
"""Share of the true values that lie inside."""

LOAD_EDGES = (0.3, 0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.3, 1.5, 2.0)
"""Largest offered load among a chain's devices; errors are largest around 1."""

LENGTH_EDGES = (2.5, 3.5, 4.5, 6.5)
"""Steps of the chain's longest path."""

CHAINS_EDGES = (3.5,)
"""Chains of the deployment: many make busier devices of more kinds."""

SHAPE = (len(LOAD_EDGES) + 1, len(LENGTH_EDGES) + 1, len(CHAINS_EDGES) + 1)

MIN_CHAINS = 100
"""Chains a bin needs for a radius of its own, or for its coverage to be told; with fewer, quantiles
and shares are mostly luck."""

CAUTION = 1.0
"""Standard deviations of the number of errors inside that are added to it: a bin's coverage then
falls short by chance in one case of six instead of one of two, were its errors independent."""

FOLDS = 5
"""Parts of the deployments; the errors of each are measured by the scale found on the others, as
those of new deployments will be."""


def _bins(chains: Chains) -> tuple[Tensor, Tensor, Tensor]:
    """Return the bin of load, length and number of chains of each chain [C]."""
    values = (chains.load, chains.length, chains.count)
    edges = (LOAD_EDGES, LENGTH_EDGES, CHAINS_EDGES)
    load, length, count = (
        torch.bucketize(value, torch.tensor(limits), right=True)
        for value, limits in zip(values, edges, strict=True)
    )
    return load, length, count


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Radii by target and bin, in units of the error to be expected.

    Args:
        scale: Says what error is to be expected.
        radius: Target -> radius [:data:`SHAPE`].
    """

    scale: ErrorScale
    radius: dict[str, Tensor]

    @classmethod
    def fit(cls, chains: Chains, true: Mapping[str, Tensor]) -> Intervals:
        """Measure how far predictions lie from the truth.

        Args:
            chains: Chains of deployments that no training saw.
            true: Target -> label [C]; NaN where undefined.

        Returns:
            Intervals with the finite-sample quantile of every bin; a bin with few chains takes that
            of its load over all sizes, and if these are few, too, of the loads around it. A target
            without any label gets none.
        """
        error = {}
        for name, target in TARGETS.items():
            if bool(torch.isfinite(true[name]).any()):
                spread = target.scale.spread
                error[name] = (spread(chains.predicted[name]) - spread(true[name])).abs()
        apart = {name: torch.full_like(chains.load, torch.nan) for name in error}
        for fold in range(FOLDS):
            inside = chains.deployment % FOLDS == fold
            others = {name: values[~inside] for name, values in error.items()}
            scale = ErrorScale.fit(chains.inputs[~inside], others)
            for name in error:
                expected = scale.expected(name, chains.inputs[inside])
                apart[name][inside] = error[name][inside] / expected
        bins = torch.stack(_bins(chains))
        return cls(
            scale=ErrorScale.fit(chains.inputs, error),
            radius={name: _radii(values, bins) for name, values in apart.items()},
        )

    def bounds(self, chains: Chains) -> dict[str, tuple[Tensor, Tensor]]:
        """Return lower and upper bounds.

        Args:
            chains: Chains with their predictions.

        Returns:
            Target -> bounds within the physical range that hold the prediction [C], of the targets
            that were labelled.
        """
        place = _bins(chains)
        result = {}
        for name, radius in self.radius.items():
            target, value = TARGETS[name], chains.predicted[name]
            reach = radius[place] * self.scale.expected(name, chains.inputs)
            centre = target.scale.spread(value)
            # Rounding alone would leave the prediction outside of a narrow interval.
            low = torch.minimum(target.scale.unspread(centre - reach), value)
            high = torch.maximum(target.scale.unspread(centre + reach), value)
            result[name] = (low, high)
        return result

    def as_json(self) -> dict[str, object]:
        """Return the form that config files hold."""
        radius = {name: table.tolist() for name, table in self.radius.items()}
        return {"level": LEVEL, "scale": self.scale.as_json(), "radius": radius}

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Intervals:
        """Read the form that config files hold.

        Args:
            document: What :meth:`as_json` gave.

        Returns:
            The intervals.

        Raises:
            ValueError: If level or bins are not those of this version.
        """
        if document["level"] != LEVEL:
            raise ValueError(f"intervals.level must be {LEVEL}, got level={document['level']}.")
        stored: Mapping[str, object] = document["radius"]  # type: ignore[assignment]
        radius = {name: torch.tensor(stored[name]) for name in TARGETS if name in stored}
        for name, table in radius.items():
            if (got := tuple(table.shape)) != SHAPE:
                raise ValueError(f"intervals.radius.{name} must have shape {SHAPE}, got {got}.")
        scale = ErrorScale.from_json(document["scale"])  # type: ignore[arg-type]
        return cls(scale=scale, radius=radius)


def crossed_coverage(
    chains: Chains, true: Mapping[str, Tensor]
) -> dict[str, dict[str, float | None]]:
    """Tell how often the truth lies inside intervals that were fitted to other deployments.

    Args:
        chains: Chains of deployments that no training saw.
        true: Target -> label [C]; NaN where undefined.

    Returns:
        Target -> share of all chains inside, and the least share of any bin of load and of any bin
        of length with :data:`MIN_CHAINS` or more; None where there are no such.
    """
    inside = {name: torch.full_like(chains.load, torch.nan) for name in TARGETS}
    for fold in range(FOLDS):
        # Not the parts that the fit itself takes turns with, of which one would be missing.
        own = chains.deployment.div(FOLDS, rounding_mode="floor") % FOLDS == fold
        if not bool(own.any()) or bool(own.all()):
            continue
        others = {name: values[~own] for name, values in true.items()}
        bounds = Intervals.fit(chains.select(~own), others).bounds(chains.select(own))
        for name, (low, high) in bounds.items():
            value = true[name][own]
            held = ((low <= value) & (value <= high)).to(low.dtype)
            inside[name][own] = torch.where(torch.isfinite(value), held, torch.nan)
    load, length, _ = _bins(chains)
    return {
        name: {
            "covered": _share(held, 1),
            "least_of_any_load": _least_share(held, load),
            "least_of_any_length": _least_share(held, length),
        }
        for name, held in inside.items()
    }


def _share(held: Tensor, fewest: int) -> float | None:
    known = held[torch.isfinite(held)]
    return float(known.mean()) if len(known) >= fewest else None


def _least_share(held: Tensor, place: Tensor) -> float | None:
    shares = [_share(held[place == own], MIN_CHAINS) for own in torch.unique(place)]
    return min((share for share in shares if share is not None), default=None)


def _radii(apart: Tensor, bins: Tensor) -> Tensor:
    """Return the radius of every bin [SHAPE] from errors [C], NaN if unknown, and bins [3, C]."""
    known = torch.isfinite(apart)
    apart, (load, length, count) = apart[known], bins[:, known]
    table = torch.empty(SHAPE)
    for first in range(SHAPE[0]):
        table[first] = _quantile(apart[_alike(load, first)])
        for second in range(SHAPE[1]):
            for third in range(SHAPE[2]):
                own = (load == first) & (length == second) & (count == third)
                if int(own.sum()) >= MIN_CHAINS:
                    table[first, second, third] = _quantile(apart[own])
    return table


def _alike(load: Tensor, place: int) -> Tensor:
    """Chains of a bin of load, and of as many bins on either side as make them enough [C]."""
    for reach in range(SHAPE[0]):
        near = (load - place).abs() <= reach
        if int(near.sum()) >= MIN_CHAINS:
            return near
    return torch.ones_like(load, dtype=torch.bool)


def _quantile(apart: Tensor) -> float:
    """Smallest radius that covers a new chain with probability LEVEL; the largest error if few."""
    count = len(apart)
    inside = (count + 1) * LEVEL + CAUTION * math.sqrt(count * LEVEL * (1.0 - LEVEL))
    return float(apart.kthvalue(min(math.ceil(inside), count)).values)
