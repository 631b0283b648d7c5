"""The structured read-out: physical quantities that cannot leave their physical range.

A step passes a share of its jobs in (0, 1) and holds the others' successors for at least their
service; a flow's throughput ratio is the product of what its steps pass, its latency the sum of its
sojourns. The network only corrects the analytic prior, on scales where a correction of zero means
"the prior is right". How latencies scatter around their mean is told by a law for each flow,
:class:`surrogate.models.latency_law.LatencyLaw`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surrogate.features.arrays import FlowArrays
from surrogate.features.decomposition import Prior
from surrogate.features.features import logit
from surrogate.models.capacity import within_capacity
from surrogate.models.joining import Ways, joined_ways
from surrogate.models.latency_law import LatencyLaw, flow_log_quantiles, growth_below

__all__ = ["Prediction", "read_out", "wait_bound"]

TINY = 1e-12
"""Keeps logarithms of zero waits and empty rates finite."""

SMALLEST_WAIT_SHARE = 1e-7
"""Share of the largest possible wait below which waits are not told apart."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model predicts.

    Args:
        step_log_passed: Logarithm of the share of jobs each step passes, <= 0 [S].
        step_sojourn: Mean time at each step of jobs that complete [s], >= its service [S].
        log_throughput_ratio: Logarithm of completed / offered, <= 0 [C].
        latency: Mean latency of completed jobs [s] [C].
        latency_ratio: Mean unloaded latency / latency, in (0, 1] [C].
        law: How the latencies of completed jobs are distributed.
    """

    step_log_passed: Tensor
    step_sojourn: Tensor
    log_throughput_ratio: Tensor
    latency: Tensor
    latency_ratio: Tensor
    law: LatencyLaw

    @property
    def throughput_ratio(self) -> Tensor:
        """Completed / offered, in (0, 1] [C]."""
        return self.log_throughput_ratio.exp()

    @property
    def loss_ratio(self) -> Tensor:
        """Lost / offered, in [0, 1), exact also where it is tiny [C]."""
        return -torch.expm1(self.log_throughput_ratio)


def wait_bound(arrays: FlowArrays) -> Tensor:
    """Return the longest possible mean wait at each device [s] [D]; inf where unlimited.

    An admitted job finds at most K - 1 others. FCFS with drop: it waits for them and for the rest
    of one service, K - 1 times the largest class mean over the servers plus the largest residual
    E[S^2] / (2 E[S]). Where everybody admitted has a server at once, nobody waits.

    Args:
        arrays: The deployments.

    Returns:
        The bounds.
    """
    mean = arrays.step_mean
    residual = 0.5 * mean * (1.0 + arrays.step_scv)
    largest = torch.zeros_like(arrays.device_capacity)
    longest = largest.scatter_reduce(0, arrays.step_device, mean, "amax")
    rest = largest.scatter_reduce(0, arrays.step_device, residual, "amax")
    # Small jobs fit more often than the mean demand says: count with the smallest demand.
    smallest = torch.full_like(largest, torch.inf).scatter_reduce(
        0, arrays.step_device, arrays.step_demand, "amin"
    )
    limited = torch.isfinite(arrays.device_capacity)
    capacity = torch.where(limited, arrays.device_capacity, 1.0)  # infinity times 0 has no gradient
    jobs = (capacity / smallest.clamp_min(1.0)).floor()
    bound = (jobs - 1.0).clamp_min(0.0) / arrays.device_servers * longest + rest
    bound = torch.where(jobs > arrays.device_servers, bound, torch.zeros_like(bound))
    return torch.where(limited, bound, torch.inf)


def _corrected_wait(arrays: FlowArrays, prior: Prior, correction: Tensor) -> Tensor:
    bound = wait_bound(arrays)
    if prior.unbounded is not None:
        bound = torch.where(prior.unbounded, torch.inf, bound)
    bound = arrays.at_steps(bound)
    wait = prior.step_wait
    bounded = torch.isfinite(bound)
    scale = torch.where(bounded & (bound > 0), bound, torch.ones_like(bound))
    share = (wait / scale).clamp(SMALLEST_WAIT_SHARE, 1.0 - SMALLEST_WAIT_SHARE)
    inside = bound.nan_to_num(posinf=0.0) * torch.sigmoid(logit(share) + correction)
    free = wait * torch.exp(correction.clamp(-8.0, 8.0))
    return torch.where(bounded, inside, free)


def read_out(
    arrays: FlowArrays,
    prior: Prior,
    correction: Tensor,
    law_correction: Tensor,
    join_correction: Tensor | None = None,
    *,
    held: bool = False,
) -> Prediction:
    """Turn corrections of the prior into measures.

    Args:
        arrays: The deployments.
        prior: Their decomposition.
        correction: Of the log-odds of loss and of waiting at each step [S, 2].
        law_correction: What tells the quantiles of each flow's latency from its mean [P, 3],
            and perhaps the law below its median [P, 4].
        join_correction: How branches of a parallel chain join [P, 2], where a network knows.
        held: Whether devices lose what they cannot serve, whatever the corrections.

    Returns:
        Measures inside their physical range, whatever the corrections.
    """
    log_odds = logit(prior.step_loss) + correction[:, 0]
    log_passed = torch.nn.functional.logsigmoid(-log_odds)
    if prior.lossless is not None:
        log_passed = torch.where(prior.lossless, 0.0, log_passed)
    if held:
        log_passed = within_capacity(arrays, log_passed, prior.unbounded)
    sojourn = arrays.step_mean + _corrected_wait(arrays, prior, correction[:, 1])
    constant = torch.where(arrays.step_scv == 0, arrays.step_mean, 0.0)
    flows = Ways(
        log_passed=arrays.sum_to_flows(log_passed),
        latency=arrays.sum_to_flows(sojourn),
        unloaded=arrays.sum_to_flows(arrays.step_mean),
        least=arrays.sum_to_flows(constant),
        law=law_correction,
        chain=arrays.flow_chain,
        probability=arrays.flow_probability,
    )
    ways = joined_ways(arrays, flows, join_correction)
    if ways.chain.shape[0] == arrays.chains:
        order = ways.chain.argsort()  # one path per chain: a permutation
        log_ratio = ways.log_passed[order]
        latency, unloaded = ways.latency[order], ways.unloaded[order]
    else:
        log_ratio, latency, unloaded = _over_paths(arrays, ways)
    return Prediction(
        step_log_passed=log_passed,
        step_sojourn=sojourn,
        log_throughput_ratio=log_ratio,
        latency=latency,
        latency_ratio=unloaded.clamp_min(TINY) / latency.clamp_min(TINY),
        law=_law(arrays, ways),
    )


def _law(arrays: FlowArrays, ways: Ways) -> LatencyLaw:
    """Scatter the latencies of each path around their mean."""
    log_least = ways.least.clamp_min(TINY).log()
    return LatencyLaw(
        log_quantile=flow_log_quantiles(ways.law, ways.latency.clamp_min(TINY).log(), log_least),
        log_least=log_least,
        completed=ways.probability * ways.log_passed.exp(),
        below=growth_below(ways.law),
        chain=ways.chain,
        chains=arrays.chains,
    )


def _over_paths(arrays: FlowArrays, ways: Ways) -> tuple[Tensor, Tensor, Tensor]:
    """Combine the paths of each chain: counts add, times are weighted by completions [C]."""
    chain, probability, log_passed = ways.chain, ways.probability, ways.log_passed
    # Relative to the chain's best path, so that no weight vanishes where next to nothing passes.
    log_completed = probability.clamp_min(TINY).log() + log_passed
    best = torch.full_like(arrays.chain_scv, -torch.inf)
    best = best.scatter_reduce(0, chain, log_completed.detach(), "amax")
    weight = torch.exp(log_completed - best[chain])
    lost = -probability * torch.expm1(log_passed)
    columns = torch.stack([weight, weight * ways.latency, weight * ways.unloaded, lost], dim=-1)
    total = columns.new_zeros(arrays.chains, 4).index_add(0, chain, columns)
    completed, latency, unloaded, loss = total.unbind(-1)
    # Small losses keep their digits where they are added up, large ones where completions are.
    rare = torch.log1p(-loss.clamp_max(0.5))
    log_ratio = torch.where(loss < 0.5, rare, best + completed.log())
    return log_ratio, latency / completed, unloaded / completed
