"""Siblings: branches of the same job, which come to their devices at the same moment.

What branches have in common is the time since the last job came: after a long one each device has
had time to make room. With x this time in units of its mean, which is exponential for Poisson
arrivals, a device that was full after the last job and lets a share p of the jobs in has room with
probability 1 - exp(-x p / (1 - p)), which has the mean p. Branches complete together with the mean
of their product over x: k branches at devices that are far too slow, k! times as often as if they
were independent. For devices without a queue and exponential services this is exact.

A device with a queue that is full only now and then remembers more than the last job, and branches
are nearer to independent ones than this says. Where other flows come to a device they take room as
well: x is taken to matter by the square root of the branch's share of the arrivals, which is nearer
to simulations than the share. Where jobs come evenly, x hardly varies.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from surrogate.features.arrays import FlowArrays
from surrogate.features.branches import Branches

__all__ = ["log_passed_together", "siblings_here"]

LOG_GAPS = np.linspace(-12.0, 3.7, 24)
"""Logarithms of times between jobs, in units of their mean: short ones tell if few are lost."""

WEIGHTS = np.exp(LOG_GAPS - np.exp(LOG_GAPS))
WEIGHTS = WEIGHTS / WEIGHTS.sum()
"""Weights of a mean over an exponential law, by the trapezoidal rule."""

LEAST_LOG_PASSED = -20.0
"""Shares below which all that counts is that next to nobody passes (log)."""

LEAST_LOST = 1e-6
"""Share of a branch's jobs that are lost, below which it does not matter which."""

TINY = 1e-12
"""Keeps quotients of what never happens away from 0/0."""


def log_passed_together(arrays: FlowArrays, branches: Branches, log_passed: Tensor) -> Tensor:
    """Return the share of the jobs of each path that pass all its branches.

    Args:
        arrays: The deployments.
        branches: How flows make up paths.
        log_passed: Logarithm of the share that passes each flow [P].

    Returns:
        Logarithms [W], from the sum over a path's flows to the least of them.
    """
    gaps = log_passed.new_tensor(np.exp(LOG_GAPS))
    weights = log_passed.new_tensor(WEIGHTS)
    passed = log_passed.clamp(LEAST_LOG_PASSED, 0.0)
    odds = passed.exp() / (-torch.expm1(passed)).clamp_min(LEAST_LOST)
    room = -torch.expm1(-odds[:, None] * gaps)
    # Over its own mean, so that the nodes of the integral change no branch's share.
    over_mean = room / (room @ weights)[:, None]
    told = _told_by_gaps(arrays)
    factor = torch.log1p(told[:, None] * (over_mean - 1.0))
    total = branches.total(torch.cat([log_passed[:, None], factor], dim=-1))
    apart, together = total[:, 0], torch.logsumexp(total[:, 1:] + weights.log(), dim=-1)
    return torch.minimum(apart + together.clamp_min(0.0), branches.extreme(log_passed, "amin"))


def _told_by_gaps(arrays: FlowArrays) -> Tensor:
    """Return by how much the time since the last job tells whether there is room [P]."""
    rate = arrays.of_flows(arrays.flow_rate)
    everybody = arrays.at_steps(arrays.sum_to_devices(rate)).clamp_min(TINY)
    own = arrays.sum_to_flows(rate / everybody) / arrays.flow_length
    # A path that takes a random share p of a stream has SCV 1 + p (SCV - 1).
    scv = 1.0 + arrays.flow_probability * (arrays.chain_scv[arrays.flow_chain] - 1.0)
    return own.sqrt() * scv.clamp(0.0, 1.0)


def siblings_here(arrays: FlowArrays, branches: Branches) -> tuple[Tensor, Tensor]:
    """Return how many branches of the same job come to the device of each step besides it.

    Args:
        arrays: The deployments.
        branches: How flows make up paths.

    Returns:
        Those that are admitted before it, and those after it [S]; 0 for steps of a flow that has no
        siblings, also where it comes back to a device.
    """
    path = branches.flow_path[arrays.step_flow]
    meeting = path * arrays.devices + arrays.step_device
    # In their own order steps of a path are one after the other, and first come is first admitted.
    order = torch.argsort(arrays.step_row)
    order = order[torch.argsort(meeting[order], stable=True)]
    _, place, count = torch.unique_consecutive(
        meeting[order], return_inverse=True, return_counts=True
    )
    first = torch.cumsum(count, dim=0) - count
    before = torch.empty_like(meeting)
    before[order] = torch.arange(len(order), device=order.device) - first[place]
    total = torch.empty_like(meeting)
    total[order] = count[place]
    alone = branches.path_branches[path] <= 1
    after = total - 1 - before
    dtype = arrays.step_mean.dtype
    return (
        torch.where(alone, 0, before).to(dtype),
        torch.where(alone, 0, after).to(dtype),
    )
