"""The distribution of a chain's latency: quantiles in order, and the share of jobs in time.

Each flow, a path of a chain, is described by its median and two quantiles above it. Between them
the logarithm of latency is linear in the normal score, so that the law is lognormal in pieces; it
goes on the same way beyond. A chain with several paths has the mixture of its flows' laws.

The mean, which the network predicts from what happens at the steps, bounds all of it: by Markov's
inequality the share 1 - p of the jobs can only be slower than q_p if q_p <= mean / (1 - p).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["LEVELS", "SCORES", "LatencyLaw", "flow_log_quantiles", "growth_below"]

LEVELS = (0.5, 0.95, 0.99)
"""Shares of the completed jobs whose latency is at most the quantile, in the order of
:data:`surrogate.features.labels.QUANTILES`."""

SCORES = (0.0, 1.6448536, 2.3263479)
"""Normal scores of the levels: the share below the score under a standard normal law."""

LEAST_SLOPE = 1e-4
"""Smallest growth of log latency per unit of score: nearly constant latencies differ by that."""

LEAST_DENSITY = 1e-3
"""Smallest density by which a quantile's gradient is divided: in a gap between two flows' latencies
the quantile jumps."""

BISECTIONS = 40
"""Halvings of the bracket around a mixture's quantile, which reach the accuracy of float32."""


def flow_log_quantiles(correction: Tensor, log_mean: Tensor, log_least: Tensor) -> Tensor:
    """Return ordered quantiles within what mean and least latency allow.

    Args:
        correction: Three unbounded numbers per flow: of the median, and of the growth per unit of
            score up to and beyond the 95 % quantile [P, 3]; further ones are not read.
        log_mean: Logarithm of the mean latency [s] [P].
        log_least: Logarithm of a latency that every job has at least [s] [P].

    Returns:
        Logarithms of the quantiles [s] [P, 3], increasing; 0 corrections put the median at the
        mean.
    """
    median, *growth = torch.nn.functional.softplus(correction[:, : len(LEVELS)]).unbind(-1)
    reached = torch.maximum(log_mean + math.log(2.0) - median, log_least)
    quantiles = [reached]
    for index, slope in enumerate(growth):
        span = SCORES[index + 1] - SCORES[index]
        highest = log_mean - math.log(1.0 - LEVELS[index + 1])
        grown = torch.minimum(reached + span * (slope + LEAST_SLOPE), highest)
        reached = torch.maximum(grown, reached)
        quantiles.append(reached)
    return torch.stack(quantiles, dim=-1)


def growth_below(correction: Tensor) -> Tensor | None:
    """Return how log latency grows below the median, where a network says so.

    Args:
        correction: Three or four unbounded numbers per flow [P, 3 or 4].

    Returns:
        Growth per unit of score, > 0 [P]; None without a fourth number.
    """
    if correction.shape[1] == len(LEVELS):
        return None
    return torch.nn.functional.softplus(correction[:, len(LEVELS)]) + LEAST_SLOPE


@dataclass(frozen=True, kw_only=True)
class LatencyLaw:
    """Laws of the latency of completed jobs, by flow, and how they mix in chains.

    Args:
        log_quantile: Logarithms of the quantiles at :data:`LEVELS` [s] [P, 3].
        log_least: Logarithm of a latency that every job has at least [s] [P].
        completed: Share of the chain's offered jobs that complete on the flow [P].
        chain: Chain of each flow [P].
        chains: Number of chains, C.
        below: Growth of log latency per unit of score below the median [P]; None where it is
            that between the median and the next quantile.
    """

    log_quantile: Tensor
    log_least: Tensor
    completed: Tensor
    chain: Tensor
    chains: int
    below: Tensor | None = None

    def attainment(self, deadline: Tensor) -> Tensor:
        """Return the share of *offered* jobs that complete within a deadline.

        Args:
            deadline: Of each chain [s], NaN where there is none [C].

        Returns:
            Shares in [0, 1], NaN where there is no deadline [C].
        """
        log_deadline = deadline.log()
        score, _ = self._scores(log_deadline)
        possible = log_deadline.index_select(0, self.chain) >= self.log_least
        within = torch.where(possible, torch.special.ndtr(score), torch.zeros_like(score))
        attained = self._sum(within * self.completed).clamp_max(1.0)
        return torch.where(deadline.isnan(), deadline, attained)

    @cached_property
    def log_quantiles(self) -> Tensor:
        """Logarithms of the quantiles of every chain's latency at :data:`LEVELS` [s] [C, 3].

        They carry gradients also where several flows mix, and take bisections there: hence found
        once.
        """
        if self.chain.shape[0] == self.chains:
            return self.log_quantile[self.chain.argsort()]
        return torch.stack([self._mixed(index) for index in range(len(LEVELS))], dim=-1)

    def _scores(self, log_time: Tensor) -> tuple[Tensor, Tensor]:
        """Normal score of a time of the chain under each flow's law, and growth there [P]."""
        time = log_time.index_select(0, self.chain)
        median, high, top = self.log_quantile.unbind(-1)
        lower = (high - median).clamp_min(LEAST_SLOPE) / (SCORES[1] - SCORES[0])
        upper = (top - high).clamp_min(LEAST_SLOPE) / (SCORES[2] - SCORES[1])
        slow = time >= high
        score = torch.where(slow, SCORES[1] + (time - high) / upper, (time - median) / lower)
        growth = torch.where(slow, upper, lower)
        if self.below is None:
            return score, growth
        quick = time < median
        score = torch.where(quick, (time - median) / self.below, score)
        return score, torch.where(quick, self.below, growth)

    def _share_below(self, log_time: Tensor) -> Tensor:
        """Share of each chain's completed jobs that are faster than a time [C]."""
        tiny = torch.finfo(log_time.dtype).tiny
        score, _ = self._scores(log_time)
        within = self._sum(torch.special.ndtr(score) * self.completed)
        return within / self._sum(self.completed).clamp_min(tiny)

    def _mixed(self, index: int) -> Tensor:
        """One quantile of every chain's mixture, by bisection [C]."""
        with torch.no_grad():
            own = self.log_quantile[:, index]
            start = own.new_zeros(self.chains)
            low = start.scatter_reduce(0, self.chain, own, "amin", include_self=False)
            high = start.scatter_reduce(0, self.chain, own, "amax", include_self=False)
            for _ in range(BISECTIONS):
                middle = 0.5 * (low + high)
                beyond = self._share_below(middle) >= LEVELS[index]
                low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
        if not torch.is_grad_enabled():
            return high
        # One Newton step from the solution changes nothing but the gradient, which becomes that of
        # the equation that defines the quantile.
        with torch.no_grad():
            score, slope = self._scores(high)
            of_flow = torch.exp(-0.5 * score**2) / (math.sqrt(2.0 * math.pi) * slope)
            completed = self._sum(self.completed).clamp_min(torch.finfo(of_flow.dtype).tiny)
            density = self._sum(of_flow * self.completed) / completed
        found = self._share_below(high)
        return high - (found - found.detach()) / density.clamp_min(LEAST_DENSITY)

    def _sum(self, values: Tensor) -> Tensor:
        return values.new_zeros(self.chains).scatter_add(0, self.chain, values)
