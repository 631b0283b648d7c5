"""Where the flows of a chain meet: branches of a parallel chain are joined into one path.

A job completes when all its branches do, and takes as long as the slowest. The share that completes
lies between that of independent branches, the product, and that of branches which are lost
together, the least; uncorrected it is that of branches which have nothing in common but the moments
when jobs come (:mod:`surrogate.features.siblings`). The mean latency lies between the longest of
the branches' means and their sum: it is taken as a p-norm of the means, with p from 1, the sum, to
infinity, the longest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surrogate.features.arrays import FlowArrays
from surrogate.features.branches import Branches
from surrogate.features.siblings import log_passed_together

__all__ = ["JOIN_OUTPUTS", "Ways", "joined_ways"]

JOIN_OUTPUTS = 2
"""Corrections per flow that a join takes: of how far losses coincide, and of the norm."""

LEAST_COINCIDENCE = 1e-3
"""How far from independence to being lost together uncorrected branches are at least, and how far
from the other end: corrections of the log-odds reach both sides."""

FREE_NORM = 1.0
"""Logarithm of p - 1 of the norm, uncorrected: between exponential times, whose largest of 2 to 6
has p of 1.7 to 2, and constant ones, where it is infinite."""

LARGEST_LOG_NORM = 5.0
"""Logarithm of p - 1 above which the norm is the largest to three digits."""

TINY = 1e-12
"""Keeps logarithms of times of nothing finite [s]."""


@dataclass(frozen=True, kw_only=True)
class Ways:
    """Paths of chains, as the read-out mixes them.

    Args:
        log_passed: Logarithm of the share of jobs that completes [W].
        latency: Mean latency of these [s] [W].
        unloaded: The same if nobody waited [s] [W].
        least: A latency that every job has at least [s] [W].
        law: Corrections of the latency's law [W, 3 or 4].
        chain: Chain of each path [W].
        probability: Share of its chain's jobs [W].
    """

    log_passed: Tensor
    latency: Tensor
    unloaded: Tensor
    least: Tensor
    law: Tensor
    chain: Tensor
    probability: Tensor


def joined_ways(arrays: FlowArrays, flows: Ways, correction: Tensor | None) -> Ways:
    """Join the branches of parallel chains.

    Args:
        arrays: The deployments.
        flows: What is known of every flow, as if each was a path.
        correction: Of how branches join [P, JOIN_OUTPUTS], or None for no correction.

    Returns:
        The paths; the flows themselves where there are no branches.
    """
    branches = arrays.branches
    if branches is None:
        return flows
    count = branches.path_branches.to(flows.latency.dtype)
    if correction is None:
        correction = flows.latency.new_zeros(len(flows.chain), JOIN_OUTPUTS)
    columns = torch.cat([flows.log_passed[:, None], correction, flows.law], dim=-1)
    total = branches.total(columns)
    apart, own = total[:, 0], total[:, 1:] / count[:, None]
    together = log_passed_together(arrays, branches, flows.log_passed)
    least_passed = branches.extreme(flows.log_passed, "amin")
    coincide = ((together - apart) / (least_passed - apart).clamp_min(TINY)).clamp(
        LEAST_COINCIDENCE, 1.0 - LEAST_COINCIDENCE
    )
    coincide = torch.sigmoid(torch.logit(coincide) + own[:, 0])
    norm = 1.0 + (own[:, 1] + FREE_NORM).clamp_max(LARGEST_LOG_NORM).exp()
    return Ways(
        log_passed=torch.lerp(apart, least_passed, coincide),
        latency=_norm(branches, flows.latency, norm),
        unloaded=branches.extreme(flows.unloaded, "amax"),
        least=branches.extreme(flows.least, "amax"),
        law=own[:, JOIN_OUTPUTS:],
        chain=branches.path_chain,
        probability=branches.path_probability,
    )


def _norm(branches: Branches, values: Tensor, norm: Tensor) -> Tensor:
    """Return the p-norm of the values of each path; of a single one, the value itself [W]."""
    longest = branches.extreme(values, "amax").clamp_min(TINY)
    share = (values / longest[branches.flow_path]).clamp_min(TINY)
    power = (norm[branches.flow_path] * share.log()).exp()
    total = branches.total(power[:, None])[:, 0]
    return longest * (total.log() / norm).exp()
