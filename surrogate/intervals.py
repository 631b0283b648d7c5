"""Intervals that hold what they promise: split conformal prediction by bins of load and size.

On deployments that no training saw, labelled far more precisely than the network predicts, the
distance between prediction and truth is measured on a scale where errors are alike; the interval of
a new chain reaches as far as the wanted share of the errors of chains like it. No assumption about
the errors is made but that new chains come from the same distribution.

References:
    Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005 (conformal prediction;
    by categories: "Mondrian").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogate.features.arrays import FlowArrays
from surrogate.features.features import Features

__all__ = ["LEVEL", "TARGETS", "Intervals"]

LEVEL = 0.9
"""Share of the true values that lie inside."""

TARGETS = ("throughput_ratio", "latency_ratio")
"""Ratios that get an interval; those of loss and latency follow from them."""

LOAD_EDGES = (0.3, 0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.3, 1.5, 2.0)
"""Largest offered load among a chain's devices; errors are largest around 1."""

LENGTH_EDGES = (2.5, 3.5, 4.5, 6.5)
"""Steps of the chain's longest path."""

CHAINS_EDGES = (3.5,)
"""Chains of the deployment: many make busier devices of more kinds."""

MIN_CHAINS = 60
"""Chains a bin needs for a radius of its own; with fewer, the quantile is mostly luck."""

FLOOR = 1e-3
"""Distance of a ratio from 0 and 1 below which errors count absolutely rather than relatively."""


EVERYTHING = 30.0
"""Radius that reaches from any ratio to 0 and 1, for want of anything to go by."""


def _spread(ratio: Tensor) -> Tensor:
    """Map [0, 1] to a scale on which relative errors near both ends are distances."""
    return torch.log((1.0 - ratio + FLOOR) / (ratio + FLOOR))


def _unspread(value: Tensor) -> Tensor:
    odds = value.exp()
    return ((1.0 + FLOOR - FLOOR * odds) / (1.0 + odds)).clamp(0.0, 1.0)


def _bins(arrays: FlowArrays, features: Features) -> tuple[Tensor, Tensor, Tensor]:
    """Return the bin of load, length and number of chains of each chain [C]."""
    load = arrays.at_steps(features.prior.offered)
    none = torch.zeros_like(arrays.chain_scv)
    chain = arrays.flow_chain.index_select(0, arrays.step_flow)
    busiest = none.scatter_reduce(0, chain, load, "amax")
    longest = none.scatter_reduce(0, arrays.flow_chain, arrays.flow_length.to(none.dtype), "amax")
    ones = torch.ones_like(none)
    count = ones.new_zeros(arrays.deployments).scatter_add(0, arrays.chain_deployment, ones)
    chains = count.index_select(0, arrays.chain_deployment)
    edges = (LOAD_EDGES, LENGTH_EDGES, CHAINS_EDGES)
    load_bin, length_bin, chains_bin = (
        torch.bucketize(values, torch.tensor(limits), right=True)
        for values, limits in zip((busiest, longest, chains), edges, strict=True)
    )
    return load_bin, length_bin, chains_bin


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Radii by target and bin.

    Args:
        radius: Target -> half-width on the spread scale
            [len(LOAD_EDGES) + 1, len(LENGTH_EDGES) + 1, len(CHAINS_EDGES) + 1].
    """

    radius: dict[str, Tensor]

    @classmethod
    def fit(
        cls,
        arrays: FlowArrays,
        features: Features,
        predicted: dict[str, Tensor],
        true: dict[str, Tensor],
    ) -> Intervals:
        """Measure how far predictions lie from the truth.

        Args:
            arrays: Deployments that no training saw.
            features: Their features.
            predicted: Target -> prediction [C].
            true: Target -> label [C]; NaN where undefined.

        Returns:
            Intervals with the finite-sample quantile of every bin; a bin with few chains takes that
            of its load over all sizes, and if these are few, too, that of everything.
        """
        bins = torch.stack(_bins(arrays, features))
        shape = (len(LOAD_EDGES) + 1, len(LENGTH_EDGES) + 1, len(CHAINS_EDGES) + 1)
        radius = {}
        for target in TARGETS:
            error = (_spread(predicted[target]) - _spread(true[target])).abs()
            known = torch.isfinite(error)
            error, place = error[known], bins[:, known]
            table = torch.full(shape, _quantile(error))
            for load in range(shape[0]):
                alike = place[0] == load
                if int(alike.sum()) >= MIN_CHAINS:
                    table[load] = _quantile(error[alike])
                for length in range(shape[1]):
                    for chains in range(shape[2]):
                        own = alike & (place[1] == length) & (place[2] == chains)
                        if int(own.sum()) >= MIN_CHAINS:
                            table[load, length, chains] = _quantile(error[own])
            radius[target] = table
        return cls(radius=radius)

    def bounds(
        self, arrays: FlowArrays, features: Features, predicted: dict[str, Tensor]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Return lower and upper bounds.

        Args:
            arrays: The deployments.
            features: Their features.
            predicted: Target -> prediction in [0, 1] [C].

        Returns:
            Target -> bounds in [0, 1] that hold the prediction [C].
        """
        place = _bins(arrays, features)
        result = {}
        for target in TARGETS:
            value, reach = predicted[target], self.radius[target][place]
            centre = _spread(value)
            # Rounding alone would leave the prediction outside of a narrow interval.
            low = torch.minimum(_unspread(centre + reach), value)
            high = torch.maximum(_unspread(centre - reach), value)
            result[target] = (low, high)
        return result

    def as_json(self) -> dict[str, object]:
        """Return the form that config files hold."""
        return {"level": LEVEL} | {name: table.tolist() for name, table in self.radius.items()}

    @classmethod
    def from_json(cls, document: dict[str, object]) -> Intervals:
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
        expected = (len(LOAD_EDGES) + 1, len(LENGTH_EDGES) + 1, len(CHAINS_EDGES) + 1)
        radius = {}
        for name in TARGETS:
            table = torch.tensor(document[name])
            if tuple(table.shape) != expected:
                shape = tuple(table.shape)
                raise ValueError(f"intervals.{name} must have shape {expected}, got shape={shape}.")
            radius[name] = table
        return cls(radius=radius)


def _quantile(error: Tensor) -> float:
    """Smallest radius that covers a new chain with probability LEVEL; the largest error if few."""
    count = len(error)
    if count == 0:
        return EVERYTHING
    rank = min(math.ceil((count + 1) * LEVEL), count)
    return float(error.kthvalue(rank).values)
